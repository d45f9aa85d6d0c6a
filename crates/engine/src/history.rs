//! What steps cost when they last ran, and with which action: one line of JSON per run.
//!
//! The file is only appended to, so several builds may write it at once; the last line of a step counts.
//! Reading and writing the file is left to the caller.

use std::collections::HashMap;
use std::sync::OnceLock;

use cas::Digest;
use serde::{Deserialize, Serialize};

use crate::action::Usage;
use crate::events::{Event, EventKind};

/// How many runs of a step [`History::compact`] keeps.
const RUNS_KEPT: usize = 3;

/// What is known of earlier runs.
///
/// Lines are understood at the first question, because a build in which nothing runs asks none. Lines that
/// are damaged (a machine that lost power, a disk that was full) are as if they were not there.
#[derive(Default)]
pub struct History {
    text: String,
    runs: OnceLock<HashMap<String, Vec<Run>>>,
}

/// A run of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The label of the step.
    pub label: String,
    /// The digest of its action.
    pub action: Digest,
    /// The exit code of its command.
    pub exit_code: i32,
    /// The digest of its log. Only the action cache keeps logs alive, so that of a failure may be gone.
    pub log: Digest,
    /// What it cost.
    #[serde(flatten)]
    pub usage: Usage,
}

impl Run {
    /// Returns the run that ended with `event`, if that is what it tells of.
    pub fn of_event(event: &Event) -> Option<Run> {
        let EventKind::Ended { label, action, exit_code, log, usage, .. } = &event.kind else { return None };
        Some(Run { label: label.clone(), action: *action, exit_code: *exit_code, log: *log, usage: *usage })
    }

    /// Returns the line of the file, with its line feed. To be appended with one write.
    pub fn to_line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("strings and numbers can be encoded");
        line.push('\n');
        line
    }
}

impl History {
    /// Returns the history with these lines.
    pub fn new(text: String) -> History {
        History { text, runs: OnceLock::new() }
    }

    /// Returns the last run of the step with that label.
    pub fn last(&self, label: &str) -> Option<&Run> {
        self.runs(label).last()
    }

    /// Returns what runs of the step are known, the oldest first.
    pub fn runs(&self, label: &str) -> &[Run] {
        self.by_label().get(label).map_or(&[], Vec::as_slice)
    }

    /// Returns what to expect of the step: what its last success cost, else its last run.
    pub fn expected(&self, label: &str) -> Option<Usage> {
        let runs = self.runs(label);
        let last = runs.iter().rev().find(|run| run.exit_code == 0).or(runs.last())?;
        Some(last.usage)
    }

    /// Returns the lines that are worth keeping: the last few runs of each step, and its last success.
    pub fn compact(&self) -> String {
        let by_label = self.by_label();
        let mut labels: Vec<&String> = by_label.keys().collect();
        labels.sort();
        let mut text = String::new();
        for label in labels {
            let runs = &by_label[label];
            let recent = runs.len().saturating_sub(RUNS_KEPT);
            let last_success = runs.iter().rposition(|run| run.exit_code == 0);
            for (run_idx, run) in runs.iter().enumerate() {
                if run_idx >= recent || Some(run_idx) == last_success {
                    text.push_str(&run.to_line());
                }
            }
        }
        text
    }

    /// Returns whether [`History::compact`] would make the file much smaller.
    pub fn is_worth_compacting(&self) -> bool {
        let n_lines = self.by_label().values().map(Vec::len).sum::<usize>();
        n_lines > 1000 && n_lines > 2 * RUNS_KEPT * self.by_label().len()
    }

    fn by_label(&self) -> &HashMap<String, Vec<Run>> {
        self.runs.get_or_init(|| {
            let mut runs: HashMap<String, Vec<Run>> = HashMap::new();
            for line in self.text.lines() {
                let Ok(run) = serde_json::from_str::<Run>(line) else { continue };
                match runs.get_mut(&run.label) {
                    Some(earlier) => earlier.push(run),
                    None => {
                        runs.insert(run.label.clone(), vec![run]);
                    }
                }
            }
            runs
        })
    }
}
