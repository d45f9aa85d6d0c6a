//! What a build tells while it runs: consoles show it, logs keep it, tests compare it.
//!
//! One event is one line of JSON. A log that was kept can be read back and folded into the same
//! [`crate::Progress`] as the live build.

use std::time::Duration;

use cas::Digest;
use serde::{Deserialize, Serialize};

use crate::action::Usage;
use crate::micros;

/// The version of the lines. It is raised when a reader of the older lines would misunderstand the newer.
pub const EVENT_VERSION: u32 = 1;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the caller's monotonic clock.
    #[serde(rename = "at_us", with = "micros")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The build began.
    Began {
        /// How many steps the wanted ones need, themselves included.
        steps: u32,
        /// How many may run at once.
        jobs: u32,
    },
    /// A step's result is remembered: it does not run.
    Hit {
        /// The step.
        label: String,
        /// The digest of its action.
        action: Digest,
    },
    /// A step was started.
    Started {
        /// The step.
        label: String,
        /// The digest of its action.
        action: Digest,
        /// The lowest number that no other running step has.
        slot: u32,
        /// 1 for the first attempt.
        attempt: u32,
        /// How long it took when it last ran.
        #[serde(
            rename = "expected_us",
            with = "micros::optional",
            default,
            skip_serializing_if = "Option::is_none"
        )]
        expected: Option<Duration>,
    },
    /// The machine could not run a step that was started; it will be tried again.
    Retried {
        /// The step.
        label: String,
        /// What the machine said.
        error: String,
    },
    /// A step's command ended, well or not.
    Ended {
        /// The step.
        label: String,
        /// The digest of its action.
        action: Digest,
        /// The exit code.
        exit_code: i32,
        /// The digest of its output directory.
        output: Digest,
        /// The digest of its log.
        log: Digest,
        /// What it cost.
        #[serde(flatten)]
        usage: Usage,
        /// Where its sandbox was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<String>,
    },
    /// The inputs of a step do not go together: something that it reads was not made.
    Unready {
        /// The step.
        label: String,
        /// Why.
        problem: String,
    },
    /// A step cannot run because another one failed.
    Skipped {
        /// The step.
        label: String,
        /// The step that failed.
        because: String,
    },
    /// A remembered result turned out to be incomplete: it is made again.
    Lost {
        /// The step; none for a merged tree.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
    },
    /// What is left to do, as far as earlier runs can tell.
    Estimated {
        /// The time to the end of the build, when the steps that never ran take none.
        #[serde(rename = "left_us", with = "micros")]
        left: Duration,
        /// How many unfinished steps never ran before.
        unknown: u32,
    },
    /// The build ended.
    Finished {
        /// How it ended.
        end: End,
    },
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Everything wanted was made.
    Done,
    /// A command failed, or a step's inputs were not made.
    Failed,
    /// The build was cancelled.
    Cancelled,
    /// The machine could not do it.
    Error,
}

/// A line of an event log is not an event.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the event log is no event")]
pub struct EventLogError {
    /// Which, counted from one.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub source: serde_json::Error,
}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    #[serde(flatten)]
    event: &'a Event,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Event {
    /// Returns the event as a line of JSON, with its line feed.
    pub fn to_line(&self) -> String {
        let line = Line { version: EVENT_VERSION, event: self };
        let mut text = serde_json::to_string(&line).expect("strings and numbers can be encoded");
        text.push('\n');
        text
    }
}

/// Returns the events of a log. A last line without its line feed is one that a killed process did not
/// finish writing: it is left out.
///
/// Fails at the first line that is no event of this version.
pub fn parse_event_log(text: &str) -> Result<Vec<Event>, EventLogError> {
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut events = Vec::new();
    for (line_idx, line) in complete.lines().enumerate() {
        let refuse = |source| EventLogError { line: line_idx + 1, source };
        let Version { version } = serde_json::from_str(line).map_err(refuse)?;
        if version != EVENT_VERSION {
            let reason = format!("version {version} where {EVENT_VERSION} is understood");
            return Err(refuse(serde::de::Error::custom(reason)));
        }
        events.push(serde_json::from_str(line).map_err(refuse)?);
    }
    Ok(events)
}
