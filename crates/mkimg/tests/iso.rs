//! ISO 9660 images: described, pinned, judged by other tools, damaged, random, and sensitive to what they are made of.

#![allow(clippy::unwrap_used, reason = "what the trees of tests consist of is known to be right")]
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

#[path = "iso/boot.rs"]
mod boot;
#[path = "iso/foreign.rs"]
mod foreign;
#[path = "iso/hostile.rs"]
mod hostile;
#[path = "iso/large.rs"]
mod large;
#[path = "iso/random.rs"]
mod random;
#[path = "iso/snapshot.rs"]
mod snapshot;
#[path = "iso/support.rs"]
mod support;
#[path = "iso/wrong.rs"]
mod wrong;
