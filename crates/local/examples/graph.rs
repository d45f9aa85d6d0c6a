//! A graph of many small actions without sandboxes, for `cargo xtask bench graph`.
//!
//! ```text
//! graph make DIR N   writes sources, runs N actions that depend on them, remembers the results, exports some
//! graph idle DIR N   the same once more: everything is remembered, and the process says "nothing to do"
//! graph run N        N actions that run, with stores in memory: what the scheduler costs
//! ```
//!
//! What `idle` does is what a build with nothing to do does, and with the same parts: the store is opened, the
//! sources are compared with what is known of them, the key of every action is computed and its result looked
//! up, and what was exported is compared with the results.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on should panic")]
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cas::{Directory, Ignore, LocalStore, MemoryStore, Node, StatCache, Store, Watcher};
use engine::{
    ActionCache, Counts, Executor, Graph, History, Input, Options, Outcome, Placement, Requirements, Step,
    StepId, World,
};
use local::LocalActionCache;
use testkit::{MemoryActionCache, Produced, ScriptedExecutor, make_tree};

const N_LAYERS: usize = 20;
const BUNDLE: &str = "graph";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["make", directory, n_steps] => on_disk(Path::new(directory), n_steps.parse().unwrap(), true),
        ["idle", directory, n_steps] => on_disk(Path::new(directory), n_steps.parse().unwrap(), false),
        ["run", n_steps] => in_memory(n_steps.parse().unwrap()),
        _ => panic!("usage: graph make|idle DIR N, graph run N"),
    }
}

/// Builds on the disk; `may_run` says whether anything may have to.
fn on_disk(directory: &Path, n_steps: usize, may_run: bool) {
    let sources = directory.join("sources");
    if may_run {
        fs::create_dir_all(&sources).unwrap();
        for idx in 0..n_steps.div_ceil(N_LAYERS) {
            fs::write(sources.join(format!("source-{idx}")), format!("{idx}\n")).unwrap();
        }
        // What was written a moment ago is not believed by its times.
        std::thread::sleep(std::time::Duration::from_secs(4));
    }
    let store = LocalStore::open(&directory.join("store")).unwrap();
    store.open_bundle(BUNDLE).unwrap();
    let mut stats = StatCache::at(&directory.join("stats"));
    let imported = store.import_source(&sources, &Ignore::default(), &mut stats, &Watcher::nobody()).unwrap();
    stats.save().unwrap();
    let sources = Directory::decode(&store.noted().read(&imported.digest).unwrap()).unwrap();
    let (graph, last) = graph(&store.noted(), &sources, n_steps);
    let cache = LocalActionCache::new(&store);
    let executor = script(&store, may_run);
    let outcome = build(&graph, &last, &store, &cache, &executor);

    let mut exported = Directory::default();
    for step in &last {
        let output =
            Directory::decode(&store.noted().read(&outcome.result(*step).unwrap().output).unwrap()).unwrap();
        exported.entries.insert(graph.step(*step).label.clone(), output.entries["object"].clone());
    }
    let exported = Node::Directory { digest: store.noted().write(&exported.encode()).unwrap() };
    let mut stats = StatCache::at(&directory.join("exported"));
    if store.update_export(&exported, &directory.join("out"), &mut stats).unwrap() {
        std::thread::sleep(std::time::Duration::from_secs(4));
        store.update_export(&exported, &directory.join("out"), &mut stats).unwrap();
    }
    stats.save().unwrap();
    let actions = outcome.steps().filter_map(|(_, outcome)| match outcome {
        engine::StepOutcome::Hit { action, .. } | engine::StepOutcome::Ran { action, .. } => Some(*action),
        _ => None,
    });
    cache.save_bundle(BUNDLE, actions).unwrap();
    let Counts { hits, ran, .. } = outcome.counts();
    let verdict = if ran == 0 { "nothing to do" } else { "done" };
    println!("{verdict}: {hits} remembered, {ran} ran, {} bytes of strings", n_string_bytes(&graph));
    // As the command line does: the process ends, and gives back its memory faster than piece by piece.
    std::mem::forget((graph, outcome));
}

