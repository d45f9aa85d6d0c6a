//! What is said about why something runs.

use std::sync::Arc;

use engine::{Fate, Graph, Input, Options, Reason, StepId};
use testkit::make_tree;

use crate::world::{TestWorld, action, at, output, step};

#[track_caller]
fn check(world: &TestWorld, graph: &Graph, step: StepId, expected: &str) {
    let explanation = engine::explain(graph, step, &world.known(), &world.options).unwrap();
    assert_eq!(explanation.to_string(), expected);
}

/// Returns what a plan says, a line for each step.
fn planned(world: &TestWorld, graph: &Graph, wanted: &[StepId]) -> Vec<String> {
    let plan = engine::plan(graph, wanted, &world.known(), &world.options).unwrap();
    plan.steps
        .iter()
        .map(|planned| format!("{} {:?}: {}", planned.label, planned.fate, planned.reason))
        .collect()
}

/// A compiler, a source, an object, and a program that is linked from it in a merged root.
struct Project {
    source: &'static str,
    flags: &'static [&'static str],
    debug: Option<&'static str>,
    root: bool,
}

const PROJECT: Project = Project { source: "int x;", flags: &[], debug: None, root: false };

impl Project {
    fn graph(&self, world: &TestWorld) -> (Graph, [StepId; 3]) {
        let mut graph = Graph::default();
        let compiler = graph.add_step(step("cc", &["const", "compiler"], vec![]));
        let files = [("main.c", self.source), ("lib/a.h", "a"), ("lib/b.h", "b")];
        let source = Input::Tree(make_tree(&world.store, &files));
        let mut compile =
            step("object", &["list"], vec![at("usr/bin", output(compiler, "")), at("build/src/app", source)]);
        if let Some(level) = self.debug {
            Arc::make_mut(&mut compile.environment).insert("DEBUG".to_owned(), level.to_owned());
        }
        compile.requirements.root = self.root;
        let object = graph.add_step(compile);
        let merge = graph.add_merge(vec![
            at("", world.tree(&[("lib/crt0.o", "start")])),
            at("build/in/objects", output(object, "")),
        ]);
        let mut link = step("program", &["list"], vec![at("", Input::Merged(merge))]);
        link.arguments.extend(self.flags.iter().map(|flag| (*flag).to_owned()));
        // `list` takes no arguments: flags go where the script does not look.
        link.arguments.truncate(1);
        Arc::make_mut(&mut link.environment)
            .extend(self.flags.iter().map(|flag| ((*flag).to_owned(), "1".to_owned())));
        let program = graph.add_step(link);
        (graph, [compiler, object, program])
    }
}

#[test]
fn first_build() {
    let mut world = TestWorld::default();
    let (graph, steps) = PROJECT.graph(&world);
    let [_, object, program] = steps;
    assert_eq!(
        planned(&world, &graph, &[program]),
        [
            "cc Runs: it never ran",
            "object MayRun: it reads what `cc` makes anew",
            "program MayRun: it reads what `object` makes anew"
        ]
    );
    check(
        &world,
        &graph,
        object,
        "`object` may run because it reads what `cc` makes anew\n  `cc` would run because it never ran\n",
    );
    world.build_and_record(&graph, &[program]);
    check(&world, &graph, program, "`program` is up to date; it last ran because it had never run\n");
    assert_eq!(
        planned(&world, &graph, &[program]),
        ["cc", "object", "program"].map(|label| format!("{label} Remembered: its result is remembered"))
    );
}

#[test]
fn plan_neither_runs_nor_writes() {
    let mut world = TestWorld::default();
    let (graph, [_, _, program]) = PROJECT.graph(&world);
    world.build_and_record(&graph, &[program]);
    let (graph, [_, _, program]) = Project { source: "int y;", ..PROJECT }.graph(&world);
    let n_writes = world.store.n_writes();
    let n_remembered = world.cache.len();
    planned(&world, &graph, &[program]);
    engine::explain(&graph, program, &world.known(), &world.options).unwrap();
    assert_eq!((world.store.n_writes(), world.cache.len()), (n_writes, n_remembered));
}

