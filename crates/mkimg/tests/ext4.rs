//! ext4 images: described, pinned, judged by e2fsprogs, damaged, random, and sensitive to what they are made of.

#![allow(clippy::unwrap_used, reason = "what the trees of tests consist of is known to be right")]
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

#[path = "ext4/foreign.rs"]
mod foreign;
#[path = "ext4/hostile.rs"]
mod hostile;
#[path = "ext4/large.rs"]
mod large;
#[path = "ext4/random.rs"]
mod random;
#[path = "ext4/sizes.rs"]
mod sizes;
#[path = "ext4/snapshot.rs"]
mod snapshot;
#[path = "ext4/support.rs"]
mod support;
#[path = "ext4/wrong.rs"]
mod wrong;
