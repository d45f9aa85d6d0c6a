//! Attempts to get out of a sandbox, or at what is outside: none may succeed.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use sandbox::{Exit, User};

use crate::harness::{PROGRAM, Test, World, marked, marker};

pub(crate) const TESTS: &[Test] = &[
    ("escape_by_network", by_network),
    ("escape_by_socket_families", by_socket_families),
    ("escape_by_abstract_sockets", by_abstract_sockets),
    ("escape_to_host_files", to_host_files),
    ("escape_by_descriptors", by_descriptors),
    ("escape_by_pid_1", by_pid_1),
    ("escape_by_signals", by_signals),
    ("escape_by_keyrings", by_keyrings),
    ("escape_by_mounts_of_the_build_user", by_mounts_of_the_build_user),
    ("escape_by_mounts_of_root", by_mounts_of_root),
    ("escape_by_unmounting", by_unmounting),
    ("escape_by_chroot", by_chroot),
    ("escape_by_namespaces", by_namespaces),
    ("escape_by_kernel_settings", by_kernel_settings),
    ("escape_by_devices", by_devices),
    ("escape_by_setuid", by_setuid),
    ("escape_by_terminal_injection", by_terminal_injection),
    ("escape_by_kernel_interfaces", by_kernel_interfaces),
    ("escape_by_foreign_calls", by_foreign_calls),
    ("escape_by_cgroups", by_cgroups),
    ("escape_by_host_name_and_clock", by_host_name_and_clock),
    ("escape_by_shared_memory", by_shared_memory),
    ("escape_to_other_sandboxes", to_other_sandboxes),
    ("escape_by_writing_to_our_program", by_writing_to_our_program),
    ("escape_by_capabilities", by_capabilities),
    ("escape_by_socket_pairs", by_socket_pairs),
    ("escape_by_network_administration", by_network_administration),
    ("escape_by_proc_of_the_machine", by_proc_of_the_machine),
    ("escape_by_looking_into_other_processes", by_looking_into_other_processes),
    ("escape_by_mounts_that_spread", by_mounts_that_spread),
    ("escape_by_another_root", by_another_root),
    ("escape_by_filters_of_its_own", by_filters_of_its_own),
    ("escape_by_core_dumps", by_core_dumps),
    ("escape_by_changing_the_mapping", by_changing_the_mapping),
    ("escape_by_the_console", by_the_console),
    ("escape_by_devices_that_were_given", by_devices_that_were_given),
    ("escape_through_read_only_trees", through_read_only_trees),
    ("escape_by_what_is_left_behind", by_what_is_left_behind),
];

/// Has the program in a sandbox attempt `what`, as both users; it exits with 0 when it was refused.
#[track_caller]
fn refused(what: &str, rest: &[&str]) {
    for user in [User::Build, User::Root] {
        refused_for(user, what, rest);
    }
}

#[track_caller]
fn refused_for(user: User, what: &str, rest: &[&str]) {
    let mut arguments = vec![PROGRAM, "--inside", what];
    arguments.extend(rest);
    let (ended, printed) = World::new(user, &arguments).run();
    assert_eq!(ended.exit, Exit::Code(0), "{what} as {user:?}: {printed}");
}

/// Runs a script that exits with 0 when everything it tried was refused.
#[track_caller]
fn script_refused(user: User, script: &str) {
    let script =
        format!("exec 2>&1; no() {{ if \"$@\"; then echo \"got through: $*\"; exit 1; fi; }}\n{script}");
    let (ended, printed) = World::shell(user, &script).run();
    assert_eq!(ended.exit, Exit::Code(0), "as {user:?}: {printed}");
}

#[track_caller]
fn both_scripts_refused(script: &str) {
    script_refused(User::Build, script);
    script_refused(User::Root, script);
}

fn by_network() {
    refused("connect", &["192.0.2.1:80"]);
    refused("connect", &["[2001:db8::1]:80"]);
    // A server of the host, on the host's loopback.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    refused("connect", &[&listener.local_addr().unwrap().to_string()]);
}