#[test]
fn changed_file_is_named_before_and_after_the_build() {
    let mut world = TestWorld::default();
    let (graph, [_, _, program]) = PROJECT.graph(&world);
    world.build_and_record(&graph, &[program]);

    let (graph, [_, object, program]) = Project { source: "int y;", ..PROJECT }.graph(&world);
    check(
        &world,
        &graph,
        program,
        "`program` may run because it reads what `object` makes anew\n  \
           `object` would run because it changed\n    \
             changed build/src/app/main.c\n      \
               - int x;\n      + int y;\n",
    );
    world.build_and_record(&graph, &[program]);
    check(
        &world,
        &graph,
        program,
        "`program` is up to date; it last ran because it changed\n  \
           changed build/in/objects/list (from `object`)\n    \
             - build/src/app/main.c int x;\n    + build/src/app/main.c int y;\n  \
           `object` is up to date; it last ran because it changed\n    \
             changed build/src/app/main.c\n      - int x;\n      + int y;\n",
    );
    check(
        &world,
        &graph,
        object,
        "`object` is up to date; it last ran because it changed\n  changed build/src/app/main.c\n    - int x;\n    \
         + int y;\n",
    );
}

#[test]
fn changed_command_is_named() {
    let mut world = TestWorld::default();
    let (graph, [_, object, _]) = Project { debug: Some("1"), ..PROJECT }.graph(&world);
    world.build_and_record(&graph, &[object]);
    let (graph, [_, object, _]) = Project { debug: Some("2"), root: true, ..PROJECT }.graph(&world);
    check(
        &world,
        &graph,
        object,
        "`object` would run because it changed\n  \
           changed variable DEBUG from `1` to `2`\n  \
           added property root = `true`\n",
    );
}

#[test]
fn changed_arguments_are_named() {
    #[track_caller]
    fn check_arguments(before: &[&str], after: &[&str], expected: &str) {
        let mut world = TestWorld::default();
        let build = |arguments: &[&str]| {
            let mut graph = Graph::default();
            let only = graph.add_step(step("only", arguments, vec![]));
            (graph, only)
        };
        let (graph, only) = build(before);
        let executor = testkit::ScriptedExecutor::new(&world.store, |_| Ok(testkit::Produced::default()));
        world.build_with(&graph, &[only], &executor).unwrap();
        drop(executor);
        let runs: String =
            world.events().iter().filter_map(engine::Run::of_event).map(|run| run.to_line()).collect();
        world.history = engine::History::new(runs);
        let (graph, only) = build(after);
        check(&world, &graph, only, &format!("`only` would run because it changed\n  {expected}\n"));
    }
    check_arguments(&["cc", "-O1", "x.c"], &["cc", "-O2", "x.c"], "changed argument `-O1` to `-O2`");
    check_arguments(&["cc", "x.c"], &["cc", "-g", "-O2", "x.c"], "added argument `-g` `-O2`");
    check_arguments(&["cc", "x.c", "-v"], &["cc", "x.c"], "removed argument `-v`");
}

#[test]
fn many_changed_paths_are_counted_under_their_common_directory() {
    let mut world = TestWorld::default();
    let build = |world: &TestWorld, content: &str| {
        let files: Vec<(String, &str)> =
            (0..100).map(|idx| (format!("a/drivers/{idx:03}.c"), content)).collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, content)| (path.as_str(), *content)).collect();
        let mut graph = Graph::default();
        let only = graph.add_step(step("only", &["const", "1"], vec![at("build/src", world.tree(&files))]));
        (graph, only)
    };
    let (graph, only) = build(&world, "old");
    world.build_and_record(&graph, &[only]);
    let (graph, only) = build(&world, "new");
    let explanation = engine::explain(&graph, only, &world.known(), &world.options).unwrap();
    let Reason::Changed { difference, .. } = &explanation.reason else { panic!("it changed") };
    assert_eq!((difference.changes.len(), difference.n_more), (20, 80));
    assert!(
        explanation.to_string().ends_with("  and 80 more, all in build/src/a/drivers\n"),
        "{explanation}"
    );
}

