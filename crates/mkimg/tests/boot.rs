//! Programs for firmware, their signatures, and hash trees.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "boot/firmware.rs"]
mod firmware;
#[path = "boot/signatures.rs"]
mod signatures;
#[path = "boot/support.rs"]
mod support;
#[path = "tool/mod.rs"]
mod tool;
#[path = "boot/ukis.rs"]
mod ukis;
#[path = "boot/variables.rs"]
mod variables;
#[path = "boot/verity.rs"]
mod verity;
