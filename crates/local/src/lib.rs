//! Runs things on this machine: sandboxed steps, downloads.

pub mod fetch;
