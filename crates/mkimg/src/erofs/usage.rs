//! What each file takes: its blocks, compressed or not, and what is beside its inode.

use std::collections::BTreeSet;

use layer::ReadAt;

use super::error::ReadError;
use super::inode::{Content, Inode, layout};
use super::options::BLOCK;
use super::read::{CHUNK_LOG, Reader};
use crate::usage::{Basis, FileUsage, Usage};

impl<R: ReadAt> Reader<R> {
    /// Returns what takes up the image.
    pub(crate) fn usage(&self) -> Result<Usage, ReadError> {
        let mut usage = Usage::new(self.size(), Basis::Stored);
        let mut inodes = BTreeSet::new();
        let mut starts = BTreeSet::new();
        // Tables that files shared could make a small image take forever.
        let mut tables = self.size();
        self.walk(&mut |visited| {
            let inode = visited.inode;
            let path = visited.path.strip_prefix(b"/").unwrap_or(visited.path).to_vec();
            match inode.content {
                Content::File => {}
                Content::Directory => {
                    usage.directories.push(path);
                    return Ok(());
                }
                _ => return Ok(()),
            }
            let is_further_name = !inodes.insert(inode.nid);
            if !is_further_name {
                let left = tables.checked_sub(self.table_len(inode));
                tables = left.ok_or_else(|| {
                    ReadError::corrupt(
                        format!("inode {}", inode.nid),
                        "files share the tables of their blocks",
                    )
                })?;
            }
            let stored = if is_further_name { 0 } else { self.stored(inode, &mut starts)? };
            usage.files.push(FileUsage { path, size: inode.size, stored, is_further_name });
            Ok(())
        })?;
        Ok(usage)
    }

    /// Returns how many bytes the table has at least that says where the blocks of a file are.
    fn table_len(&self, inode: &Inode) -> u64 {
        match inode.layout {
            layout::PLAIN | layout::INLINE => 0,
            layout::CHUNKS => {
                inode.size.div_ceil((BLOCK as u64) << (inode.detail & CHUNK_LOG)).saturating_mul(4)
            }
            // The smallest entry of a compact index has two bytes.
            _ => inode.size.div_ceil(BLOCK as u64).saturating_mul(2),
        }
    }

    /// Returns what a file takes. Files with the same contents have the same blocks: `starts` has where those begin that
    /// were counted.
    fn stored(&self, inode: &Inode, starts: &mut BTreeSet<u64>) -> Result<u64, ReadError> {
        let block = BLOCK as u64;
        let mut blocks = |start: u64, n_blocks: u64| {
            if n_blocks > 0 && starts.insert(start) { n_blocks.saturating_mul(block) } else { 0 }
        };
        Ok(match inode.layout {
            layout::PLAIN => blocks(inode.detail.into(), inode.size.div_ceil(block)),
            layout::INLINE => {
                blocks(inode.detail.into(), inode.size / block).saturating_add(inode.size % block)
            }
            layout::CHUNKS => {
                let mut stored = 0_u64;
                self.each_chunk(inode, &mut |place, length| {
                    if let Some(place) = place {
                        stored = stored.saturating_add(blocks(place, length.div_ceil(block)));
                    }
                    Ok(())
                })?;
                stored
            }
            _ => {
                let (start, n_blocks) = self.compressed_blocks(inode)?;
                blocks(start.into(), n_blocks)
            }
        })
    }
}
