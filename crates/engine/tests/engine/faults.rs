//! What goes wrong: commands, machines, missing outputs, lost blobs, impatient users.

use std::sync::atomic::{AtomicUsize, Ordering};

use cas::{Digest, Directory, Node, Store};
use engine::{
    End, Execution, Executor, ExecutorError, Graph, Input, Options, Placement, Request, RunError, StepId,
};
use testkit::{Produced, ScriptedExecutor};

use crate::world::{TestWorld, action, at, machine_error, obey, output, step, word};

/// A step that fails, one that reads it, one that reads that, and one that has nothing to do with them.
fn failing(graph: &mut Graph) -> [StepId; 4] {
    let fails = graph.add_step(step("fails", &["exit", "3"], vec![]));
    let reads = graph.add_step(step("reads", &["list"], vec![at("in", output(fails, ""))]));
    let merge = graph.add_merge(vec![at("", output(reads, ""))]);
    let later = graph.add_step(step("later", &["list"], vec![at("", Input::Merged(merge))]));
    let other = graph.add_step(step("other", &["const", "1"], vec![]));
    [fails, reads, later, other]
}

#[test]
fn failing_command_skips_its_dependents_and_ends_the_build() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let [fails, reads, later, other] = failing(&mut graph);
    let outcome = world.build(&graph, &[later, other]);
    assert_eq!(
        world.told(),
        ["failed fails with 3", "skipped reads because of fails", "skipped later because of fails", "Failed"]
    );
    assert_eq!(
        [fails, reads, later, other].map(|step| word(&outcome, step)),
        ["failed", "skipped", "skipped", "not started"]
    );
    assert_eq!(outcome.end, End::Failed);
}

#[test]
fn keep_going_does_the_rest() {
    let world =
        TestWorld { options: Options { keep_going: true, ..Options::default() }, ..TestWorld::default() };
    let mut graph = Graph::default();
    let [.., later, other] = failing(&mut graph);
    let outcome = world.build(&graph, &[later, other]);
    assert_eq!(word(&outcome, other), "ran");
    assert_eq!(outcome.end, End::Failed);
}

#[test]
fn failure_is_not_remembered() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let [fails, ..] = failing(&mut graph);
    world.build(&graph, &[fails]);
    assert!(world.cache.is_empty());
    world.build(&graph, &[fails]);
    assert_eq!(world.told(), ["failed fails with 3", "Failed"]);
}

#[test]
fn machine_is_given_a_second_chance() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let only = graph.add_step(step("only", &["const", "1"], vec![]));
    let n_calls = AtomicUsize::new(0);
    let executor = ScriptedExecutor::new(&world.store, |request| {
        if n_calls.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(machine_error("mount the overlay"));
        }
        obey(&world.store, request)
    });
    world.build_with(&graph, &[only], &executor).unwrap();
    assert_eq!(
        world.told(),
        ["retried only: could not mount the overlay: no storage space", "ran only", "Done"]
    );
}

#[test]
fn machine_that_stays_broken_ends_the_build() {
    let world = TestWorld {
        options: Options { retries: 2, keep_going: true, ..Options::default() },
        ..TestWorld::default()
    };
    let mut graph = Graph::default();
    let dies = graph.add_step(step("dies", &["die"], vec![]));
    let other = graph.add_step(step("other", &["const", "1"], vec![]));
    let executor = world.executor();
    let error = world.build_with(&graph, &[dies, other], &executor).unwrap_err();
    assert_eq!(error.to_string(), "could not run `dies`");
    assert_eq!(executor.take_ran(), ["dies", "dies", "dies"]);
    assert!(matches!(error, RunError::Execute { source: ExecutorError::Machine { .. }, .. }));
    assert_eq!(world.told().last().unwrap(), "Error");
}

#[test]
fn what_somebody_has_to_mend_is_not_tried_again() {
    let world = TestWorld { options: Options { retries: 2, ..Options::default() }, ..TestWorld::default() };
    let mut graph = Graph::default();
    let only = graph.add_step(step("only", &["const", "1"], vec![]));
    let executor = ScriptedExecutor::new(&world.store, |_| match machine_error("make namespaces") {
        ExecutorError::Machine { doing, source, .. } => {
            Err(ExecutorError::Machine { doing, help: Some("allow them".to_owned()), source })
        }
        other => Err(other),
    });
    world.build_with(&graph, &[only], &executor).unwrap_err();
    assert_eq!(executor.take_ran(), ["only"]);
}

#[test]
fn cancelled_build_starts_nothing_new() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let first = graph.add_step(step("first", &["const", "1"], vec![]));
    let second = graph.add_step(step("second", &["list"], vec![at("in", output(first, ""))]));
    let executor = ScriptedExecutor::new(&world.store, |request| {
        world.cancel.store(true, Ordering::Relaxed);
        obey(&world.store, request)
    });
    let outcome = world.build_with(&graph, &[second], &executor).unwrap();
    assert_eq!(world.told(), ["ran first", "Cancelled"], "what came to its end is kept");
    assert_eq!(word(&outcome, second), "not started");
    assert_eq!(outcome.end, End::Cancelled);
}