fn by_socket_families() {
    refused("families", &[]);
}

fn by_abstract_sockets() {
    let name = marker();
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    refused("abstract", &[&name]);
}

fn to_host_files() {
    let secret = crate::harness::scratch();
    fs::write(secret.path().join("secret"), "x").unwrap();
    let path = secret.path().join("secret");
    let path = path.display();
    both_scripts_refused(&format!(
        "for p in '' /proc/1/root /proc/1/cwd /proc/self/root /.. /../../../.. /proc/self/cwd/../../..; do
            no test -e $p{path}
         done
         no test -e /etc/passwd; no test -e /root; no test -e /home
         no cat /proc/1/environ; no readlink /proc/1/fd/0; no cat /proc/1/fd/0; no ls /proc/1/map_files/; no cat /proc/1/mem"
    ));
    // Nor do the mounts tell where they come from.
    both_scripts_refused(&format!("no grep -q {} /proc/self/mounts", secret.path().display()));
}

fn by_descriptors() {
    // One that this program leaks, to a directory of the host: from there `..` would lead anywhere.
    let leaked = rustix::fs::open("/", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    refused("descriptors", &[]);
    drop(leaked);
}

fn by_pid_1() {
    refused("trace", &["1"]);
    // 4 is the number of the first process that the shell starts, so it and 1 are all there is.
    both_scripts_refused("for p in /proc/[0-9]*; do p=${p#/proc/}; test $p -lt 20 || no echo $p; done");
}

fn by_signals() {
    both_scripts_refused(
        "kill -KILL 1; kill -STOP 1; kill -TERM 1; sleep 0.05
         no kill -0 100000; trap '' TERM; kill -TERM -1; kill -KILL $PPID; test -d /proc/1",
    );
}

fn by_keyrings() {
    refused("keyrings", &[]);
    both_scripts_refused("test ! -s /proc/keys");
}

fn by_mounts_of_the_build_user() {
    script_refused(
        User::Build,
        "mkdir /tmp/m; no mount -t tmpfs none /tmp/m; no mount --bind / /tmp/m; no umount /proc",
    );
    refused_for(User::Build, "mount-calls", &[]);
}

fn by_mounts_of_root() {
    script_refused(
        User::Root,
        "mkdir -p /tmp/m
         for t in proc sysfs cgroup cgroup2 debugfs tracefs securityfs devtmpfs configfs efivarfs; do
            no mount -t $t none /tmp/m
         done
         for d in /dev/vda /dev/sda /dev/nvme0n1 /dev/loop0; do no mount $d /tmp/m; done",
    );
}

fn by_unmounting() {
    // Below these mounts lies what they hide; and what is read-only stays so.
    script_refused(
        User::Root,
        "no umount /proc/sys; no umount -l /proc/sys; no umount /proc; no umount /dev/null; no umount -l /
         no umount -l /usr
         no mount -o remount,rw /proc/sys; no mount -o remount,bind,rw /proc/sys
         no mount -o remount,bind,rw /build/tools/program
         no touch /usr/x; no rmdir /usr/bin
         mkdir /tmp/p; mount --rbind /proc /tmp/p; no umount /tmp/p/sys; no touch /tmp/p/sys/x
         no sh -c 'echo x > /tmp/p/sys/kernel/core_pattern'",
    );
    // A mount namespace of its own changes nothing.
    script_refused(
        User::Root,
        "no unshare -m umount /proc/sys; no unshare -m umount -l /proc
         no unshare -m mount -o remount,bind,rw /proc/sys; no unshare -pmf mount -t proc none /proc",
    );
}

fn by_chroot() {
    refused_for(User::Root, "chroot", &[]);
    script_refused(User::Build, "no chroot / true");
}

fn by_namespaces() {
    refused("namespaces", &[]);
    both_scripts_refused(
        "no unshare -U true; no unshare -Ur true; no unshare -C true; no unshare -n true
         for n in mnt net pid user ipc uts cgroup; do no nsenter -t 1 --$n true; done
         no nsenter --mount=/proc/1/ns/mnt true",
    );
    script_refused(User::Build, "for n in m p i u; do no unshare -$n true; done");
}

fn by_kernel_settings() {
    both_scripts_refused(
        "w() { sh -c 'echo \"$1\" > \"$2\"' sh \"$@\"; }
         no w '|/tmp/x' /proc/sys/kernel/core_pattern; no w /tmp/x /proc/sys/kernel/modprobe
         no w h /proc/sysrq-trigger; no w 1 /proc/sys/vm/drop_caches; no w x /proc/sys/kernel/hostname
         no w 1 /proc/irq/default_smp_affinity; no w 0 /proc/sys/net/ipv4/ip_forward
         no w -1000 /proc/self/oom_score_adj; no ls /sys/kernel; no w -1 /proc/1/oom_score_adj
         test ! -s /proc/kcore; test ! -s /proc/kmsg; test ! -s /proc/timer_list",
    );
}

fn by_devices() {
    both_scripts_refused(
        "for d in kvm mem kmem port kmsg vda sda fuse loop-control loop0 vhost-net net/tun uinput userfaultfd vsock; do
            no test -e /dev/$d
         done
         no mknod /tmp/d c 1 1; no mknod /d b 254 0; no mknod /dev/d c 10 232
         no chmod 666 /proc/cpuinfo; no chmod 0 /proc/meminfo; no chmod 777 /proc/tty
         no chmod 666 /dev/null; no chmod 666 /dev/tty; no chmod 666 /proc/self/fd/0; echo x > /dev/null
         no test -e /dev/kvm; test -c /dev/null",
    );
}

fn by_setuid() {
    // A program that is setuid to root of the host: nothing mounted in a sandbox honours that.
    both_scripts_refused(
        "cp /usr/bin/id /id; chmod 4755 /id; test \"$(/id -u)\" = \"$(id -u)\"
         grep -q 'NoNewPrivs:.1' /proc/self/status; grep -q 'Seccomp:.2' /proc/self/status",
    );
    refused_for(User::Build, "become-root", &[]);
    script_refused(User::Build, "no chown 0 /id; no chown 5 /tmp");
}

fn by_terminal_injection() {
    // On a terminal of its own, which is as good as ours for this.
    let world = World::new(User::Build, &[PROGRAM, "--inside", "inject"]);
    let files = sandbox::Files { standard: sandbox::Standard::Terminal, ..Default::default() };
    let program = crate::harness::this_program();
    let mut child = sandbox::spawn(&world.sandbox, &files, &program).unwrap();
    assert_eq!(child.wait().unwrap().exit, Exit::Code(0));
    both_scripts_refused("no sh -c ': < /dev/tty'");
}

fn by_kernel_interfaces() {
    refused("calls", &[]);
}

fn by_foreign_calls() {
    #[cfg(target_arch = "x86_64")]
    {
        refused("x32", &[]);
        for user in [User::Build, User::Root] {
            let ended = World::new(user, &[PROGRAM, "--inside", "i386"]).run().0;
            assert_eq!(ended.exit, Exit::Signal(libc::SIGSYS), "{user:?}");
        }
    }
}

fn by_cgroups() {
    both_scripts_refused(
        "no test -e /sys/fs/cgroup; test \"$(cut -d: -f3 /proc/self/cgroup | sort -u)\" = /
         mkdir /tmp/c; no mount -t cgroup2 none /tmp/c; no mount -t cgroup -o memory none /tmp/c",
    );
}

fn by_host_name_and_clock() {
    both_scripts_refused("no hostname other; no date -s 2001-01-01; test $(hostname) = bootwright");
}

fn by_shared_memory() {
    // System V memory and POSIX memory are the sandbox's own.
    let marker = marker();
    fs::write(format!("/dev/shm/{marker}"), "x").unwrap();
    both_scripts_refused(&format!("no test -e /dev/shm/{marker}; test $(ipcs -m | grep -c 0x) = 0"));
    fs::remove_file(format!("/dev/shm/{marker}")).unwrap();
}

fn to_other_sandboxes() {
    let marker = marker();
    let other = World::shell(User::Build, &format!("sleep {marker}"));
    let mut child = other.spawn().unwrap();
    both_scripts_refused(&format!("no grep -l '[{}]{}' /proc/[0-9]*/cmdline", &marker[..1], &marker[1..]));
    assert!(!marked(&marker).is_empty());
    child.kill();
    child.wait().unwrap();
}

fn by_writing_to_our_program() {
    // Pid 1 is our own program; whoever could write to it would run outside next time.
    both_scripts_refused(
        "no sh -c ': > /proc/1/exe'; no sh -c ': >> /build/tools/program'; no rm -f /build/tools/program
         no sh -c 'echo x >> /proc/1/mem'",
    );
}

fn by_capabilities() {
    script_refused(
        User::Build,
        "for s in Inh Prm Eff Amb; do grep -q \"Cap$s:.0*$\" /proc/self/status || exit 1; done",
    );
    refused("privileged-calls", &[]);
}

fn by_socket_pairs() {
    refused("pairs", &[]);
}

fn by_network_administration() {
    refused("network-administration", &[]);
}

fn by_proc_of_the_machine() {
    // When we are root outside, the files of root in `/proc` are ours: none of them may be writable, and but for
    // settings none may tell what only root may read. What is covered by a device is a file in a listing only.
    both_scripts_refused(
        "found() { find /proc -mindepth 1 -path '/proc/[0-9]*' -prune -o -path /proc/self -prune -o \\
            -path /proc/thread-self -prune -o -type f \"$@\" -exec test -f {} \\; -print 2>/dev/null; }
         writable=$(found -perm /222 -writable)
         test -z \"$writable\" || { echo \"$writable\"; exit 1; }
         for f in $(found ! -perm /044 -readable ! -path '/proc/sys/*'); do no grep -qsm1 . $f; done",
    );
}

fn by_looking_into_other_processes() {
    refused("looking", &["1"]);
}

fn by_mounts_that_spread() {
    // What root of a sandbox mounts appears nowhere outside, not even in a directory that both see.
    let shared = crate::harness::scratch();
    fs::create_dir(shared.path().join("point")).unwrap();
    let mut world = World::shell(
        User::Root,
        "mount -t tmpfs none /shared/point && echo x > /shared/point/file && { mount --make-rshared / || true; } && \
         mount -t tmpfs none /shared/point && echo y > /shared/point/file && echo mounted",
    );
    world.sandbox.mounts.push(sandbox::Mount::read_write(shared.path(), "/shared"));
    let (ended, printed) = world.run();
    assert_eq!((ended.exit, printed.as_str()), (Exit::Code(0), "mounted\n"));
    assert_eq!(fs::read_dir(shared.path().join("point")).unwrap().count(), 0);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*shared.path().to_string_lossy()), "{mounts}");
}

