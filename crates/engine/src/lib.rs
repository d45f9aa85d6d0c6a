//! Decides what must run, in which order, and remembers results.
//!
//! The engine does no I/O: it sees the world through [`cas::Store`], [`ActionCache`], [`Executor`] and a
//! callback for events. What actions mean and how they are run is left to the callers.

mod action;
mod assemble;
mod difference;
mod estimate;
mod events;
mod executor;
mod explain;
mod graph;
mod history;
mod key;
mod lines;
mod merge;
mod micros;
mod needs;
mod outcome;
mod pack;
mod plan;
mod progress;
mod proto;
mod run;
mod scheme;
mod select;
mod trace;
mod tree;
mod wire;
mod worker;

pub use action::{Action, ActionResult, Command, DecodeError, Usage};
pub use assemble::{AssembleError, Assembled, assemble};
pub use difference::{Change, DiffError, Difference, PathChange, diff_actions, diff_trees};
pub use events::{EVENT_VERSION, End, Event, EventKind, EventLogError, parse_event_log};
pub use executor::{ActionCache, CacheError, Execution, Executor, ExecutorError, Placed, Request};
pub use explain::{Explanation, explain, explain_since};
pub use graph::{
    Graph, Input, Kept, MergeId, OUTPUT_DIRECTORY, Placement, Requirements, Step, StepId, WORKING_DIRECTORY,
};
pub use history::{History, Run};
pub use key::InputError;
pub use lines::{LineChange, Lines};
pub use outcome::{Counts, NodeName, Outcome, RunError, StepOutcome};
pub use plan::{Fate, Known, Plan, Planned, Reason, plan};
pub use progress::{Progress, RunningStep, TimeLeft};
pub use run::{Options, World, run};
pub use select::Selection;
pub use trace::chrome_trace;
pub use tree::TreeError;
