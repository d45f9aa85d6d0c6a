//! What runs, what does not, and in which order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{End, Event, EventKind, Graph, History, Input, Options, Usage};
use testkit::{Produced, ScriptedExecutor};

use crate::world::{TestWorld, action, at, obey, output, step, word};

#[test]
fn second_build_runs_nothing_and_writes_nothing() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let first = graph.add_step(step("first", &["const", "1"], vec![]));
    let second = graph.add_step(step("second", &["list"], vec![at("build/in", output(first, ""))]));
    let outcome = world.build(&graph, &[second]);
    assert_eq!(world.told(), ["ran first", "ran second", "Done"]);
    assert_eq!(world.read(&outcome, second), "list build/in/const 1\nbuild/out/\n\n");

    let n_writes = world.store.n_writes();
    let again = world.build_with(&graph, &[second], &ScriptedExecutor::refusing(&world.store)).unwrap();
    assert_eq!(world.told(), ["hit first", "hit second", "Done"]);
    assert_eq!(world.store.n_writes(), n_writes);
    assert_eq!(again.end, End::Done);
    assert_eq!(again.counts().hits, 2);
}

#[test]
fn only_what_is_needed_runs() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let needed = graph.add_step(step("needed", &["const", "1"], vec![]));
    let unneeded = graph.add_step(step("unneeded", &["const", "2"], vec![]));
    let parts = vec![at("", output(needed, ""))];
    let merge = graph.add_merge(parts);
    let wanted = graph.add_step(step("wanted", &["list"], vec![at("", Input::Merged(merge))]));
    let outcome = world.build(&graph, &[wanted]);
    assert_eq!(world.told(), ["ran needed", "ran wanted", "Done"]);
    assert_eq!(word(&outcome, unneeded), "unneeded");
}

#[test]
fn dependents_of_a_step_rebuilt_to_the_same_bytes_do_not_run() {
    let world = TestWorld::default();
    let graph = |source: &str| {
        let mut graph = Graph::default();
        let compile =
            graph.add_step(step("compile", &["const", "object"], vec![at("build/src", world.file(source))]));
        let link = graph.add_step(step("link", &["list"], vec![at("build/in", output(compile, ""))]));
        (graph, link)
    };
    let (before, link) = graph("int x;");
    world.build(&before, &[link]);
    let (after, link) = graph("int x; /* a comment */");
    world.build(&after, &[link]);
    assert_eq!(world.told(), ["ran compile", "hit link", "Done"]);
}

#[test]
fn key_holds_all_that_can_change_the_outputs() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let plain = || step("step", &["const", "1"], vec![at("build/in/x", world.file("x"))]);
    let mut variants = vec![plain()];
    let mut argument = plain();
    argument.arguments[1] = "2".to_owned();
    variants.push(argument);
    let mut environment = plain();
    Arc::make_mut(&mut environment.environment).insert("LANG".to_owned(), "C".to_owned());
    variants.push(environment);
    let mut root = plain();
    root.requirements.root = true;
    variants.push(root);
    let mut kvm = plain();
    kvm.requirements.kvm = true;
    variants.push(kvm);
    variants.push(step("step", &["const", "1"], vec![at("build/in/x", world.file("y"))]));
    variants.push(step("step", &["const", "1"], vec![at("build/in/y", world.file("x"))]));

    let mut same = plain();
    same.label = "other".to_owned();
    same.requirements.timeout = Some(Duration::from_secs(1));

    let steps: Vec<_> = variants.into_iter().map(|step| graph.add_step(step)).collect();
    let same = graph.add_step(same);
    let wanted: Vec<_> = steps.iter().copied().chain([same]).collect();
    let outcome = world.build(&graph, &wanted);
    let mut actions: Vec<_> = steps.iter().map(|step| action(&outcome, *step)).collect();
    assert_eq!(action(&outcome, same), actions[0], "neither label nor timeout are part of the key");
    actions.sort();
    actions.dedup();
    assert_eq!(actions.len(), steps.len());
}