fn by_another_root() {
    let secret = crate::harness::scratch();
    fs::write(secret.path().join("secret"), "x").unwrap();
    let path = secret.path().join("secret");
    let path = path.display();
    // With a root of its own, and the old one below it.
    script_refused(
        User::Root,
        &format!(
            "mkdir /tmp/r; mount -t tmpfs none /tmp/r; mkdir /tmp/r/old
             for d in usr bin lib lib64 build proc; do
                test -L /$d && cp -P /$d /tmp/r/ || {{ mkdir /tmp/r/$d; mount --rbind /$d /tmp/r/$d; }} || true
             done
             cd /tmp/r; pivot_root . old; cd /
             no test -e /old{path}; no test -e /old/..{path}; no umount /old; no test -e {path}
             umount -l /old; no test -e {path}; no test -e /..{path}"
        ),
    );
    script_refused(User::Build, "no pivot_root . .; no unshare -m true");
}

fn by_filters_of_its_own() {
    refused("filters", &[]);
}

fn by_core_dumps() {
    // A handler of core dumps would run outside.
    both_scripts_refused(
        "grep -q 'Max core file size *1 *1 ' /proc/self/limits || exit 1; no sh -c 'ulimit -H -c unlimited'
         mkdir -p /tmp/c; cd /tmp/c; sh -c 'kill -SEGV $$' || true; test -z \"$(ls /tmp/c)\"",
    );
}

