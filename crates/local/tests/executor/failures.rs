//! Steps that fail, hang, fork, print too much; and a builder that is killed.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command as Process, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cas::Keep;
use engine::{Executor as _, ExecutorError};
use local::{Console, Interactive};

use crate::harness::{Step, Test, World, eventually, marked};

pub(crate) const TESTS: &[Test] = &[
    ("a_failure_is_a_result_and_its_sandbox_is_kept", kept),
    ("only_the_last_failures_are_kept", bounded),
    ("several_may_remove_the_same_at_once", removed_by_several),
    ("a_step_can_be_entered", entered),
    ("streams_of_who_enters_cannot_be_opened_again", streams),
    ("a_step_that_takes_too_long_is_killed", timeout),
    ("a_step_that_is_cancelled_is_gone_at_once", cancelled),
    ("outputs_are_taken_over_until_it_is_cancelled", cancelled_while_hashing),
    ("outputs_that_are_closed_are_taken_over_or_the_failure_is_told", closed_outputs),
    ("what_a_step_leaves_running_is_killed", daemons),
    ("of_a_huge_log_both_ends_are_kept", huge_log),
    ("what_a_tree_cannot_hold_is_the_failure_of_the_step", special_outputs),
    ("nothing_runs_on_when_the_builder_is_killed", killed_builder),
    ("a_full_disk_is_no_failure_of_the_step", full_disk),
];

/// Runs a script in a kept sandbox or a fresh one and returns its exit code and what it printed.
fn talk(
    enter: impl FnOnce(&[String], Console<'_>) -> Result<i32, ExecutorError>,
    script: &str,
) -> (i32, String) {
    let output = tempfile::tempfile().unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    let console = Console {
        input: null.as_fd(),
        output: output.as_fd(),
        error: output.as_fd(),
        is_shared: false,
        socket: None,
        cancel: &AtomicBool::new(false),
    };
    let arguments = ["sh", "-c", script].map(str::to_owned);
    let code = enter(&arguments, console).unwrap_or_else(|error| panic!("{error:?}"));
    let mut text = String::new();
    let mut output = output;
    std::io::Seek::rewind(&mut output).unwrap();
    std::io::Read::read_to_string(&mut output, &mut text).unwrap();
    (code, text)
}

fn kept() {
    let world = World::new();
    let executor = world.executor(1);
    let script =
        "echo went wrong; echo partial > out/partial; echo note > /tmp/note; echo y > changed; exit 3";
    let mut step = Step::shell(&world, script).place("build/in", world.tree(&[("f", "input")]));
    step.command.environment = vec![("OWN".to_owned(), "1".to_owned())];
    let execution = step.run(&executor);
    assert_eq!(execution.result.exit_code, 3);
    assert_eq!(world.log(&execution), "went wrong\n");
    assert_eq!(world.read(&execution, "partial"), "partial\n");

    let failed = &executor.failed_sandboxes().unwrap()[0];
    assert_eq!((failed.label(), failed.exit_code()), ("step", 3));
    assert_eq!(execution.kept.as_deref(), failed.path().to_str());
    // What a step leaves may be setuid to us: nobody else reaches it.
    assert_eq!(fs::metadata(failed.path()).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::read_to_string(failed.log()).unwrap(), "went wrong\n");
    let enter = |script: &str| {
        talk(
            |arguments, console| executor.enter_failed(failed, Interactive::Other(arguments), &[], console),
            script,
        )
    };
    let look =
        "cat in/f changed out/partial /tmp/note; echo $OWN$MAKEFLAGS; pwd; id -u; echo more >> out/partial";
    assert_eq!(enter(look), (0, "inputy\npartial\nnote\n1\n/build\n1000\n".to_owned()));
    assert_eq!(enter("cat out/partial; exit 5"), (5, "partial\nmore\n".to_owned()));
    // The output in the store is another file.
    assert_eq!(world.read(&execution, "partial"), "partial\n");
    // The inputs outlive a collection.
    let checkout = world.store.shared_checkout(&world.environment).unwrap();
    cas::remove_tree(&checkout).unwrap();
    world.store.gc(Keep::Bytes(0), std::time::UNIX_EPOCH).unwrap();
    assert_eq!(enter("cat in/f").1, "input");
    let shell = talk(|_, console| executor.enter_failed(failed, Interactive::Shell, &[], console), "");
    assert_eq!(shell.0, 0);
    executor.remove_failed_sandboxes().unwrap();
    assert_eq!(executor.failed_sandboxes().unwrap(), []);
    assert_eq!(n_roots(&world), 0);
}

fn removed_by_several() {
    let world = World::new();
    let script =
        "i=0; while [ $i -lt 300 ]; do mkdir -p out/$i/a/b; echo > out/$i/a/b/c; i=$((i+1)); done; exit 1";
    for _ in 0..3 {
        Step::shell(&world, script).run(&world.executor(1));
        let executors = [(); 4].map(|()| world.executor(1));
        std::thread::scope(|scope| {
            let threads =
                executors.each_ref().map(|executor| scope.spawn(|| executor.remove_failed_sandboxes()));
            threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        });
        assert_eq!(executors[0].failed_sandboxes().unwrap(), []);
    }
}

fn bounded() {
    let world = World::new();
    let executor = world.executor(1);
    for code in 1..=4 {
        Step::shell(&world, &format!("exit {code}")).run(&executor);
    }
    let codes: Vec<i32> =
        executor.failed_sandboxes().unwrap().iter().map(|failed| failed.exit_code()).collect();
    assert_eq!(codes, [4, 3]);
    assert_eq!(n_roots(&world), 2);
    // Somebody tidies up by hand.
    cas::remove_tree(executor.failed_sandboxes().unwrap()[0].path()).unwrap();
    cas::remove_tree(executor.failed_sandboxes().unwrap()[0].path()).unwrap();
    Step::shell(&world, "exit 5").run(&executor);
    assert_eq!(n_roots(&world), 1);
}

/// How many roots keep the inputs of the world's failed sandboxes.
fn n_roots(world: &World) -> usize {
    let own = world.scratch.path().display().to_string();
    world.store.roots().unwrap().iter().filter(|root| root.name.contains(&own)).count()
}

fn entered() {
    let world = World::new();
    let executor = world.executor(1);
    let step = Step::shell(&world, "echo own command").place("build/in/f", world.tree(&[("x", "input")]));
    let extra = [("TERM".to_owned(), "vt100".to_owned())];
    let other = talk(
        |arguments, console| executor.enter(&step.request(), Interactive::Other(arguments), &extra, console),
        "cat in/f/x; echo $TERM; echo x > out/x",
    );
    assert_eq!(other, (0, "inputvt100\n".to_owned()));
    let own = talk(|_, console| executor.enter(&step.request(), Interactive::Command, &extra, console), "");
    assert_eq!(own, (0, "own command\n".to_owned()));
}

fn streams() {
    let world = World::new();
    let executor = world.executor(1);
    let files = ["input", "output", "error"].map(|name| world.scratch.path().join(name));
    fs::write(&files[0], "the only line\n").unwrap();
    let input = fs::File::open(&files[0]).unwrap();
    let [output, error] = [&files[1], &files[2]].map(|path| fs::File::create(path).unwrap());
    let console = Console {
        input: input.as_fd(),
        output: output.as_fd(),
        error: error.as_fd(),
        is_shared: false,
        socket: None,
        cancel: &AtomicBool::new(false),
    };
    let script = "for fd in 0 1 2; do chmod 4777 /proc/self/fd/$fd; done
        cat; (echo more >> /proc/self/fd/0) & echo printed; echo told >&2";
    let arguments = ["sh", "-c", script].map(str::to_owned);
    let step = Step::shell(&world, "true");
    let code = executor.enter(&step.request(), Interactive::Other(&arguments), &[], console).unwrap();
    assert_eq!(code, 0);
    let found = files.each_ref().map(|path| fs::read_to_string(path).unwrap());
    assert_eq!(found[..2], ["the only line\n", "the only line\nprinted\n"]);
    assert!(found[2].ends_with("told\n"), "{}", found[2]);
    for path in &files {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o7111, 0, "{}", path.display());
    }
}

