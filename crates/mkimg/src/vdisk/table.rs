//! A table that says where each block of a disk is in the file.

use super::error::{ReadError, corrupt};
use super::file::Image;
use super::read::Place;

/// A block that is not in the file.
pub(super) const UNUSED: u64 = u64::MAX;

/// Where each block is.
pub(super) struct Table {
    block_len: u64,
    offsets: Vec<u64>,
}

impl Table {
    /// Returns a table of offsets. Fails if two blocks overlap, or one begins outside of the file.
    pub(super) fn new(image: &Image<'_>, block_len: u64, offsets: Vec<u64>) -> Result<Table, ReadError> {
        let mut used: Vec<u64> = offsets.iter().copied().filter(|offset| *offset != UNUSED).collect();
        used.sort_unstable();
        if let Some(pair) = used.windows(2).find(|pair| pair[1] - pair[0] < block_len) {
            return corrupt(
                "the table of blocks",
                format!("the blocks at {} and {} overlap", pair[0], pair[1]),
            );
        }
        if let Some(last) = used.last() {
            image.check("a block", *last, 1)?;
        }
        Ok(Table { block_len, offsets })
    }

    pub(super) fn block_len(&self) -> u64 {
        self.block_len
    }

    pub(super) fn place(&self, block: u64) -> Place {
        let offset = usize::try_from(block).ok().and_then(|block| self.offsets.get(block));
        match offset.copied().unwrap_or(UNUSED) {
            UNUSED => Place::Zero,
            offset => Place::At(offset),
        }
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.offsets.len()
    }

    pub(super) fn n_used(&self) -> usize {
        self.offsets.iter().filter(|offset| **offset != UNUSED).count()
    }
}
