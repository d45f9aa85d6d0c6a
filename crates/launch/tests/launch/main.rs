//! IGVM files that are made here, read, measured, signed, and damaged.
#![allow(clippy::unwrap_used, reason = "tests")]

mod corim;
mod files;
mod id_block;
mod lock;
mod measure;
mod naive;
mod read;
