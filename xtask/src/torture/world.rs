//! A small project, its cache, and the program that is tortured on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::archive::Archive;

/// How many different projects there are: values of the knob `ROUND`.
pub(crate) const N_VARIANTS: u64 = 4;

/// The packages of the smallest environment that can be configured.
pub(crate) const ENVIRONMENT: &str = r#"
[env.small]
distro = "debian:bookworm"
suites = ["bookworm"]
base = "nothing"
packages = [
    "base-files", "base-passwd", "busybox-static", "coreutils", "dash", "debianutils", "diffutils", "dpkg", "grep",
    "libc-bin", "media-types", "sed",
]
"#;

/// The project: an environment, commands that use it, a root file system and its image. Every kind of step, and all
/// of it takes a second or two.
const PROJECT: &str = r#"
[stack]
name = "torture"
default = ["chain", "wide", "disk"]
[knob]
ROUND = { default = "0" }
[source.notes]
path = "notes"
[target.first]
kind = "command"
env = "small"
sources = ["notes"]
run = ["/bin/busybox", "sh", "-euc", '''
i=0; while [ $i -lt 40 ]; do echo "${ROUND} $i" > $OUT/$i; i=$((i+1)); done
busybox head -c 3000000 /dev/zero | busybox tr '\000' "${ROUND}" > $OUT/large
busybox cp src/notes/* $OUT/
''']
[target.chain]
kind = "command"
env = "small"
inputs = { first = "first" }
run = ["/bin/busybox", "sh", "-euc", "busybox cat in/first/* | busybox sha256sum > $OUT/sum; busybox cp in/first/large $OUT/copy"]
[target.wide]
kind = "command"
env = "small"
run = ["/bin/busybox", "sh", "-euc", "busybox mkdir -p $OUT/a/b/c; echo ${ROUND} > $OUT/a/b/c/d; busybox ln -s b $OUT/a/link"]
[target.root]
kind = "rootfs"
distro = "debian:bookworm"
suites = ["bookworm"]
base = "nothing"
packages = ["media-types", "netbase"]
configure = false
[target.root.files]
"/etc/round" = "${ROUND}\n"
[target.disk]
kind = "filesystem"
rootfs = "root"
"#;

/// What a finished build left in `out/`: by path, the contents.
pub(crate) type Results = BTreeMap<String, Vec<u8>>;

/// Everything that one scenario works with.
pub(crate) struct World {
    program: PathBuf,
    pub(crate) archive: Archive,
    /// The projects; several, for builds side by side.
    projects: Vec<PathBuf>,
    pub(crate) cache: PathBuf,
    /// What each variant must come to.
    expected: Vec<Results>,
    /// How long a build took that had everything to do.
    pub(crate) cold: Duration,
}

impl World {
    /// Makes the projects and builds each variant once, undisturbed.
    pub(crate) fn new(program: &Path, scratch: &Path, files: &Path) -> Result<World, String> {
        remove(scratch)?;
        let archive = Archive::start(files)?;
        let projects = (0..2).map(|number| scratch.join(format!("project-{number}"))).collect();
        let mut world = World {
            program: scratch.join("bootwright"),
            archive,
            projects,
            cache: scratch.join("cache"),
            expected: Vec::new(),
            cold: Duration::ZERO,
        };
        for project in &world.projects {
            let notes = project.join("notes");
            fs::create_dir_all(&notes).map_err(|error| error.to_string())?;
            fs::write(project.join("bootwright.toml"), format!("{PROJECT}{ENVIRONMENT}"))
                .map_err(|error| error.to_string())?;
            for number in 0..20 {
                fs::write(notes.join(format!("note-{number}")), format!("note {number}\n"))
                    .map_err(|error| error.to_string())?;
            }
        }
        // A copy has a path of its own, by which its processes are told from all others.
        fs::copy(program, &world.program).map_err(|error| format!("could not copy bootwright: {error}"))?;
        for number in 0..world.projects.len() {
            succeeded(&world.run(&["lock"], number, 0)?)?;
        }
        for variant in 0..N_VARIANTS {
            let start = Instant::now();
            succeeded(&world.run(&["build"], 0, variant)?)?;
            world.cold = world.cold.max(start.elapsed());
            let results = world.results(0)?;
            world.expected.push(results);
        }
        Ok(world)
    }

    /// Returns the command that runs bootwright on one of the projects.
    pub(crate) fn command(&self, arguments: &[&str], project: usize, variant: u64) -> Command {
        let mut command = self.command_in(&self.projects[project], &["--set", &format!("ROUND={variant}")]);
        command.args(arguments);
        command
    }

