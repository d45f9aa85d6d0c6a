//! What came of a build.

use cas::Digest;

use crate::action::ActionResult;
use crate::events::End;
use crate::executor::{CacheError, ExecutorError};
use crate::graph::{Graph, StepId};
use crate::key::InputError;
use crate::tree::TreeError;

/// What came of every step of a build that the machine did not stop.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended; never [`End::Error`].
    pub end: End,
    pub(crate) steps: Vec<Option<StepOutcome>>,
}

/// What came of a step that was needed.
#[derive(Debug)]
pub enum StepOutcome {
    /// Its result was remembered.
    Hit {
        /// The digest of its action.
        action: Digest,
        /// The result.
        result: ActionResult,
    },
    /// It ran, and its command succeeded.
    Ran {
        /// The digest of its action.
        action: Digest,
        /// The result.
        result: ActionResult,
    },
    /// It ran, and its command failed.
    Failed {
        /// The digest of its action.
        action: Digest,
        /// The result: there is a log, and perhaps some output.
        result: ActionResult,
        /// Where its sandbox was kept.
        kept: Option<String>,
    },
    /// Its inputs do not go together: something that it reads was not made.
    Unready {
        /// Why.
        problem: InputError,
    },
    /// It could not run because of another step.
    Skipped {
        /// The step that failed or was unready.
        because: StepId,
    },
    /// The build ended before its turn came.
    NotStarted,
}

impl Outcome {
    /// Returns what came of the step, or `None` when it was not needed.
    pub fn step(&self, step: StepId) -> Option<&StepOutcome> {
        self.steps.get(step.0 as usize)?.as_ref()
    }

    /// Returns the result of a step that succeeded, now or earlier.
    pub fn result(&self, step: StepId) -> Option<&ActionResult> {
        match self.step(step)? {
            StepOutcome::Hit { result, .. } | StepOutcome::Ran { result, .. } => Some(result),
            _ => None,
        }
    }

    /// Returns every needed step and what came of it, in the order of the graph.
    pub fn steps(&self) -> impl Iterator<Item = (StepId, &StepOutcome)> {
        let steps = self.steps.iter().enumerate();
        steps.filter_map(|(step_idx, outcome)| Some((StepId(step_idx as u32), outcome.as_ref()?)))
    }

    /// Returns the counts for a summary.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (_, outcome) in self.steps() {
            *match outcome {
                StepOutcome::Hit { .. } => &mut counts.hits,
                StepOutcome::Ran { .. } => &mut counts.ran,
                StepOutcome::Failed { .. } | StepOutcome::Unready { .. } => &mut counts.failed,
                StepOutcome::Skipped { .. } => &mut counts.skipped,
                StepOutcome::NotStarted => &mut counts.not_started,
            } += 1;
        }
        counts
    }
}

/// How many steps ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Remembered.
    pub hits: usize,
    /// Ran and succeeded.
    pub ran: usize,
    /// Ran and failed, or were not ready to run.
    pub failed: usize,
    /// Could not run because another one failed.
    pub skipped: usize,
    /// Were not reached.
    pub not_started: usize,
}

/// Why a build had to stop: the machine, never a command.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A step could not be run.
    #[error("could not run {node}")]
    Execute {
        /// The step.
        node: NodeName,
        /// What the executor said.
        source: ExecutorError,
    },
    /// The action cache failed.
    #[error("could not look up or remember the result of {node}")]
    Cache {
        /// The step or merge.
        node: NodeName,
        /// What the cache said.
        source: CacheError,
    },
    /// The store failed.
    #[error("could not put together the inputs of {node}")]
    Inputs {
        /// The step or merge.
        node: NodeName,
        /// What the store said.
        source: TreeError,
    },
}

/// Names a step, or a merge by the step that needs it, in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName {
    label: Box<str>,
    is_merge: bool,
}

impl NodeName {
    pub(crate) fn of_step(graph: &Graph, step: StepId) -> NodeName {
        NodeName { label: graph.step(step).label.as_str().into(), is_merge: false }
    }

    pub(crate) fn of_merge_for(graph: &Graph, step: StepId) -> NodeName {
        NodeName { label: graph.step(step).label.as_str().into(), is_merge: true }
    }

    /// Returns the label of the step.
    pub fn label(&self) -> &str {
        &self.label
    }
}

impl std::fmt::Display for NodeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = if self.is_merge { "the merged tree for " } else { "" };
        write!(f, "{of}`{}`", self.label)
    }
}
