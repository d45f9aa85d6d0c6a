//! How placements become one tree, seen through the input root of a step.

use std::collections::BTreeMap;

use cas::{Directory, Node, Store};
use engine::{Graph, Input, Options, Placement, StepId};
use proptest::prelude::*;
use testkit::{describe_tree, make_tree};

use crate::world::{TestWorld, at, output, step, word};

type Entries<'a> = &'a [(&'a str, &'a str)];

/// Checks what a step sees whose inputs are `parts`, and that a merged tree of the same parts is the same.
#[track_caller]
fn check(parts: &[(&str, Entries<'_>)], expected: &str) {
    let world = TestWorld::default();
    let placements = || parts.iter().map(|(path, entries)| at(path, world.tree(entries))).collect::<Vec<_>>();
    let mut graph = Graph::default();
    let direct = graph.add_step(step("direct", &["list"], placements()));
    let merge = graph.add_merge(placements());
    let merged = graph.add_step(step("merged", &["list"], vec![at("", Input::Merged(merge))]));
    let outcome = world.build(&graph, &[direct, merged]);
    assert_eq!(seen(&world, &outcome, merged), expected, "the merged tree");
    assert_eq!(seen(&world, &outcome, direct), expected, "the input root");
}

/// Returns the listing that a step left, without the output directory that every input root has.
fn seen(world: &TestWorld, outcome: &engine::Outcome, step: StepId) -> String {
    let listing = world.read(outcome, step);
    let listing = listing.strip_prefix("list ").expect("the step left a listing").trim_end_matches('\n');
    let lines = listing.lines().filter(|line| *line != "build/out/");
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn directories_are_merged_and_later_files_win() {
    check(
        &[
            ("", &[("bin/sh*", "old"), ("etc/passwd", "root"), ("lib@", "usr/lib")]),
            ("", &[("bin/ls*", "ls"), ("bin/sh*", "new"), ("lib@", "usr/lib64")]),
            ("build/in", &[("spec.json", "{}")]),
        ],
        "bin/ls* ls\nbin/sh* new\nbuild/in/spec.json {}\netc/passwd root\nlib@ usr/lib64",
    );
}

#[test]
fn file_and_directory_replace_each_other() {
    check(&[("", &[("a/b", "1"), ("c", "2")]), ("", &[("a", "3"), ("c/d", "4")])], "a 3\nc/d 4");
    check(&[("", &[("a@", "b"), ("b/c", "1")]), ("a", &[("d", "2")])], "a/d 2\nb/c 1");
}

#[test]
fn whiteouts_remove_what_came_before() {
    check(
        &[("", &[("d/a", "1"), ("d/b", "2"), ("d/c/e", "3")]), ("", &[("d/.wh.a", ""), ("d/.wh.c", "")])],
        "d/b 2",
    );
    check(&[("", &[("d/a/x", "1")]), ("", &[("d/.wh.a", ""), ("d/a/y", "2")])], "d/a/y 2");
    check(&[("", &[("a", "1")]), ("", &[(".wh.a", "")]), ("", &[("a", "3")])], "a 3");
}

#[test]
fn opaque_marker_removes_a_whole_directory() {
    check(
        &[("", &[("d/a", "1"), ("d/b/c", "2"), ("e", "3")]), ("", &[("d/.wh..wh..opq", ""), ("d/n", "4")])],
        "d/n 4\ne 3",
    );
}

#[test]
fn placed_whiteout_is_a_whiteout() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let inputs = vec![
        at("", world.tree(&[("etc/motd", "hello"), ("etc/hosts", "")])),
        at("etc/.wh.motd", world.file("")),
    ];
    let list = graph.add_step(step("list", &["list"], inputs));
    let outcome = world.build(&graph, &[list]);
    assert_eq!(seen(&world, &outcome, list), "etc/hosts ");
}

#[test]
fn merged_tree_has_no_whiteouts_even_where_they_hide_nothing() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let parts = vec![
        at("", world.tree(&[("a/x", "1")])),
        at("", world.tree(&[("b/c/.wh..wh..opq", ""), ("b/c/y", "2"), ("b/.wh.z", "")])),
    ];
    let merge = graph.add_merge(parts);
    let list = graph.add_step(step("list", &["list"], vec![at("", Input::Merged(merge))]));
    let outcome = world.build(&graph, &[list]);
    assert_eq!(seen(&world, &outcome, list), "a/x 1\nb/c/y 2");
}

#[test]
fn untouched_trees_are_neither_read_nor_written() {
    let world = TestWorld::default();
    let large: Vec<(String, String)> =
        (0..500).map(|idx| (format!("usr/{idx}/file"), idx.to_string())).collect();
    let large: Vec<(&str, &str)> =
        large.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    let mut graph = Graph::default();
    let inputs = vec![at("", world.tree(&large)), at("build/in/x", world.file("x"))];
    let step = graph.add_step(step("step", &["const", "x"], inputs));
    let (n_reads, n_writes) = (world.store.n_reads(), world.store.n_writes());
    world.build(&graph, &[step]);
    // The root of the large tree, once.
    assert_eq!(world.store.n_reads() - n_reads, 1);
    // The empty directory, `build/in`, `build`, the root, the command, the action; then output and log.
    assert!(world.store.n_writes() - n_writes <= 10, "{}", world.store.n_writes() - n_writes);
}

#[test]
fn output_paths_are_followed_through_links_but_not_out_of_the_output() {
    let world =
        TestWorld { options: Options { keep_going: true, ..Options::default() }, ..TestWorld::default() };
    let mut graph = Graph::default();
    let tree = world.tree(&[
        ("boot/vmlinuz-6.1", "kernel"),
        ("boot/vmlinuz@", "vmlinuz-6.1"),
        ("vmlinuz@", "/boot/vmlinuz"),
        ("up/link@", "../../../../boot"),
        ("loop@", "loop"),
    ]);
    let first = graph.add_merge(vec![at("", tree)]);
    let copy = graph.add_step(step("copy", &["copy"], vec![at("", Input::Merged(first))]));
    let uses = ["vmlinuz", "up/link/vmlinuz", "boot"];
    let inputs =
        uses.iter().enumerate().map(|(idx, path)| at(&format!("in/{idx}"), output(copy, path))).collect();
    let list = graph.add_step(step("list", &["list"], inputs));
    let looping = graph.add_step(step("looping", &["list"], vec![at("in/0", output(copy, "loop"))]));
    let below_file = graph.add_step(step("below", &["list"], vec![at("in/0", output(copy, "vmlinuz/x"))]));

    let outcome = world.build(&graph, &[list, looping, below_file]);
    assert_eq!(
        seen(&world, &outcome, list),
        "in/0 kernel\nin/1 kernel\nin/2/vmlinuz@ vmlinuz-6.1\nin/2/vmlinuz-6.1 kernel"
    );
    assert_eq!(word(&outcome, looping), "unready");
    assert_eq!(word(&outcome, below_file), "unready");
}

/// What a tree of unique paths should be: a map from path to content.
type Model = BTreeMap<String, String>;

fn overlay_model(model: &mut Model, layer: &Model) {
    for path in layer.keys() {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(hidden) = name.strip_prefix(".wh.") {
            let hidden =
                if directory.is_empty() { hidden.to_owned() } else { format!("{directory}/{hidden}") };
            let below = format!("{hidden}/");
            model.retain(|path, _| *path != hidden && !path.starts_with(&below));
            // A directory that holds nothing but a whiteout replaces a file all the same.
            model.retain(|path, _| path != directory && !directory.starts_with(&format!("{path}/")));
        }
    }
    for (path, content) in layer {
        if path.rsplit('/').next().is_some_and(|name| name.starts_with(".wh.")) {
            continue;
        }
        let below = format!("{path}/");
        model.retain(|other, _| !other.starts_with(&below) && !path.starts_with(&format!("{other}/")));
        model.insert(path.clone(), content.clone());
    }
}

prop_compose! {
    /// A layer without two entries of which one is a directory of the other.
    fn a_layer()(paths in prop::collection::btree_map("[ab](/(\\.wh\\.)?[ab]){0,2}|\\.wh\\.[ab]", "[xyz]", 0..8)) -> Model {
        let mut layer = Model::new();
        for (path, content) in paths {
            let conflicts = layer.keys().any(|other: &String| {
                other.starts_with(&format!("{path}/")) || path.starts_with(&format!("{other}/"))
            });
            // A whiteout is a file: nothing is below it.
            if !conflicts && !path.contains(".wh.a/") && !path.contains(".wh.b/") {
                layer.insert(path, content);
            }
        }
        layer
    }
}

fn tree_of(world: &TestWorld, layer: &Model) -> Input {
    let entries: Vec<(&str, &str)> =
        layer.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    Input::Tree(make_tree(&world.store, &entries))
}

/// Returns the files of a listing: what becomes of directories that end up empty is not modelled.
fn files(listing: &str) -> Vec<&str> {
    listing.lines().filter(|line| !line.ends_with('/')).collect()
}

proptest! {
    #[test]
    fn merge_is_what_placing_one_file_after_another_gives(layers in prop::collection::vec(a_layer(), 1..5)) {
        let world = TestWorld::default();
        let mut graph = Graph::default();
        let parts: Vec<Placement> = layers.iter().map(|layer| at("", tree_of(&world, layer))).collect();
        let whole = graph.add_merge(parts);
        let list = graph.add_step(step("list", &["list"], vec![at("", Input::Merged(whole))]));
        let outcome = world.build(&graph, &[list]);
        let listing = seen(&world, &outcome, list);

        let mut model = Model::new();
        for layer in &layers {
            overlay_model(&mut model, layer);
        }
        let expected: Vec<String> = model.iter().map(|(path, content)| format!("{path} {content}")).collect();
        let mut found = files(&listing);
        found.sort_unstable();
        let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn merging_a_merged_tree_alone_changes_nothing(layers in prop::collection::vec(a_layer(), 1..4)) {
        let world = TestWorld::default();
        let mut graph = Graph::default();
        let first = graph.add_merge(layers.iter().map(|layer| at("", tree_of(&world, layer))).collect());
        let second = graph.add_merge(vec![at("", Input::Merged(first)), at("", Input::Merged(first))]);
        let one = graph.add_step(step("one", &["list"], vec![at("", Input::Merged(first))]));
        let two = graph.add_step(step("two", &["list"], vec![at("", Input::Merged(second))]));
        let outcome = world.build(&graph, &[one, two]);
        prop_assert_eq!(seen(&world, &outcome, one), seen(&world, &outcome, two));
    }
}

#[test]
fn merged_trees_are_remembered_across_processes() {
    let world = TestWorld::default();
    let mut graph = Graph::default();
    let parts: Vec<Placement> = (0..50)
        .map(|idx| at("", world.tree(&[(&format!("usr/share/doc/{idx}/copyright"), "text")])))
        .collect();
    let merge = graph.add_merge(parts);
    let list = graph.add_step(step("list", &["list"], vec![at("", Input::Merged(merge))]));
    let first = world.build(&graph, &[list]);
    let n_reads = world.store.n_reads();
    let n_writes = world.store.n_writes();
    let second = world.build(&graph, &[list]);
    assert_eq!(word(&second, list), "hit");
    assert_eq!(describe_tree(&world.store, &first.result(list).unwrap().output), world.read(&second, list));
    // The root of the merged tree, to put `build/out` into it. (The listings above read, too.)
    assert!(world.store.n_reads() - n_reads <= 5, "{}", world.store.n_reads() - n_reads);
    assert_eq!(world.store.n_writes(), n_writes);
}

/// Returns a tree that has one file, `n_levels` directories deep.
fn deep_tree(world: &TestWorld, n_levels: usize, content: &str) -> Input {
    let mut node = Node::File { digest: world.store.write(content.as_bytes()).unwrap(), executable: false };
    for _ in 0..n_levels {
        let directory = Directory { entries: [("d".to_owned(), node)].into() };
        node = Node::Directory { digest: world.store.write(&directory.encode()).unwrap() };
    }
    let Node::Directory { digest } = node else { panic!("there is at least one level") };
    Input::Tree(digest)
}

#[test]
fn deep_trees_are_merged_and_deeper_ones_refused() {
    #[track_caller]
    fn check(n_levels: usize, expected: &[&str]) {
        let mut world = TestWorld::default();
        let build = |world: &TestWorld, content: &str| {
            let parts = || {
                vec![at("", deep_tree(world, n_levels, "below")), at("", deep_tree(world, n_levels, content))]
            };
            let mut graph = Graph::default();
            let whole = graph.add_merge(parts());
            let merged = graph.add_step(step("merged", &["const", "1"], vec![at("", Input::Merged(whole))]));
            let direct = graph.add_step(step("direct", &["const", "2"], parts()));
            (graph, [merged, direct])
        };
        let (graph, wanted) = build(&world, "1");
        world.options.keep_going = true;
        world.build_and_record(&graph, &wanted);
        assert_eq!(world.told(), expected);
        let (graph, wanted) = build(&world, "2");
        for step in wanted {
            engine::explain(&graph, step, &world.known(), &world.options).unwrap();
        }
    }
    check(1000, &["ran merged", "ran direct", "Done"]);
    let refused = "directories are nested more than 1024 levels deep";
    check(1100, &[&format!("unready direct: {refused}"), &format!("unready merged: {refused}"), "Failed"]);
}

#[test]
fn wide_directories_are_merged_in_the_time_of_their_size() {
    let world = TestWorld::default();
    let digest = world.store.write(b"").unwrap();
    let wide = |name: &dyn Fn(usize) -> String| {
        let names = (0..100_000).map(name);
        let entries = names.map(|name| (name, Node::File { digest, executable: false })).collect();
        at("", Input::Tree(world.store.write(&Directory { entries }.encode()).unwrap()))
    };
    let even = || wide(&|idx| format!("{:06}", 2 * idx));
    let odd = || wide(&|idx| format!("{:06}", 2 * idx + 1));
    let hidden = wide(&|idx| format!(".wh.{:06}", 2 * idx));
    let told = |parts| {
        let mut graph = Graph::default();
        let wanted = graph.add_step(step("it", &["const", ""], parts));
        world.build(&graph, &[wanted]);
        world.told()
    };
    assert_eq!(told(vec![odd()]), ["ran it", "Done"]);
    // The result is known already, since the tree is the same.
    assert_eq!(told(vec![even(), odd(), even(), hidden]), ["hit it", "Done"]);
}
