//! How long a build takes in which nothing, or everything, has to run: 10,000 actions, in memory.
//!
//! `cargo bench -p engine` prints the median of some runs of each.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time and prints it"
)]

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cas::{MemoryStore, Store};
use engine::{Graph, History, Input, Options, Placement, Requirements, Step, StepId, World};
use testkit::{MemoryActionCache, Produced, ScriptedExecutor, make_tree};

const N_LAYERS: usize = 20;
const WIDTH: usize = 500;
const N_RUNS: usize = 11;

fn main() {
    let cold = measure(|| (MemoryStore::default(), MemoryActionCache::default()));
    println!("{} actions, all to run:    {cold:?}", N_LAYERS * WIDTH);

    let store = MemoryStore::default();
    let cache = MemoryActionCache::default();
    let (graph, wanted) = graph(&store);
    build(&graph, &wanted, &store, &cache);
    let mut times = Vec::new();
    for _ in 0..N_RUNS {
        let start = Instant::now();
        build(&graph, &wanted, &store, &cache);
        times.push(start.elapsed());
    }
    times.sort();
    println!("{} actions, nothing to run: {:?}", N_LAYERS * WIDTH, times[times.len() / 2]);
}

fn measure(world: impl Fn() -> (MemoryStore, MemoryActionCache)) -> Duration {
    let (store, cache) = world();
    let (graph, wanted) = graph(&store);
    let start = Instant::now();
    build(&graph, &wanted, &store, &cache);
    start.elapsed()
}

fn build(graph: &Graph, wanted: &[StepId], store: &MemoryStore, cache: &MemoryActionCache) {
    let executor =
        ScriptedExecutor::new(store, |request| Ok(Produced::default().file("object", request.label)));
    let start = Instant::now();
    let clock = || start.elapsed();
    let world = World { store, cache, executor: &executor, history: &History::default(), clock: &clock };
    let options = Options { jobs: 2, ..Options::default() };
    let mut n_events = 0;
    let cancel = AtomicBool::new(false);
    engine::run(graph, wanted, &world, &options, &cancel, &mut |_| n_events += 1)
        .expect("memory does not fail");
    assert!(n_events >= N_LAYERS * WIDTH);
}

/// Layers of steps as in a large C project: an environment, a source file, two objects of the layer before.
fn graph(store: &dyn Store) -> (Graph, Vec<StepId>) {
    let directories =
        ["bin", "boot", "etc", "home", "lib", "lib64", "media", "opt", "root", "sbin", "srv", "usr", "var"];
    let entries: Vec<String> = directories.iter().map(|name| format!("{name}/file")).collect();
    let entries: Vec<(&str, &str)> = entries.iter().map(|path| (path.as_str(), "content")).collect();
    let environment = make_tree(store, &entries);
    let mut graph = Graph::default();
    let mut above: Vec<StepId> = Vec::new();
    for layer in 0..N_LAYERS {
        let mut this = Vec::new();
        for idx in 0..WIDTH {
            let label = format!("object-{layer}-{idx}");
            let digest = store.write(label.as_bytes()).expect("memory does not fail");
            let place = |path: &str, input| Placement { path: path.to_owned(), input };
            let mut inputs = vec![
                place("", Input::Tree(environment)),
                place("build/src/main.c", Input::File { digest, executable: false }),
            ];
            if !above.is_empty() {
                let object = |step| Input::Output { step, path: "object".to_owned() };
                inputs.push(place("build/in/a.o", object(above[idx])));
                inputs.push(place("build/in/b.o", object(above[(idx * 7 + 1) % WIDTH])));
            }
            let arguments = ["cc", "-O2", "-o", "out/object", "src/main.c", "in/a.o", "in/b.o"];
            this.push(graph.add_step(Step {
                label,
                arguments: arguments.map(str::to_owned).to_vec(),
                environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
                inputs,
                requirements: Requirements::default(),
            }));
        }
        above = this;
    }
    (graph, above)
}
