//! What a step leaves of its outputs for its next runs.

use std::fs;
use std::time::{Duration, SystemTime};

use engine::Execution;
use local::sweep_earlier;

use crate::harness::{Step, Test, World};

pub(crate) const TESTS: &[Test] = &[
    ("a_step_finds_what_its_last_runs_left", found_again),
    ("what_a_step_left_goes_with_its_output", gone),
    ("what_a_step_leaves_wrongly_is_ignored", wrong),
    ("two_runs_of_a_step_leave_something_at_once", at_once),
];

/// A step that leaves `text`, and prints what it found.
fn step(world: &World, name: &str, text: &str) -> Step {
    let script = format!(
        "while read hash size path; do echo $path; done < earlier/inputs; \
         for run in earlier/[0-9]*; do [ ! -e $run ] || cat $run/table $run/image; done; \
         echo '{text}' > out/file; echo 'about {text}' > earlier/new/table; printf file > earlier/new/of"
    );
    let mut step = Step::shell(world, &script).place("build/in/a file", world_file(world));
    step.requirements.earlier = Some(name.to_owned());
    step
}

fn world_file(world: &World) -> cas::Node {
    use cas::Store as _;
    cas::Node::File { digest: world.store.write(b"an input").unwrap(), executable: false }
}

fn run(world: &World, step: &Step) -> (Execution, String) {
    let execution = step.run(&world.executor(1));
    let log = world.log(&execution);
    assert_eq!(execution.result.exit_code, 0, "{log}");
    (execution, log)
}

fn found_again() {
    let world = World::new();
    let seed = rustix::process::geteuid().as_raw();
    let text = |number: u32| format!("{number} of {seed}");
    assert_eq!(run(&world, &step(&world, "a/b", &text(1))).1, "build/in/a file\n");
    let of = |number: u32| format!("about {}\n{}\n", text(number), text(number));
    assert_eq!(run(&world, &step(&world, "a/b", &text(2))).1, format!("build/in/a file\n{}", of(1)));
    // Another one has another name, and knows nothing.
    assert_eq!(run(&world, &step(&world, "a", &text(3))).1, "build/in/a file\n");
    // A step that fails leaves nothing.
    let mut failing = step(&world, "a/b", &text(4));
    failing.command.arguments.last_mut().unwrap().push_str("; exit 3");
    assert_eq!(failing.run(&world.executor(1)).result.exit_code, 3);
    for number in 5..9 {
        run(&world, &step(&world, "a/b", &text(number)));
    }
    // The last ones, the last first.
    let expected: String = [8, 7, 6].map(of).concat();
    assert_eq!(run(&world, &step(&world, "a/b", &text(9))).1, format!("build/in/a file\n{expected}"));
    // Nobody else sees it.
    let mut other = step(&world, "a/b", &text(10));
    other.requirements.earlier = None;
    other.command.arguments.last_mut().unwrap().insert_str(0, "[ ! -e earlier ]; exit 0; ");
    assert_eq!(run(&world, &other).1, "");
}

fn gone() {
    let mut world = World::new();
    let text = format!("collected {}", rustix::process::geteuid().as_raw());
    run(&world, &step(&world, "name", &text));
    let directory = world.scratch.path().join("earlier");
    let nothing_old = SystemTime::UNIX_EPOCH;
    assert_eq!(sweep_earlier(&directory, &world.store, nothing_old).unwrap().n_tables, 0);
    world.reopen();
    world.store.gc(cas::Keep::Bytes(0), SystemTime::now() + Duration::from_secs(10)).unwrap();
    // A step that comes first finds nothing.
    assert_eq!(run(&world, &step(&world, "name", &text)).1, "build/in/a file\n");
    world.reopen();
    world.store.gc(cas::Keep::Bytes(0), SystemTime::now() + Duration::from_secs(10)).unwrap();
    let swept = sweep_earlier(&directory, &world.store, nothing_old).unwrap();
    assert_eq!((swept.n_tables, swept.bytes), (1, 7 + text.len() as u64));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    // What was not used lately goes in any case.
    run(&world, &step(&world, "name", &text));
    let later = SystemTime::now() + Duration::from_secs(1000);
    assert_eq!(sweep_earlier(&directory, &world.store, later).unwrap().n_tables, 1);
}

fn wrong() {
    let world = World::new();
    for leave in [
        "ln -s /etc/passwd earlier/new/table; printf file > earlier/new/of",
        "echo x > earlier/new/table; printf ../file > earlier/new/of",
        "echo x > earlier/new/table; printf missing > earlier/new/of",
        "echo x > earlier/new/table; mkdir earlier/new/of",
        "echo x > earlier/new/table; printf '' > earlier/new/of",
        "mkdir earlier/new/table; printf file > earlier/new/of",
        "printf '\\377' > earlier/new/of; echo x > earlier/new/table",
    ] {
        let mut step = step(&world, "wrong", "text");
        *step.command.arguments.last_mut().unwrap() =
            format!("for run in earlier/[0-9]*; do [ ! -e $run ]; done; echo text > out/file; {leave}");
        run(&world, &step);
    }
    // What was shown cannot be changed.
    run(&world, &step(&world, "wrong", "text"));
    let mut step = step(&world, "wrong", "other");
    *step.command.arguments.last_mut().unwrap() =
        "! (echo x > earlier/0/table) 2>/dev/null; ! (echo x > earlier/0/image) 2>/dev/null; cat earlier/0/image".to_owned();
    assert_eq!(run(&world, &step).1, "text\n");
}

fn at_once() {
    let world = World::new();
    let seed = rustix::process::geteuid().as_raw();
    run(&world, &step(&world, "both", &format!("first {seed}")));
    std::thread::scope(|scope| {
        for number in 0..6 {
            let world = &world;
            scope.spawn(move || run(world, &step(world, "both", &format!("{number} at once {seed}"))));
        }
    });
    let log = run(&world, &step(&world, "both", "last")).1;
    // Three of them, whole.
    assert_eq!(log.lines().count(), 7, "{log}");
    let about: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("about ")).collect();
    assert_eq!(about.len(), 3, "{log}");
    assert!(about.iter().all(|text| log.lines().any(|line| line == *text)), "{log}");
}
