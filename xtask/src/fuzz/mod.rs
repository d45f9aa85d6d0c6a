//! `cargo xtask fuzz`: every reader of foreign bytes is given what nobody would write, and it is kept count of how long.
//!
//! `fuzz/times.json` says of each target how much processor time it had in all and what came of it. The next run begins
//! with those that had the least, and with the inputs that were kept of the last.

mod kept;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// How long a target runs at a time, in seconds, unless told otherwise.
const SECONDS: u64 = 60;
/// Where files are in memory: some targets write a few for each input.
const IN_MEMORY: &str = "/dev/shm";
/// How much memory a target may take, in MiB, and how long one input may take, in seconds.
const MEMORY: u32 = 2048;
const TIMEOUT: u32 = 10;

/// Has the compiler make code that tells libFuzzer which of its edges were run and what was compared there (LLVM's
/// SanitizerCoverage). That it stops where a number overflows is said in `fuzz/Cargo.toml`.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0 -Cllvm-args=-sanitizer-coverage-stack-depth \
    -Ccodegen-units=1";

/// How many ticks of `/proc` there are in a second, on every machine (time(7)).
const USER_HZ: f64 = 100.0;

/// What a target had and found so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Record {
    /// Seconds of processor time.
    cpu_seconds: f64,
    /// How many inputs it was given.
    executions: u64,
    /// How many edges of its code were reached.
    edges: u64,
}

struct Options {
    targets: Vec<String>,
    seconds: u64,
    jobs: usize,
}

/// Runs the targets that are named, or all. Returns whether all of them ran and none crashed.
pub(crate) fn run(root: &Path, words: &[&str]) -> bool {
    match parse(root, words).and_then(|options| fuzz(root, options)) {
        Ok(crashed) => {
            for target in &crashed {
                eprintln!("fuzz: `{target}` crashed; the input is in fuzz/artifacts/{target}");
            }
            crashed.is_empty()
        }
        Err(error) => {
            eprintln!("fuzz: {error}");
            false
        }
    }
}

fn parse(root: &Path, words: &[&str]) -> Result<Options, String> {
    let known = targets(root)?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { targets: Vec::new(), seconds: SECONDS, jobs };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = |name: &str| {
            let number = words.next().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
            number.ok_or_else(|| format!("{name} needs a number, 1 or more"))
        };
        match *word {
            "--seconds" => options.seconds = number("--seconds")?,
            "--jobs" => options.jobs = number("--jobs")? as usize,
            name if known.iter().any(|target| target == name) => options.targets.push(name.to_owned()),
            name => return Err(format!("there is no target `{name}`, only {}", known.join(", "))),
        }
    }
    if options.targets.is_empty() {
        options.targets = known;
    }
    Ok(options)
}

/// Returns the names of the targets.
fn targets(root: &Path) -> Result<Vec<String>, String> {
    let path = root.join("fuzz/Cargo.toml");
    let failed = |error: &dyn std::fmt::Display| format!("could not read `{}`: {error}", path.display());
    let text = fs::read_to_string(&path).map_err(|error| failed(&error))?;
    let manifest: toml::Table = text.parse().map_err(|error| failed(&error))?;
    let targets = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    let name = |target: &toml::Value| Some(target.get("name")?.as_str()?.to_owned());
    Ok(targets.filter_map(name).collect())
}

/// Runs them, and returns those that crashed.
fn fuzz(root: &Path, options: Options) -> Result<Vec<String>, String> {
    let mut build = Command::new("cargo");
    build.args([
        "build",
        "--locked",
        "--release",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--bins",
        "--examples",
    ]);
    // With a target that is named, what runs at compile time is compiled without the flags.
    build.args(["--target", &triple()]).env("RUSTFLAGS", FLAGS);
    // A stable compiler has them, and does not promise that they stay.
    build.env("RUSTC_BOOTSTRAP", "1");
    if !crate::run(&mut build) {
        return Err("the targets could not be built".to_owned());
    }
    if !crate::run(&mut Command::new(program(&root.join("fuzz"), "examples/seeds")?)) {
        return Err("there are no seeds".to_owned());
    }

    let records = read(root)?;
    let mut pending = options.targets;
    let had = |target: &String| records.get(target).copied().unwrap_or_default().cpu_seconds;
    // The last is taken first.
    pending.sort_by(|a, b| had(b).total_cmp(&had(a)).then_with(|| b.cmp(a)));
    let pending = Mutex::new(pending);
    let state = Mutex::new((records, Vec::new(), Vec::new()));
    let next = || pending.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        while let Some(target) = next() {
            let ran = run_one(root, &target, options.seconds);
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let (records, crashed, failed) = &mut *state;
            match ran {
                Ok((record, is_whole)) => {
                    let total = records.entry(target.clone()).or_default();
                    total.cpu_seconds += record.cpu_seconds;
                    total.executions += record.executions;
                    total.edges = total.edges.max(record.edges);
                    println!("{target}: {} inputs, {} edges", record.executions, record.edges);
                    if !is_whole {
                        crashed.push(target);
                    }
                    failed.extend(write(root, records).err());
                }
                Err(error) => failed.push(error),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(work);
        }
    });
    let (_, crashed, failed) = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() { Ok(crashed) } else { Err(failed.join("; ")) }
}

