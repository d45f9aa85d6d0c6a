//! Nothing to do: the second build of an example beside ninja on a graph with as many steps.

use std::process::Command;
use std::time::Duration;

use super::graph::ninja;
use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::{Context, command, copy, make_directory, missing};

const EXAMPLE: &str = "examples/quickstart";
/// From start to end, in seconds.
const GOAL: f64 = 0.030;
/// How long until `stat` is believed.
const SETTLED: Duration = Duration::from_secs(4);

/// Measures `build` and `test` of the example when everything is remembered.
///
/// The first time, packages are downloaded, and the example is built and booted.
pub(crate) fn run(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("noop")?;
    let project = scratch.join("project");
    make_directory(&project)?;
    copy(&context.root.join(EXAMPLE).join("bootwright.toml"), &project.join("bootwright.toml"))?;

    let ours = |word: &str| {
        Task::new(context.program("bootwright"), &project)
            .arg("--cache")
            .arg(scratch.join("cache"))
            .args([word])
    };
    let mut again = Command::new(context.program("bootwright"));
    again.current_dir(&project).arg("--cache").arg(scratch.join("cache"));
    command(again.arg("test"))?;
    let mut again = Command::new(context.program("bootwright"));
    again.current_dir(&project).arg("--cache").arg(scratch.join("cache"));
    let n_steps = n_steps(&command(again.args(["build", "--json"]))?)?;

    // What was written a moment ago is read again, since an edit in the same instant would not show.
    std::thread::sleep(SETTLED);

    let mut cases = vec![
        Case::new("build", ours("build")).says("nothing to do"),
        Case::new("test", ours("test")).says("nothing to do"),
    ];
    let missing = missing("ninja", "ninja-build");
    if missing.is_none() {
        cases.push(ninja("ninja", &scratch.join("ninja"), n_steps, 1)?);
    }
    let samples = in_turns(&scratch, &mut cases, n_runs)?;
    let mut rows: Vec<Row> =
        cases.iter().zip(&samples).map(|(case, samples)| Row::of(case.name, samples)).collect();
    let peer = missing.is_none().then(|| rows.pop()).flatten();
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|row| match &peer {
            Some(peer) => row.against(peer),
            None => row,
        })
        .map(|row| row.goal(Goal::Seconds(GOAL)))
        .collect();
    rows.extend(peer);
    Ok(Report {
        name: "noop",
        title: format!("nothing to do in {EXAMPLE}, {n_steps} steps, {n_runs} runs"),
        rows,
        notes: missing.into_iter().collect(),
    })
}

/// How many steps a build has, out of what `build --json` prints.
fn n_steps(text: &str) -> Result<usize, String> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("`build --json` printed no JSON: {error}"))?;
    let count = |word: &str| value["steps"][word].as_u64().and_then(|count| usize::try_from(count).ok());
    match (count("ran"), count("remembered")) {
        (Some(ran), Some(remembered)) => Ok(ran + remembered),
        _ => Err(format!("`build --json` printed no number of steps: {text}")),
    }
}
