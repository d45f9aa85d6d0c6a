//! Sources that are source packages: how they are locked, and the step that they become.

#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use std::collections::BTreeMap;

use cas::Digest;
use engine::Input;
use recipe::{Goal, Imported, Lock, Lowered, Resolved, Reuse, Settings, Stack, lower, needs, parse};

const RECIPE: &str = r#"
[stack]
name = "x"
[source.hello]
debian-source = "hello"
[source.again]
debian-source = "hello"
distro = "debian:bookworm"
[env.e]
distro = "debian:bookworm"
packages = ["make"]
[target.one]
kind = "command"
env = "e"
sources = ["hello"]
run = "make"
[target.two]
kind = "command"
env = "e"
sources = ["again"]
run = "make"
"#;

fn stack(recipe: &str) -> Stack {
    let (stack, problems) = parse(recipe, &Settings::default());
    let problems: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
    stack.unwrap_or_else(|| panic!("{}", problems.join("\n")))
}

fn goals(stack: &Stack) -> Vec<Goal> {
    stack.targets.keys().cloned().map(Goal::Target).collect()
}

fn lock(stack: &Stack, change: impl Fn(String) -> String) -> Result<Lock, String> {
    let request = needs(stack, &goals(stack)).packages["env.e"].request.digest();
    let source = |name: &str| {
        format!(
            r#"
[source."{name}"]
debian-source = "hello"
distro = "debian:bookworm"
version = "2.10-3"
release = {{ suite = "bookworm", archive = "debian", date = "20260101T000000Z" }}
files = [
  {{ filename = "pool/main/h/hello/hello_2.10-3.dsc", size = 1, sha256 = "{}" }},
  {{ filename = "pool/main/h/hello/hello_2.10.orig.tar.gz", size = 2, sha256 = "{}" }},
]
"#,
            "a".repeat(64),
            "b".repeat(64)
        )
    };
    let text = format!(
        "# Written by `bootwright lock`; belongs into version control.\nversion = 1\n\n[packages.\"env.e\"]\nrequest = \
         \"{request}\"\n{}{}",
        source("again"),
        source("hello")
    );
    let text = change(text);
    let lock = Lock::parse(&text).map_err(|problem| problem.message.clone())?;
    assert_eq!(lock.to_text(), text, "the text is canonical");
    Ok(lock)
}

fn lowered(change: impl Fn(String) -> String) -> Result<Lowered, Vec<String>> {
    let stack = stack(RECIPE);
    let lock = lock(&stack, change).unwrap();
    let tools =
        ["kbuild", "mkimg", "pkgroot", "runvm"].map(|tool| (tool.to_owned(), Digest::of(tool.as_bytes())));
    let resolved = Resolved { tools: tools.into(), ..Resolved::default() };
    lower(&stack, &lock, &resolved, &goals(&stack), Reuse::Nothing)
        .map_err(|problems| problems.iter().map(|problem| problem.to_string()).collect())
}

#[test]
fn one_step_puts_it_together_for_all_that_list_it() {
    let lowered = lowered(|text| text).unwrap();
    let graph = &lowered.graph;
    let labels: BTreeMap<_, _> = graph.steps().map(|(id, step)| (id, step.label.as_str())).collect();
    let sources: Vec<_> = graph.steps().filter(|(_, step)| step.label.starts_with("source ")).collect();
    let [(_, step)] = sources[..] else { panic!("{labels:?}") };
    assert_eq!(step.label, "source hello 2.10-3");
    assert_eq!(step.arguments, ["tools/pkgroot", "source", "in/hello_2.10-3.dsc"]);
    let paths: Vec<&str> = step.inputs.iter().map(|placement| placement.path.as_str()).collect();
    assert_eq!(
        paths,
        ["build/tools/pkgroot", "build/in/hello_2.10-3.dsc", "build/in/hello_2.10.orig.tar.gz"]
    );
    for (target, place) in [("one", "build/src/hello"), ("two", "build/src/again")] {
        let (_, step) = graph.steps().find(|(_, step)| step.label == target).unwrap();
        let placement = step.inputs.iter().find(|placement| placement.path == place).unwrap();
        let Input::Output { step, path } = &placement.input else { panic!("{placement:?}") };
        assert_eq!((labels[step], path.as_str()), ("source hello 2.10-3", "tree"));
    }
}

