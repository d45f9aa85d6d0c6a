//! Decides what must run, in which order, and remembers results.
//!
//! The engine does no I/O: it sees the world through [`cas::Store`], [`ActionCache`], [`Executor`] and a
//! callback for events. What actions mean and how they are run is left to the callers.

mod action;
mod executor;
mod graph;

pub use action::{ActionResult, Command, Usage};
pub use executor::{ActionCache, CacheError, Execution, Executor, ExecutorError, Placed, Request};
pub use graph::{OUTPUT_DIRECTORY, WORKING_DIRECTORY, Graph, Input, MergeId, Placement, Requirements, Step, StepId};
