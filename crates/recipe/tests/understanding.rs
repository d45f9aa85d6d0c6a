//! What right input comes to: knobs, overlays, includes, the lock.

#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use std::collections::BTreeMap;
use std::io;

use recipe::{Goal, Lock, Problem, Settings, Stack, Target, needs, parse, parse_with};

#[track_caller]
fn stack((stack, problems): (Option<Stack>, Vec<Problem>)) -> Stack {
    stack.unwrap_or_else(|| panic!("{}", render(&problems)))
}

fn render(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.to_string()).collect::<Vec<_>>().join("\n\n")
}

fn settings(set: &[(&str, &str)], environment: &[(&str, &str)]) -> Settings {
    let map =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Settings { set: map(set), environment: map(environment) }
}

const KNOBS: &str = r#"
[stack]
name    = "demo"
version = "2"

[knob]
ARCH   = { default = "arm64", values = ["arm64", "amd64"] }
DEBUG  = false
CPUS   = 2

[env.tools]
distro   = "debian:bookworm"
packages = ["make"]

[env.tools.when."ARCH=arm64"]
packages = ["gcc-aarch64-linux-gnu"]

[env.tools.when."ARCH!=arm64,DEBUG=true"]
packages = ["gdb"]
recommends = true

[target.tool]
kind = "command"
env  = "tools"
root = "${DEBUG}"
run  = "echo ${stack.name}-${stack.version} ${ARCH} $$${ARCH} $HOME $(id) $$"

[machine.vm]
env  = "tools"
cpus = "${CPUS}"

[machine.vm.when."DEBUG=true"]
cpus = 1
"#;

#[track_caller]
fn check_knobs(settings: &Settings, expected: &str) {
    let (stack, problems) = parse(KNOBS, settings);
    let Some(stack) = stack else {
        assert_eq!(render(&problems), expected.trim());
        return;
    };
    let Target::Command(tool) = &stack.targets["tool"].value else { panic!("not a command") };
    let recipe::Run::Script(script) = &tool.run else { panic!("not a script") };
    let tools =
        &needs(&stack, &[Goal::Environment(stack.environments.keys().next().unwrap().clone())]).packages;
    let request = &tools["env.tools"].request;
    let packages: Vec<&str> = request.packages.iter().map(String::as_str).collect();
    let summary = format!(
        "{} · recommends {} · root {} · {script} · cpus {}",
        packages.join(" "),
        request.recommends,
        tool.root,
        stack.machines["vm"].cpus.value
    );
    assert_eq!(summary, expected);
}

#[test]
fn knobs_have_defaults() {
    check_knobs(
        &settings(&[], &[("HOME", "/root")]),
        "make gcc-aarch64-linux-gnu · recommends false · root false · echo demo-2 arm64 $arm64 $HOME $(id) $ · cpus 2",
    );
}

#[test]
fn overlays_append_to_lists_and_replace_the_rest() {
    check_knobs(
        &settings(&[("ARCH", "amd64"), ("DEBUG", "true")], &[("CPUS", "4"), ("ARCH", "arm64")]),
        "make gdb · recommends true · root true · echo demo-2 amd64 $amd64 $HOME $(id) $ · cpus 1",
    );
}

#[test]
fn values_from_outside_are_checked() {
    check_knobs(
        &settings(&[("ARCH", "arm65"), ("DEBUG", "maybe"), ("ARHC", "x")], &[("CPUS", "many")]),
        r#"
error: `--set ARCH=arm65`: not a value of knob `ARCH`
 --> bootwright.toml:7:10
  |
7 | ARCH   = { default = "arm64", values = ["arm64", "amd64"] }
  |          -------------------------------------------------- the knob
  |
  = help: it can be `arm64` or `amd64`

error: `--set ARHC=…`: there is no such knob
 |
 = help: did you mean `ARCH`?

error: `--set DEBUG=maybe`: knob `DEBUG` must be `true` or `false`
 --> bootwright.toml:8:10
  |
8 | DEBUG  = false
  |          ----- the knob

error: environment variable `CPUS=many`: knob `CPUS` must be a whole number
 --> bootwright.toml:9:10
  |
9 | CPUS   = 2
  |          - the knob
"#,
    );
}

#[track_caller]
fn check_files(files: &[(&str, &str)], expected: &str) {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let mut include = |name: &str| match files.get(name) {
        Some(text) => Ok((*text).to_owned()),
        None => Err(io::ErrorKind::NotFound.into()),
    };
    let (stack, problems) = parse_with(files["bootwright.toml"], &Settings::default(), &mut include);
    let found = match stack {
        Some(stack) => stack.targets.keys().map(|name| name.as_str()).collect::<Vec<_>>().join(" "),
        None => render(&problems),
    };
    assert_eq!(found, expected.trim());
}

