//! Large graphs in which nothing has to run, beside ninja on graphs of the same shape.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::measure::{Case, Sample, Task, in_turns};
use super::report::{Goal, Report, Row, Summary};
use super::{Context, command, make_directory, missing, write};

/// The shape of the graph in `crates/local/examples/graph.rs`.
const N_LAYERS: usize = 20;
const SMALL: usize = 10_000;
const LARGE: usize = 100_000;
/// How much of ninja's time they may take.
const SMALL_GOAL: f64 = 1.0;
const LARGE_GOAL: f64 = 1.2;
/// What the scheduler may cost for each action that runs, in seconds.
const SCHEDULER_GOAL: f64 = 100e-6;
/// The memory that an action may take beyond its strings, in bytes.
const MEMORY_GOAL: f64 = 1024.0;

/// What ninja prints when all is up to date.
const NINJA_IDLE: &str = "no work to do";
const IDLE: &str = "nothing to do";

/// Measures a build of 10,000 and of 100,000 actions in which nothing has to run, and one of 10,000 that all
/// run, without sandboxes.
///
/// The first time, both make what they then find: that takes minutes.
pub(crate) fn run(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("graph")?;
    let program = context.example("local", "graph")?;
    let missing = missing("ninja", "ninja-build");
    let mut cases = Vec::new();
    let mut strings = Vec::new();
    for n_steps in [SMALL, LARGE] {
        let directory = scratch.join(format!("ours-{n_steps}"));
        make_directory(&directory)?;
        let ours = |word: &str| {
            let mut ours = Command::new(&program);
            ours.arg(word).arg(&directory).arg(n_steps.to_string());
            ours
        };
        let idle = || command(&mut ours("idle"));
        let text = match idle() {
            Ok(text) => text,
            Err(_) => command(&mut ours("make")).and_then(|_| idle())?,
        };
        strings.push(n_bytes(&text).ok_or_else(|| format!("`graph idle` printed no size: {text}"))?);
        let (name, ninja_name) = match n_steps {
            SMALL => ("10,000, nothing to do", "ninja, 10,000"),
            _ => ("100,000, nothing to do", "ninja, 100,000"),
        };
        let task = Task::new(&program, &scratch).args(["idle"]).arg(&directory).arg(n_steps.to_string());
        cases.push(Case::new(name, task).says(IDLE));
        if missing.is_none() {
            let directory = scratch.join(format!("ninja-{n_steps}"));
            cases.push(ninja(ninja_name, &directory, n_steps, N_LAYERS)?);
        }
    }
    let task = Task::new(&program, &scratch).args(["run"]).arg(SMALL.to_string());
    cases.push(Case::new("10,000, all run", task));
    let samples = in_turns(&scratch, &mut cases, n_runs)?;

    let rows: Vec<Row> =
        cases.iter().zip(&samples).map(|(case, samples)| Row::of(case.name, samples)).collect();
    let scheduler = Goal::Seconds(SCHEDULER_GOAL * SMALL as f64);
    let (rows, large) = match <[Row; 5]>::try_from(rows) {
        Ok([small, small_peer, large, large_peer, all]) => (
            vec![
                small.against(&small_peer).goal(Goal::Ratio(SMALL_GOAL)),
                small_peer,
                large.against(&large_peer).goal(Goal::Ratio(LARGE_GOAL)),
                large_peer,
                all.goal(scheduler),
            ],
            2,
        ),
        Err(rows) => {
            let goals = [Goal::Ratio(SMALL_GOAL), Goal::Ratio(LARGE_GOAL), scheduler];
            (rows.into_iter().zip(goals).map(|(row, goal)| row.goal(goal)).collect(), 1)
        }
    };
    let mut notes = vec![memory((&samples[0], strings[0]), (&samples[large], strings[1]))];
    notes.extend(missing);
    Ok(Report { name: "graph", title: format!("{N_LAYERS} layers of actions, {n_runs} runs"), rows, notes })
}

/// Says what an action costs, out of two graphs that differ in nothing but their number: the peak of each, and
/// the bytes of its strings.
fn memory(small: (&[Sample], u64), large: (&[Sample], u64)) -> String {
    let peak = |samples: &[Sample]| Summary::of(samples.iter().map(|sample| sample.peak as f64)).median();
    let n_more = (LARGE - SMALL) as f64;
    let strings = (large.1 as f64 - small.1 as f64) / n_more;
    let all = (peak(large.0) - peak(small.0)) / n_more;
    let verdict = if all - strings <= MEMORY_GOAL { "met" } else { "MISSED" };
    format!(
        "memory of an action: {all:.0} bytes, {strings:.0} of them strings, {:.0} beyond; ≤ {MEMORY_GOAL:.0} {verdict}",
        all - strings
    )
}

/// The number before the word `bytes`.
fn n_bytes(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).find(|pair| pair[1] == "bytes")?[0].parse().ok()
}

/// Returns ninja with nothing to do: a graph of `n_steps` steps in `n_layers` layers, each of which reads two
/// results of the layer above, or a source.
pub(super) fn ninja(
    name: &'static str,
    directory: &Path,
    n_steps: usize,
    n_layers: usize,
) -> Result<Case<'static>, String> {
    make_directory(&directory.join("out"))?;
    let width = n_steps.div_ceil(n_layers);
    let mut text = "rule make\n  command = : >$out\n".to_owned();
    for step in 0..n_steps {
        let (layer, idx) = (step / width, step % width);
        let inputs = match layer.checked_sub(1) {
            Some(above) => format!("out/{above}-{idx} out/{above}-{}", (idx * 7 + 1) % width),
            None => format!("source-{idx}"),
        };
        let source = directory.join(format!("source-{idx}"));
        if layer == 0 && !source.exists() {
            write(&source, "")?;
        }
        let _ = writeln!(text, "build out/{layer}-{idx}: make {inputs}");
    }
    write(&directory.join("build.ninja"), &text)?;
    command(Command::new("ninja").current_dir(directory))?;
    Ok(Case::new(name, Task::new("ninja", directory)).says(NINJA_IDLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_one_more_action_takes() {
        let samples = |peak| [Sample { wall: 1.0, cpu: 1.0, peak }; 3];
        let text = memory((&samples(20_000_000), 3_000_000), (&samples(155_000_000), 48_000_000));
        assert_eq!(text, "memory of an action: 1500 bytes, 500 of them strings, 1000 beyond; ≤ 1024 met");
        assert_eq!(n_bytes("nothing to do: 3 remembered, 0 ran, 123 bytes of strings\n"), Some(123));
    }
}
