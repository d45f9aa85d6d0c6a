//! Debian's minbase as a tar, beside mmdebstrap, with the same packages already on this machine.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::{Context, command, make_directory, missing, remove, write};

/// How much of mmdebstrap's time an empty store may take.
const COLD: f64 = 1.0 / 5.0;
/// And a store that has the layer of each package.
const WARM: f64 = 1.0 / 10.0;
/// How much memory all processes of a run may have at once.
const MEMORY: u64 = 300_000_000;
/// The start of 2020, as projects have it unless they say otherwise.
pub(super) const EPOCH: u64 = 1_577_836_800;
/// How mmdebstrap reaches packages that are files of this machine.
const HOOKS: &str = "/usr/share/mmdebstrap/hooks/file-mirror-automount";

/// Measures `build` of a root file system: with an empty store but for the packages; with the packages unpacked, when
/// only configuring them and writing the tar are left to do; and with them configured for another project.
///
/// The first time, packages are downloaded.
pub(crate) fn run(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("bootstrap")?;
    let fetched = fetch(context)?;
    let [cold, warm, shared] = ["cold", "warm", "shared"].map(|name| scratch.join(name));
    let old = scratch.join("old");
    make_directory(&old)?;
    for project in [&warm, &shared] {
        start_over(&fetched, project, &old.join("first"))?;
        command(&mut bootwright(context, project, "build"))?;
    }
    let not_unpacking = |label: &str| !label.starts_with("unpack ");
    let results = results(&command(bootwright(context, &warm, "log").arg("--json"))?, not_unpacking)?;

    let build = |project: &Path| {
        let task =
            Task::new(context.program("bootwright"), project).arg("--cache").arg(project.join("cache"));
        task.args(["--offline", "--locked", "build"])
    };
    let mut cases = vec![
        Case::new("cold", build(&cold)).prepare(|run| {
            // Some file systems are slow to make files right after others were removed, so what earlier runs left
            // stays until the end.
            start_over(&fetched, &cold, &old.join(run.to_string()))
        }),
        Case::new("warm", build(&warm)).prepare(|_| forget(&warm.join("cache/store"), &results)),
        // Of all steps, only the one that writes the tar depends on the time stamp.
        Case::new("configured", build(&shared)).prepare(|run| write_project(&shared, EPOCH + 1 + run as u64)),
    ];
    let missing = missing("mmdebstrap", "mmdebstrap");
    let tar = scratch.join("mmdebstrap.tar");
    if missing.is_none() {
        let mirror = scratch.join("mirror");
        let n_packages = make_mirror(&fetched, &mirror)?;
        eprintln!("mmdebstrap gets a directory of {n_packages} packages");
        let source = format!("deb [trusted=yes] file://{} ./", mirror.display());
        let hooks = format!("--hook-dir={HOOKS}");
        let task = Task::new("mmdebstrap", &scratch)
            // That apt is required says only the archive's index, not the package itself.
            .args(["--variant=minbase", "--include=apt", &hooks, "bookworm"])
            .arg(&tar)
            .arg(source);
        let tar = tar.clone();
        cases.push(Case::new("mmdebstrap", task).prepare(move |_| remove(&tar)));
    }
    let samples = in_turns(&scratch, &mut cases, n_runs)?;

    let n_packages = installed(&cold.join("out/root/rootfs.tar"))?;
    let rows: Vec<Row> =
        cases.iter().zip(&samples).map(|(case, samples)| Row::of(case.name, samples)).collect();
    let mut rows = rows.into_iter();
    let (cold_row, warm_row, shared_row, peer) = (rows.next(), rows.next(), rows.next(), rows.next());
    if peer.is_some() {
        let theirs = installed(&tar)?;
        if theirs != n_packages {
            return Err(format!("not the same work: {n_packages} packages here, {theirs} from mmdebstrap"));
        }
    }
    let ours =
        [(cold_row, COLD), (warm_row, WARM), (shared_row, WARM)].into_iter().filter_map(|(row, goal)| {
            let row = row?.goal(Goal::Ratio(goal)).memory(MEMORY);
            Some(match &peer {
                Some(peer) => row.against(peer),
                None => row,
            })
        });
    let mut rows: Vec<Row> = ours.collect();
    rows.extend(peer);
    // What the runs left is large and of no use to the next ones.
    for path in [&cold, &warm, &shared, &old, &tar] {
        remove(path)?;
    }
    Ok(Report {
        name: "bootstrap",
        title: format!("Debian minbase as a tar, {n_packages} packages, {n_runs} runs"),
        rows,
        notes: missing.into_iter().collect(),
    })
}