#[test]
fn a_lock_without_the_control_file_is_a_problem() {
    let problems = lowered(|text| text.replace("hello_2.10-3.dsc", "hello_2.10-3.txt")).unwrap_err();
    for (problem, name) in problems.iter().zip(["hello", "again"]) {
        assert!(problem.contains(&format!("source `{name}` is locked without a .dsc")), "{problems:?}");
    }
}

#[test]
fn a_lock_without_files_pins_nothing() {
    let without = |text: String| {
        let (before, rest) = text.split_once("files = [").unwrap();
        let (_, after) = rest.split_once("\n]").unwrap();
        format!("{before}files = []{after}")
    };
    let problem = lock(&stack(RECIPE), without).unwrap_err();
    assert!(problem.contains("the lock is damaged"), "{problem}");
}

#[test]
fn paths_in_a_lock_are_paths() {
    for wrong in ["pool/..", "", "pool/", "/pool/x"] {
        let stack = stack(RECIPE);
        let path = "pool/main/h/hello/hello_2.10-3.dsc";
        let problem = lock(&stack, |text| text.replace(path, wrong)).unwrap_err();
        assert!(problem.contains("the lock is damaged"), "{problem}");
    }
}

#[test]
fn another_package_version_or_distribution_is_locked_anew() {
    let original = stack(RECIPE);
    let lock = lock(&original, |text| text).unwrap();
    let check = |from: &str, to: &str, n_problems: usize| {
        let stack = stack(&RECIPE.replace(from, to));
        let problems = lock.check(&needs(&stack, &goals(&stack)));
        assert_eq!(problems.len(), n_problems, "{problems:?}");
    };
    check("x", "x", 0);
    check("\"hello\"\n[", "\"hello=2.10-3\"\n[", 1);
    check("\"hello\"\ndistro", "\"other\"\ndistro", 1);
    check("\"hello\"\ndistro = \"debian:bookworm\"", "\"hello\"\ndistro = \"debian:trixie\"", 1);
}

#[test]
fn what_became_a_path_is_what_is_there() {
    let before = lock(&stack(RECIPE), |text| text).unwrap();
    let stack = stack(&RECIPE.replace("debian-source = \"hello\"\n[", "path = \"hello\"\n["));
    let here = Digest::of(b"here");
    let tools =
        ["kbuild", "mkimg", "pkgroot", "runvm"].map(|tool| (tool.to_owned(), Digest::of(tool.as_bytes())));
    let mut resolved = Resolved { tools: tools.into(), ..Resolved::default() };
    let needs = needs(&stack, &goals(&stack));
    let name = needs.sources.keys().find(|name| name.as_str() == "hello").unwrap();
    resolved.sources.insert(name.clone(), Imported::Tree(here));
    let lowered = lower(&stack, &before, &resolved, &goals(&stack), Reuse::Nothing).unwrap();
    let (_, one) = lowered.graph.steps().find(|(_, step)| step.label == "one").unwrap();
    let source = one.inputs.iter().find(|placement| placement.path.ends_with("src/hello")).unwrap();
    assert!(matches!(source.input, Input::Tree(tree) if tree == here));

    let mut after = before;
    after.prune(&needs);
    assert_eq!(after.sources.keys().map(String::as_str).collect::<Vec<_>>(), ["again"]);
}

#[test]
fn a_source_package_is_of_no_architecture() {
    let recipe = RECIPE.replace("debian-source = \"hello\"\n[", "debian-source = \"hello:arm64\"\n[");
    let (_, problems) = parse(&recipe, &Settings::default());
    let problems: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("a source package is of no architecture"), "{problems:?}");
}