#[test]
fn added_removed_and_other_kinds() {
    let mut world = TestWorld::default();
    let build = |world: &TestWorld, entries: &[(&str, &str)]| {
        let mut graph = Graph::default();
        let only = graph.add_step(step("only", &["const", "1"], vec![at("src", world.tree(entries))]));
        (graph, only)
    };
    let (graph, only) = build(&world, &[("gone/x", ""), ("kind", ""), ("run.sh", "#!"), ("same", "")]);
    world.build_and_record(&graph, &[only]);
    let (graph, only) = build(&world, &[("new/y", ""), ("kind/z", ""), ("run.sh*", "#!"), ("same", "")]);
    check(
        &world,
        &graph,
        only,
        "`only` would run because it changed\n  \
           removed src/gone\n  changed src/kind\n  added src/new\n  changed mode of src/run.sh\n",
    );
}

#[test]
fn package_in_a_merged_environment_is_named() {
    let mut world = TestWorld::default();
    let build = |world: &TestWorld, version: &str| {
        let mut graph = Graph::default();
        let unpack = |graph: &mut Graph, name: &str, content: &str| {
            let deb = at("build/in/x.deb", world.file(content));
            let path = format!("build/usr/bin/{name}");
            graph.add_step(step(
                &format!("env.tools/{name}"),
                &["copy"],
                vec![deb, at(&path, world.file(content))],
            ))
        };
        let make = unpack(&mut graph, "make", "make 4.3");
        let bison = unpack(&mut graph, "bison", version);
        let merge =
            graph.add_merge(vec![at("", output(make, "build/usr")), at("", output(bison, "build/usr"))]);
        let kernel = graph.add_step(step("kernel", &["list"], vec![at("", Input::Merged(merge))]));
        (graph, kernel)
    };
    let (graph, kernel) = build(&world, "bison 3.8.1");
    world.build_and_record(&graph, &[kernel]);
    let (graph, kernel) = build(&world, "bison 3.8.2");
    world.build_and_record(&graph, &[kernel]);
    check(
        &world,
        &graph,
        kernel,
        "`kernel` is up to date; it last ran because it changed\n  \
           changed bin/bison (from `env.tools/bison`)\n    - bison 3.8.1\n    + bison 3.8.2\n  \
           `env.tools/bison` is up to date; it last ran because it changed\n    \
             changed build/in/x.deb\n      - bison 3.8.1\n      + bison 3.8.2\n    \
             changed build/usr/bin/bison\n      - bison 3.8.1\n      + bison 3.8.2\n",
    );
}

#[test]
fn forced_failed_forgotten_and_unrecorded() {
    let mut world = TestWorld::default();
    let mut graph = Graph::default();
    let only = graph.add_step(step("only", &["const", "1"], vec![]));
    let fails = graph.add_step(step("fails", &["exit", "7"], vec![]));
    let outcome = world.build_and_record(&graph, &[only]);
    world.build_and_record(&graph, &[fails]);
    check(&world, &graph, fails, "`fails` would run because it failed with exit code 7\n");

    world.options.force.insert(only);
    check(&world, &graph, only, "`only` would run because its run is forced\n");
    world.options.force.clear();

    world.cache.forget(&action(&outcome, only));
    check(&world, &graph, only, "`only` would run because its result is not stored any more\n");
    world.build_and_record(&graph, &[only]);
    check(
        &world,
        &graph,
        only,
        "`only` is up to date; it last ran because its run was forced, or its result had been lost\n",
    );

    world.history = engine::History::default();
    check(
        &world,
        &graph,
        only,
        "`only` is up to date; its result comes from another machine or an older cache\n",
    );
}