/// Returns the digests of the actions that the log of a build has under a label that is `wanted`.
fn results(log: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let log: serde_json::Value =
        serde_json::from_str(log).map_err(|error| format!("could not understand the log: {error}"))?;
    let events = log["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ended = events.iter().filter(|event| event["event"] == "ended");
    let ended = ended.filter(|event| event["label"].as_str().is_some_and(&wanted));
    let actions = ended.filter_map(|event| event["action"].as_str()?.split_once('/'));
    let actions: Vec<String> = actions.map(|(hash, _)| hash.to_owned()).collect();
    if actions.is_empty() { Err("the log of the build has no steps".to_owned()) } else { Ok(actions) }
}

/// Makes a store as if the results of these actions had never been there.
fn forget(store: &Path, actions: &[String]) -> Result<(), String> {
    let records = store.join("records");
    for action in actions {
        let (first, rest) = action.split_at_checked(2).ok_or("the digest of an action is too short")?;
        remove(&records.join("actions").join(first).join(rest))?;
    }
    remove(&records.join("bundles-1"))
}

pub(super) fn write_project(directory: &Path, epoch: u64) -> Result<(), String> {
    let text = format!(
        "[stack]\nname  = \"minbase\"\nepoch = {epoch}\n\n\
         [target.root]\nkind   = \"rootfs\"\nbase   = \"minbase\"\ndistro = \"debian:bookworm\"\n"
    );
    write(&directory.join("bootwright.toml"), &text)
}

/// Returns the project of minbase whose packages are downloaded, into a cache of its own that has nothing else.
fn fetch(context: &Context) -> Result<PathBuf, String> {
    let fetched = context.scratch("bootstrap")?.join("fetched");
    make_directory(&fetched)?;
    write_project(&fetched, EPOCH)?;
    command(&mut bootwright(context, &fetched, "fetch"))?;
    Ok(fetched)
}

/// Returns a directory with the packages of minbase, which are downloaded if need be.
pub(super) fn packages(context: &Context) -> Result<PathBuf, String> {
    let mirror = context.scratch("bootstrap")?.join("mirror");
    make_mirror(&fetch(context)?, &mirror)?;
    Ok(mirror)
}

/// Returns a command of bootwright in a project with a cache of its own.
pub(super) fn bootwright(context: &Context, project: &Path, word: &str) -> Command {
    let mut command = Command::new(context.program("bootwright"));
    command.current_dir(project).arg("--cache").arg(project.join("cache")).arg(word);
    command
}

/// Makes `project` what `fetched` is. What it was before is put at `old`.
pub(super) fn start_over(fetched: &Path, project: &Path, old: &Path) -> Result<(), String> {
    remove(old)?;
    if project.exists() {
        fs::rename(project, old)
            .map_err(|error| format!("could not rename `{}`: {error}", project.display()))?;
    }
    // With times, by which a store knows what is new.
    command(Command::new("cp").arg("--archive").arg(fetched).arg(project))?;
    Ok(())
}

/// Makes a directory that apt takes for an archive, of the packages that the project locked and downloaded.
/// Returns how many there are.
fn make_mirror(project: &Path, mirror: &Path) -> Result<usize, String> {
    remove(mirror)?;
    make_directory(mirror)?;
    let path = project.join("bootwright.lock");
    let text =
        fs::read_to_string(&path).map_err(|error| format!("could not read `{}`: {error}", path.display()))?;
    let lock: toml::Table =
        text.parse().map_err(|error| format!("could not understand `{}`: {error}", path.display()))?;
    let lock = toml::Value::Table(lock);
    let packages = packages_in(&lock);
    let digests = packages.iter().filter_map(|package| package.get("sha256").and_then(toml::Value::as_str));
    let digests: Vec<&str> = digests.collect();
    let mut index = String::new();
    for digest in &digests {
        let name = format!("{digest}.deb");
        let deb = mirror.join(&name);
        let blob = blob(&project.join("cache/store/blobs"), digest)?;
        let size =
            fs::copy(&blob, &deb).map_err(|error| format!("could not copy `{}`: {error}", blob.display()))?;
        let control = command(Command::new("dpkg-deb").arg("--field").arg(&deb))?;
        let _ =
            write!(index, "{}\nFilename: ./{name}\nSize: {size}\nSHA256: {digest}\n\n", control.trim_end());
    }
    write(&mirror.join("Packages"), &index)?;
    // mmdebstrap takes what is essential from the release of that name only.
    let sum = command(Command::new("sha256sum").arg(mirror.join("Packages")))?;
    let sum = sum.split(' ').next().unwrap_or_default();
    let release = format!(
        "Suite: stable\nCodename: bookworm\nDate: Wed, 01 Jan 2020 00:00:00 UTC\nArchitectures: amd64\n\
         SHA256:\n {sum} {} Packages\n",
        index.len()
    );
    write(&mirror.join("Release"), &release)?;
    Ok(digests.len())
}

/// Returns the tables of packages in a lock, wherever they are.
pub(super) fn packages_in(lock: &toml::Value) -> Vec<&toml::Table> {
    match lock {
        toml::Value::Table(table) if table.contains_key("filename") => vec![table],
        toml::Value::Table(table) => table.values().flat_map(packages_in).collect(),
        toml::Value::Array(values) => values.iter().flat_map(packages_in).collect(),
        _ => Vec::new(),
    }
}

/// Returns the file of a blob in a store's directory.
fn blob(blobs: &Path, digest: &str) -> Result<PathBuf, String> {
    let (first, rest) = digest.split_at_checked(2).ok_or("a digest of the lock is too short")?;
    let path = blobs.join(first).join(rest);
    if path.is_file() { Ok(path) } else { Err(format!("there is no `{}`", path.display())) }
}

/// Returns how many packages are installed in the root file system in a tar.
fn installed(tar: &Path) -> Result<usize, String> {
    let status = "var/lib/dpkg/status";
    let list = |member: &str| {
        command(Command::new("tar").args(["--extract", "--to-stdout", "--file"]).arg(tar).arg(member))
    };
    let text = list(status).or_else(|_| list(&format!("./{status}")))?;
    Ok(text.lines().filter(|line| *line == "Status: install ok installed").count())
}
