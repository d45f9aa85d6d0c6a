//! Large graphs are as ordinary as small ones.

use engine::{Event, Graph, Input, Options, StepId};
use testkit::ScriptedExecutor;

use crate::world::{TestWorld, at, output, step};

/// Layers of steps, each reading two of the layer before.
fn layered(world: &TestWorld, n_layers: usize, width: usize) -> (Graph, Vec<StepId>) {
    let mut graph = Graph::default();
    let environment = world.tree(&[("bin/sh*", "sh"), ("usr/lib/libc.so", "libc"), ("etc/passwd", "root")]);
    let mut above: Vec<StepId> = Vec::new();
    for layer in 0..n_layers {
        let mut this = Vec::new();
        for idx in 0..width {
            let mut inputs = vec![at("", environment.clone())];
            if !above.is_empty() {
                inputs.push(at("build/in/a", output(above[idx], "")));
                inputs.push(at("build/in/b", output(above[(idx * 7 + 1) % width], "")));
            }
            let name = format!("{layer}/{idx}");
            this.push(graph.add_step(step(&name, &["const", &name], inputs)));
        }
        above = this;
    }
    (graph, above)
}

#[test]
fn hundred_thousand_actions() {
    let world = TestWorld { options: Options { jobs: 2, ..Options::default() }, ..TestWorld::default() };
    let (graph, last) = layered(&world, 100, 1000);
    let outcome = world.build(&graph, &last);
    assert_eq!(outcome.counts().ran, 100_000);
    let again = world.build_with(&graph, &last, &ScriptedExecutor::refusing(&world.store)).unwrap();
    assert_eq!(again.counts().hits, 100_000);
    let lines: String = world.events().iter().take(1000).map(Event::to_line).collect();
    assert_eq!(engine::parse_event_log(&lines).unwrap().len(), 1000);
}

#[test]
fn chain_as_long_as_you_like() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let mut last = graph.add_step(step("0", &["const", "0"], vec![]));
    for idx in 1..20_000 {
        let merge = graph.add_merge(vec![at("", output(last, ""))]);
        last = graph.add_step(step(
            &idx.to_string(),
            &["const", &idx.to_string()],
            vec![at("", Input::Merged(merge))],
        ));
    }
    let outcome = world.build(&graph, &[last]);
    assert_eq!(outcome.counts().ran, 20_000);
}