/// What the strings of a graph take, with their places in what holds them, and as the allocator of glibc gives it out:
/// eight bytes of its own each, in steps of 16, never less than 32.
fn n_string_bytes(graph: &Graph) -> usize {
    let allocated =
        |n_bytes: usize| if n_bytes == 0 { 0 } else { (n_bytes + 8).next_multiple_of(16).max(32) };
    let of = |text: &String| size_of::<String>() + allocated(text.capacity());
    let of_placement = |placement: &Placement| match &placement.input {
        Input::Output { path, .. } => of(&placement.path) + of(path),
        _ => of(&placement.path),
    };
    let of_step = |step: &Step| {
        let arguments: usize = step.arguments.iter().map(of).sum();
        of(&step.label) + arguments + step.inputs.iter().map(of_placement).sum::<usize>()
    };
    graph.steps().map(|(_, step)| of_step(step)).sum()
}

fn in_memory(n_steps: usize) {
    let (store, cache) = (MemoryStore::default(), MemoryActionCache::default());
    let width = n_steps.div_ceil(N_LAYERS);
    let mut sources = Directory::default();
    for idx in 0..width {
        let digest = store.write(format!("{idx}\n").as_bytes()).unwrap();
        sources.entries.insert(format!("source-{idx}"), Node::File { digest, executable: false });
    }
    let (graph, last) = graph(&store, &sources, n_steps);
    let executor = script(&store, true);
    let start = Instant::now();
    let outcome = build(&graph, &last, &store, &cache, &executor);
    println!("{:.3} ms", start.elapsed().as_secs_f64() * 1e3);
    assert_eq!(outcome.counts().ran, n_steps);
}

fn script(store: &dyn Store, may_run: bool) -> ScriptedExecutor<'_> {
    match may_run {
        true => ScriptedExecutor::new(store, |request| Ok(Produced::default().file("object", request.label))),
        false => ScriptedExecutor::refusing(store),
    }
}

fn build(
    graph: &Graph,
    wanted: &[StepId],
    store: &dyn Store,
    cache: &dyn ActionCache,
    executor: &dyn Executor,
) -> Outcome {
    let start = Instant::now();
    let clock = || start.elapsed();
    let world = World { store, cache, executor, history: &History::default(), clock: &clock };
    let options = Options { jobs: 2, ..Options::default() };
    engine::run(graph, wanted, &world, &options, &AtomicBool::new(false), &mut |_| ()).unwrap()
}

/// Layers of steps as in a large C project: each reads an environment, and a source or two objects of the layer
/// above. Returns the last layer.
fn graph(store: &dyn Store, sources: &Directory, n_steps: usize) -> (Graph, Vec<StepId>) {
    let directories =
        ["bin", "boot", "etc", "home", "lib", "lib64", "media", "opt", "root", "sbin", "srv", "usr", "var"];
    let files: Vec<String> = directories.iter().map(|name| format!("{name}/file")).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|path| (path.as_str(), "content")).collect();
    let environment = make_tree(store, &files);
    let variables = Arc::new(BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]));
    let width = n_steps.div_ceil(N_LAYERS);
    let mut graph = Graph::default();
    let (mut above, mut this): (Vec<StepId>, Vec<StepId>) = (Vec::new(), Vec::new());
    for step in 0..n_steps {
        let (layer, idx) = (step / width, step % width);
        if idx == 0 {
            above = std::mem::take(&mut this);
        }
        let place = |path: &str, input| Placement { path: path.to_owned(), input };
        let mut inputs = vec![place("", Input::Tree(environment))];
        let mut arguments = vec!["cc", "-O2", "-o", "out/object"];
        if layer == 0 {
            inputs.push(place("build/src/main.c", source(sources, idx)));
            arguments.push("src/main.c");
        } else {
            let object = |step| Input::Output { step, path: "object".to_owned() };
            inputs.push(place("build/in/a.o", object(above[idx])));
            inputs.push(place("build/in/b.o", object(above[(idx * 7 + 1) % width])));
            arguments.extend(["in/a.o", "in/b.o"]);
        }
        this.push(graph.add_step(Step {
            label: format!("object-{layer}-{idx}"),
            arguments: arguments.into_iter().map(str::to_owned).collect(),
            environment: variables.clone(),
            inputs,
            requirements: Requirements::default(),
        }));
    }
    (graph, this)
}

fn source(sources: &Directory, idx: usize) -> Input {
    match &sources.entries[&format!("source-{idx}")] {
        Node::File { digest, executable } => Input::File { digest: *digest, executable: *executable },
        node => panic!("{node:?} is no source"),
    }
}
