//! Patches and series, applied to directories.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]

mod apply;
mod hostile;
mod mismatch;
mod parse;
mod random;
mod series;
mod world;
