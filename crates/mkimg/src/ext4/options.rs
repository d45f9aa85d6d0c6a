//! What a caller decides about a file system before anything is in it.

use super::error::Error;
use crate::tree::Timestamp;

/// The size of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockSize {
    /// 1024 bytes: for images of a few megabytes.
    B1024,
    /// 2048 bytes.
    B2048,
    /// 4096 bytes, the usual size.
    B4096,
}

impl BlockSize {
    /// Returns the block size of `bytes` bytes, if ext4 images can have it here.
    pub fn from_bytes(bytes: u32) -> Option<BlockSize> {
        [BlockSize::B1024, BlockSize::B2048, BlockSize::B4096].into_iter().find(|size| size.bytes() == bytes)
    }

    /// Returns how many bytes a block has.
    pub const fn bytes(self) -> u32 {
        1024 << self.log()
    }

    /// Returns how often 1024 is doubled (`s_log_block_size`).
    pub(super) const fn log(self) -> u32 {
        match self {
            BlockSize::B1024 => 0,
            BlockSize::B2048 => 1,
            BlockSize::B4096 => 2,
        }
    }

    /// Returns the block size as the length of a buffer.
    pub(super) const fn len(self) -> usize {
        self.bytes() as usize
    }

    /// Returns how many blocks a group has: as many as its bitmap's single block has bits.
    pub(super) const fn blocks_per_group(self) -> u32 {
        self.bytes() * 8
    }

    /// Returns the block with which group 0 starts: the boot sector fills a block of its own only at 1024.
    pub(super) const fn first_data_block(self) -> u32 {
        match self {
            BlockSize::B1024 => 1,
            BlockSize::B2048 | BlockSize::B4096 => 0,
        }
    }

    /// Returns how many blocks `bytes` bytes need.
    pub(super) const fn blocks_for(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.bytes() as u64)
    }
}

/// How large the image becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Exactly this many bytes. What does not make a whole block, or a group worth having, stays zero at the end.
    Fixed(u64),
    /// As small as the contents allow, with room for `slack` bytes more.
    Fit {
        /// How much can be written into the new file system, in whole blocks, by root if blocks are reserved. What a
        /// kernel keeps back for itself, up to 2 % or 4096 blocks, comes on top unless this is zero.
        slack: u64,
    },
}

/// How many inodes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inodes {
    /// As many as the contents need, and one per 16 KiB of a fixed size or of slack (per 4 KiB when that is below
    /// 512 MiB, fewer from 4 TiB).
    Auto,
    /// At least this many in all, the eleven reserved ones included.
    Count(u32),
}

/// Whether the file system has a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// None: right for images that are only read.
    None,
    /// One whose size depends on the file system's, as `mke2fs` has it; none below 2048 blocks.
    Auto,
    /// One of this many blocks, at least 1024.
    Blocks(u32),
}

/// How far the file system can grow while it is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// No blocks are set aside. Kernels can still grow it, by switching to `meta_bg`.
    Unplanned,
    /// Room for the group descriptors of a file system of this many bytes, within the format's limit of a quarter
    /// of a block's bytes in blocks (4 TiB and more at 4096).
    UpTo(u64),
    /// Room for 1024 times the size, as `mke2fs` has it.
    Auto,
}

/// What a kernel does when it finds the file system damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Carries on.
    Continue,
    /// Mounts it read-only.
    RemountReadOnly,
    /// Panics.
    Panic,
}

/// Everything about the file system that its contents do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The block size.
    pub block_size: BlockSize,
    /// The image's size.
    pub size: Size,
    /// The file system's UUID; it also seeds every checksum.
    pub uuid: [u8; 16],
    /// The seed of directory hashes.
    pub hash_seed: [u8; 16],
    /// At most 16 bytes without NUL; may be empty.
    pub label: Vec<u8>,
    /// When the file system was made, and the age of what nobody declares (`lost+found`, the journal).
    pub epoch: Timestamp,
    /// How many inodes there are.
    pub inodes: Inodes,
    /// Whether there is a journal.
    pub journal: Journal,
    /// Room to grow.
    pub growth: Growth,
    /// How much of the file system only root may fill, in percent: at most 50.
    pub reserved_percent: u8,
    /// What a kernel does on damage.
    pub on_error: OnError,
}

impl Options {
    /// Returns the options of an ordinary file system: 4096-byte blocks, a journal, room to grow, nothing reserved.
    pub fn new(size: Size, uuid: [u8; 16], hash_seed: [u8; 16], epoch: Timestamp) -> Options {
        Options {
            block_size: BlockSize::B4096,
            size,
            uuid,
            hash_seed,
            label: Vec::new(),
            epoch,
            inodes: Inodes::Auto,
            journal: Journal::Auto,
            growth: Growth::Auto,
            reserved_percent: 0,
            on_error: OnError::Continue,
        }
    }

    /// Checks what can be said before there are contents.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.label.len() > 16 || self.label.contains(&0) {
            return Err(Error::Label { label: String::from_utf8_lossy(&self.label).into_owned() });
        }
        if self.reserved_percent > 50 {
            return Err(Error::Reserved { percent: self.reserved_percent });
        }
        if self.epoch.seconds() < 0 {
            return Err(Error::Epoch { seconds: self.epoch.seconds() });
        }
        if let Journal::Blocks(blocks) = self.journal
            && !(super::journal::MIN_BLOCKS..=super::journal::MAX_BLOCKS).contains(&blocks)
        {
            return Err(Error::JournalSize { blocks });
        }
        Ok(())
    }
}