/// Runs a target for some time, and says what came of it and whether it was still running then.
fn run_one(root: &Path, target: &str, seconds: u64) -> Result<(Record, bool), String> {
    let failed = |error: std::io::Error| format!("could not run `{target}`: {error}");
    let fuzz = root.join("fuzz");
    let (corpus, artifacts) = (fuzz.join("corpus").join(target), fuzz.join("artifacts").join(target));
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    kept::unpack(root, target)
        .map_err(|error| format!("could not unpack the inputs kept of `{target}`: {error}"))?;
    let program = program(&fuzz, target)?;
    let scratch = Scratch::new(&fuzz, target).map_err(failed)?;
    let mut child = Command::new(&program)
        .env("TMPDIR", &scratch.0)
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-timeout={TIMEOUT}"))
        .arg("-print_final_stats=1")
        .arg(&corpus)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut record = Record::default();
    let mut last = Vec::new();
    if let Some(output) = child.stderr.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line.map_err(failed)?).into_owned();
            add(&line, &mut record);
            last.push(line);
            if last.len() > 40 {
                last.remove(0);
            }
        }
    }
    // It has ended, since it writes no more, and until it is waited for its times can be read.
    record.cpu_seconds = cpu_seconds(child.id()).unwrap_or_default();
    let status = child.wait().map_err(failed)?;
    if status.success() {
        kept::pack(root, target, Command::new(&program).env("TMPDIR", &scratch.0))
            .map_err(|error| format!("could not keep inputs of `{target}`: {error}"))?;
    } else {
        eprintln!("{target}: {status}\n{}", last.join("\n"));
    }
    Ok((record, status.success()))
}

/// Where a target has its files. What is there when it ends is removed.
struct Scratch(PathBuf);

impl Scratch {
    fn new(fuzz: &Path, target: &str) -> std::io::Result<Scratch> {
        let memory = Path::new(IN_MEMORY);
        let parent = if memory.is_dir() { memory.to_path_buf() } else { fuzz.join("target/scratch") };
        let path = parent.join(format!("bootwright-fuzz-{}-{target}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

/// Returns the processor time that a process took, as `/proc/PID/stat` has it (proc_pid_stat(5): fields 14 and 15).
fn cpu_seconds(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may have anything in it, and ends with the last parenthesis; field 3 follows.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / USER_HZ)
}

/// Takes from a line of libFuzzer's what it says of inputs and edges.
fn add(line: &str, record: &mut Record) {
    let after = |mark: &str| {
        let rest = line.split_once(mark)?.1.trim_start();
        rest.split(|char: char| !char.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    if let Some(n) = after("stat::number_of_executed_units:") {
        record.executions = n;
    }
    if line.starts_with('#')
        && let Some(n) = after(" cov: ")
    {
        record.edges = n;
    }
}

/// Returns where the program of a target is.
fn program(fuzz: &Path, target: &str) -> Result<PathBuf, String> {
    let path = fuzz.join("target").join(triple()).join("release").join(target);
    if path.is_file() { Ok(path) } else { Err(format!("`{target}` was not built")) }
}

/// Returns what the compiler calls this machine.
fn triple() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

fn read(root: &Path) -> Result<BTreeMap<String, Record>, String> {
    let path = times(root);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(format!("could not read `{}`: {error}", path.display())),
    };
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| format!("could not read `{}`: {error}", path.display()))?;
    let record = |value: &Value| Record {
        cpu_seconds: value["cpu_seconds"].as_f64().unwrap_or_default(),
        executions: value["executions"].as_u64().unwrap_or_default(),
        edges: value["edges"].as_u64().unwrap_or_default(),
    };
    let targets = value.as_object().into_iter().flatten();
    Ok(targets.map(|(target, value)| (target.clone(), record(value))).collect())
}

fn write(root: &Path, records: &BTreeMap<String, Record>) -> Result<(), String> {
    let value: BTreeMap<&String, Value> = records
        .iter()
        .map(|(target, record)| {
            let seconds = record.cpu_seconds.round() as u64;
            (
                target,
                json!({ "cpu_seconds": seconds, "executions": record.executions, "edges": record.edges }),
            )
        })
        .collect();
    let path = times(root);
    fs::write(&path, format!("{:#}\n", json!(value)))
        .map_err(|error| format!("could not write `{}`: {error}", path.display()))
}

fn times(root: &Path) -> PathBuf {
    root.join("fuzz/times.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_understood() {
        let mut record = Record::default();
        add(
            "#1048576\tpulse  cov: 1234 ft: 5678 corp: 90/12Kb lim: 4096 exec/s: 52428 rss: 99Mb",
            &mut record,
        );
        add("stat::number_of_executed_units: 2097152", &mut record);
        add("stat::average_exec_per_sec:     1000", &mut record);
        assert_eq!(record, Record { cpu_seconds: 0.0, executions: 2_097_152, edges: 1234 });
    }

    #[test]
    fn what_was_counted_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("fuzz")).unwrap();
        assert_eq!(read(root.path()).unwrap(), BTreeMap::new());
        let record = Record { cpu_seconds: 60.0, executions: 5, edges: 7 };
        let records = BTreeMap::from([("ar".to_owned(), record)]);
        write(root.path(), &records).unwrap();
        assert_eq!(read(root.path()).unwrap(), records);
        fs::write(times(root.path()), "no").unwrap();
        assert!(read(root.path()).unwrap_err().contains("times.json"));
    }

    #[test]
    fn the_time_of_a_process_is_read() {
        assert!(cpu_seconds(std::process::id()).is_some());
        assert_eq!(cpu_seconds(u32::MAX), None);
    }

    #[test]
    fn every_target_has_a_file() {
        let root = crate::root();
        let targets = targets(&root).unwrap();
        assert!(targets.len() > 20);
        for target in targets {
            assert!(root.join(format!("fuzz/fuzz_targets/{target}.rs")).is_file(), "{target}");
        }
        assert!(parse(&root, &["nonsense"]).is_err_and(|error| error.contains("no target `nonsense`")));
        assert!(parse(&root, &["--seconds", "0"]).is_err());
    }
}