#[test]
fn same_action_of_two_steps_runs_once() {
    let world = TestWorld { options: Options { jobs: 4, ..Options::default() }, ..TestWorld::default() };
    let mut graph = Graph::default();
    let steps: Vec<_> =
        (0..5).map(|idx| graph.add_step(step(&format!("s{idx}"), &["const", "1"], vec![]))).collect();
    let outcome = world.build(&graph, &steps);
    let counts = outcome.counts();
    assert_eq!((counts.ran, counts.hits), (1, 4));
}

#[test]
fn two_merges_share_what_they_are_made_of() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let package = graph.add_step(step("package", &["const", "1"], vec![]));
    let base =
        graph.add_merge(vec![at("", world.tree(&[("etc/os", "debian")])), at("usr", output(package, ""))]);
    let extended =
        graph.add_merge(vec![at("", Input::Merged(base)), at("etc/hosts", world.file("localhost"))]);
    let in_base = graph.add_step(step("in-base", &["list"], vec![at("", Input::Merged(base))]));
    let in_extended = graph.add_step(step("in-extended", &["list"], vec![at("", Input::Merged(extended))]));
    let outcome = world.build(&graph, &[in_base, in_extended]);
    assert_eq!(world.read(&outcome, in_base), "list build/out/\netc/os debian\nusr/const 1\n\n");
    assert_eq!(
        world.read(&outcome, in_extended),
        "list build/out/\netc/hosts localhost\netc/os debian\nusr/const 1\n\n"
    );
}

#[test]
fn forced_step_runs_and_is_remembered_anew() {
    let mut world = TestWorld::default();
    let mut graph = Graph::default();
    let first = graph.add_step(step("first", &["const", "1"], vec![]));
    let second = graph.add_step(step("second", &["list"], vec![at("build/in", output(first, ""))]));
    world.build(&graph, &[second]);
    world.options.force.insert(first);
    world.build(&graph, &[second]);
    assert_eq!(world.told(), ["ran first", "hit second", "Done"]);
}

#[test]
fn longest_way_to_the_end_goes_first() {
    let line = |label: &str, seconds: u64| {
        let usage = Usage { wall: Duration::from_secs(seconds), ..Usage::default() };
        let action = cas::Digest::of(b"");
        engine::Run { label: label.to_owned(), action, exit_code: 0, log: action, usage }.to_line()
    };
    let lines = [line("short", 1), line("long", 50), line("first-of-chain", 1), line("last-of-chain", 90)];
    let world = TestWorld { history: History::new(lines.concat()), ..TestWorld::default() };
    let mut graph = Graph::default();
    let short = graph.add_step(step("short", &["const", "1"], vec![]));
    let long = graph.add_step(step("long", &["const", "2"], vec![]));
    let chain = graph.add_step(step("first-of-chain", &["const", "3"], vec![]));
    let last = graph.add_step(step("last-of-chain", &["list"], vec![at("in", output(chain, ""))]));
    let executor = world.executor();
    world.build_with(&graph, &[short, long, last], &executor).unwrap();
    assert_eq!(executor.take_ran(), ["first-of-chain", "last-of-chain", "long", "short"]);

    let estimates: Vec<u64> = world.events().iter().filter_map(left_seconds).collect();
    assert_eq!(estimates.first(), Some(&91), "all of it, on one processor when no CPU time is known");
    assert!(estimates.is_sorted_by(|earlier, later| earlier >= later), "{estimates:?}");
}

#[test]
fn what_others_wait_for_goes_first_when_nothing_is_known() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let alone = graph.add_step(step("alone", &["const", "1"], vec![]));
    let first = graph.add_step(step("first", &["const", "2"], vec![]));
    let last = graph.add_step(step("last", &["list"], vec![at("in", output(first, ""))]));
    let executor = world.executor();
    world.build_with(&graph, &[alone, last], &executor).unwrap();
    // What is left then takes as long either way.
    assert_eq!(executor.take_ran(), ["first", "alone", "last"]);
}

fn left_seconds(event: &Event) -> Option<u64> {
    let EventKind::Estimated { left, .. } = event.kind else { return None };
    Some(left.as_millis().div_ceil(1000) as u64)
}

