//! Git sources: what may be written, and what a lock says of them.

#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use recipe::{Goal, Lock, LockedSource, Problem, Settings, Stack, needs, parse};

fn render(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.to_string()).collect::<Vec<_>>().join("\n\n")
}

fn text(source: &str) -> String {
    format!(
        "[stack]\nname = \"demo\"\n[source.x]\n{source}\n[env.a]\ndistro = \"debian:bookworm\"\n\
         [target.t]\nkind = \"command\"\nenv = \"a\"\nsources = [\"x\"]\nrun = \"true\"\n"
    )
}

#[track_caller]
fn check_problem(source: &str, expected: &str) {
    let (stack, problems) = parse(&text(source), &Settings::default());
    assert!(stack.is_none());
    assert_eq!(render(&problems), expected.trim());
}

#[test]
fn addresses_and_names_that_cannot_be_used() {
    check_problem(
        "git = \"git@a.example:x/y.git\"\nrev = \"HEAD~1\"",
        r#"
error: `git@a.example:x/y.git` is an SSH address, and Bootwright does not speak SSH
 --> bootwright.toml:4:7
  |
4 | git = "git@a.example:x/y.git"
  |       ^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `https://HOST/PATH`, or clone it yourself and write the path of the clone

error: `HEAD~1` is no name of a tag, branch or commit
 --> bootwright.toml:5:7
  |
5 | rev = "HEAD~1"
  |       ^^^^^^^^
  |
  = help: write a tag, a branch, or all 40 digits of a commit
"#,
    );
    check_problem(
        "git = \"a.example/x\"\nrev = \"v1\"",
        r#"
error: `a.example/x` is not the address of a git repository
 --> bootwright.toml:4:7
  |
4 | git = "a.example/x"
  |       ^^^^^^^^^^^^^
  |
  = help: write `https://…`, or a path that begins with `/`, `./` or `../`
"#,
    );
    check_problem(
        "git = \"https://a.example/x\"",
        r#"
error: `source.x` has no `rev`
 --> bootwright.toml:3:9
  |
3 | [source.x]
  |         ^
"#,
    );
}

const SOURCE: &str = "git = \"https://a.example/x\"\nrev = \"v1\"\nsubmodules = true";

fn lock_text(commit: &str, tree: &str) -> String {
    format!(
        "# Written by `bootwright lock`; belongs into version control.\nversion = 1\n\n[source.\"x\"]\n\
         git = \"https://a.example/x\"\nrev = \"v1\"\ncommit = \"{commit}\"\nsubmodules = true\n\
         tree = \"{tree}\"\n"
    )
}

fn stack(source: &str) -> Stack {
    let (stack, problems) = parse(&text(source), &Settings::default());
    stack.unwrap_or_else(|| panic!("{}", render(&problems)))
}

#[test]
fn a_lock_pins_the_commit_and_its_content() {
    let (commit, tree) = ("ab".repeat(20), format!("{}/7", "cd".repeat(32)));
    let text = lock_text(&commit, &tree);
    let lock = Lock::parse(&text).unwrap();
    assert_eq!(lock.to_text(), text);
    let LockedSource::Git { tree: found, submodules: true, .. } = &lock.sources["x"] else {
        panic!("{:?}", lock.sources);
    };
    assert_eq!(found.to_string(), tree);

    let is_current = |source: &str| {
        let stack = stack(source);
        let goals: Vec<Goal> = stack.targets.keys().cloned().map(Goal::Target).collect();
        let problems = render(&lock.check(&needs(&stack, &goals)));
        !problems.contains("source `x` has changed since it was locked")
    };
    assert!(is_current(SOURCE));
    assert!(!is_current(&SOURCE.replace("v1", "v2")));
    assert!(!is_current(&SOURCE.replace("/x", "/y")));
    assert!(!is_current(&SOURCE.replace("true", "false")));
    assert!(!is_current("url = \"https://a.example/x\""));
}

#[test]
fn a_damaged_lock_pins_nothing() {
    let (commit, tree) = ("ab".repeat(20), format!("{}/7", "cd".repeat(32)));
    for (commit, tree) in [
        ("", tree.as_str()),
        ("abcdef", &tree),
        (&commit.to_uppercase(), &tree),
        (&commit, ""),
        (&commit, &"cd".repeat(32)),
        (&commit, "none"),
    ] {
        let problem = Lock::parse(&lock_text(commit, tree)).unwrap_err();
        assert!(problem.to_string().contains("the lock is damaged"), "{problem}");
    }
}
