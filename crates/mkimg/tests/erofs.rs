//! EROFS images: described, pinned, judged by erofs-utils, damaged, random, and sensitive to what they are made of.

#![allow(clippy::unwrap_used, reason = "what the trees of tests consist of is known to be right")]
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

#[path = "erofs/foreign.rs"]
mod foreign;
#[path = "erofs/hostile.rs"]
mod hostile;
#[path = "erofs/layers.rs"]
mod layers;
#[path = "erofs/random.rs"]
mod random;
#[path = "erofs/sharing.rs"]
mod sharing;
#[path = "erofs/snapshot.rs"]
mod snapshot;
#[path = "erofs/support.rs"]
mod support;
#[path = "erofs/wrong.rs"]
mod wrong;
