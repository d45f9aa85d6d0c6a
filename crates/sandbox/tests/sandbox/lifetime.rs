//! Nothing of a sandbox stays, however it ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use sandbox::{Error, Exit, Sandbox, User};

use crate::harness::{Test, World, marked, marker, scratch, this_program};

pub(crate) const TESTS: &[Test] = &[
    ("daemons_end_with_the_command", daemons_end_with_the_command),
    ("hundreds_of_orphans", hundreds_of_orphans),
    ("killing_leaves_nothing", killing_leaves_nothing),
    ("dropping_leaves_nothing", dropping_leaves_nothing),
    ("our_own_death_leaves_nothing", our_own_death_leaves_nothing),
    ("the_guards_death_leaves_nothing", the_guards_death_leaves_nothing),
    ("waiting_has_a_limit", waiting_has_a_limit),
    ("many_at_once", many_at_once),
    ("a_program_that_is_still_being_written", a_program_that_is_still_being_written),
];

/// A command that ignores whatever can be ignored, and has children that do.
fn stubborn(marker: &str) -> World {
    let script = format!(
        "trap '' TERM INT HUP QUIT; (setsid sh -c 'trap \"\" TERM; sleep {marker}' &) ; sleep {marker} & \
         echo ready; sleep {marker}; sleep {marker}"
    );
    World::shell(User::Build, &script)
}

#[track_caller]
fn await_ready(world: &World) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !world.printed().contains("ready") {
        assert!(Instant::now() < deadline, "the command never got ready");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn a_program_that_is_still_being_written() {
    let world = World::new(User::Build, &["/etc/program"]);
    let program = world.scratch.path().join("lower/etc/program");
    std::fs::copy("/bin/true", &program).unwrap();
    let writer = std::fs::File::options().append(true).open(&program).unwrap();
    let mut child = world.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(60));
    drop(writer);
    assert_eq!(child.wait().unwrap().exit, Exit::Code(0));
}

fn daemons_end_with_the_command() {
    let marker = marker();
    let script = format!("setsid sleep {marker} & (sleep {marker} &); sleep 0.1; exit 5");
    let (ended, _) = World::shell(User::Build, &script).run();
    assert_eq!(ended.exit, Exit::Code(5));
    assert_eq!(marked(&marker), [""; 0]);
}

fn hundreds_of_orphans() {
    let marker = marker();
    let script = format!("i=0; while [ $i -lt 300 ]; do (sleep {marker} &); i=$((i+1)); done");
    let (ended, printed) = World::shell(User::Build, &script).run();
    assert_eq!(ended.exit, Exit::Code(0), "{printed}");
    assert_eq!(marked(&marker), [""; 0]);
}

fn killing_leaves_nothing() {
    let marker = marker();
    let world = stubborn(&marker);
    let mut child = world.spawn().unwrap();
    await_ready(&world);
    assert!(!marked(&marker).is_empty());
    child.kill();
    assert_eq!(child.wait().unwrap().exit, Exit::Signal(libc::SIGKILL));
    assert_eq!(marked(&marker), [""; 0]);
    child.kill();
    assert_eq!(child.wait().unwrap().exit, Exit::Signal(libc::SIGKILL), "again");
}

fn dropping_leaves_nothing() {
    let marker = marker();
    let world = stubborn(&marker);
    let child = world.spawn().unwrap();
    await_ready(&world);
    drop(child);
    assert_eq!(marked(&marker), [""; 0]);
}

/// Is a program that started a sandbox and will be killed.
pub(crate) fn hold(scratch: &str, marker: &str) -> ExitCode {
    let mut world: Sandbox = serde_json::from_str(&std::fs::read_to_string(scratch).unwrap()).unwrap();
    world.arguments = vec!["sleep".to_owned(), marker.to_owned()];
    let _child = sandbox::spawn(&world, &sandbox::Files::default(), &this_program()).unwrap();
    println!("ready");
    std::io::stdout().flush().unwrap();
    std::thread::sleep(Duration::from_secs(60));
    ExitCode::FAILURE
}

fn our_own_death_leaves_nothing() {
    let marker = marker();
    let world = stubborn(&marker);
    let description = world.scratch.path().join("description");
    std::fs::write(&description, serde_json::to_vec(&world.sandbox).unwrap()).unwrap();
    let mut holder = Command::new(this_program())
        .arg("--holder")
        .arg(&description)
        .arg(&marker)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    // The holder itself, and the command once it is executed.
    let deadline = Instant::now() + Duration::from_secs(10);
    while marked(&marker).len() < 2 {
        assert!(Instant::now() < deadline, "the command never ran");
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    await_gone(&marker);
}

#[track_caller]
fn await_gone(marker: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !marked(marker).is_empty() {
        assert!(Instant::now() < deadline, "still there: {:?}", marked(marker));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn the_guards_death_leaves_nothing() {
    let marker = marker();
    let world = stubborn(&marker);
    let mut child = world.spawn().unwrap();
    await_ready(&world);
    let guards = marked("bootwright-sandbox-init");
    // The guard is our own child; pid 1 of the sandbox is the guard's, and has the same command line.
    let us = std::process::id().to_string();
    let guard = guards.iter().find(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&us))
    });
    let guard = rustix::process::Pid::from_raw(guard.unwrap().parse().unwrap()).unwrap();
    rustix::process::kill_process(guard, rustix::process::Signal::KILL).unwrap();
    assert!(matches!(child.wait(), Err(Error::Lost { .. })));
    await_gone(&marker);
}

fn waiting_has_a_limit() {
    let world = World::shell(User::Build, "sleep 0.3");
    let mut child = world.spawn().unwrap();
    assert_eq!(child.wait_timeout(Duration::from_millis(50)).unwrap(), None);
    let ended = child.wait_timeout(Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!(ended.exit, Exit::Code(0));
    assert_eq!(child.wait_timeout(Duration::ZERO).unwrap(), Some(ended));
}

fn many_at_once() {
    let _keep = scratch();
    std::thread::scope(|scope| {
        for idx in 0..16 {
            scope.spawn(move || {
                for _ in 0..4 {
                    let (ended, printed) =
                        World::shell(User::Build, &format!("echo {idx}; exit {idx}")).run();
                    assert_eq!((ended.exit, printed), (Exit::Code(idx), format!("{idx}\n")));
                }
            });
        }
    });
}
