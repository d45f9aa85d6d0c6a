//! Virtual disks: read back, pinned, judged by qemu-img, damaged, random, and sensitive to what they are asked to be.

#![allow(clippy::unwrap_used, reason = "what the disks of tests consist of is known to be right")]
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

#[path = "vdisk/foreign.rs"]
mod foreign;
#[path = "vdisk/hostile.rs"]
mod hostile;
#[path = "vdisk/random.rs"]
mod random;
#[path = "vdisk/snapshot.rs"]
mod snapshot;
#[path = "vdisk/support.rs"]
mod support;
#[path = "vdisk/wrong.rs"]
mod wrong;
