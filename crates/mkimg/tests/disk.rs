//! Disks with partitions: placed, drawn, pinned, judged by gdisk and sfdisk, damaged, random, and sensitive to what
//! they are declared to be.

#![allow(clippy::unwrap_used, reason = "what the disks of tests consist of is known to be right")]
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

#[path = "disk/eve.rs"]
mod eve;
#[path = "disk/foreign.rs"]
mod foreign;
#[path = "disk/hostile.rs"]
mod hostile;
#[path = "disk/layout.rs"]
mod layout;
#[path = "disk/random.rs"]
mod random;
#[path = "disk/snapshot.rs"]
mod snapshot;
#[path = "disk/support.rs"]
mod support;
