//! Whole builds: the engine with everything of this crate.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cas::{Digest, Keep, LocalStore, Store as _};
use engine::{Graph, History, Input, Placement, Requirements, Step, StepOutcome, run};
use local::LocalActionCache;

use crate::harness::{Test, World};

pub(crate) const TESTS: &[Test] = &[
    ("a_build_runs_once_and_outlives_a_collection", runs_once),
    ("two_builds_at_once_both_succeed", two_at_once),
];

fn shell(label: &str, script: &str, inputs: Vec<Placement>) -> Step {
    Step {
        label: label.to_owned(),
        arguments: ["sh", "-ec", script].map(str::to_owned).to_vec(),
        environment: Arc::default(),
        inputs,
        requirements: Requirements::default(),
    }
}

/// Builds two steps on top of each other and returns the result, and what ran.
fn build(world: &World, store: &LocalStore, seed: &str) -> (String, usize, Vec<Digest>) {
    let executor = world.executor(2);
    let cache = LocalActionCache::new(store);
    let environment = || Placement { path: String::new(), input: Input::Tree(world.environment) };
    let mut graph = Graph::default();
    let first =
        graph.add_step(shell("first", &format!("echo {seed} > out/first; echo said"), vec![environment()]));
    let input = Input::Output { step: first, path: "first".to_owned() };
    let placed = Placement { path: "build/in/first".to_owned(), input };
    let second =
        graph.add_step(shell("second", "cat in/first in/first > out/second", vec![environment(), placed]));
    let world = engine::World {
        store,
        cache: &cache,
        executor: &executor,
        history: &History::default(),
        clock: &|| Duration::ZERO,
    };
    let outcome =
        run(&graph, &[second], &world, &engine::Options::default(), &AtomicBool::new(false), &mut |_| {});
    let outcome = outcome.unwrap_or_else(|error| panic!("{error:?}"));
    let mut n_ran = 0;
    let mut actions = Vec::new();
    let mut text = String::new();
    for step in [first, second] {
        let (action, result) = match outcome.step(step) {
            Some(StepOutcome::Hit { action, result }) => (action, result),
            Some(StepOutcome::Ran { action, result }) => {
                n_ran += 1;
                (action, result)
            }
            other => panic!("{other:?}"),
        };
        actions.push(*action);
        if let Some(content) = testkit::read_path(store, &result.output, "second") {
            text = content;
        }
    }
    (text, n_ran, actions)
}

fn runs_once() {
    let mut world = World::new();
    let seed = format!("once-{}", rustix::process::geteuid().as_raw());
    let expected = format!("{seed}\n{seed}\n");
    let (text, n_ran, actions) = build(&world, &world.store, &seed);
    assert_eq!((text.as_str(), n_ran), (expected.as_str(), 2));
    let references: Vec<_> = actions.iter().map(LocalActionCache::reference).collect();
    world.store.set_root("this project", &references).unwrap();
    // As by another process, later.
    world.reopen();
    world.store.gc(Keep::Bytes(0), std::time::UNIX_EPOCH).unwrap();
    let (text, n_ran, _) = build(&world, &world.store, &seed);
    assert_eq!((text.as_str(), n_ran), (expected.as_str(), 0));
    world.store.remove_root("this project").unwrap();
}

fn two_at_once() {
    let world = World::new();
    let seed = format!("two-{}", rustix::process::geteuid().as_raw());
    std::thread::scope(|scope| {
        let builds: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let store = LocalStore::open(world.store.root()).unwrap();
                    build(&world, &store, &seed).0
                })
            })
            .collect();
        for build in builds {
            assert_eq!(build.join().unwrap(), format!("{seed}\n{seed}\n"));
        }
    });
    assert!(!world.store.contains(&Digest::of(b"never written")).unwrap());
}