fn by_changing_the_mapping() {
    both_scripts_refused(
        "w() { sh -c 'echo \"$1\" > \"$2\"' sh \"$@\"; }
         for p in self 1; do
            no w '0 0 4294967295' /proc/$p/uid_map; no w '0 0 4294967295' /proc/$p/gid_map
            no w allow /proc/$p/setgroups; no w '0 0 1' /proc/$p/projid_map
         done
         no w 'boottime 1000 0' /proc/self/timens_offsets",
    );
}

fn by_the_console() {
    refused("console", &[]);
}

fn by_devices_that_were_given() {
    if !std::path::Path::new("/dev/net/tun").exists() {
        return println!("skipped: this machine has no /dev/net/tun");
    }
    // One device that is given brings no other, and cannot be replaced.
    for user in [User::Build, User::Root] {
        let script = "exec 2>&1; no() { if \"$@\"; then echo \"got through: $*\"; exit 1; fi; }
             test -c /dev/net/tun || exit 1; no test -e /dev/kvm; no rm -f /dev/net/tun
             no mknod /dev/net/other c 10 200; no mv /dev/net/tun /dev/net/moved";
        let mut world = World::shell(user, script);
        world.sandbox.mounts[1] = sandbox::Mount::dev(&["/dev/net/tun"]);
        let (ended, printed) = world.run();
        assert_eq!(ended.exit, Exit::Code(0), "as {user:?}: {printed}");
    }
}

