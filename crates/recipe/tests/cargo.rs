//! What targets of cargo, make and COCONUT's recipes come to, and what is told of wrong ones.

#![allow(clippy::unwrap_used, reason = "a failing test panics")]

mod stand_ins;

use std::collections::BTreeMap;

use cas::Digest;
use recipe::{
    FileIn, Goal, Imported, Lock, LockedSource, Lowered, Name, Problem, Resolved, Reuse, Settings, lower,
    needs, parse,
};

const STACK: &str = r#"
[stack]
name = "cargo"

[env.rust]
distro = "debian:bookworm"

[source.tree]
git = "https://a.example/x.git"
rev = "v2026.1"

[source.package]
debian-source = "hello"

[target.data]
kind    = "command"
env     = "rust"
run     = "true"
outputs = ["data"]

[target.tools]
kind             = "cargo"
env              = "rust"
source           = "tree"
manifest         = "tools/Cargo.toml"
lockfile         = "Cargo.lock"
package          = "tools"
bins             = ["one", "two"]
triple           = "x86_64-unknown-none"
features         = ["a", "b/c"]
default-features = false
profile          = "dev"
build-std        = ["core", "alloc"]
objcopy          = { format = "binary", strip-debug = false }
inputs           = { data = "data" }
environment      = { X = "y" }

[target.stage]
kind      = "make"
env       = "rust"
source    = "tree"
directory = "boot"
goals     = ["all"]
variables = { RELEASE = "1" }
files     = { "stage.bin" = "out/stage.bin" }

[target.images]
kind     = "xbuild"
env      = "rust"
source   = "tree"
recipe   = "configs/a.json"
firmware = "data"
release  = true
features = ["vtpm"]
"#;

const CONFIG: &str = r#"{
    "igvm": { "qemu": { "output": "a.igvm", "platforms": ["snp"] }, "hyper-v": { "output": "b.igvm" } },
    "kernel": { "svsm": {}, "tdx-stage1": { "manifest": "stage1/Cargo.toml", "binary": true } },
    "fs": { "modules": {} },
    "firmware": { "file": "nowhere" }
}"#;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Lowers everything, with stand-ins for what would be locked and fetched. The sources have `texts`.
fn lowered(text: &str, texts: &[(&str, &str)]) -> Result<Lowered, Vec<Problem>> {
    let (stack, problems) = parse(text, &Settings::default());
    let stack = stack.unwrap_or_else(|| panic!("{problems:?}"));
    let goals: Vec<Goal> = stack.targets.keys().cloned().map(Goal::Target).collect();
    let needs = needs(&stack, &goals);
    let source = LockedSource::Git {
        git: "https://a.example/x.git".into(),
        rev: "v2026.1".into(),
        commit: "0".repeat(40),
        submodules: false,
        tree: Digest::of(b"tree"),
    };
    let lock = Lock {
        packages: stand_ins::packages(&needs, "cargo"),
        sources: [("tree".to_owned(), source)].into(),
    };
    let texts: BTreeMap<FileIn, String> = texts
        .iter()
        .map(|(path, text)| (FileIn { source: name("tree"), path: (*path).to_owned() }, (*text).to_owned()))
        .collect();
    assert!(texts.keys().all(|file| needs.texts.contains_key(file)), "{:?}", needs.texts);
    let crates = needs.crates.keys().filter(|file| texts.contains_key(file));
    let resolved = Resolved {
        sources: [(name("tree"), Imported::Tree(Digest::of(b"tree")))].into(),
        crates: crates.map(|file| (file.clone(), Digest::of(b"crates"))).collect(),
        texts: texts.clone(),
        tools: stand_ins::tools(),
        ..Resolved::default()
    };
    lower(&stack, &lock, &resolved, &goals, Reuse::Nothing)
}

const TEXTS: [(&str, &str); 3] =
    [("Cargo.lock", "…"), ("configs/a.json", CONFIG), ("release/Cargo.toml", "…")];

#[test]
fn what_is_asked_for_reaches_the_commands() {
    let lowered = lowered(STACK, &TEXTS).unwrap_or_else(|problems| panic!("{problems:?}"));
    let steps: BTreeMap<&str, &engine::Step> =
        lowered.graph.steps().map(|(_, step)| (step.label.as_str(), step)).collect();
    let tail = |label: &str, from: &str| {
        let arguments = &steps[label].arguments;
        let start =
            arguments.iter().position(|argument| argument == from).unwrap_or_else(|| panic!("{arguments:?}"));
        arguments[start..].join(" ")
    };
    let paths =
        |label: &str| -> Vec<&str> { steps[label].inputs.iter().map(|input| input.path.as_str()).collect() };
    assert_eq!(
        tail("tools/build", "cargo"),
        "cargo build --manifest-path tools/Cargo.toml --package tools --bin one --bin two --target x86_64-unknown-none \
         --features a,b/c --profile dev --no-default-features --locked --offline -Zbuild-std=core,alloc"
    );
    assert_eq!(paths("tools/build"), ["", "build/src/tree", "build/in/data", "build"]);
    assert_eq!(steps["tools/build"].environment["X"], "y");
    assert_eq!(steps["tools/build"].environment["RUSTC_BOOTSTRAP"], "1");
    assert!(
        steps["tools/build"].arguments.contains(
            &"one\t/build/target/x86_64-unknown-none/debug/one\ntwo\t/build/target/x86_64-unknown-none/debug/two".to_owned()
        )
    );
    assert_eq!(tail("tools", "in/built"), "in/built binary  one two");
    assert_eq!(tail("stage", "make"), "make -C boot RELEASE=1 all");
    assert!(steps["stage"].arguments.contains(&"stage.bin\tout/stage.bin".to_owned()));
    assert_eq!(paths("stage"), ["", "build/src/tree"]);

    assert_eq!(
        tail("images/svsm (vtpm)", "cargo"),
        "cargo build --package svsm --target x86_64-unknown-none --features vtpm --release --offline --locked"
    );
    assert_eq!(
        paths("images/svsm (vtpm)"),
        ["", "build/src/tree", "build", "build/src/tree/release/src/git_version.rs", "usr/local/bin/git"]
    );
    assert_eq!(
        paths("images/a.igvm"),
        ["", "build/in/svsm", "build/in/tdx-stage1", "build/in/firmware", "build/in/builder"]
    );
    let images = &lowered.targets["images"].steps;
    let labels: Vec<&str> = images.iter().map(|step| lowered.graph.step(*step).label.as_str()).collect();
    assert_eq!(labels, ["images/a.igvm", "images/b.igvm"]);
    let says = |text: &str| lowered.blobs.iter().any(|blob| String::from_utf8_lossy(blob).contains(text));
    assert!(says("GIT_VERSION: &str = \"2026.1\""));
}

