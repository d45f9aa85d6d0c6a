//! The journal, always empty: a superblock and zeros.
//!
//! Kernel documentation, ext4, "Journal (jbd2)". Its numbers are big-endian.

use super::options::{BlockSize, Journal};

/// What `jbd2` needs at least.
pub(super) const MIN_BLOCKS: u32 = 1024;
/// What `mke2fs` makes at most.
pub(super) const MAX_BLOCKS: u32 = 10_240_000;

const MAGIC: u32 = 0xc03b_3998;
const SUPERBLOCK_V2: u32 = 4;

/// Returns how many blocks the journal of a file system of `fs_blocks` blocks has.
pub(super) fn blocks(choice: Journal, fs_blocks: u64) -> u32 {
    match choice {
        Journal::None => 0,
        Journal::Blocks(blocks) => blocks,
        Journal::Auto => match fs_blocks {
            0..2048 => 0,
            2048..32_768 => 1024,
            32_768..262_144 => 4096,
            262_144..524_288 => 8192,
            524_288..4_194_304 => 16_384,
            4_194_304..8_388_608 => 32_768,
            8_388_608..16_777_216 => 65_536,
            16_777_216..33_554_432 => 131_072,
            _ => 262_144,
        },
    }
}

/// Writes the first block of an empty journal of `n_blocks` blocks into `bytes`.
pub(super) fn superblock(block_size: BlockSize, n_blocks: u32, uuid: &[u8; 16], bytes: &mut [u8]) {
    bytes.fill(0);
    let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    put(0x0, MAGIC);
    put(0x4, SUPERBLOCK_V2);
    put(0xc, block_size.bytes());
    put(0x10, n_blocks);
    // The log starts behind this block, the next transaction is number 1, and nothing needs to be replayed.
    put(0x14, 1);
    put(0x18, 1);
    put(0x40, 1);
    bytes[0x30..0x40].copy_from_slice(uuid);
}

/// Says what is wrong with the first block of a journal of `n_blocks` blocks, if it is not empty and clean.
pub(super) fn check(bytes: &[u8], block_size: BlockSize, n_blocks: u64) -> Result<(), &'static str> {
    let get = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if get(0x0) != MAGIC || !matches!(get(0x4), 3 | SUPERBLOCK_V2) {
        return Err("it has no superblock");
    }
    if get(0xc) != block_size.bytes() || u64::from(get(0x10)) > n_blocks {
        return Err("its size is not that of its inode");
    }
    if get(0x1c) != 0 {
        return Err("it is not empty");
    }
    Ok(())
}
