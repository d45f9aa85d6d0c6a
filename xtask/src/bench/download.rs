//! Downloading packages, beside apt from the same archive.

use std::path::Path;

use super::bootstrap::{EPOCH, bootwright, packages_in, write_project};
use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::{Context, command, make_directory, missing, remove};

/// How much of apt's time it may take.
const GOAL: f64 = 1.0;

/// Measures `fetch` of minbase into an empty cache, and apt downloading the same files.
pub(crate) fn run(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("download")?;
    let [project, theirs] = ["project", "apt"].map(|name| scratch.join(name));
    make_directory(&project)?;
    write_project(&project, EPOCH)?;
    command(&mut bootwright(context, &project, "lock"))?;
    let packages = packages(&project.join("bootwright.lock"))?;

    let cache = project.join("cache");
    let ours = Task::new(context.program("bootwright"), &project).arg("--cache").arg(&cache).args(["fetch"]);
    let mut cases = vec![Case::new("fetch", ours).prepare(|_| remove(&cache))];
    let notes: Vec<String> = missing("apt-get", "apt").into_iter().collect();
    if notes.is_empty() {
        let mut apt = Task::new("apt-get", &theirs).args(["--quiet=2", "download"]);
        for package in &packages {
            apt = apt.arg(package);
        }
        cases.push(Case::new("apt-get download", apt).prepare(|_| {
            remove(&theirs)?;
            make_directory(&theirs)
        }));
    }
    let samples = in_turns(&scratch, &mut cases, n_runs)?;
    let ours = Row::of("fetch", &samples[0]).goal(Goal::Ratio(GOAL));
    let rows = match samples.get(1) {
        Some(samples) => {
            let peer = Row::of(cases[1].name, samples);
            vec![ours.against(&peer), peer]
        }
        None => vec![ours],
    };
    remove(&cache)?;
    remove(&theirs)?;
    let title = format!("{} packages from the archive, {n_runs} runs", packages.len());
    Ok(Report { name: "download", title, rows, notes })
}

/// Returns the packages of a lock as apt calls them: `name:architecture=version`.
fn packages(lock: &Path) -> Result<Vec<String>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("could not read `{}`: {error}", lock.display());
    let text = std::fs::read_to_string(lock).map_err(|error| failed(&error))?;
    let table: toml::Table = text.parse().map_err(|error| failed(&error))?;
    let name = |package: &toml::Table| {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
        Some(format!("{}:{}={}", text("name")?, text("arch")?, text("version")?))
    };
    Ok(packages_in(&toml::Value::Table(table)).into_iter().filter_map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_a_lock() {
        let lock = tempfile::NamedTempFile::new().unwrap();
        let text =
            "[[set]]\npackages = [{ name = \"a\", arch = \"all\", version = \"1:2\", filename = \"x\" }]\n";
        std::fs::write(lock.path(), text).unwrap();
        assert_eq!(packages(lock.path()).unwrap(), ["a:all=1:2"]);
    }
}
