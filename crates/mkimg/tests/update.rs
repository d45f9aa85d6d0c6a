//! Updates of images in place: what they come to, what is left alone, what is refused, and every place to be killed at.

#![allow(clippy::unwrap_used, reason = "what the images of tests consist of is known to be right")]
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

#[path = "update/killed.rs"]
mod killed;
#[path = "update/patches.rs"]
mod patches;
#[path = "update/refused.rs"]
mod refused;
#[path = "update/support.rs"]
mod support;
#[path = "tool/mod.rs"]
mod tool;
