//! IGVM files: what a loader puts into the memory of a guest, and the state that its first processor starts in.
//!
//! A guest starts either from firmware, whose own tables say what each platform has to be given ([`firmware`]), or from a
//! kernel directly, with the tables that a processor in 64-bit mode and Linux need ([`direct`]). The format itself, and what
//! is measured of it, is the crate `launch`'s.

mod build;
mod direct;
mod error;
mod firmware;
mod hashes;
mod hob;
mod kernel;
mod make;
mod memory;
mod state;

pub use build::{Built, Confidential, Guest, Snp, build};
pub use direct::Direct;
pub use error::BuildError;
pub use firmware::Firmware;
pub use hashes::Hashed;
pub use kernel::Flat;
pub(crate) use make::write;
pub use state::vmsa;

/// How many bytes a page has.
const PAGE: u64 = launch::PAGE;

/// How many gigabytes 32 bits address.
const FOUR_GIB: u64 = 1 << 32;

/// A guest of QEMU's machine `q35` with this much memory or more has the first 2 GiB below the devices, and the rest from
/// 4 GiB on; one with less has all of it below (`hw/i386/pc_q35.c`).
const SPLIT_FROM: u64 = 0xb000_0000;

/// Returns where the memory of a guest is, as QEMU's machine `q35` has it: first addresses and sizes.
fn ram(memory: u64) -> Vec<(u64, u64)> {
    if memory < SPLIT_FROM {
        return vec![(0, memory)];
    }
    let below = 2 << 30;
    vec![(0, below), (FOUR_GIB, memory - below)]
}
