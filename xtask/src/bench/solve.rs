//! Choosing packages, beside apt from the same archive.

use std::path::Path;
use std::process::Command;

use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::{Context, command, copy, make_directory, missing, remove, write};

/// A set of some 1,500 packages.
const DESKTOP: &str = "task-gnome-desktop";
/// In which it is to be solved, in seconds.
const DESKTOP_GOAL: f64 = 1.0;
/// In which the example is to be locked, in seconds.
const LOCK_GOAL: f64 = 0.5;
const EXAMPLE: &str = "examples/quickstart";
/// What the example asks for.
const PACKAGES: [&str; 4] = ["hello", "busybox-static", "qemu-system-x86", "linux-image-cloud-amd64"];

/// Measures `lock` of a desktop with all that it recommends: the archive's index is read, packages are chosen
/// and the lock is written.
pub(crate) fn solve(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("solve")?;
    let project = scratch.join("project");
    make_directory(&project)?;
    write(
        &project.join("bootwright.toml"),
        &format!(
            "[stack]\nname = \"desktop\"\n\n[target.root]\nkind       = \"rootfs\"\n\
             distro     = \"debian:bookworm\"\npackages   = [\"{DESKTOP}\"]\nrecommends = true\n"
        ),
    )?;
    let report = compare(context, &project, &["--install-recommends", DESKTOP], DESKTOP_GOAL, n_runs)?;
    let title = format!("{DESKTOP} and what it recommends, {}", report.title);
    Ok(Report { name: "solve", title, ..report })
}

/// Measures `lock` of the example when the archive's index is here.
pub(crate) fn lock(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("lock")?;
    let project = scratch.join("project");
    make_directory(&project)?;
    copy(&context.root.join(EXAMPLE).join("bootwright.toml"), &project.join("bootwright.toml"))?;
    let mut wanted = vec!["--no-install-recommends"];
    wanted.extend(PACKAGES);
    let report = compare(context, &project, &wanted, LOCK_GOAL, n_runs)?;
    Ok(Report { name: "lock", title: format!("{EXAMPLE}, {}", report.title), ..report })
}

/// Measures `lock` of the project, and apt choosing what is `wanted` where nothing is installed.
fn compare(
    context: &Context,
    project: &Path,
    wanted: &[&str],
    goal: f64,
    n_runs: usize,
) -> Result<Report, String> {
    let cache = project.join("cache");
    let locked = project.join("bootwright.lock");
    let task = Task::new(context.program("bootwright"), project).arg("--cache").arg(&cache).args(["lock"]);
    remove(&locked)?;
    let mut first = Command::new(context.program("bootwright"));
    command(first.current_dir(project).arg("--cache").arg(&cache).arg("lock"))?;
    let text = std::fs::read_to_string(&locked)
        .map_err(|error| format!("could not read `{}`: {error}", locked.display()))?;
    let n_packages = text.lines().filter(|line| line.contains("filename = ")).count();

    let mut cases = vec![Case::new("lock", task).prepare(|_| remove(&locked))];
    let mut notes =
        vec!["ours asks the mirror each time whether its release is still the same; apt does not".to_owned()];
    notes.extend(missing("apt-get", "apt"));
    let mut theirs = Task::new("apt-get", project).args([
        "--simulate",
        "--option",
        "Dir::State::status=/dev/null",
        "install",
    ]);
    let mut probe = Command::new("apt-get");
    probe.args(["--simulate", "--option", "Dir::State::status=/dev/null", "install"]).args(wanted);
    for word in wanted {
        theirs = theirs.arg(*word);
    }
    match command(&mut probe) {
        Ok(_) => cases.push(Case::new("apt-get --simulate", theirs)),
        Err(_) => notes.push("no peer: apt has no index of the same archive here".to_owned()),
    }
    let samples = in_turns(project, &mut cases, n_runs)?;
    let ours = Row::of("lock", &samples[0]).goal(Goal::Seconds(goal));
    let rows = match samples.get(1) {
        Some(samples) => {
            let peer = Row::of(cases[1].name, samples);
            vec![ours.against(&peer), peer]
        }
        None => vec![ours],
    };
    Ok(Report { name: "", title: format!("{n_packages} packages, {n_runs} runs"), rows, notes })
}
