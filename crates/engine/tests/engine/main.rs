//! The engine as its callers see it, with stores in memory and a scripted executor.

mod explain;
mod faults;
mod merge;
mod records;
mod run;
mod scale;
mod world;