#[test]
fn earlier_action_that_was_collected_is_no_error() {
    let mut world = TestWorld::default();
    let build = |text: &str| {
        let mut graph = Graph::default();
        let only = graph.add_step(step("only", &["const", text], vec![]));
        (graph, only)
    };
    let (graph, only) = build("1");
    let outcome = world.build_and_record(&graph, &[only]);
    world.store.evict(&action(&outcome, only));
    let (graph, only) = build("2");
    check(
        &world,
        &graph,
        only,
        "`only` would run because it changed, but what it ran with before is not stored any more\n",
    );
}

#[test]
fn unready_step_says_what_is_missing() {
    let mut world =
        TestWorld { options: Options { keep_going: true, ..Options::default() }, ..TestWorld::default() };
    let mut graph = Graph::default();
    let kernel = graph.add_step(step("kernel", &["const", "1"], vec![]));
    let image = graph.add_step(step("image", &["list"], vec![at("in/k", output(kernel, "bzImage"))]));
    world.build_and_record(&graph, &[image]);
    let plan = engine::plan(&graph, &[image], &world.known(), &world.options).unwrap();
    assert_eq!(plan.steps[1].fate, Fate::Unready);
    check(
        &world,
        &graph,
        image,
        "`image` cannot run because `kernel` left nothing at `bzImage` in its output directory\n",
    );
}

#[test]
fn explanation_of_a_long_chain_ends() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let mut last = graph.add_step(step("0", &["const", "0"], vec![]));
    for idx in 1..20_000 {
        last = graph.add_step(step(&idx.to_string(), &["const", "1"], vec![at("in", output(last, ""))]));
    }
    let explanation = engine::explain(&graph, last, &world.known(), &world.options).unwrap();
    assert_eq!(explanation.to_string().lines().count(), 33);
}

#[test]
fn plan_and_explanation_are_json() {
    let mut world = TestWorld::default();
    let (graph, [_, object, _]) = PROJECT.graph(&world);
    let plan = engine::plan(&graph, &[object], &world.known(), &world.options).unwrap();
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["steps"][0]["label"], "cc");
    assert_eq!(json["steps"][1]["fate"], "may-run");
    assert_eq!(json["left"]["unknown"], 2);
    world.build_and_record(&graph, &[object]);
    let (graph, [_, object, _]) = Project { source: "int y;", ..PROJECT }.graph(&world);
    let explanation = engine::explain(&graph, object, &world.known(), &world.options).unwrap();
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["reason"]["why"], "changed");
    assert_eq!(json["reason"]["changes"][0]["path"], "build/src/app/main.c");
}

#[test]
fn what_changed_since_an_earlier_result_is_followed_to_its_sources() {
    let mut world = TestWorld::default();
    let (graph, [_, _, program]) = PROJECT.graph(&world);
    world.build_and_record(&graph, &[program]);
    let since = world.history.last("program").unwrap().action;
    // Two edits later, with the first result made once more in between.
    for source in ["int y;", "int x;", "int z;"] {
        let (graph, [_, _, program]) = Project { source, ..PROJECT }.graph(&world);
        world.build_and_record(&graph, &[program]);
    }
    let (graph, [_, _, program]) = Project { source: "int z;", ..PROJECT }.graph(&world);
    let told = engine::explain_since(&graph, program, &since, &world.known(), &world.options).unwrap();
    assert_eq!(
        told.to_string(),
        "`program` is up to date; it last ran because it changed\n  \
           changed build/in/objects/list (from `object`)\n    \
             - build/src/app/main.c int x;\n    + build/src/app/main.c int z;\n  \
           `object` is up to date; it last ran because it changed\n    \
             changed build/src/app/main.c\n      - int x;\n      + int z;\n",
    );
}
