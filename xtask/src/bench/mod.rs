//! `cargo xtask bench`: our programs beside their peers, in turns, on this machine.
//!
//! What the figures mean and which are to be reached is in `docs/src/design/performance.md`.

mod boot;
mod bootstrap;
mod coconut;
mod crates;
mod disks;
mod download;
mod environment;
mod erofs;
mod formats;
mod graph;
mod harness;
mod images;
mod kernel;
mod look;
mod measure;
mod memory;
mod noop;
mod report;
mod solve;
mod squashfs;
mod store;
mod update;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use report::Report;

/// A benchmark: its name, how often it runs unless told otherwise, and what it does.
type Benchmark = (&'static str, usize, fn(&Context, usize) -> Result<Report, String>);

const BENCHMARKS: &[Benchmark] = &[
    ("noop", 20, noop::run),
    ("bootstrap", 5, bootstrap::run),
    ("download", 5, download::run),
    ("crates", 3, crates::run),
    ("coconut", 1, coconut::run),
    ("unpack", 1, harness::unpack),
    ("add-package", 5, environment::add_package),
    ("graph", 10, graph::run),
    ("sandbox", 1, harness::sandbox),
    ("ext4", 5, images::ext4),
    ("cpio", 5, images::cpio),
    ("iso", 5, images::iso),
    ("squashfs-gzip", 2, squashfs::gzip),
    ("squashfs-lz4", 2, squashfs::lz4),
    ("squashfs-lz4hc", 2, squashfs::lz4hc),
    ("squashfs-zstd", 2, squashfs::zstd),
    ("squashfs-xz", 1, squashfs::xz),
    ("erofs", 3, erofs::erofs),
    ("update", 1, update::run),
    ("fat", 5, disks::fat),
    ("disk", 3, disks::disk),
    ("formats", 3, formats::formats),
    ("inspect", 5, look::inspect),
    ("diff", 5, look::diff),
    ("store", 5, store::put),
    ("stage", 10, store::stage),
    ("solve", 3, solve::solve),
    ("lock", 5, solve::lock),
    ("kernel", 1, kernel::run),
    ("boot", 20, boot::run),
];

/// What all benchmarks share.
struct Context {
    /// The checkout.
    root: PathBuf,
    /// Where benchmarks keep what they make: `target/bench`.
    scratch: PathBuf,
    /// Whether what is measured is built first.
    build: bool,
}

impl Context {
    /// Builds what is measured, or takes what was built for the last benchmark.
    fn open(root: &Path, build: bool) -> Result<Context, String> {
        let program = std::env::current_exe().map_err(|error| format!("could not find xtask: {error}"))?;
        // The program is TARGET/PROFILE/xtask.
        let target = program.ancestors().nth(2).unwrap_or(root);
        let context = Context { root: root.to_owned(), scratch: target.join("bench"), build };
        if build {
            if !crate::cargo(&["build", "--release", "--locked", "--package", "bootwright"]) {
                return Err("bootwright could not be built".to_owned());
            }
            // Copies, so that another build beside this does not change what is measured.
            let bin = context.scratch("bin")?;
            copy(&target.join("release/bootwright"), &bin.join("bootwright"))?;
            let entries = fs::read_dir(target.join("tools")).into_iter().flatten().flatten();
            let mut tools = entries.map(|entry| entry.path().join("tool"));
            let tools = tools.find(|tools| tools.join("mkimg").is_file());
            let tools = tools.ok_or("the build of bootwright left no tools below target/tools")?;
            for tool in ["mkimg", "runvm"] {
                copy(&tools.join(tool), &bin.join(tool))?;
            }
        }
        Ok(context)
    }

    /// Returns one of our programs: `bootwright`, or `mkimg` or `runvm` as they are embedded in it.
    fn program(&self, name: &str) -> PathBuf {
        self.scratch.join("bin").join(name)
    }

    /// Returns an example of one of our crates, which does what no program of ours does alone.
    fn example(&self, package: &str, name: &str) -> Result<PathBuf, String> {
        let program = self.scratch("bin")?.join(name);
        if self.build {
            if !crate::cargo(&["build", "--release", "--locked", "--package", package, "--example", name]) {
                return Err(format!("the example `{name}` of `{package}` could not be built"));
            }
            let target = self.scratch.parent().unwrap_or(&self.root);
            copy(&target.join("release/examples").join(name), &program)?;
        }
        Ok(program)
    }

    /// Returns the directory of a benchmark, which keeps what is dear to make again.
    fn scratch(&self, name: &str) -> Result<PathBuf, String> {
        let scratch = self.scratch.join(name);
        make_directory(&scratch)?;
        Ok(scratch)
    }
}

/// Runs the benchmarks that are named, or all, and prints what they found. Returns whether all of them ran:
/// goals that are missed are for people to judge, since they depend on the machine.
pub(crate) fn run(root: &Path, words: &[&str]) -> bool {
    let measured = match words {
        [measure::MEASURE, command @ ..] => Some(measure::measure(command)),
        [measure::WATCH, command @ ..] => Some(measure::watch(command)),
        _ => None,
    };
    if let Some(measured) = measured {
        return match measured {
            Ok(sample) => {
                println!("{}", sample.to_json());
                true
            }
            Err(error) => {
                eprintln!("{error}");
                false
            }
        };
    }
    match parse(words).and_then(|options| options.run(root)) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("bench: {error}");
            false
        }
    }
}

