//! What is attempted inside a sandbox by system calls: exits with 0 when everything was refused.
#![allow(unsafe_code, reason = "attacks are system calls that no safe interface offers")]

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::ExitCode;
use std::time::Duration;

/// Attempts `what`.
pub(crate) fn run(what: &str, rest: &[&str]) -> ExitCode {
    match (what, rest) {
        ("loopback", []) => loopback(),
        ("connect", [address]) => {
            let error =
                TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(2)).unwrap_err();
            println!("{error}");
            let code = error.raw_os_error();
            assert!(matches!(code, Some(libc::ENETUNREACH | libc::ECONNREFUSED | libc::EADDRNOTAVAIL)));
        }
        ("families", []) => families(),
        ("abstract", [name]) => {
            let address = SocketAddr::from_abstract_name(name).unwrap();
            assert_eq!(
                UnixStream::connect_addr(&address).unwrap_err().kind(),
                io::ErrorKind::ConnectionRefused
            );
        }
        ("descriptors", []) => {
            let is_open = |fd| {
                // SAFETY: the call only asks.
                unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
            };
            assert_eq!((0..10_000).filter(|&fd| is_open(fd)).collect::<Vec<_>>(), [0, 1, 2]);
        }
        ("trace", [pid]) => trace(pid.parse().unwrap()),
        ("keyrings", []) => {
            for (call, arguments) in [
                (libc::SYS_keyctl, [0, -3, 1]),
                (libc::SYS_add_key, [c"user".as_ptr() as i64, c"x".as_ptr() as i64, 0]),
                (libc::SYS_request_key, [c"user".as_ptr() as i64, c"x".as_ptr() as i64, 0]),
            ] {
                fails_with(libc::EPERM, call, arguments);
            }
        }
        ("mount-calls", []) => {
            for call in [
                libc::SYS_fsopen,
                libc::SYS_fsmount,
                libc::SYS_fspick,
                libc::SYS_open_tree,
                libc::SYS_move_mount,
                libc::SYS_mount_setattr,
                libc::SYS_pivot_root,
                libc::SYS_chroot,
                467,
            ] {
                fails_with(libc::EPERM, call, [c"tmpfs".as_ptr() as i64, 0, 0]);
            }
        }
        ("chroot", []) => chroot(),
        ("namespaces", []) => namespaces(),
        ("become-root", []) => {
            for call in [libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setfsuid] {
                // SAFETY: it changes at most who we are.
                unsafe { libc::syscall(call, 0) };
            }
            // SAFETY: these only ask.
            assert_eq!(unsafe { (libc::geteuid(), libc::getegid()) }, (1000, 1000));
            fails_with(libc::EPERM, libc::SYS_setgroups, [1, (&raw const ZERO) as i64, 0]);
        }
        ("inject", []) => {
            for command in [0x5412_u64, 0xffff_ffff_0000_5412, 0x541c, 0x5423] {
                fails_with(libc::EPERM, libc::SYS_ioctl, [0, command.cast_signed(), c"x".as_ptr() as i64]);
            }
        }
        ("sandbox", []) => {
            let error =
                sandbox::probe(std::path::Path::new(crate::harness::PROGRAM), "/tmp".as_ref()).unwrap_err();
            assert!(matches!(error, sandbox::Error::Unavailable { .. }), "{error:?}");
            assert!(error.to_string().starts_with("could not make namespaces"), "{error}");
            assert!(error.help().is_some_and(|help| help.contains("--security-opt")), "{error:?}");
        }
        ("pairs", []) => pairs(),
        ("network-administration", []) => network_administration(),
        ("looking", [pid]) => looking(pid.parse().unwrap()),
        ("filters", []) => filters(),
        ("console", []) => {
            // The console's output to us, its keyboard, its font, and the modes of its screen.
            for command in [0x541d, 0x4b3a, 0x4b72, 0x4b45, 0x5606] {
                let result = call(libc::SYS_ioctl, [0, command, 0]);
                assert!(matches!(result, Err(libc::EPERM | libc::ENOTTY)), "{command:x}: {result:?}");
            }
        }
        ("calls", []) => calls(),
        ("privileged-calls", []) => privileged_calls(),
        #[cfg(target_arch = "x86_64")]
        ("x32", []) => {
            for call in [libc::SYS_getpid, libc::SYS_ptrace, libc::SYS_keyctl] {
                fails_with(libc::ENOSYS, call | 0x4000_0000, [0, 0, 0]);
            }
        }
        #[cfg(target_arch = "x86_64")]
        ("i386", []) => {
            // SAFETY: `getpid` of the 32-bit convention has no effect.
            unsafe { std::arch::asm!("int 0x80", inout("eax") 20 => _) };
            unreachable!("a 32-bit system call was made");
        }
        _ => panic!("there is no attempt `{what}`"),
    }
    ExitCode::SUCCESS
}