#[test]
fn steps_run_side_by_side_as_far_as_memory_allows() {
    #[track_caller]
    fn check(memory: Option<u64>, expected: usize) {
        let line = |idx: u64| {
            let usage = Usage { peak_memory: 40, ..Usage::default() };
            let action = cas::Digest::of(b"");
            engine::Run { label: format!("step-{idx}"), action, exit_code: 0, log: action, usage }.to_line()
        };
        let history = History::new((0..12).map(line).collect());
        let options = Options { jobs: 4, memory, ..Options::default() };
        let world = TestWorld { history, options, ..TestWorld::default() };
        let mut graph = Graph::default();
        let steps: Vec<_> = (0..12)
            .map(|idx| graph.add_step(step(&format!("step-{idx}"), &["x", &idx.to_string()], vec![])))
            .collect();
        let running = Mutex::new((0, 0));
        let executor = ScriptedExecutor::new(&world.store, |_| {
            {
                let mut running = running.lock().unwrap();
                running.0 += 1;
                running.1 = running.1.max(running.0);
            }
            std::thread::sleep(Duration::from_millis(5));
            running.lock().unwrap().0 -= 1;
            Ok(Produced::default())
        });
        world.build_with(&graph, &steps, &executor).unwrap();
        let most = running.lock().unwrap().1;
        assert!(most <= expected, "{most} at once where {expected} fit");
        assert!(most > 1 || expected == 1, "nothing ran side by side");
    }
    check(None, 4);
    check(Some(100), 2);
    check(Some(10), 1);
}

#[test]
fn executor_is_told_what_was_placed_and_finds_it_in_the_store() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let inputs = vec![at("", world.tree(&[("bin/sh*", "sh")])), at("build/in/x", world.file("x"))];
    let mut only = step("only", &["list"], inputs);
    Arc::make_mut(&mut only.environment).insert("PATH".to_owned(), "/bin".to_owned());
    let only = graph.add_step(only);
    let executor = ScriptedExecutor::new(&world.store, |request| {
        let paths: Vec<&str> = request.placed.iter().map(|placed| placed.path.as_str()).collect();
        assert_eq!(paths, ["", "build/in/x"]);
        assert_eq!(request.command.environment, [("PATH".to_owned(), "/bin".to_owned())]);
        let stored = |digest: &cas::Digest| cas::Store::read(&world.store, digest).unwrap();
        let action = engine::Action::decode(&stored(&request.action)).unwrap();
        assert_eq!(action.input_root, request.input_root);
        assert_eq!(engine::Command::decode(&stored(&action.command)).unwrap(), *request.command);
        obey(&world.store, request)
    });
    let outcome = world.build_with(&graph, &[only], &executor).unwrap();
    assert_eq!(world.read(&outcome, only), "list bin/sh* sh\nbuild/in/x x\nbuild/out/\n\n");
}

#[test]
fn step_is_assembled_without_running_it() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let tool = graph.add_step(step("tool", &["const", "1"], vec![]));
    let merge =
        graph.add_merge(vec![at("usr/bin", output(tool, "")), at("etc", world.tree(&[("os", "debian")]))]);
    let fails = graph.add_step(step("fails", &["exit", "1"], vec![at("", Input::Merged(merge))]));
    let error = engine::assemble(&graph, fails, &world.known()).unwrap_err();
    assert_eq!(error.to_string(), "`tool` must be built first");

    assert_eq!(graph.producers(fails), [tool]);
    world.build(&graph, &graph.producers(fails));
    let assembled = engine::assemble(&graph, fails, &world.known()).unwrap();
    assert_eq!(
        testkit::describe_tree(&world.store, &assembled.input_root),
        "build/out/\netc/os debian\nusr/bin/const 1\n"
    );
    let request = assembled.request(graph.step(fails));
    assert_eq!((request.label, request.placed.len()), ("fails", 1));
    let outcome = world.build(&graph, &[fails]);
    assert_eq!(action(&outcome, fails), assembled.action);
}
