//! FAT images: described, pinned, judged by dosfstools and mtools, damaged, random, and sensitive to what they are
//! made of.

#![allow(clippy::unwrap_used, reason = "what the trees of tests consist of is known to be right")]
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

#[path = "fat/foreign.rs"]
mod foreign;
#[path = "fat/hostile.rs"]
mod hostile;
#[path = "fat/random.rs"]
mod random;
#[path = "fat/snapshot.rs"]
mod snapshot;
#[path = "fat/support.rs"]
mod support;
#[path = "fat/wrong.rs"]
mod wrong;