static ZERO: u32 = 0;

fn call(call: libc::c_long, [a, b, c]: [i64; 3]) -> Result<i64, i32> {
    // SAFETY: the callers pass numbers and pointers to constants, and expect to be refused.
    let result = unsafe { libc::syscall(call, a, b, c, 0, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { Ok(result) }
}

#[track_caller]
fn fails_with(errno: i32, number: libc::c_long, arguments: [i64; 3]) {
    assert_eq!(call(number, arguments), Err(errno), "system call {number} {arguments:?}");
}

fn loopback() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.shutdown(Shutdown::Both).unwrap();
    TcpListener::bind("[::1]:0").unwrap();
}

fn families() {
    let allowed = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    for family in 0..64 {
        let result = call(libc::SYS_socket, [family.into(), libc::SOCK_DGRAM.into(), 0]);
        if allowed.contains(&family) {
            result.unwrap();
        } else {
            assert_eq!(result, Err(libc::EAFNOSUPPORT), "family {family}");
        }
    }
    for protocol in 1..32 {
        let netlink = libc::AF_NETLINK.into();
        fails_with(libc::EPROTONOSUPPORT, libc::SYS_socket, [netlink, libc::SOCK_RAW.into(), protocol]);
    }
    for family in [libc::AF_INET, libc::AF_INET6] {
        fails_with(
            libc::EPERM,
            libc::SYS_socket,
            [family.into(), libc::SOCK_RAW.into(), libc::IPPROTO_ICMP.into()],
        );
    }
}

fn pairs() {
    for family in 0..64 {
        let mut pair = [0; 2];
        // SAFETY: the kernel writes two numbers to where there is room for them.
        let result = unsafe { libc::socketpair(family, libc::SOCK_STREAM, 0, pair.as_mut_ptr()) };
        let error = io::Error::last_os_error().raw_os_error();
        match family {
            libc::AF_UNIX => assert_eq!(result, 0, "{error:?}"),
            _ => assert_eq!((result, error), (-1, Some(libc::EAFNOSUPPORT)), "family {family}"),
        }
    }
}

fn network_administration() {
    // SAFETY: all zeros are a request, in which a name is filled in.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    let socket = call(libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_DGRAM.into(), 0]).unwrap();
    // Flags, address, mask, hardware address, name, a route.
    for command in [0x8914, 0x8916, 0x891c, 0x8924, 0x8923, 0x890b] {
        let result = call(libc::SYS_ioctl, [socket, command, (&raw const request) as i64]);
        assert!(matches!(result, Err(libc::EPERM)), "{command:x}: {result:?}");
    }
}

fn looking(pid: i64) {
    let own = i64::from(std::process::id());
    fails_with(libc::EPERM, libc::SYS_kcmp, [own, pid, 0]);
    // SAFETY: all of these only look, or are refused.
    unsafe {
        let mut node = -1;
        let page = looking as *mut libc::c_void;
        let (one, none) = (1_usize, 0_usize);
        let moved = libc::syscall(libc::SYS_move_pages, pid, one, &raw const page, none, &raw mut node, none);
        assert!(moved == -1, "move_pages");
        let mask = 1_u64;
        let migrated = libc::syscall(libc::SYS_migrate_pages, pid, 8_usize, &raw const mask, &raw const mask);
        assert!(migrated == -1, "migrate_pages");
        let pidfd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let piece = libc::iovec { iov_base: page, iov_len: 4096 };
        let advised =
            libc::syscall(libc::SYS_process_madvise, pidfd, &raw const piece, one, libc::MADV_COLD, none);
        assert!(advised == -1, "process_madvise");
        let mut head: [usize; 2] = [0; 2];
        let (first, second) = (&raw mut head[0], &raw mut head[1]);
        assert!(libc::syscall(libc::SYS_get_robust_list, pid, first, second) == -1, "get_robust_list");
        // No signal gets out of the namespace of processes.
        for outside in [pid + 100_000, 2_000_000] {
            assert!(libc::kill(outside as libc::pid_t, 0) == -1);
            assert!(libc::syscall(libc::SYS_tgkill, outside, outside, libc::SIGKILL) == -1);
            assert!(libc::syscall(libc::SYS_pidfd_open, outside, 0) == -1);
        }
    }
    for name in
        ["mem", "environ", "maps", "auxv", "stack", "syscall", "pagemap", "io", "fd/0", "cwd/x", "root/x"]
    {
        let path = format!("/proc/{pid}/{name}");
        let read = std::fs::read(&path);
        assert!(read.as_ref().map_or(true, Vec::is_empty), "{path} was read");
    }
}

/// A filter of the command's own that allows everything, and one that asks the command itself: neither takes
/// anything of ours away.
fn filters() {
    let allow = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
    let program = libc::sock_fprog { len: 1, filter: allow.as_ptr().cast_mut() };
    for flags in [0, libc::SECCOMP_FILTER_FLAG_LOG as i64, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as i64] {
        call(libc::SYS_seccomp, [libc::SECCOMP_SET_MODE_FILTER.into(), flags, (&raw const program) as i64])
            .unwrap();
    }
    // SAFETY: neither has an effect when it is refused.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), -1);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, 0, 0, 0, 0), -1);
    }
    fails_with(libc::EPERM, libc::SYS_keyctl, [0, -3, 1]);
    fails_with(libc::EPERM, libc::SYS_bpf, [0, 0, 0]);
    fails_with(libc::EPERM, libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0]);
}