#[test]
fn cancelled_step_is_not_tried_again() {
    let world = TestWorld { options: Options { retries: 5, ..Options::default() }, ..TestWorld::default() };
    let mut graph = Graph::default();
    let only = graph.add_step(step("only", &["const", "1"], vec![]));
    let executor = ScriptedExecutor::new(&world.store, |_| {
        world.cancel.store(true, Ordering::Relaxed);
        Err(ExecutorError::Cancelled)
    });
    let outcome = world.build_with(&graph, &[only], &executor).unwrap();
    assert_eq!(executor.take_ran().len(), 1);
    assert_eq!(word(&outcome, only), "not started");
    assert_eq!(outcome.end, End::Cancelled);
}

#[test]
fn missing_output_names_who_should_have_left_it() {
    let world =
        TestWorld { options: Options { keep_going: true, ..Options::default() }, ..TestWorld::default() };
    let mut graph = Graph::default();
    let kernel = graph.add_step(step("kernel", &["const", "1"], vec![]));
    let image = graph.add_step(step("image", &["list"], vec![at("in/k", output(kernel, "bzImage"))]));
    let merge = graph.add_merge(vec![at("boot", output(kernel, "vmlinux"))]);
    let disk = graph.add_step(step("disk", &["list"], vec![at("", Input::Merged(merge))]));
    let iso = graph.add_step(step("iso", &["list"], vec![at("", Input::Merged(merge))]));
    let outcome = world.build(&graph, &[image, disk, iso]);
    assert_eq!(
        world.told(),
        [
            "ran kernel",
            "unready image: `kernel` left nothing at `bzImage` in its output directory",
            "unready disk: `kernel` left nothing at `vmlinux` in its output directory",
            "skipped iso because of disk",
            "Failed"
        ]
    );
    assert_eq!([image, disk, iso].map(|step| word(&outcome, step)), ["unready", "unready", "skipped"]);
    for (step, missing) in [(image, "bzImage"), (iso, "vmlinux")] {
        let error = engine::assemble(&graph, step, &world.known()).unwrap_err();
        let label = &graph.step(step).label;
        let expected =
            format!("`{label}` cannot run: `kernel` left nothing at `{missing}` in its output directory");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn impossible_placements_are_told_apart() {
    #[track_caller]
    fn check(path: &str, input: impl Fn(&TestWorld) -> Input, expected: &str) {
        let world = TestWorld::default();
        let mut graph = Graph::default();
        let only = graph.add_step(step(
            "only",
            &["list"],
            vec![Placement { path: path.to_owned(), input: input(&world) }],
        ));
        world.build(&graph, &[only]);
        assert_eq!(world.told(), [format!("unready only: {expected}"), "Failed".to_owned()]);
    }
    for path in ["/etc", "etc/", "a//b", "a/../b", "."] {
        check(path, |world| world.file(""), &format!("`{path}` is no path to place an input at"));
    }
    check("", |world| world.file("x"), "only a directory can be placed at the root of a tree");
}

#[test]
fn result_whose_output_was_evicted_is_made_again() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let first = graph.add_step(step("first", &["const", "1"], vec![]));
    let second = graph.add_step(step("second", &["list"], vec![at("in", output(first, ""))]));
    let outcome = world.build(&graph, &[second]);
    assert!(world.store.evict(&outcome.result(first).unwrap().output));
    world.build(&graph, &[second]);
    assert_eq!(world.told(), ["ran first", "hit second", "Done"]);
    assert!(
        world.store.evict(&outcome.result(second).unwrap().log)
            || outcome.result(second).unwrap().log.size() == 0
    );
}

#[test]
fn result_that_lost_a_directory_inside_is_made_again() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let inputs = vec![at("deep/er", world.file("x"))];
    let first = graph.add_step(step("first", &["copy"], inputs));
    let merge = graph.add_merge(vec![at("", output(first, ""))]);
    let second = graph.add_step(step(
        "second",
        &["list"],
        vec![at("", Input::Merged(merge)), at("in", output(first, "deep"))],
    ));
    let outcome = world.build(&graph, &[second]);
    let root = outcome.result(first).unwrap().output;
    let root = Directory::decode(&world.store.read(&root).unwrap()).unwrap();
    let Node::Directory { digest } = root.entries["deep"] else { panic!("`deep` is a directory") };

    // As after a garbage collection that was killed: the root is still there.
    world.store.evict(&digest);
    world.cache.forget(&action(&outcome, second));
    let again = world.build_with(&graph, &[second], &Strict(&world)).unwrap();
    assert_eq!(again.end, End::Done);
    assert!(world.told().contains(&"lost first".to_owned()), "{:?}", world.told());
    assert_eq!(world.read(&again, second), "list build/out/\ndeep/er x\nin/er x\n\n");
}

