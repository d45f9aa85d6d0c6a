//! What each file takes: its own blocks, and its share of a block of fragments.

use std::collections::{BTreeMap, BTreeSet};

use layer::ReadAt;

use super::bytes::Fields;
use super::error::ReadError;
use super::format::BLOCK_PLAIN;
use super::inode::Content;
use super::read::Reader;
use super::write::FRAGMENT_LEN;
use crate::usage::{Basis, FileUsage, Usage, share};

impl<R: ReadAt> Reader<R> {
    /// Returns what takes up the image.
    pub(crate) fn usage(&self) -> Result<Usage, ReadError> {
        let block_len = u64::from(self.block_size().bytes());
        let mut usage = Usage::new(self.image_len()?, Basis::Stored);
        let mut inodes = BTreeSet::new();
        let mut starts = BTreeSet::new();
        // Of each block of fragments the ends of files in it, by their places: whose, and how long.
        let mut ends: BTreeMap<u32, BTreeMap<u32, (usize, u64)>> = BTreeMap::new();
        self.walk(&mut |visited| {
            let inode = visited.inode;
            let path = visited.path.strip_prefix(b"/").unwrap_or(visited.path).to_vec();
            let Content::File { size, start, fragment, .. } = inode.content else {
                if let Content::Directory { .. } = inode.content {
                    usage.directories.push(path);
                }
                return Ok(());
            };
            let is_further_name = !inodes.insert(inode.number);
            let mut stored = 0;
            if !is_further_name {
                let (_, own, _) = self.file(inode)?.blocks()?;
                // Files with the same contents have the same blocks.
                if own > 0 && starts.insert(start) {
                    stored = own;
                }
                if let Some((block, offset)) = fragment {
                    ends.entry(block)
                        .or_default()
                        .entry(offset)
                        .or_insert((usage.files.len(), size % block_len));
                }
            }
            usage.files.push(FileUsage { path, size, stored, is_further_name });
            Ok(())
        })?;
        for (block, ends) in ends {
            let weights: Vec<u64> = ends.values().map(|(_, length)| *length).collect();
            let shares = share(self.fragment_len(block)?, &weights);
            for ((file, _), share) in ends.into_values().zip(shares) {
                usage.files[file].stored = usage.files[file].stored.saturating_add(share);
            }
        }
        Ok(usage)
    }

    /// Returns in how many bytes a block of fragments is stored.
    fn fragment_len(&self, number: u32) -> Result<u64, ReadError> {
        let table = self.superblock().fragment_table;
        let entry = self.indexed::<FRAGMENT_LEN>(table, number.into(), "the table of fragments")?;
        let mut fields = Fields(&entry);
        let (_, size) = (fields.u64(), fields.u32().unwrap_or_default());
        Ok((size & !BLOCK_PLAIN).into())
    }
}