#[test]
fn included_files_add_their_sections() {
    check_files(
        &[
            ("bootwright.toml", "include = [\"parts/a.toml\", \"b.toml\"]\n[stack]\nname = \"demo\"\n"),
            ("parts/a.toml", "include = [\"../b.toml\"]\n[target.a]\nkind = \"rootfs\"\nlayers = [\"b\"]\n"),
            ("b.toml", "[target.b]\nkind = \"rootfs\"\n"),
        ],
        "a b",
    );
}

#[test]
fn files_without_end_are_not_read() {
    let main = "include = [\"a/x.toml\", \"b/x.toml\"]\n";
    let mut n_read = 0;
    // As with a link `a` to the directory that it is in.
    let mut include = |_: &str| {
        n_read += 1;
        Ok(main.to_owned())
    };
    let (stack, problems) =
        parse_with(&format!("{main}[stack]\nname = \"demo\"\n"), &Settings::default(), &mut include);
    assert!(stack.is_none());
    let told = render(&problems);
    assert!(told.starts_with("error: more than 64 files include each other in a row"), "{told}");
    assert!(told.contains("a link among the directories may lead in a circle"), "{told}");
    assert_eq!((problems.len(), n_read), (1, 999));
}

#[test]
fn includes_stay_in_the_project_and_do_not_go_round() {
    check_files(
        &[
            (
                "bootwright.toml",
                "include = [\"a.toml\", \"../x.toml\", \"/etc/x.toml\", \"none.toml\"]\n[stack]\nname = \"demo\"\n[env.e]\ndistro = \"debian:bookworm\"\n",
            ),
            ("a.toml", "include = [\"b.toml\"]\n[stack]\nname = \"other\"\n"),
            (
                "b.toml",
                "include = [\"a.toml\", \"b.toml\", \"bootwright.toml\"]\n[env.e]\ndistro = \"debian:trixie\"\n",
            ),
        ],
        r#"
error: `[stack]` in an included file
 --> a.toml:2:2
  |
2 | [stack]
  |  ^^^^^
  |
  = help: it belongs in the project's main file, `bootwright.toml`

error: files include each other: `a.toml` → `b.toml` → `a.toml`
 --> b.toml:1:12
  |
1 | include = ["a.toml", "b.toml", "bootwright.toml"]
  |            ^^^^^^^^
  |
  = help: remove one of the `include` entries

error: files include each other: `b.toml` → `b.toml`
 --> b.toml:1:22
  |
1 | include = ["a.toml", "b.toml", "bootwright.toml"]
  |                      ^^^^^^^^
  |
  = help: remove one of the `include` entries

error: files include each other: `bootwright.toml` → `a.toml` → `b.toml` → `bootwright.toml`
 --> b.toml:1:32
  |
1 | include = ["a.toml", "b.toml", "bootwright.toml"]
  |                                ^^^^^^^^^^^^^^^^^
  |
  = help: remove one of the `include` entries

error: `env.e` is already there
 --> b.toml:2:6
  |
2 | [env.e]
  |      ^
  |
 ::: bootwright.toml:4:6
  |
4 | [env.e]
  |      - first written here
  |
  = help: give one of them another name; to change it under a condition, use `when`

error: `../x.toml` is not a file of the project
 --> bootwright.toml:1:22
  |
1 | include = ["a.toml", "../x.toml", "/etc/x.toml", "none.toml"]
  |                      ^^^^^^^^^^^
  |
  = help: an included file lies in the project; its path is relative to the file that includes it

error: `/etc/x.toml` is not a file of the project
 --> bootwright.toml:1:35
  |
1 | include = ["a.toml", "../x.toml", "/etc/x.toml", "none.toml"]
  |                                   ^^^^^^^^^^^^^
  |
  = help: an included file lies in the project; its path is relative to the file that includes it

error: could not read `none.toml`: there is no such file
 --> bootwright.toml:1:50
  |
1 | include = ["a.toml", "../x.toml", "/etc/x.toml", "none.toml"]
  |                                                  ^^^^^^^^^^^
"#,
    );
}

const LOCKED: &str = r#"
[stack]
name = "demo"

[source.linux]
url = "https://example.org/linux.tar.xz"

[source.here]
path = "src"

[env.tools]
distro   = "debian:bookworm"
packages = ["make"]

[target.tool]
kind    = "command"
env     = "tools"
sources = ["linux", "here"]
run     = "make"
"#;

