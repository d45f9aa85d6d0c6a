//! squashfs images: described, pinned, judged by squashfs-tools, damaged, random, and sensitive to what they are made of.

#![allow(clippy::unwrap_used, reason = "what the trees of tests consist of is known to be right")]
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

#[path = "squashfs/foreign.rs"]
mod foreign;
#[path = "squashfs/hostile.rs"]
mod hostile;
#[path = "squashfs/layers.rs"]
mod layers;
#[path = "squashfs/plain.rs"]
mod plain;
#[path = "squashfs/random.rs"]
mod random;
#[path = "squashfs/sharing.rs"]
mod sharing;
#[path = "squashfs/snapshot.rs"]
mod snapshot;
#[path = "squashfs/support.rs"]
mod support;
#[path = "squashfs/wrong.rs"]
mod wrong;
