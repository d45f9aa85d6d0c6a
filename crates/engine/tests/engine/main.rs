//! The engine as its callers see it, with stores in memory and a scripted executor.

mod faults;
mod merge;
mod run;
mod scale;
mod world;
