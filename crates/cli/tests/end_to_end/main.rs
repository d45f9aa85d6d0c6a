//! The program as people use it: real packages, real sandboxes, real machines.
//!
//! All tests share one cache below the target directory, so that packages are downloaded once.
#![allow(clippy::disallowed_methods, reason = "tests wait, and pass their environment on")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says why")]

mod boot_loaders;
mod cargo;
mod debian_source;
mod examples;
mod faults;
mod formats;
mod git;
mod guests;
mod harness;
mod igvm;
mod images;
mod incremental;
mod init;
mod kernels;
mod measure;
mod mirrors;
mod reports;
mod reproducible;
mod rootless;
mod stacks;
mod told;
mod updates;
mod verify;
mod watch;
mod wrong_input;
mod xbuild;
