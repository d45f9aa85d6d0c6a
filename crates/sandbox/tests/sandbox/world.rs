//! What a command finds in its world.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sandbox::{
    Exit, Files, Limit, Mount, Overlay, Resource, Root, Sandbox, Standard, User, probe, spawn, terminal,
};

use crate::harness::{Test, World, check, scratch, this_program};

pub(crate) const TESTS: &[Test] = &[
    ("exit_codes", exit_codes),
    ("everything_fixed_is_fixed", everything_fixed_is_fixed),
    ("users", users),
    ("only_loopback", only_loopback),
    ("lower_trees_stay_untouched", lower_trees_stay_untouched),
    ("mount_points_leave_no_trace", mount_points_leave_no_trace),
    ("read_only_root", read_only_root),
    ("binds_and_overlays", binds_and_overlays),
    ("many_trees", many_trees),
    ("same_tree_twice", same_tree_twice),
    ("same_upper_again", same_upper_again),
    ("inherited_descriptors", inherited_descriptors),
    ("limits", limits),
    ("a_terminal", a_terminal),
    ("a_terminal_takes_more_than_it_holds", a_terminal_that_is_full),
    ("errors_say_what_was_done", errors_say_what_was_done),
    ("symbolic_links_lead_inside", symbolic_links_lead_inside),
    ("probing", probing),
    ("without_namespaces", without_namespaces),
    ("usage", usage),
];

fn exit_codes() {
    check(User::Build, "exit 0", 0, "");
    check(User::Build, "exit 42", 42, "");
    check(User::Root, "kill -TERM $$", 143, "");
    let exit = |arguments: &[&str]| World::new(User::Build, arguments).run().0.exit;
    assert_eq!(exit(&["no-such-program"]), Exit::NotRun(libc::ENOENT));
    assert_eq!(exit(&["/etc/lower"]), Exit::NotRun(libc::EACCES));
    assert_eq!(exit(&["true"]), Exit::Code(0));
    assert_eq!(exit(&["../usr/bin/false"]), Exit::Code(1));
}

fn everything_fixed_is_fixed() {
    let script = "hostname; umask; pwd; env | grep -v ^_= | sort; cat /proc/self/cgroup | cut -d: -f3 | sort -u; \
                  echo $PPID; ls /; ls /dev; ls -l /proc/self/fd | wc -l; grep -c SigIgn.*0000 /proc/self/status";
    let expected = "bootwright\n0022\n/build\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/build\n";
    let (ended, printed) = World::shell(User::Build, script).run();
    assert_eq!(ended.exit, Exit::Code(0), "{printed}");
    assert!(printed.starts_with(expected), "{printed}");
    let rest = &printed[expected.len()..];
    let dev = "fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n";
    assert!(rest.starts_with("/\n1\nbin\nbuild\ndev\netc\n"), "{rest}");
    assert!(rest.contains(dev) && !rest.contains("sys\n"), "{rest}");
    // The list of descriptors: a headline, 0, 1, 2, and the directory itself.
    assert!(rest.ends_with("zero\n5\n1\n"), "{rest}");
}

fn users() {
    check(
        User::Build,
        "id -u; id -g; grep CapEff /proc/self/status",
        0,
        "1000\n1000\nCapEff:\t0000000000000000\n",
    );
    check(User::Root, "id -u; id -g; touch /new; stat -c %u:%g /new /etc/lower", 0, "0\n0\n0:0\n0:0\n");
    check(User::Root, "mkdir /m && mount -t tmpfs none /m && touch /m/x && ls /m", 0, "x\n");
}

fn only_loopback() {
    check(User::Build, "tail -n +3 /proc/net/dev | cut -d: -f1", 0, "    lo\n");
    let inside = |what: &str| World::new(User::Build, &[crate::harness::PROGRAM, "--inside", what]).run();
    let (ended, printed) = inside("loopback");
    assert_eq!(ended.exit, Exit::Code(0), "{printed}");
}

fn lower_trees_stay_untouched() {
    let world = World::shell(
        User::Root,
        "rm -rf /etc; echo x > /etc; mkdir -p /build/out; echo made > /build/out/file",
    );
    let (ended, printed) = world.run();
    assert_eq!((ended.exit, printed.as_str()), (Exit::Code(0), ""));
    let lower = world.scratch.path().join("lower/etc/lower");
    assert_eq!(fs::read_to_string(lower).unwrap(), "from below\n");
    let made = world.scratch.path().join("upper/build/out/file");
    assert_eq!(fs::read_to_string(made).unwrap(), "made\n");
}

fn mount_points_leave_no_trace() {
    let world = World::shell(User::Build, "test -d /proc/self && test -d /tmp");
    assert_eq!(world.run().0.exit, Exit::Code(0));
    assert_eq!(fs::read_dir(world.scratch.path().join("upper")).unwrap().count(), 0);
}

