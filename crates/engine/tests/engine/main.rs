//! The engine as its callers see it, with stores in memory and a scripted executor.

#![allow(clippy::unwrap_used, reason = "what a helper of a test cannot have, the test cannot do without")]

mod explain;
mod faults;
mod merge;
mod records;
mod run;
mod scale;
mod shortcuts;
mod world;
