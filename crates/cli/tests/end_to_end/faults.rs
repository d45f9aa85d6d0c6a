//! Steps that misbehave, builds that are killed, builds side by side.

use std::fs::File;
use std::path::Path;
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
fn directories_without_end_are_the_steps_failure_and_are_removed() {
    let nest = "perl -e 'for (1..3000) { mkdir \"d\"; chdir \"d\" or die }'";
    // In its temporary directory nobody minds.
    project(&format!("cd /tmp; {nest}; echo done > $OUT/done"), "").succeed(&["build"]);
    let project = project(&format!("cd $OUT; {nest}"), "");
    project.fail(&["build"], 1, &["made", "`/build/out` has directories that are nested too deep"]);
    // And whoever comes later cleans up after it.
    project.succeed(&["gc", "--keep", "1TB"]);
}

#[test]
fn what_bootwright_writes_beside_the_files_of_a_target_is_not_replaced() {
    for name in ["SHA256SUMS", "TAINTED"] {
        let problem = format!("out/made` would have a file `{name}` of its own");
        project(&format!("echo mine > $OUT/{name}"), "").fail(&["build"], 2, &[&problem]);
    }
    project("mkdir $OUT/d; echo mine > $OUT/d/SHA256SUMS", "").succeed(&["build"]);
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
fn a_build_that_reads_a_source_is_interrupted() {
    let project = project("true", "sources = [\"large\"]\n[source.large]\npath = \"large\"");
    project.write("large/file", "");
    project.succeed(&["plan"]);
    // To read that takes hours.
    File::create(project.path().join("large/file")).unwrap().set_len(8 << 40).unwrap();
    let mut child = project.command(&["build"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none());
    Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: interrupted\n");
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
fn what_two_builds_lock_at_once_is_locked() {
    let recipe = |name: &str| {
        format!(
            "[env.{name}]\ndistro = \"debian:bookworm\"\npackages = []\nsuites = [\"bookworm\"]\n\
             [target.of-{name}]\nkind = \"command\"\nenv = \"{name}\"\nrun = \"true\"\n"
        )
    };
    let project = Project::new(&format!("[stack]\nname = \"locks\"\n{}{}", recipe("one"), recipe("two")));
    thread::scope(|scope| {
        let locking = ["of-one", "of-two"].map(|of| scope.spawn(|| project.run(&["plan", of])));
        for ran in locking.map(|locking| locking.join().unwrap()) {
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        }
    });
    project.succeed(&["plan", "--locked"]);
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
    let project = Project::copy_of("examples/quickstart");
    let small = tempfile::tempdir_in(crate::harness::scratch()).unwrap();
    // Mounted where only the build sees it, which whoever may have namespaces can do.
    let script = "mount -t tmpfs -o size=64M tmpfs \"$0\" && exec \"$@\"";
    let build = project.command(&["build", "disk"]);
    let mut command = in_namespaces(&["--mount"], script, small.path(), &build);
    let ran = run(command.env("BOOTWRIGHT_CACHE", small.path().join("cache")));
    check_failure(&ran, 3, &["help: free some space"]);
    drop(small);
    project.succeed(&["build", "initrd"]);
}

#[test]
fn without_namespaces_the_remedy_is_told() {
    let project = project("true", "");
    // The packages are there before, so that nothing but the sandbox can fail.
    project.succeed(&["fetch"]);
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let forbidden = |arguments: &[&str]| {
        run(&mut in_namespaces(&[], script, project.path(), &project.command(arguments)))
    };
    let remedy = "`user.max_user_namespaces` is 0; as root: `sysctl -w user.max_user_namespaces=15000`";
    let built = forbidden(&["build"]);
    check_failure(&built, 3, &["this machine does not let this user have namespaces", remedy]);
    let examined = forbidden(&["doctor"]);
    assert_eq!(examined.code, Some(3), "{}", examined.stderr);
    assert!(examined.stdout.contains("bad   sandboxes:"), "{}", examined.stdout);
    assert!(examined.stdout.contains(remedy), "{}", examined.stdout);
}

/// Returns `command` as run by `script`, whose `$0` is `path` and whose arguments are the command, as root of a user
/// namespace with the `namespaces` besides.
fn in_namespaces(namespaces: &[&str], script: &str, path: &Path, command: &Command) -> Command {
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user"]).args(namespaces).args(["sh", "-c", script]);
    inside.arg(path).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        inside.env(name, value.unwrap_or_default());
    }
    inside.stdin(Stdio::null());
    inside
}

#[test]
fn a_guest_that_never_starts_fails_its_test_in_time() {
    let quickstart = Project::copy_of("examples/quickstart").read("bootwright.toml");
    let environment =
        &quickstart[quickstart.find("[env.vm]").unwrap()..quickstart.find("[machine.vm]").unwrap()];
    let project = Project::new(&format!(
        "[stack]\nname = \"dead\"\n{environment}[target.junk]\nkind = \"rootfs\"\nfiles = {{ \"/a\" = \"no kernel\" }}\n\
         [machine.empty]\nenv = \"vm\"\n[machine.wrong]\nenv = \"vm\"\nkernel = \"junk\"\n\
         [test.empty]\nmachine = \"empty\"\ntimeout = \"3s\"\nexpect = [\"login:\"]\n\
         [test.wrong]\nmachine = \"wrong\"\ntimeout = \"60s\"\n",
    ));
    let ran = project.run(&["test", "-k"]);
    check_failure(
        &ran,
        1,
        &[
            "the console did not show `login:` within 3 s",
            "the console is empty",
            "QEMU failed: exit status: 1",
            "qemu: invalid kernel header",
        ],
    );
    assert!(ran.stdout.ends_with("0 passed, 2 failed\n"), "{}", ran.stdout);
}

#[test]
fn make_from_locked_packages_shares_our_jobs() {
    let project = project(
        "printf 'all: 1 2 3\\n1 2 3:\\n\\ttouch $$$$OUT/$@\\n' > Makefile; make 2> $OUT/complaints; cat $OUT/complaints",
        "",
    );
    let recipe = project.read("bootwright.toml").replace("packages = []", "packages = [\"make\"]");
    project.write("bootwright.toml", &recipe);
    project.succeed(&["build"]);
    assert_eq!(project.read("out/made/complaints"), "");
    assert_eq!(project.read("out/made/3"), "");
}

/// Says whether a process of this machine has `word` on its command line.
fn is_running(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.into_iter().any(|process| {
        std::fs::read(process.path().join("cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
    })
}