fn through_read_only_trees() {
    // Trees of a store are shared by everybody: whatever is done to them stays in the sandbox.
    for user in [User::Build, User::Root] {
        let world = World::shell(
            user,
            "cd /etc; echo x >> lower; chmod 777 lower; touch -d @1 lower; ln lower linked; mv lower moved
             rm -f moved linked; echo y > lower; rm -rf /etc/* || true; chmod 000 /etc; mkdir -p /new
             setfattr -n user.overlay.opaque -v y / 2>/dev/null
             setfattr -n user.overlay.redirect -v /../../.. /new 2>/dev/null; true",
        );
        let lower = world.scratch.path().join("lower/etc");
        let before = fs::metadata(lower.join("lower")).unwrap();
        let (ended, printed) = world.run();
        assert_eq!(ended.exit, Exit::Code(0), "{printed}");
        let after = fs::metadata(lower.join("lower")).unwrap();
        assert_eq!(fs::read_to_string(lower.join("lower")).unwrap(), "from below\n");
        assert_eq!(before.permissions(), after.permissions());
        assert_eq!(before.modified().unwrap(), after.modified().unwrap());
        assert_eq!(fs::read_dir(&lower).unwrap().count(), 1);
    }
}

fn by_what_is_left_behind() {
    // A program that is setuid to us, left where others could run it: its directory is closed to them.
    for user in [User::Build, User::Root] {
        let world = World::shell(user, "cp /usr/bin/id /left; chmod 6755 /left; mkfifo /pipe; ln -s / /root");
        let (ended, printed) = world.run();
        assert_eq!(ended.exit, Exit::Code(0), "{printed}");
        let upper = world.scratch.path().join("upper");
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(world.scratch.path()).unwrap().permissions(),
        );
        assert_eq!(mode & 0o077, 0, "{}", upper.display());
    }
}
