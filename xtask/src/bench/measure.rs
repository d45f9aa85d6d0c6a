//! Runs of commands: the wall time, CPU time and peak memory of each.
//!
//! The kernel adds up what the ended children of a process used, and theirs. So each command is started by a
//! process that has no other child: this program once more, with [`MEASURE`] as its first argument, or, to look at
//! the memory of all its processes meanwhile, with [`WATCH`].

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

/// An argument of `bench` that is not for people: measure the command that follows.
pub(crate) const MEASURE: &str = "--measure";
/// Another one: measure it, and watch the memory of its processes, which takes time from it.
pub(crate) const WATCH: &str = "--watch";
/// How many lines of a failed command's output are shown.
const LAST_LINES: usize = 20;

/// A command to run.
pub(crate) struct Task {
    words: Vec<OsString>,
    directory: PathBuf,
}

impl Task {
    /// Returns the run of `program` in `directory`, without arguments.
    pub(crate) fn new(program: impl Into<OsString>, directory: &Path) -> Task {
        Task { words: vec![program.into()], directory: directory.to_owned() }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, word: impl Into<OsString>) -> Task {
        self.words.push(word.into());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<const N: usize>(mut self, words: [&str; N]) -> Task {
        self.words.extend(words.map(OsString::from));
        self
    }

    /// Runs it and returns what it used and what it printed. `how` is [`MEASURE`] or [`WATCH`], `log` a file that
    /// it may write to.
    ///
    /// Fails with the end of the output when the command does.
    pub(crate) fn run(&self, how: &str, log: &Path) -> Result<(Sample, String), String> {
        let shown = self.words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let failed = |error: io::Error| format!("could not measure `{shown}`: {error}");
        let program = std::env::current_exe().map_err(failed)?;
        let output = Command::new(program)
            .args(["bench", how])
            .args(&self.words)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stderr(File::create(log).map_err(failed)?)
            .output()
            .map_err(failed)?;
        let text = String::from_utf8_lossy(&fs::read(log).map_err(failed)?).into_owned();
        let sample = serde_json::from_slice(&output.stdout).ok().and_then(|value| Sample::of_json(&value));
        match sample {
            Some(sample) => Ok((sample, text)),
            None => {
                let lines: Vec<&str> = text.lines().collect();
                let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n  ");
                Err(format!("`{shown}` failed:\n  {last}"))
            }
        }
    }
}

/// What one run of a command used, with all the processes that it waited for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// From start to end, in seconds.
    pub(crate) wall: f64,
    /// Of all processors, in user and system mode, in seconds.
    pub(crate) cpu: f64,
    /// The memory of its largest process, in bytes. If it was watched, the most that all had at once.
    pub(crate) peak: u64,
}

impl Sample {
    /// Returns it as it is written to files.
    pub(crate) fn to_json(self) -> Value {
        json!({ "wall_seconds": self.wall, "cpu_seconds": self.cpu, "peak_bytes": self.peak })
    }

    fn of_json(value: &Value) -> Option<Sample> {
        Some(Sample {
            wall: value["wall_seconds"].as_f64()?,
            cpu: value["cpu_seconds"].as_f64()?,
            peak: value["peak_bytes"].as_u64()?,
        })
    }
}

/// Runs the command `words`, its output on standard error, and returns what it used.
pub(crate) fn measure(words: &[&str]) -> Result<Sample, String> {
    run_command(words, |_| 0)
}

/// As [`measure`], and adds up the memory of the command's processes all the time.
pub(crate) fn watch(words: &[&str]) -> Result<Sample, String> {
    run_command(words, super::memory::watch)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn run_command(words: &[&str], watch: impl FnOnce(u32) -> u64) -> Result<Sample, String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("there is no command to measure".to_owned());
    };
    let failed = |error: io::Error| format!("could not run `{program}`: {error}");
    let output = io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
    let start = Instant::now();
    let mut child = Command::new(program).args(arguments).stdout(output).spawn().map_err(failed)?;
    let watched = watch(child.id());
    let status = child.wait().map_err(failed)?;
    let wall = start.elapsed().as_secs_f64();
    if !status.success() {
        return Err(status.to_string());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| failed(error.into()))?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(Sample {
        wall,
        cpu: seconds(usage.user_time()) + seconds(usage.system_time()),
        // In units of 1024 bytes, and never negative.
        peak: watched.max(usage.max_rss().unsigned_abs() * 1024),
    })
}

/// A command that is measured several times.
pub(crate) struct Case<'a> {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// The command.
    pub(crate) task: Task,
    /// What happens before run number N and is not measured; number 0 is the warm-up.
    pub(crate) prepare: Box<dyn FnMut(usize) -> Result<(), String> + 'a>,
    /// What each run must print: a benchmark of "nothing to do" in which something was done is wrong.
    pub(crate) says: Option<&'static str>,
}

impl<'a> Case<'a> {
    /// Returns a case that needs no preparation.
    pub(crate) fn new(name: &'static str, task: Task) -> Case<'a> {
        Case { name, task, prepare: Box::new(|_| Ok(())), says: None }
    }

    /// Adds what happens before each run.
    pub(crate) fn prepare(mut self, prepare: impl FnMut(usize) -> Result<(), String> + 'a) -> Case<'a> {
        self.prepare = Box::new(prepare);
        self
    }

    /// Adds what each run must print.
    pub(crate) fn says(mut self, text: &'static str) -> Case<'a> {
        self.says = Some(text);
        self
    }
}

/// Runs each case once to warm up and then `n_runs` times, all of them in turns, so that whatever else the
/// machine does hits all of them alike. Returns the samples of each, all with the peak memory of the warm-up, in
/// which it is watched.
///
/// What was written before is on the disk when a run begins.
pub(crate) fn in_turns(
    scratch: &Path,
    cases: &mut [Case<'_>],
    n_runs: usize,
) -> Result<Vec<Vec<Sample>>, String> {
    turns(scratch, cases, 0..=n_runs)
}

/// As [`in_turns`], for what takes minutes: each case runs `n_runs` times only, and nobody watches its memory.
pub(crate) fn in_turns_without_warm_up(
    scratch: &Path,
    cases: &mut [Case<'_>],
    n_runs: usize,
) -> Result<Vec<Vec<Sample>>, String> {
    turns(scratch, cases, 1..=n_runs)
}

/// Run number 0 is the one that is watched.
fn turns(
    scratch: &Path,
    cases: &mut [Case<'_>],
    runs: RangeInclusive<usize>,
) -> Result<Vec<Vec<Sample>>, String> {
    let log = scratch.join("log");
    let mut samples = vec![Vec::new(); cases.len()];
    let mut peaks = vec![0; cases.len()];
    for run in runs {
        for ((case, samples), peak) in cases.iter_mut().zip(&mut samples).zip(&mut peaks) {
            (case.prepare)(run)?;
            let disk = File::open(scratch)
                .map_err(|error| format!("could not open `{}`: {error}", scratch.display()))?;
            nix::unistd::syncfs(disk).map_err(|error| format!("could not write what is cached: {error}"))?;
            let (sample, text) = case.task.run(if run == 0 { WATCH } else { MEASURE }, &log)?;
            if let Some(expected) = case.says
                && !text.contains(expected)
            {
                return Err(format!("`{}` did not say `{expected}` but:\n{text}", case.name));
            }
            match run {
                0 => *peak = sample.peak,
                _ => samples.push(Sample { peak: sample.peak.max(*peak), ..sample }),
            }
        }
    }
    Ok(samples)
}