    /// Returns the command that runs bootwright on another project.
    pub(crate) fn command_in(&self, project: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-C").arg(project).args(arguments);
        command.env("BOOTWRIGHT_CACHE", &self.cache).env("PROGRESS", "plain");
        command.env("http_proxy", self.archive.address()).env("https_proxy", self.archive.address());
        command.env_remove("no_proxy").env_remove("BOOTWRIGHT_MIRROR").stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str], project: usize, variant: u64) -> Result<Output, String> {
        self.command(arguments, project, variant)
            .output()
            .map_err(|error| format!("could not start bootwright: {error}"))
    }

    /// Starts it, with what it prints thrown away.
    pub(crate) fn start(&self, arguments: &[&str], project: usize, variant: u64) -> Result<Child, String> {
        let mut command = self.command(arguments, project, variant);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map_err(|error| format!("could not start bootwright: {error}"))
    }

    /// Builds a variant, which must succeed and come to what it always comes to.
    pub(crate) fn build_right(&self, project: usize, variant: u64) -> Result<(), String> {
        succeeded(&self.run(&["build"], project, variant)?)?;
        self.check_results(project, variant)
    }

    /// Checks what is in `out/`.
    pub(crate) fn check_results(&self, project: usize, variant: u64) -> Result<(), String> {
        let found = self.results(project)?;
        let expected = &self.expected[variant as usize];
        let paths: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
        for path in paths {
            if found.get(path) != expected.get(path) {
                return Err(format!(
                    "`out/{path}` has other bytes than an undisturbed build of variant {variant}"
                ));
            }
        }
        Ok(())
    }

    fn results(&self, project: usize) -> Result<Results, String> {
        let mut results = Results::new();
        let out = self.projects[project].join("out");
        for path in files_below(&out)? {
            let name = path.strip_prefix(&out).unwrap_or(&path).display().to_string();
            let bytes = if path.is_symlink() {
                fs::read_link(&path).map(|target| target.into_os_string().into_encoded_bytes())
            } else {
                fs::read(&path)
            };
            results.insert(
                name,
                bytes.map_err(|error| format!("could not read `{}`: {error}", path.display()))?,
            );
        }
        Ok(results)
    }

    /// Removes `out/` of a project.
    pub(crate) fn clean(&self, project: usize) -> Result<(), String> {
        remove(&self.projects[project].join("out"))
    }

    /// Removes the whole cache.
    pub(crate) fn wipe_cache(&self) -> Result<(), String> {
        remove(&self.cache)
    }

    /// Has bootwright verify its cache, in which nothing may be damaged.
    pub(crate) fn check_store(&self) -> Result<(), String> {
        let output = self.run(&["doctor", "--scrub", "--json"], 0, 0)?;
        succeeded(&output)?;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("doctor printed no JSON: {error}"))?;
        let checks = report["checks"].as_array().cloned().unwrap_or_default();
        match checks.iter().find(|check| check["name"] == "cache") {
            Some(check) if check["grade"] == "good" => Ok(()),
            Some(check) => Err(format!("the cache was damaged: {}", check["text"])),
            None => Err("doctor says nothing of the cache".to_owned()),
        }
    }

    /// Checks that no process of ours is left, and none of their mounts.
    pub(crate) fn check_nothing_runs(&self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let left = processes_of(&self.program);
            if left.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                return Err(format!("processes were left: {}", left.join(", ")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        match mounts.lines().find(|line| line.contains(&*self.cache.to_string_lossy())) {
            Some(mount) => Err(format!("a mount was left: {mount}")),
            None => Ok(()),
        }
    }

    /// Forgets what earlier builds told.
    pub(crate) fn forget_events(&self) -> Result<(), String> {
        let logs = files_below(&self.cache.join("projects"))?;
        let mut logs = logs.iter().filter(|path| path.ends_with("events.jsonl"));
        logs.try_for_each(|path| fs::remove_file(path).map_err(|error| error.to_string()))
    }

    /// Returns the labels of the steps that ended well since then, as the event logs say.
    pub(crate) fn finished_steps(&self) -> BTreeSet<String> {
        let logs = files_below(&self.cache.join("projects")).unwrap_or_default();
        let logs = logs.iter().filter(|path| path.ends_with("events.jsonl"));
        let text: String = logs.filter_map(|path| fs::read_to_string(path).ok()).collect();
        let events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let ended = events.filter(|event| event["event"] == "ended" && event["exit_code"] == 0);
        ended.filter_map(|event| Some(event["label"].as_str()?.to_owned())).collect()
    }

    /// Returns the labels of the steps that a build would run.
    pub(crate) fn planned_steps(&self, project: usize, variant: u64) -> Result<BTreeSet<String>, String> {
        let output = self.run(&["plan", "--json"], project, variant)?;
        succeeded(&output)?;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("plan printed no JSON: {error}"))?;
        let steps = report["plan"]["steps"].as_array().cloned().unwrap_or_default();
        let runs = steps.iter().filter(|step| step["fate"] == "runs");
        Ok(runs.filter_map(|step| Some(step["label"].as_str()?.to_owned())).collect())
    }
}

/// Returns all files and links below a directory, sorted; none if there is no such directory.
pub(crate) fn files_below(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let is_directory = entry.file_type().map_err(|error| error.to_string())?.is_dir();
            (if is_directory { &mut pending } else { &mut found }).push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Removes a directory with all that is in it, closed directories included.
pub(crate) fn remove(path: &Path) -> Result<(), String> {
    if !path.exists() {
        return Ok(());
    }
    let opened = Command::new("chmod").args(["-R", "u+rwX"]).arg(path).stderr(Stdio::null()).status();
    let _ = opened;
    fs::remove_dir_all(path).map_err(|error| format!("could not remove `{}`: {error}", path.display()))
}

/// Returns what processes run this program, sandboxes included.
fn processes_of(program: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = processes.filter(|process| {
        fs::read_link(process.path().join("exe")).is_ok_and(|exe| {
            exe == program
                || exe.to_string_lossy().trim_end_matches(" (deleted)") == program.to_string_lossy()
        })
    });
    ours.map(|process| process.file_name().to_string_lossy().into_owned()).collect()
}

/// Checks that a run ended well.
pub(crate) fn succeeded(output: &Output) -> Result<(), String> {
    if output.status.success() { Ok(()) } else { Err(format!("it ended with {}", told(output))) }
}

/// Returns the exit status and what was printed on standard error.
pub(crate) fn told(output: &Output) -> String {
    format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
}
