//! Steps that misbehave, builds that are killed, builds side by side.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Project, check_failure, run, unique};

/// A project with one command in a small environment.
fn project(run: &str, more: &str) -> Project {
    Project::new(&format!(
        "[stack]\nname = \"faults\"\n[env.small]\ndistro = \"debian:bookworm\"\npackages = []\n\
         [target.made]\nkind = \"command\"\nenv = \"small\"\nrun = '''\n: {}\n{run}\n'''\n{more}\n",
        unique()
    ))
}

#[test]
fn a_failing_command_shows_its_last_lines_and_keeps_its_sandbox() {
    let project = project("echo first; echo half > $OUT/half; echo 'the reason' >&2; exit 7", "");
    project.fail(&["build"], 1, &["`made` failed with exit code 7", "| the reason", "bootwright log 'made'"]);
    let log = project.succeed(&["log", "made"]);
    assert_eq!(log.stdout, "first\nthe reason\n");
    let shell = project.succeed(&["shell", "--failed", "--", "cat", "/build/out/half"]);
    assert!(shell.stdout.contains("half"), "{}", shell.stdout);
}

#[test]
fn a_declared_output_that_is_missing_is_named() {
    project("true", "outputs = [\"image\"]").fail(&["build"], 1, &["image"]);
}

#[test]
fn there_is_no_network_and_no_host() {
    let project = project(
        "test ! -e /home/$USER/.bashrc; test ! -e /etc/resolv.conf || ! grep -q nameserver /etc/resolv.conf\n\
         hostname > $OUT/hostname; id -u > $OUT/uid; id -un > $OUT/user; id -gn > $OUT/group; ls /sys/class/net 2>/dev/null | tr '\\n' ' ' > $OUT/net || true\n\
         ! (exec 3<>/dev/tcp/1.1.1.1/80) 2>/dev/null; cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' ' > $OUT/devices",
        "environment = { USER = \"x\" }",
    );
    project.succeed(&["build"]);
    assert_eq!(project.read("out/made/hostname"), "bootwright\n");
    assert_eq!(project.read("out/made/uid"), "1000\n");
    assert_eq!(
        (project.read("out/made/user"), project.read("out/made/group")),
        ("build\n".into(), "build\n".into())
    );
    assert_eq!(project.read("out/made/devices"), "lo\n");
}

#[test]
fn daemons_and_deaf_processes_are_ended_with_their_step() {
    let project =
        project("(trap '' TERM HUP; sleep 314159) & setsid sleep 314159 & echo done > $OUT/done", "");
    project.succeed(&["build"]);
    assert!(!is_running("314159"));
}

#[test]
fn a_step_is_killed_at_its_timeout() {
    let start = Instant::now();
    let project =
        project("trap '' TERM; echo waiting; while true; do sleep 271828; done", "timeout = \"2s\"");
    project.fail(&["build"], 1, &["made", "| waiting"]);
    assert!(start.elapsed() < Duration::from_secs(120));
    assert!(!is_running("271828"));
}

#[test]
fn a_gigabyte_of_log_is_cut_in_the_middle() {
    let project =
        project("echo first; head -c 1000000000 /dev/zero | tr '\\0' x; echo; echo last; exit 1", "");
    project.fail(&["build"], 1, &["| last"]);
    let log = project.succeed(&["log", "made"]);
    assert!(log.stdout.len() < 100_000_000, "{}", log.stdout.len());
    assert!(log.stdout.starts_with("first\n") && log.stdout.ends_with("last\n"));
}

#[test]
fn a_build_that_was_killed_is_finished_by_the_next() {
    let project = project("sleep 5; echo made > $OUT/made", "");
    // Everything but the slow step itself is there first, so that the kill meets that one.
    project.succeed(&["plan"]);
    let mut killed = project.command(&["build"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_secs(3));
    killed.kill().unwrap();
    killed.wait().unwrap();
    project.succeed(&["build"]);
    assert_eq!(project.read("out/made/made"), "made\n");
}

#[test]
fn an_interrupted_build_says_so_and_leaves_nothing_running() {
    let project = project("echo started; sleep 161803", "");
    project.succeed(&["plan"]);
    let child = project.command(&["build"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(300);
    while !is_running("161803") && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
    assert!(!is_running("161803"));
}

#[test]
fn two_builds_at_once_both_succeed() {
    let one = project("sleep 1; echo same > $OUT/made", "");
    let other = project("sleep 1; echo same > $OUT/made", "");
    thread::scope(|scope| {
        let first = scope.spawn(|| one.run(&["build"]));
        let second = scope.spawn(|| other.run(&["build"]));
        for ran in [first.join().unwrap(), second.join().unwrap()] {
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        }
    });
    assert_eq!(one.read("out/made/SHA256SUMS"), other.read("out/made/SHA256SUMS"));
}

#[test]
fn a_guest_that_never_speaks_fails_its_test_in_time() {
    let project = Project::copy_of("examples/quickstart");
    let recipe = project.read("bootwright.toml");
    let recipe = recipe.replace("expect  = [", "timeout = \"20s\"\nexpect  = [\"this is never said\", ");
    project.write("bootwright.toml", &recipe);
    let ran = project.run(&["test"]);
    check_failure(&ran, 1, &["this is never said", "Hello, world!"]);
    assert!(ran.stdout.ends_with("0 passed, 1 failed\n"), "{}", ran.stdout);
}

#[test]
fn a_full_disk_is_said_and_nothing_is_lost() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: a small file system can only be mounted by root here");
        assert!(std::env::var_os("CI").is_none(), "CI runs as root");
        return;
    }
    let small = tempfile::tempdir_in(crate::harness::scratch()).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64M", "tmpfs"]).arg(small.path()).status();
    assert!(mounted.unwrap().success());
    let project = Project::copy_of("examples/quickstart");
    let ran = run(project.command(&["build", "disk"]).env("BOOTWRIGHT_CACHE", small.path().join("cache")));
    let unmounted = Command::new("umount").args(["-l"]).arg(small.path()).status();
    assert!(unmounted.unwrap().success());
    check_failure(&ran, 3, &["help: free some space"]);
}

/// Says whether a process of this machine has `word` on its command line.
fn is_running(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.into_iter().any(|process| {
        std::fs::read(process.path().join("cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
    })
}