fn lock_for(stack: &Stack) -> Lock {
    let needs = needs(stack, &[Goal::Target(stack.targets.keys().next().unwrap().clone())]);
    let text = format!(
        r#"# Written by `bootwright lock`; belongs into version control.
version = 1

[packages."env.tools"]
request = "{}"
releases = [
  {{ suite = "bookworm", archive = "debian", date = "20260101T000000Z" }},
]
pins = [
  {{ name = "make", version = "4.3-4.1", arch = "amd64", suite = "bookworm", filename = "pool/main/m/make.deb", size = 7, sha256 = "{}" }},
]

[source."linux"]
url = "https://example.org/linux.tar.xz"
sha256 = "{}"
size = 1
"#,
        needs.packages["env.tools"].request.digest(),
        "a".repeat(64),
        "b".repeat(64)
    );
    let lock = Lock::parse(&text).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(lock.to_text(), text, "the text is canonical");
    lock
}

#[track_caller]
fn check_lock(change: impl Fn(&str) -> String, expected: &str) {
    let lock = lock_for(&stack(parse(LOCKED, &Settings::default())));
    let stack = stack(parse(&change(LOCKED), &Settings::default()));
    let goals: Vec<Goal> = stack.targets.keys().cloned().map(Goal::Target).collect();
    assert_eq!(render(&lock.check(&needs(&stack, &goals))), expected.trim());
}

#[test]
fn a_lock_answers_what_it_was_made_for() {
    check_lock(str::to_owned, "");
    check_lock(|text| text.replace("[source.here]", "# a comment\n[source.here]"), "");
}

#[test]
fn a_changed_request_is_stale() {
    check_lock(
        |text| text.replace("\"make\"]", "\"make\", \"gcc\"]").replace("linux.tar.xz", "linux.tar.gz"),
        r#"
error: what `env.tools` asks for has changed since it was locked
  --> bootwright.toml:11:6
   |
11 | [env.tools]
   |      ^^^^^
   |
   = help: run `bootwright lock`

error: source `linux` has changed since it was locked
 --> bootwright.toml:5:9
  |
5 | [source.linux]
  |         ^^^^^
  |
  = help: run `bootwright lock`
"#,
    );
}

#[test]
fn what_is_not_locked_is_reported() {
    check_lock(
        |text| text.replace("linux", "linux6").replace("tools", "tools2"),
        r#"
error: the packages of `env.tools2` are not locked
  --> bootwright.toml:11:6
   |
11 | [env.tools2]
   |      ^^^^^^
   |
   = help: run `bootwright lock`

error: source `linux6` is not locked
 --> bootwright.toml:5:9
  |
5 | [source.linux6]
  |         ^^^^^^
  |
  = help: run `bootwright lock`
"#,
    );
}

#[track_caller]
fn check_lock_text(text: &str, expected: &str) {
    let problem = Lock::parse(text).expect_err("a damaged lock pins nothing");
    assert_eq!(problem.to_string(), expected.trim());
}

#[test]
fn damaged_locks_pin_nothing() {
    check_lock_text(
        "",
        r#"
error: the lock has no version, and this program reads version 1
 --> bootwright.lock:1:1
  |
1 |
  | ^
  |
  = help: run `bootwright lock`
"#,
    );
    check_lock_text(
        "version = 2\nnew = 1\n",
        r#"
error: the lock has version 2, and this program reads version 1
 --> bootwright.lock:1:1
  |
1 | version = 2
  | ^
  |
  = help: run `bootwright lock`
"#,
    );
    check_lock_text(
        "version = 1\n[packages.\"env.a\"]\nrequest = \"x\"\npins = [{ name = \"a\" }]\n",
        r#"
error: the lock is damaged: missing field `version`
 --> bootwright.lock:4:9
  |
4 | pins = [{ name = "a" }]
  |         ^^^^^^^^^^^^^^
  |
  = help: restore it from version control, or delete it and run `bootwright lock`
"#,
    );
    check_lock_text(
        "version = 1\n<<<<<<< HEAD\n",
        r#"
error: the lock is damaged: key with no value, expected `=`
 --> bootwright.lock:2:9
  |
2 | <<<<<<< HEAD
  |         ^
  |
  = help: restore it from version control, or delete it and run `bootwright lock`
"#,
    );
    check_lock_text(
        "version = 1\n[source.a]\nurl = \"x\"\nsha256 = \"short\"\nsize = 1\n",
        r#"
error: the lock is damaged: not a locked `url`, `git` or `debian-source` with all that pins it
 --> bootwright.lock:2:1
  |
2 | [source.a]
  | ^^^^^^^^^^
  |
  = help: restore it from version control, or delete it and run `bootwright lock`
"#,
    );
}
