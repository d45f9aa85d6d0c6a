//! What each file takes: the blocks of its contents and of the tree that finds them.

use std::collections::BTreeSet;

use layer::ReadAt;

use super::error::ReadError;
use super::read::Reader;
use crate::usage::{Basis, FileUsage, Usage};

impl<R: ReadAt> Reader<R> {
    /// Returns what takes up the file system.
    pub(crate) fn usage(&self) -> Result<Usage, ReadError> {
        let superblock = self.superblock();
        let block = u64::from(superblock.block_size.bytes());
        // What is behind the file system in its partition is not its own.
        let mut usage = Usage::new(superblock.blocks_count.saturating_mul(block), Basis::Allocated);
        usage.free = superblock.free_blocks.saturating_mul(block);
        let mut inodes = BTreeSet::new();
        self.walk(&mut |visited| {
            let inode = visited.inode;
            let path = visited.path.strip_prefix(b"/").unwrap_or(visited.path).to_vec();
            if inode.is_directory() {
                usage.directories.push(path);
                return Ok(());
            }
            if !inode.is_file() {
                return Ok(());
            }
            let is_further_name = !inodes.insert(inode.number);
            let mut stored = 0;
            if !is_further_name {
                let data = self.mapped(inode)?;
                stored = (data.n_blocks() + data.tree.len() as u64).saturating_mul(block);
            }
            usage.files.push(FileUsage { path, size: inode.size, stored, is_further_name });
            Ok(())
        })?;
        Ok(usage)
    }
}
