//! Shortcuts: what a cache that has them is asked, and that they lead where the long way does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cas::{Digest, MemoryStore, Store};
use engine::{
    ActionCache, ActionResult, CacheError, Fate, Graph, History, Input, Known, Options, Outcome, Step,
    StepId, World,
};
use testkit::{MemoryActionCache, ScriptedExecutor, make_tree};

use crate::world::{action, at, obey, output, step, word};

/// A cache that has shortcuts, and counts how often it is asked by action.
#[derive(Default)]
struct Shortcuts {
    results: MemoryActionCache,
    shortcuts: Mutex<BTreeMap<Digest, (Digest, ActionResult)>>,
    n_gets: AtomicUsize,
}

impl ActionCache for Shortcuts {
    fn get(&self, action: &Digest) -> Result<Option<ActionResult>, CacheError> {
        self.n_gets.fetch_add(1, Ordering::Relaxed);
        self.results.get(action)
    }

    fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), CacheError> {
        self.results.put(action, result)
    }

    fn recall(&self, shortcut: &Digest) -> Option<(Digest, ActionResult)> {
        self.shortcuts.lock().unwrap().get(shortcut).cloned()
    }

    fn learn(&self, shortcut: &Digest, action: &Digest, result: &ActionResult) {
        self.shortcuts.lock().unwrap().insert(*shortcut, (*action, result.clone()));
    }
}

fn build(
    graph: &Graph,
    wanted: &[StepId],
    (store, cache): (&MemoryStore, &dyn ActionCache),
    options: &Options,
) -> Outcome {
    let executor = ScriptedExecutor::new(store, |request| obey(store, request));
    let clock = || Duration::ZERO;
    let world = World { store, cache, executor: &executor, history: &History::default(), clock: &clock };
    engine::run(graph, wanted, &world, options, &AtomicBool::new(false), &mut |_| ()).unwrap()
}

/// A step over a merged tree, and one that reads what it left.
fn graph(store: &MemoryStore) -> (Graph, [StepId; 2]) {
    let mut graph = Graph::default();
    let below = Input::Tree(make_tree(store, &[("bin/sh*", "sh"), ("etc/passwd", "root")]));
    let above = Input::Tree(make_tree(store, &[("etc/.wh.passwd", ""), ("etc/group", "root")]));
    let merged = graph.add_merge(vec![at("", below), at("", above)]);
    let first = graph.add_step(step("first", &["list"], vec![at("", Input::Merged(merged))]));
    let second = graph.add_step(step("second", &["list"], vec![at("build/in", output(first, "list"))]));
    (graph, [first, second])
}

#[test]
fn what_was_learnt_is_found_without_a_look_at_the_store() {
    let (store, cache) = (MemoryStore::default(), Shortcuts::default());
    let (graph, [first, second]) = graph(&store);
    let ran = build(&graph, &[second], (&store, &cache), &Options::default());
    let n_gets = cache.n_gets.load(Ordering::Relaxed);
    assert_eq!((word(&ran, first), word(&ran, second)), ("ran", "ran"));

    let empty = MemoryStore::default();
    let again = build(&graph, &[second], (&empty, &cache), &Options::default());
    assert_eq!((word(&again, first), word(&again, second)), ("hit", "hit"));
    assert_eq!(action(&again, second), action(&ran, second));
    assert_eq!(cache.n_gets.load(Ordering::Relaxed), n_gets);
    let known = Known { store: &empty, cache: &cache, history: &History::default() };
    let plan = engine::plan(&graph, &[second], &known, &Options::default()).unwrap();
    assert!(plan.steps.iter().all(|planned| planned.fate == Fate::Remembered), "{plan:?}");
    assert_eq!(plan.steps[1].action, Some(action(&ran, second)));
}

#[test]
fn what_is_found_the_long_way_is_learnt() {
    let (store, cache) = (MemoryStore::default(), Shortcuts::default());
    let (graph, [_, second]) = graph(&store);
    build(&graph, &[second], (&store, &cache), &Options::default());
    cache.shortcuts.lock().unwrap().clear();
    build(&graph, &[second], (&store, &cache), &Options::default());
    // Two steps and the merged tree.
    assert_eq!(cache.shortcuts.lock().unwrap().len(), 3);
}

#[test]
fn a_forced_step_takes_no_shortcut() {
    let (store, cache) = (MemoryStore::default(), Shortcuts::default());
    let (graph, [first, second]) = graph(&store);
    build(&graph, &[second], (&store, &cache), &Options::default());
    let options = Options { force: BTreeSet::from([first]), ..Options::default() };
    let again = build(&graph, &[second], (&store, &cache), &options);
    assert_eq!((word(&again, first), word(&again, second)), ("ran", "hit"));
}

/// Everything that two steps can differ in.
fn variants(store: &MemoryStore) -> Vec<(Step, bool)> {
    let file = |content: &str, executable| {
        let digest = store.write(content.as_bytes()).unwrap();
        Input::File { digest, executable }
    };
    let tree = |entries: &[(&str, &str)]| Input::Tree(make_tree(store, entries));
    let plain = || step("step", &["const", "ab"], vec![at("a", file("x", false))]);
    let mut variants = vec![plain()];
    for arguments in [&["const", "a"][..], &["const", "abc"]] {
        variants.push(step("step", arguments, vec![at("a", file("x", false))]));
    }
    for inputs in [
        vec![],
        vec![at("a", file("x", true))],
        vec![at("a", file("y", false))],
        vec![at("b", file("x", false))],
        vec![at("a/b", file("x", false))],
        vec![at("a", file("x", false)), at("b", file("x", false))],
        vec![at("a", tree(&[("x", "x")]))],
        vec![at("", tree(&[("x", "x")]))],
        vec![at("", tree(&[("x", "y")]))],
    ] {
        variants.push(step("step", &["const", "ab"], inputs));
    }
    for pair in [("NAME", "value"), ("NAMEv", "alue"), ("NAME", "")] {
        let mut variant = plain();
        Arc::make_mut(&mut variant.environment).insert(pair.0.to_owned(), pair.1.to_owned());
        variants.push(variant);
    }
    for (root, kvm) in [(true, false), (false, true), (true, true)] {
        let mut variant = plain();
        (variant.requirements.root, variant.requirements.kvm) = (root, kvm);
        variants.push(variant);
    }
    let mut variants: Vec<(Step, bool)> = variants.into_iter().map(|step| (step, true)).collect();
    // What is no part of an action is no part of a shortcut.
    let mut same = plain();
    same.label = "another".to_owned();
    same.requirements.timeout = Some(Duration::from_secs(1));
    variants.push((same, false));
    variants
}

#[test]
fn shortcuts_differ_exactly_where_actions_do() {
    let (store, cache) = (MemoryStore::default(), Shortcuts::default());
    let mut actions = BTreeSet::new();
    for (variant, is_new) in variants(&store) {
        let mut graph = Graph::default();
        let id = graph.add_step(variant);
        let outcome = build(&graph, &[id], (&store, &cache), &Options::default());
        assert_eq!(word(&outcome, id), if is_new { "ran" } else { "hit" }, "{:?}", graph.step(id));
        let expected = build(&graph, &[id], (&store, &MemoryActionCache::default()), &Options::default());
        assert_eq!(action(&outcome, id), action(&expected, id));
        actions.insert(action(&outcome, id));
    }
    assert_eq!(cache.shortcuts.lock().unwrap().len(), actions.len());
}