fn read_only_root() {
    let mut world =
        World::shell(User::Root, "touch /x 2>/dev/null || echo refused; touch /tmp/x && cat /etc/lower");
    let Root::Overlay(overlay) = &mut world.sandbox.root else { panic!() };
    overlay.writable = None;
    let (ended, printed) = world.run();
    assert_eq!((ended.exit, printed.as_str()), (Exit::Code(0), "refused\nfrom below\n"));
}

fn binds_and_overlays() {
    let mut world = World::shell(
        User::Build,
        "cat /build/in/tree/a /build/file; echo b > /build/out/b; touch /build/in/tree/x || touch /build/file",
    );
    let tree = world.scratch.directory("tree");
    fs::write(tree.join("a"), "a\n").unwrap();
    let out = world.scratch.directory("out");
    world.sandbox.mounts.extend([
        Mount::overlay(Overlay { lowers: vec![tree.clone()], writable: None }, "/build/in/tree"),
        Mount::read_only(tree.join("a"), "/build/file"),
        Mount::read_write(&out, "/build/out"),
    ]);
    let (ended, printed) = world.run();
    assert_eq!(ended.exit, Exit::Code(1), "{printed}");
    assert!(
        printed.starts_with("a\na\n") && printed.matches("Read-only file system").count() == 2,
        "{printed}"
    );
    assert_eq!(fs::read_to_string(out.join("b")).unwrap(), "b\n");
    assert_eq!(fs::read_dir(&tree).unwrap().count(), 1);
}

fn many_trees() {
    let mut world = World::shell(User::Build, "ls /trees | wc -l; cat /trees/all");
    let Root::Overlay(overlay) = &mut world.sandbox.root else { panic!() };
    for idx in 0..120 {
        // Names with everything that an option would have to escape, and longer than one can be.
        let name = format!("{}:,\\ {idx}", "x".repeat(200));
        let tree = world.scratch.directory(&name).join("trees");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join(idx.to_string()), "").unwrap();
        fs::write(tree.join("all"), format!("{idx}\n")).unwrap();
        overlay.lowers.push(world.scratch.path().join(name));
    }
    let (ended, printed) = world.run();
    assert_eq!((ended.exit, printed.as_str()), (Exit::Code(0), "121\n0\n"));
}

fn same_tree_twice() {
    let mut world = World::shell(User::Build, "cat /x /y");
    let Root::Overlay(overlay) = &mut world.sandbox.root else { panic!() };
    let trees = [("small", "x", "small\n"), ("base", "x", "base\n"), ("other", "y", "other\n")];
    let [small, base, other] = trees.map(|(name, file, content)| {
        let tree = world.scratch.directory(name);
        fs::write(tree.join(file), content).unwrap();
        tree
    });
    fs::write(base.join("y"), "base\n").unwrap();
    // As two trees are that are each a little over the same one.
    let world_below = std::mem::take(&mut overlay.lowers);
    overlay.lowers.extend([small, base.clone(), other, base]);
    overlay.lowers.extend(world_below);
    let (ended, printed) = world.run();
    assert_eq!((ended.exit, printed.as_str()), (Exit::Code(0), "small\nbase\n"));
}

fn same_upper_again() {
    let mut world = World::shell(User::Build, "echo kept > kept; mkdir closed; chmod 0 closed");
    assert_eq!(world.run().0.exit, Exit::Code(0));
    world.sandbox.arguments = vec!["cat".to_owned(), "kept".to_owned()];
    let (ended, printed) = world.run();
    assert_eq!((ended.exit, printed.as_str()), (Exit::Code(0), "kept\n"));
}

fn inherited_descriptors() {
    let world = World::shell(User::Build, "echo through a pipe >&7; ls /proc/self/fd | wc -l");
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (mut output, stdout) = std::io::pipe().unwrap();
    // One that a program leaks because it is not marked.
    let leaked = rustix::io::dup(&reader).unwrap();
    let files = Files {
        standard: Standard::Streams {
            stdin: sandbox::Stream::Null,
            stdout: sandbox::Stream::File(stdout.as_fd()),
            stderr: sandbox::Stream::Null,
        },
        inherited: vec![(7, writer.as_fd()), (3, reader.as_fd())],
    };
    let mut child = spawn(&world.sandbox, &files, &this_program()).unwrap();
    drop(files);
    drop((writer, stdout));
    assert_eq!(child.wait().unwrap().exit, Exit::Code(0));
    drop(leaked);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through a pipe\n");
    text.clear();
    output.read_to_string(&mut text).unwrap();
    // 0, 1, 2, 3, 7 and the directory itself.
    assert_eq!(text, "6\n");
}

fn limits() {
    let mut world = World::shell(User::Build, "ulimit -n; ulimit -c; ulimit -t");
    world.sandbox.limits = vec![Limit { resource: Resource::Cpu, soft: Some(77), hard: Some(77) }];
    assert_eq!(world.run().1, "1024\n0\n77\n");
}

