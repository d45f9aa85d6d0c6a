//! COCONUT's own tree: its recipes, and what their images measure, beside its own programs.

use std::path::Path;
use std::process::Command;

use super::measure::{Case, Task, in_turns, in_turns_without_warm_up};
use super::report::{Goal, Report, Row};
use super::{Context, command, remove};

/// A recipe for one platform, and with those of the others all that the tree has images for.
const ONE: &[&str] = &["configs/qemu-target.json"];
const ALL: &[&str] =
    &["configs/qemu-target.json", "configs/hyperv-target.json", "configs/vanadium-target.json"];
/// The image of the first.
const IMAGE: &str = "bin/coconut-qemu.igvm";
/// How much of the time of `cargo xbuild` these may take from nothing, and how much the first one when nothing is to do.
const CLEAN_ONE: f64 = 1.0;
const CLEAN_ALL: f64 = 0.8;
const UNCHANGED: f64 = 1.0 / 50.0;
/// How often an image is measured in a run: once takes milliseconds.
const N_MEASURED: usize = 10;

/// Measures builds from nothing, builds with nothing to do, and launch digests. The tree has to be at
/// `target/bench/coconut/svsm`, or a link to it, with its submodules and what cargo needs for `x86_64-unknown-none`; what
/// was built in it is removed.
pub(crate) fn run(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("coconut")?;
    let (tree, cache, tools) = (scratch.join("svsm"), scratch.join("cache"), scratch.join("tools"));
    if !tree.join(ONE[0]).is_file() {
        let note = format!(
            "nothing to measure: put a checkout of COCONUT-SVSM, or a link to it, at `{}`",
            tree.display()
        );
        return Ok(Report {
            name: "coconut",
            title: "no checkout".to_owned(),
            rows: Vec::new(),
            notes: vec![note],
        });
    }
    let ours = |recipes: &[&str]| {
        let task = Task::new(context.program("bootwright"), &tree).arg("--cache").arg(&cache).arg("xbuild");
        with(task, recipes)
    };
    let theirs = |recipes: &[&str]| with(Task::new("cargo", &tree).arg("xbuild"), recipes);
    let clear = |_: usize| {
        remove(&cache)?;
        remove(&tree.join("bin"))?;
        remove(&tree.join("target"))
    };
    let mut cases = vec![
        Case::new("one recipe", ours(ONE)).prepare(clear),
        Case::new("again", ours(ONE)).says("nothing to do"),
        Case::new("all recipes", ours(ALL)).prepare(clear),
        Case::new("cargo xbuild, one", theirs(ONE)).prepare(clear),
        Case::new("cargo xbuild, again", theirs(ONE)),
        Case::new("cargo xbuild, all", theirs(ALL)).prepare(clear),
    ];
    let samples = in_turns_without_warm_up(&scratch, &mut cases, n_runs)?;
    let [one, again, all, their_one, their_again, their_all] =
        [0, 1, 2, 3, 4, 5].map(|idx| Row::of(cases[idx].name, &samples[idx]));
    let (measure, igvmmeasure) = measured(context, &tree, &tools)?;
    let rows = vec![
        one.goal(Goal::Ratio(CLEAN_ONE)).against(&their_one),
        again.goal(Goal::Ratio(UNCHANGED)).against(&their_again),
        all.goal(Goal::Ratio(CLEAN_ALL)).against(&their_all),
        measure.goal(Goal::Ratio(1.0)).against(&igvmmeasure),
        their_one,
        their_again,
        their_all,
        igvmmeasure,
    ];
    let title = format!("{} and {IMAGE}, {n_runs} runs", ALL.join(", "));
    Ok(Report { name: "coconut", title, rows, notes: Vec::new() })
}

/// Measures the launch digest of the image that was built last. Both programs have to find the same one.
fn measured(context: &Context, tree: &Path, tools: &Path) -> Result<(Row, Row), String> {
    let mut build = Command::new("cargo");
    build
        .current_dir(tree)
        .args(["build", "--release", "--package", "igvmmeasure", "--target-dir"])
        .arg(tools);
    command(&mut build)?;
    let igvmmeasure = tools.join("release/igvmmeasure");
    let digest = |program: &Path, words: &[&str]| {
        let output = Command::new(program).current_dir(tree).args(words).output();
        let output = output.map_err(|error| format!("could not run `{}`: {error}", program.display()))?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).trim().to_lowercase())
    };
    let program = context.program("bootwright");
    let ours = digest(&program, &["measure", IMAGE, "--platform", "snp", "--bare"])?;
    let theirs = digest(&igvmmeasure, &[IMAGE, "measure", "--bare"])?;
    if ours.is_empty() || ours != theirs {
        return Err(format!("`{IMAGE}` measures `{ours}`, and to igvmmeasure `{theirs}`"));
    }
    let mut cases = vec![
        Case::new(
            "measure",
            Task::new(program, tree).args(["measure", IMAGE, "--platform", "snp", "--bare"]),
        ),
        Case::new("igvmmeasure", Task::new(igvmmeasure, tree).args([IMAGE, "measure", "--bare"])),
    ];
    let samples = in_turns(&tools.join(".."), &mut cases, N_MEASURED)?;
    Ok((Row::of(cases[0].name, &samples[0]), Row::of(cases[1].name, &samples[1])))
}

fn with(task: Task, recipes: &[&str]) -> Task {
    recipes.iter().fold(task, |task, recipe| task.arg(*recipe))
}
