//! The build report: what ran, when, why, and what came of it.

mod critical;
mod graph;
mod html;

use std::time::Duration;

use serde::Serialize;

pub use critical::critical_path;
pub use html::page;

/// A build that is over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Build {
    /// What was built: the project and what of it.
    pub name: String,
    /// How it ended: `done`, `failed`.
    pub end: String,
    /// How long the steps took, from the first to the last.
    #[serde(rename = "wall_us", serialize_with = "micros")]
    pub wall: Duration,
    /// How many steps could run at once.
    pub jobs: u32,
    /// How many steps were needed.
    pub needed: u32,
    /// The steps that are known, each after those that it reads.
    pub steps: Vec<Step>,
    /// What was made.
    pub artifacts: Vec<Artifact>,
}

/// A step of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its label.
    pub label: String,
    /// The steps that it reads, by their places.
    pub after: Vec<usize>,
    /// What became of it.
    pub fate: Fate,
    /// Why it is so: what changed, what failed.
    pub why: String,
    /// The digest of its action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Its attempts.
    pub runs: Vec<Run>,
    /// How much of the processor it used.
    #[serde(rename = "cpu_us", serialize_with = "micros")]
    pub cpu: Duration,
    /// How much memory it had at most, in bytes.
    pub peak_memory: u64,
    /// What it wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It failed, or could not be run.
    Failed,
    /// It ran.
    Ran,
    /// It was not run, because another one failed or the build ended.
    Skipped,
    /// Its result was remembered.
    Remembered,
}

impl Fate {
    /// Returns what people call it.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Failed => "failed",
            Fate::Ran => "ran",
            Fate::Skipped => "skipped",
            Fate::Remembered => "remembered",
        }
    }
}

/// An attempt to run a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// When it began, since the build did.
    #[serde(rename = "start_us", serialize_with = "micros")]
    pub start: Duration,
    /// When it ended.
    #[serde(rename = "end_us", serialize_with = "micros")]
    pub end: Duration,
    /// The lowest number that no other running step had.
    pub slot: u32,
}

/// What a step wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Log {
    /// The end of it.
    pub text: String,
    /// How many bytes before that are left out.
    pub left_out: u64,
}

/// A file that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Artifact {
    /// The target that it is of.
    pub target: String,
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
}

fn micros<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

impl Step {
    /// Returns how long it ran, all attempts together.
    pub fn wall(&self) -> Duration {
        self.runs.iter().map(|run| run.end.saturating_sub(run.start)).sum()
    }
}
