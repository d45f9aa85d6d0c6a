//! Hash trees as text.

use std::fs::File;

use super::tree::{first_block, to_hex};
use super::verify::{ReadError, superblock};

/// Describes the tree at `offset` of a file.
pub fn dump(file: &File, offset: u64) -> Result<String, ReadError> {
    let superblock = superblock(file, offset)?;
    Ok(format!(
        "hash tree of {} blocks of {} bytes, {} with salt `{}`\nuuid {}\nblocks of {} bytes from {:#x}\n",
        superblock.data_blocks,
        superblock.data_block_size,
        superblock.hash.name(),
        to_hex(&superblock.salt),
        to_hex(&superblock.uuid),
        superblock.hash_block_size,
        first_block(&superblock, offset),
    ))
}