/// Compares what is told of a stack, without where and with what could be done.
#[track_caller]
fn told(problems: &[Problem], expected: &[&str]) {
    let told = |problem: &Problem| match &problem.help {
        Some(help) => format!("{}; {help}", problem.message),
        None => problem.message.clone(),
    };
    assert_eq!(problems.iter().map(told).collect::<Vec<_>>(), expected);
}

#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(STACK.contains(from), "{from}");
    told(&parse(&STACK.replacen(from, to, 1), &Settings::default()).1, expected);
}

#[test]
fn targets_that_cannot_be_are_told() {
    check(
        "bins             = [\"one\", \"two\"]",
        "bins = [\"one\", \"one\"]",
        &["program `one` is listed twice"],
    );
    check(
        "bins             = [\"one\", \"two\"]",
        "",
        &["nothing is built: `bins` is empty; name the programs, as in `bins = [\"svsm\"]`"],
    );
    check("[\"a\", \"b/c\"]", "[\"a,b\"]", &["`a,b` is not one feature; list each by itself"]);
    check(
        "\"tools\"\nbins",
        "\"-p\"\nbins",
        &["`-p` is no name that cargo knows; names have letters, digits, `-`, `_` and `.`"],
    );
    check("format = \"binary\", ", "", &["`target.tools.objcopy` has no `format`"]);
    check(
        "goals     = [\"all\"]",
        "goals = [\"A=b\"]",
        &["`A=b` is no goal; variables are set with `variables`"],
    );
    check("variables = { RELEASE", "variables = { \"A:B\"", &["`A:B` is no name of a variable"]);
    check(
        "files     = { \"stage.bin\" = \"out/stage.bin\" }",
        "",
        &[
            "nothing is left: `files` is empty; name what `make` leaves, as in `files = { \"x.bin\" = \"out/x.bin\" }`",
        ],
    );
    check("{ \"stage.bin\" =", "{ a = \"x\", \"a/b\" =", &["`a/b` and `a` lie in each other"]);
    check("{ X = \"y\" }", "{ OUT = \"y\" }", &["`OUT` is always `/build/out`; use another name"]);
    check(
        "{ data = \"data\" }",
        "{ data = \"data/x\" }",
        &["target `data` leaves no `x`; known files of it: `data`"],
    );
    let package = "take the sources from git, or from an archive";
    check(
        "source           = \"tree\"",
        "source = \"package\"",
        &[&format!(
            "source `package` is a source package, and crates are fetched before anything is unpacked; {package}"
        )],
    );
    check(
        "source   = \"tree\"",
        "source = \"package\"",
        &[&format!(
            "source `package` is a source package, and its recipes are read before anything is unpacked; {package}"
        )],
    );
    check(
        "[\"vtpm\"]",
        "[\"a:\"]",
        &["`a:` is no feature of a component; write it as FEATURE or COMPONENT:FEATURE"],
    );
}

#[test]
fn sources_that_lack_something_are_told() {
    let told_of =
        |texts: &[(&str, &str)], expected: &[&str]| told(&lowered(STACK, texts).unwrap_err(), expected);
    let lock = "source `tree` has no `Cargo.lock`; write it with `cargo generate-lockfile`, or say with `lockfile` where it is: \
                what is built with other crates each time is not the same each time";
    told_of(&TEXTS[1..], &[lock, lock]);
    told_of(&TEXTS[..1], &["source `tree` has no `configs/a.json`; recipes are mostly in `configs`"]);
    told_of(
        &[
            TEXTS[0],
            ("configs/a.json", "{ \"igvm\": {}, \"kernel\": { \"svsm\": {} }, \"fs\": { \"modules\": {} } }"),
        ],
        &["the recipe makes no image: its `igvm` is empty"],
    );
    told_of(
        &[
            TEXTS[0],
            (
                "configs/a.json",
                "{ \"igvm\": { \"qemv\": { \"platforms\": [\"native\"] } }, \"kernel\": { \"svsm\": {} }, \"fs\": { \"modules\": {} } }",
            ),
        ],
        &["unknown target `qemv`; did you mean `qemu`?"],
    );
    let without = STACK.replace("firmware = \"data\"", "");
    told(
        &lowered(&without, &TEXTS).unwrap_err(),
        &[
            "the recipe takes its firmware from a command or a file of the machine; say with `firmware` which it is: a target such as \
           `\"ovmf\"`, or `{ file = \"OVMF.fd\" }`",
        ],
    );
    let other = STACK.replace("[\"vtpm\"]", "[\"vtmp:x\"]");
    told(
        &lowered(&other, &TEXTS).unwrap_err(),
        &["the recipe has no component `vtmp`; known components: `svsm`, `tdx-stage1`, `igvmbuilder`"],
    );
}