fn a_terminal() {
    let script = "tty; stty size; read line; echo \"got $line\"; exit 3";
    let world = World::shell(User::Build, script);
    let files = Files { standard: Standard::Terminal, ..Files::default() };
    let mut child = spawn(&world.sandbox, &files, &this_program()).unwrap();
    let (keys, mut typist) = std::io::pipe().unwrap();
    let (mut screen, printed) = std::io::pipe().unwrap();
    typist.write_all(b"hello\n").unwrap();
    let ended = terminal::attach(&mut child, keys.as_fd(), printed.as_fd(), &AtomicBool::new(false)).unwrap();
    drop(printed);
    let mut text = String::new();
    screen.read_to_string(&mut text).unwrap();
    assert_eq!(ended.exit, Exit::Code(3), "{text}");
    assert!(text.contains("/dev/pts/0\r\n") && text.contains("got hello\r\n"), "{text}");
}

fn a_terminal_that_is_full() {
    // It echoes what is typed, which nobody reads while we only write.
    let script =
        "sleep 0.2; n=0; while read line && test \"$line\" != end; do n=$((n+1)); done; echo \"$n lines\"";
    let world = World::shell(User::Build, script);
    let files = Files { standard: Standard::Terminal, ..Files::default() };
    let mut child = spawn(&world.sandbox, &files, &this_program()).unwrap();
    let (keys, mut typist) = std::io::pipe().unwrap();
    let (mut screen, printed) = std::io::pipe().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for line in 0..2000 {
                writeln!(typist, "{line:060}").unwrap();
            }
            typist.write_all(b"end\n").unwrap();
        });
        let shown = scope.spawn(move || {
            let mut text = String::new();
            screen.read_to_string(&mut text).unwrap();
            text
        });
        let go_on = AtomicBool::new(false);
        let ended = terminal::attach(&mut child, keys.as_fd(), printed.as_fd(), &go_on).unwrap();
        drop(printed);
        let text = shown.join().unwrap();
        assert_eq!(ended.exit, Exit::Code(0));
        assert!(
            text.contains("2000 lines\r\n"),
            "{} bytes: {}",
            text.len(),
            &text[text.len().saturating_sub(200)..]
        );
    });
}

fn errors_say_what_was_done() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Sandbox), expected: &str) {
        let mut world = World::shell(User::Build, "true");
        change(&mut world.sandbox);
        let error = world.spawn().unwrap_err();
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(format!("{error}: {cause}"), expected);
    }
    check(
        |sandbox| sandbox.root = Root::Overlay(Overlay { lowers: vec!["/no/tree".into()], writable: None }),
        "could not open the directory `/no/tree` for a sandbox: No such file or directory (os error 2)",
    );
    check(
        |sandbox| sandbox.mounts.push(Mount::read_only("/no/file", "/build/in/file")),
        "could not bind `/no/file` to `/build/in/file` for a sandbox: No such file or directory (os error 2)",
    );
    check(
        |sandbox| sandbox.mounts.push(Mount::tmpfs("/etc/lower")),
        "could not mount on `/etc/lower` for a sandbox: Invalid argument (os error 22)",
    );
    check(
        |sandbox| sandbox.directory = "/etc/lower".to_owned(),
        "could not start in the directory `/etc/lower` for a sandbox: Not a directory (os error 20)",
    );
    check(
        |sandbox| sandbox.mounts.push(Mount::dev(&["/dev/no-such-device"])),
        "could not bind the device `/dev/no-such-device` for a sandbox: No such file or directory (os error 2)",
    );
}

fn symbolic_links_lead_inside() {
    let mut world = World::shell(User::Build, "ls /build/link /elsewhere");
    let lower = world.scratch.path().join("lower");
    let outside = world.scratch.directory("elsewhere");
    fs::create_dir_all(lower.join("build")).unwrap();
    std::os::unix::fs::symlink(&outside, lower.join("build/link")).unwrap();
    let tree = world.scratch.directory("tree");
    fs::write(tree.join("a"), "").unwrap();
    world.sandbox.mounts.push(Mount::read_only(&tree, "/build/link"));
    world.sandbox.arguments[2] = format!("ls {}", outside.display());
    let (ended, printed) = world.run();
    // The link's target was made in the sandbox, and nothing outside.
    assert_eq!((ended.exit, printed.as_str()), (Exit::Code(0), "a\n"));
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

fn probing() {
    let scratch = scratch();
    let capabilities = probe(&this_program(), scratch.path()).unwrap();
    assert_eq!(capabilities.root, rustix::process::geteuid().is_root());
    assert!(probe(&this_program(), scratch.path()).is_ok(), "a second time");
}

fn without_namespaces() {
    // In a sandbox there are none to be had, as in a container that forbids them.
    for user in [User::Build, User::Root] {
        let (ended, printed) = World::new(user, &[crate::harness::PROGRAM, "--inside", "sandbox"]).run();
        assert_eq!(ended.exit, Exit::Code(0), "{printed}");
    }
}

fn usage() {
    let script = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done' & wait";
    let (ended, _) = World::shell(User::Build, script).run();
    assert!(ended.usage.cpu > Duration::from_millis(20), "{ended:?}");
    assert!(ended.usage.wall > Duration::from_millis(20), "{ended:?}");
    assert!((500_000..500_000_000).contains(&ended.usage.peak_memory), "{ended:?}");
}