/// Refuses to run when the content of an input file is not in the store.
struct Strict<'a>(&'a TestWorld);

impl Executor for Strict<'_> {
    fn execute(
        &self,
        request: &Request<'_>,
        cancel: &std::sync::atomic::AtomicBool,
    ) -> Result<Execution, ExecutorError> {
        check_files(&self.0.store, &request.input_root)?;
        self.0.executor().execute(request, cancel)
    }
}

fn check_files(store: &dyn Store, root: &Digest) -> Result<(), ExecutorError> {
    if root.size() == 0 {
        return Ok(());
    }
    for node in Directory::decode(&store.read(root)?).expect("a directory").entries.values() {
        match node {
            Node::File { digest, .. } => drop(store.read(digest)?),
            Node::Directory { digest } => check_files(store, digest)?,
            Node::Symlink { .. } => {}
        }
    }
    Ok(())
}

#[test]
fn input_file_that_went_missing_is_made_again_through_a_merge() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let first = graph.add_step(step("first", &["const", "precious"], vec![]));
    let merge = graph.add_merge(vec![at("usr", output(first, ""))]);
    let second = graph.add_step(step("second", &["list"], vec![at("", Input::Merged(merge))]));
    let outcome = world.build(&graph, &[second]);
    world.store.evict(&Digest::of(b"precious"));
    world.cache.forget(&action(&outcome, second));
    let again = world.build_with(&graph, &[second], &Strict(&world)).unwrap();
    assert_eq!(again.end, End::Done);
    assert!(world.store.contains(&Digest::of(b"precious")).unwrap());
}

#[test]
fn source_that_is_missing_is_an_error() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let gone = Digest::of(b"never written");
    let inputs = vec![at("src", Input::Tree(gone)), at("src/x", world.file("x"))];
    let only = graph.add_step(step("only", &["list"], inputs));
    let error = world.build_with(&graph, &[only], &world.executor()).unwrap_err();
    assert_eq!(error.to_string(), "could not put together the inputs of `only`");
}

#[test]
#[should_panic(expected = "scoped thread panicked")]
fn panic_of_the_executor_does_not_hang_the_build() {
    let world = TestWorld { options: Options { jobs: 2, ..Options::default() }, ..TestWorld::default() };
    let mut graph = Graph::default();
    let steps: Vec<_> =
        (0..4).map(|idx| graph.add_step(step(&idx.to_string(), &["x", &idx.to_string()], vec![]))).collect();
    let executor = ScriptedExecutor::new(&world.store, |request| -> Result<Produced, ExecutorError> {
        panic!("`{}` panics", request.label)
    });
    let _ = world.build_with(&graph, &steps, &executor);
}

#[test]
fn random_faults_never_hang_and_a_later_build_is_whole() {
    use proptest::prelude::*;
    let strategy = (
        prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0..12u8), 1..25),
        1..4usize,
        any::<bool>(),
    );
    let mut runner = proptest::test_runner::TestRunner::default();
    let check = |(shape, jobs, keep_going): (Vec<(Vec<prop::sample::Index>, u8)>, usize, bool)| {
        let world = TestWorld {
            options: Options { jobs, keep_going, retries: 1, ..Options::default() },
            ..TestWorld::default()
        };
        let mut graph = Graph::default();
        let mut steps = Vec::new();
        for (idx, (reads, _)) in shape.iter().enumerate() {
            let mut inputs: Vec<Placement> = vec![at("build/idx", world.file(&idx.to_string()))];
            if !steps.is_empty() {
                inputs.extend(
                    reads
                        .iter()
                        .enumerate()
                        .map(|(n, read)| at(&format!("in/{n}"), output(*read.get(&steps), ""))),
                );
            }
            steps.push(graph.add_step(step(&idx.to_string(), &["list"], inputs)));
        }
        // 0 fails, 1 breaks the machine, 2 cancels, the rest works.
        let executor = ScriptedExecutor::new(&world.store, |request| {
            match shape[request.label.parse::<usize>().unwrap()].1 {
                0 => Ok(Produced::default().exit_code(1)),
                1 => Err(machine_error("do it")),
                2 => {
                    world.cancel.store(true, Ordering::Relaxed);
                    Err(ExecutorError::Cancelled)
                }
                _ => obey(&world.store, request),
            }
        });
        if let Ok(outcome) = world.build_with(&graph, &steps, &executor) {
            prop_assert_eq!(outcome.steps().count(), steps.len());
            let counts = outcome.counts();
            let all_done = counts.ran + counts.hits == steps.len();
            prop_assert_eq!(outcome.end == End::Done, all_done);
        }
        world.cancel.store(false, Ordering::Relaxed);
        let outcome = world.build(&graph, &steps);
        prop_assert_eq!(outcome.end, End::Done);
        let outcome = world.build_with(&graph, &steps, &ScriptedExecutor::refusing(&world.store)).unwrap();
        prop_assert_eq!(outcome.counts().hits, steps.len());
        Ok(())
    };
    runner.run(&strategy, check).unwrap();
}