fn timeout() {
    let world = World::new();
    let executor = world.executor(1);
    let start = Instant::now();
    let step =
        Step::shell(&world, "trap '' TERM INT; echo waiting; sleep 1000").timeout(Duration::from_millis(300));
    let execution = step.run(&executor);
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(execution.result.exit_code, 137);
    assert_eq!(world.log(&execution), "waiting\n\n[killed after its timeout of 300ms]\n");
    assert!(execution.kept.is_some());
}

fn cancelled() {
    let world = World::new();
    let executor = world.executor(1);
    let marker = format!("98{}.5", std::process::id());
    let step = Step::shell(&world, &format!("trap '' TERM; sleep {marker} & sleep {marker}"));
    let cancel = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| executor.execute(&step.request(), &cancel));
        eventually("it never ran", || marked(&marker).len() >= 3);
        cancel.store(true, Ordering::Relaxed);
        let start = Instant::now();
        assert!(matches!(running.join().unwrap(), Err(ExecutorError::Cancelled)));
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    });
    assert_eq!(marked(&marker), Vec::<String>::new());
    assert_eq!(executor.failed_sandboxes().unwrap(), []);
}

fn closed_outputs() {
    let world = World::new();
    let executor = world.executor(1);
    let make = "mkdir -p out/d/e; echo deep > out/d/e/f; echo made";
    for modes in ["-R a-w out", "600 out/d/e", "400 out/d/e", "0 out/d/e/f", "600 out/d"] {
        let execution = Step::shell(&world, &format!("{make}; chmod {modes}")).run(&executor);
        assert_eq!(execution.result.exit_code, 0, "{modes}");
        assert_eq!(world.read(&execution, "d/e/f"), "deep\n", "{modes}");
        let execution = Step::shell(&world, &format!("{make} again; chmod {modes}; exit 3")).run(&executor);
        assert_eq!(execution.result.exit_code, 3, "{modes}");
        assert_eq!(world.log(&execution), "made again\n", "{modes}");
        assert!(execution.kept.is_some(), "{modes}");
    }
}