fn trace(pid: i64) {
    for request in [libc::PTRACE_ATTACH, libc::PTRACE_SEIZE] {
        fails_with(libc::EPERM, libc::SYS_ptrace, [request.into(), pid, 0]);
    }
    let mut byte = 0_u8;
    let ours = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let theirs = libc::iovec { iov_base: trace as *mut libc::c_void, iov_len: 1 };
    // SAFETY: `ours` is one byte that outlives the calls; the other side is refused.
    let (read, written) = unsafe {
        let pid = pid as i32;
        (
            libc::process_vm_readv(pid, &raw const ours, 1, &raw const theirs, 1, 0),
            libc::process_vm_writev(pid, &raw const ours, 1, &raw const theirs, 1, 0),
        )
    };
    assert_eq!((read, written), (-1, -1));
    let pidfd = call(libc::SYS_pidfd_open, [pid, 0, 0]).unwrap();
    fails_with(libc::EPERM, libc::SYS_pidfd_getfd, [pidfd, 0, 0]);
    fails_with(libc::EPERM, libc::SYS_setns, [pidfd, libc::CLONE_NEWNS.into(), 0]);
}

fn chroot() {
    // The classic way out: a root below the working directory, then up.
    std::fs::create_dir_all("/tmp/below").unwrap();
    let up: std::path::PathBuf = std::iter::repeat_n("..", 64).collect();
    rustix::process::chroot("/tmp/below").unwrap();
    rustix::process::chdir(&up).unwrap();
    rustix::process::chroot(".").unwrap();
    assert!(std::path::Path::new("/build/tools/program").exists() && !std::path::Path::new("/root").exists());
    fails_with(libc::EPERM, libc::SYS_setns, [0, 0, 0]);
}

fn namespaces() {
    for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWCGROUP, libc::CLONE_NEWNET, 0x80] {
        fails_with(libc::EPERM, libc::SYS_unshare, [flag.into(), 0, 0]);
        if flag != 0x80 {
            fails_with(libc::EPERM, libc::SYS_clone, [i64::from(flag | libc::SIGCHLD), 0, 0]);
        }
    }
    fails_with(libc::ENOSYS, libc::SYS_clone3, [0, 0, 0]);
}

/// Calls that no command in a sandbox may make.
fn calls() {
    for number in [
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_kexec_load,
        libc::SYS_kexec_file_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_open_by_handle_at,
        libc::SYS_setns,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_swapon,
        libc::SYS_syslog,
        libc::SYS_reboot,
        libc::SYS_fanotify_init,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_vhangup,
        libc::SYS_swapoff,
        libc::SYS_quotactl_fd,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_ioperm,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_modify_ldt,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_uselib,
    ] {
        fails_with(libc::EPERM, number, [0, 0, 0]);
    }
    // Numbers that the kernel takes as 32 bits are compared as such.
    fails_with(libc::EPERM, libc::SYS_bpf | 1 << 32, [0, 0, 0]);
    for number in [
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_clone3,
        470,
        999,
    ] {
        fails_with(libc::ENOSYS, number, [0, 0, 0]);
    }
}

/// Calls that only a capability of the host would allow.
fn privileged_calls() {
    fails_with(libc::EPERM, libc::SYS_sethostname, [c"x".as_ptr() as i64, 1, 0]);
    fails_with(libc::EPERM, libc::SYS_setdomainname, [c"x".as_ptr() as i64, 1, 0]);
    #[cfg(target_arch = "x86_64")]
    fails_with(libc::EPERM, libc::SYS_iopl, [3, 0, 0]);
    // SAFETY: lowers nothing: asking for more than the most is refused.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
    assert_eq!(result, -1);
    // SAFETY: all zeros but the request to set the clock's offset; it is refused.
    let mut time: libc::timex = unsafe { std::mem::zeroed() };
    time.modes = libc::ADJ_OFFSET | libc::ADJ_SETOFFSET;
    fails_with(libc::EPERM, libc::SYS_adjtimex, [(&raw mut time) as i64, 0, 0]);
    fails_with(
        libc::EPERM,
        libc::SYS_clock_adjtime,
        [libc::CLOCK_REALTIME.into(), (&raw mut time) as i64, 0],
    );
}
