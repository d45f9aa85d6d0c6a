//! The crates of a `Cargo.lock`, beside cargo from the same registry.

use std::fs;

use super::bootstrap::bootwright;
use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::{Context, command, make_directory, remove};

/// How much of the time of `cargo fetch` it may take.
const GOAL: f64 = 1.0;

/// The crates are those of this very checkout.
const PROJECT: &str = r#"
[stack]
name = "crates"

[source.checkout]
path   = "checkout"
ignore = ["/target/"]

[env.rust]
distro   = "debian:bookworm"
packages = ["cargo-web", "gcc"]

[target.tool]
kind     = "cargo"
env      = "rust"
source   = "checkout"
manifest = "crates/kernel/Cargo.toml"
lockfile = "Cargo.lock"
bins     = ["kbuild"]
"#;

/// Measures how long it takes until all crates are where a step reads them, with nothing of them here; beside it what
/// fetches them for cargo, and what puts them beside a source as ours are.
pub(crate) fn run(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("crates")?;
    let [project, home, vendored] = ["project", "home", "vendored"].map(|name| scratch.join(name));
    make_directory(&project)?;
    let failed = |error: std::io::Error| format!("could not write the project of `crates`: {error}");
    fs::write(project.join("bootwright.toml"), PROJECT).map_err(failed)?;
    remove(&project.join("checkout"))?;
    std::os::unix::fs::symlink(&context.root, project.join("checkout")).map_err(failed)?;
    command(&mut bootwright(context, &project, "lock"))?;

    let cache = project.join("cache");
    let ours = Task::new(context.program("bootwright"), &project).arg("--cache").arg(&cache).args(["plan"]);
    // cargo has no option for where it keeps what it fetched.
    let cargo = |words: [&str; 2]| {
        let home = format!("CARGO_HOME={}", home.display());
        Task::new("env", &context.root).arg(home).args(["cargo"]).args(words).args(["--quiet"])
    };
    let vendor = cargo(["vendor", "--locked"]).arg(&vendored);
    let mut cases = vec![
        Case::new("plan", ours).prepare(|_| remove(&cache)),
        Case::new("cargo fetch", cargo(["fetch", "--locked"])).prepare(|_| remove(&home)),
        Case::new("cargo vendor", vendor).prepare(|_| {
            remove(&home)?;
            remove(&vendored)
        }),
    ];
    let samples = in_turns(&scratch, &mut cases, n_runs)?;
    let [ours, fetch, vendor] = [0, 1, 2].map(|idx| Row::of(cases[idx].name, &samples[idx]));
    let rows = vec![ours.goal(Goal::Ratio(GOAL)).against(&fetch), fetch, vendor];
    [&cache, &home, &vendored].into_iter().try_for_each(|made| remove(made))?;
    let title = format!("the crates of this checkout from the registry, {n_runs} runs");
    Ok(Report { name: "crates", title, rows, notes: Vec::new() })
}