fn cancelled_while_hashing() {
    let mut world = World::new();
    let cancel = Arc::new(AtomicBool::new(false));
    world.reopen_until(Arc::clone(&cancel));
    let executor = world.executor(1);
    let marker = format!("96{}.5", std::process::id());
    // To hash that takes hours.
    let step = Step::shell(&world, &format!("truncate -s 8T out/hole; : {marker}; sleep 0.1"));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| executor.execute(&step.request(), &cancel));
        eventually("it never ran", || !marked(&marker).is_empty());
        eventually("it never ended", || marked(&marker).is_empty());
        std::thread::sleep(Duration::from_millis(100));
        assert!(!running.is_finished());
        cancel.store(true, Ordering::Relaxed);
        let start = Instant::now();
        assert!(matches!(running.join().unwrap(), Err(ExecutorError::Cancelled)));
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    });
}

fn daemons() {
    let world = World::new();
    let executor = world.executor(1);
    let marker = format!("97{}.5", std::process::id());
    let script = format!("trap '' HUP; (sleep {marker} &) ; sleep {marker} >/dev/null 2>&1 & echo started");
    let execution = Step::shell(&world, &script).run(&executor);
    assert_eq!((execution.result.exit_code, world.log(&execution).as_str()), (0, "started\n"));
    assert_eq!(marked(&marker), Vec::<String>::new());
}

fn huge_log() {
    let world = World::new();
    let executor = world.executor(1);
    let execution =
        Step::shell(&world, "echo first; head -c 60000000 /dev/zero; echo; echo last; exit 1").run(&executor);
    let log = world.log(&execution);
    assert!(log.starts_with("first\n\0") && log.ends_with("\0\nlast\n"));
    assert!(log.len() < 17 << 20);
    let cut = 60_000_000 + 12 - (16 << 20);
    assert!(log.contains(&format!("\n[{cut} bytes of output left out here]\n")), "not {cut}");
}

fn special_outputs() {
    let world = World::new();
    let executor = world.executor(1);
    let execution = Step::shell(&world, "mkdir out/d; mkfifo out/d/pipe").run(&executor);
    assert_eq!(execution.result.exit_code, 1);
    assert_eq!(world.log(&execution), "\n[`/build/out/d/pipe` is a named pipe, which a tree cannot hold]\n");
}

/// Runs a step until it is killed; see below.
pub(crate) fn hold(scratch: &str, marker: &str) -> ExitCode {
    crate::harness::run(&[], &["--scratch", scratch]);
    let world = World::new();
    Step::shell(&world, &format!("trap '' TERM; (sleep {marker} &); sleep {marker}")).run(&world.executor(1));
    ExitCode::SUCCESS
}

fn killed_builder() {
    let scratch = crate::harness::scratch();
    let marker = format!("96{}.5", std::process::id());
    let mut builder = Process::new(std::env::current_exe().unwrap())
        .arg("--hold")
        .arg(scratch.path())
        .arg(&marker)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it never ran", || marked(&format!("sleep\0{marker}")).len() >= 2);
    builder.kill().unwrap();
    builder.wait().unwrap();
    eventually("something of it goes on", || marked(&marker).is_empty());
}

/// Fills the small disk that holds `scratch`; see below.
pub(crate) fn fill(scratch: &str) -> ExitCode {
    crate::harness::run(&[], &["--scratch", scratch]);
    let world = World::new();
    let executor = world.executor(1);
    let error = Step::shell(&world, "head -c 300000000 /dev/zero > out/big").try_run(&executor).unwrap_err();
    assert!(matches!(&error, ExecutorError::Store(error) if error.is_storage_full()), "{error:?}");
    assert_eq!(fs::read_dir(world.store.scratch()).unwrap().count(), 0, "the run left something");
    // There is room again.
    assert_eq!(Step::shell(&world, "echo x > out/x").run(&executor).result.exit_code, 0);
    println!("filled");
    ExitCode::SUCCESS
}

fn full_disk() {
    let scratch = crate::harness::scratch();
    let script = "mount -t tmpfs -o size=64m none \"$1\" || exit 77; exec \"$2\" --fill \"$1\"";
    let output = Process::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(scratch.path())
        .arg(std::env::current_exe().unwrap())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return println!("skipped: no `unshare` on this machine: {error}"),
    };
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || text.contains("unshare:") {
        return println!("skipped: no file system can be mounted here: {text}");
    }
    assert!(output.status.success() && text.contains("filled"), "{text}");
}