struct Options {
    benchmarks: Vec<Benchmark>,
    n_runs: Option<usize>,
    json: Option<PathBuf>,
    build: bool,
}

fn parse(words: &[&str]) -> Result<Options, String> {
    let mut options = Options { benchmarks: Vec::new(), n_runs: None, json: None, build: true };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--runs" => {
                let count = words.next().and_then(|text| text.parse().ok()).filter(|count| *count > 0);
                options.n_runs = Some(count.ok_or("--runs needs a number, 1 or more")?);
            }
            "--no-build" => options.build = false,
            "--json" => options.json = Some(words.next().ok_or("--json needs a file")?.into()),
            name => {
                let known = BENCHMARKS.iter().find(|benchmark| benchmark.0 == name);
                options.benchmarks.push(*known.ok_or_else(|| {
                    let names: Vec<&str> = BENCHMARKS.iter().map(|benchmark| benchmark.0).collect();
                    format!("there is no benchmark `{name}`, only {}", names.join(", "))
                })?);
            }
        }
    }
    if options.benchmarks.is_empty() {
        options.benchmarks = BENCHMARKS.to_vec();
    }
    Ok(options)
}

impl Options {
    /// A benchmark that cannot be run does not keep the others from running.
    fn run(self, root: &Path) -> Result<(), String> {
        let context = Context::open(root, self.build)?;
        let (mut reports, mut failed) = (Vec::new(), Vec::new());
        for (name, n_runs, benchmark) in self.benchmarks {
            match benchmark(&context, self.n_runs.unwrap_or(n_runs)) {
                Ok(report) => {
                    println!("{}", report.table());
                    reports.push(report);
                }
                Err(error) => {
                    eprintln!("{name}: {error}");
                    failed.push(name);
                }
            }
        }
        if let Some(path) = self.json {
            fs::write(&path, format!("{:#}\n", report::to_json(&reports)))
                .map_err(|error| format!("could not write `{}`: {error}", path.display()))?;
        }
        if failed.is_empty() { Ok(()) } else { Err(format!("could not run: {}", failed.join(", "))) }
    }
}

/// Returns `None` when the program `name` is there, else a note that says which Debian package has it.
fn missing(name: &str, package: &str) -> Option<String> {
    let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_err().then(|| format!("no peer: `{name}` is missing; Debian has it in `{package}`"))
}

/// Runs a command that prepares something. Fails with what it printed.
fn command(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("could not run {command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{command:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("could not copy `{}`: {error}", from.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("could not write `{}`: {error}", path.display()))
}

fn make_directory(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| format!("could not make `{}`: {error}", path.display()))
}

/// Has the sources of a project watched, and the command `build` know since when. `run` runs our program in the project.
fn watch(run: impl Fn(&[&str]) -> Result<(), String>, build: &[&str]) -> Result<(), String> {
    // Whoever watched before may be there still.
    run(&["watch", "--stop"])?;
    run(&["watch", "--daemon"])?;
    // The first one has the source watched, which takes a moment; the second one is told since when it is.
    for _ in 0..2 {
        run(build)?;
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
    Ok(())
}

/// Fills nearly all memory that is free with a file of zeros at `path`, which takes no room on the disk. What is measured
/// then gets memory that was used before. To a virtual machine that gives back what is free, memory may cost several times
/// as much the first time that it is used again, which says nothing of what is measured.
fn use_memory(path: &Path) -> Result<(), String> {
    let told = fs::read_to_string("/proc/meminfo")
        .map_err(|error| format!("could not read how much memory there is: {error}"))?;
    let line = told.lines().find_map(|line| line.strip_prefix("MemFree:"));
    let free = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let failed = |error| format!("could not fill the memory with `{}`: {error}", path.display());
    let mut file =
        File::options().read(true).write(true).create(true).truncate(true).open(path).map_err(failed)?;
    file.set_len(free.unwrap_or_default() / 10 * 9 * 1024).map_err(failed)?;
    io::copy(&mut file, &mut io::sink()).map_err(failed)?;
    Ok(())
}

/// Removes a file or a directory with all that is in it, if it is there.
fn remove(path: &Path) -> Result<(), String> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    result.map_err(|error| format!("could not remove `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expected: Result<(usize, Option<usize>), &str>) {
        let parsed = parse(words).map(|options| (options.benchmarks.len(), options.n_runs));
        assert_eq!(parsed, expected.map_err(str::to_owned));
    }

    #[test]
    fn arguments() {
        check(&[], Ok((BENCHMARKS.len(), None)));
        check(&["noop", "--runs", "3", "cpio"], Ok((2, Some(3))));
        check(&["--runs", "0"], Err("--runs needs a number, 1 or more"));
        check(&["--json"], Err("--json needs a file"));
        check(
            &["nop"],
            Err(
                "there is no benchmark `nop`, only noop, bootstrap, download, crates, coconut, unpack, add-package, graph, sandbox, ext4, cpio, iso, squashfs-gzip, squashfs-lz4, squashfs-lz4hc, squashfs-zstd, squashfs-xz, erofs, update, fat, disk, formats, inspect, diff, store, stage, solve, lock, kernel, boot",
            ),
        );
    }
}
