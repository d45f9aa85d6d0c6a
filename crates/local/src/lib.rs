//! Runs things on this machine: steps in sandboxes, and downloads.
//!
//! What is to be run, and when, is decided by `engine`; how a sandbox is made is known to `sandbox`, where
//! blobs are kept to `cas`. This crate puts a step's inputs in place, runs its command, takes its outputs,
//! and keeps what failed. Only [`fetch`] opens connections.

mod cache;
mod earlier;
mod environment;
mod executor;
mod failed;
pub mod fetch;
mod history;
mod host;
mod interactive;
mod jobserver;
mod kept;
mod kvm;
mod log;
mod near;
mod outputs;
mod stage;
mod streams;

pub use cache::LocalActionCache;
pub use earlier::{SweptEarlier, sweep_earlier};
pub use environment::ENVIRONMENT;
pub use executor::{LocalExecutor, Options};
pub use failed::FailedSandbox;
pub use history::HistoryFile;
pub use host::{HostExecutor, HostOptions, LookAgain};
pub use interactive::{Console, Interactive, SOCKET};
pub use jobserver::Jobserver;
pub use kept::{SweptKept, sweep_kept};
pub use kvm::KvmNote;
