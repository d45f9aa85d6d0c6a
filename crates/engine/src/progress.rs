//! The events of a build folded into what a console shows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::events::{End, Event, EventKind};
use crate::micros;

/// Where a build stands after the events that were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many steps are needed.
    pub total: u32,
    /// How many may run at once.
    pub jobs: u32,
    /// How many were remembered.
    pub hits: u32,
    /// How many ran and succeeded.
    pub ran: u32,
    /// How many failed or were not ready to run.
    pub failed: u32,
    /// How many cannot run because others failed.
    pub skipped: u32,
    /// What runs, by its label.
    pub running: BTreeMap<String, RunningStep>,
    /// How the build ended, once it did.
    pub end: Option<End>,
    estimate: Option<Estimate>,
}

/// A step that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningStep {
    /// The lowest number that no other running step had when it started: its line on a console.
    pub slot: u32,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// When it started, by the clock of the events.
    pub since: Duration,
    /// How long it took when it last ran.
    pub expected: Option<Duration>,
}

/// What is left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TimeLeft {
    /// The time to the end when the steps that never ran take none.
    #[serde(rename = "known_us", with = "micros")]
    pub known: Duration,
    /// How many unfinished steps never ran before.
    pub unknown: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Estimate {
    at: Duration,
    left: TimeLeft,
}

impl Progress {
    /// Takes note of an event. Events come in the order in which they happened.
    pub fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Began { steps, jobs } => {
                *self = Progress { total: *steps, jobs: *jobs, ..Progress::default() };
            }
            EventKind::Hit { .. } => self.hits += 1,
            EventKind::Started { label, slot, attempt, expected, .. } => {
                let running =
                    RunningStep { slot: *slot, attempt: *attempt, since: event.at, expected: *expected };
                self.running.insert(label.clone(), running);
            }
            EventKind::Retried { label, .. } => {
                self.running.remove(label);
            }
            EventKind::Ended { label, exit_code, .. } => {
                self.running.remove(label);
                *(if *exit_code == 0 { &mut self.ran } else { &mut self.failed }) += 1;
            }
            EventKind::Unready { .. } => self.failed += 1,
            EventKind::Skipped { .. } => self.skipped += 1,
            // It was counted as a hit, unless it is a merged tree, which is no step.
            EventKind::Lost { label: Some(_) } => self.hits = self.hits.saturating_sub(1),
            EventKind::Lost { label: None } => {}
            EventKind::Estimated { left, unknown } => {
                let left = TimeLeft { known: *left, unknown: *unknown };
                self.estimate = Some(Estimate { at: event.at, left });
            }
            EventKind::Finished { end } => {
                self.running.clear();
                self.estimate = None;
                self.end = Some(*end);
            }
        }
    }

    /// Returns how many steps are behind us, however they ended.
    pub fn done(&self) -> u32 {
        self.hits + self.ran + self.failed + self.skipped
    }

    /// Returns what is left to do at `now`, by the clock of the events; `None` before the first step runs
    /// and after the last.
    pub fn time_left(&self, now: Duration) -> Option<TimeLeft> {
        let Estimate { at, left } = self.estimate?;
        Some(TimeLeft { known: left.known.saturating_sub(now.saturating_sub(at)), unknown: left.unknown })
    }
}
