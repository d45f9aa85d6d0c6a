//! Superblocks of hash trees.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::verity::{SUPERBLOCK, Superblock};

fuzz_target!(|bytes: &[u8]| {
    if let Some(bytes) = bytes.first_chunk::<SUPERBLOCK>() {
        let _ = Superblock::parse(bytes);
    }
});
