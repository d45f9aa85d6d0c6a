//! Reading directories, and walking through all of them.

use std::collections::BTreeSet;

use layer::ReadAt;

use super::checksum::{Checksum, index_is_sealed, leaf_is_sealed};
use super::directory::{self, NODE_COUNT_AT, ROOT_COUNT_AT, decode_index, read_leaf};
use super::error::ReadError;
use super::inode::{FLAG_INDEX, Inode};
use super::read::{Data, Reader};
use super::superblock::compat;
use crate::spans::Spans;
use crate::tree::descent::{Descent, TOO_DEEP};

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryEntry {
    /// The name.
    pub name: Vec<u8>,
    /// What it names.
    pub inode: u32,
    /// The type that the entry repeats from the inode.
    pub file_type: u8,
}

/// Something met on a walk through the tree.
pub struct Visit<'a> {
    /// Its absolute path.
    pub path: &'a [u8],
    /// Its inode.
    pub inode: &'a Inode,
    /// What its directory says about it: a copy of its type.
    pub file_type: u8,
}

impl<R: ReadAt> Reader<R> {
    /// Returns the names in a directory in the order of its blocks, without `.` and `..`.
    pub fn entries(&self, inode: &Inode) -> Result<Vec<DirectoryEntry>, ReadError> {
        Ok(self.directory(inode, &mut Spans::default())?.0)
    }

    /// Returns the names in a directory and its parent. It has no blocks that are `taken`, and takes them.
    fn directory(&self, inode: &Inode, taken: &mut Spans) -> Result<(Vec<DirectoryEntry>, u32), ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(format!("inode {}", inode.number), problem);
        if !inode.is_directory() {
            return Err(corrupt("it is not a directory"));
        }
        let data = self.data(inode)?;
        let n_blocks = data.mapped.n_blocks();
        if n_blocks == 0 || n_blocks * self.superblock().block_size.len() as u64 != inode.size {
            return Err(corrupt("the directory's size is not that of its blocks"));
        }
        // One block in many places could make a small image take forever.
        let mut blocks =
            data.extents().iter().map(|extent| extent.physical..extent.physical + u64::from(extent.length));
        if !blocks.all(|blocks| taken.take(blocks)) {
            return Err(corrupt("it has a block twice, or one of another directory"));
        }
        let mut scan =
            Scan { data: &data, owner: self.seed().inode(inode.number, inode.generation), found: Vec::new() };
        let dots = if inode.flags & FLAG_INDEX != 0 && self.superblock().features[0] & compat::DIR_INDEX != 0
        {
            scan.indexed(n_blocks)?
        } else {
            let dots = scan.leaf(0, true, None)?;
            for block in 1..n_blocks {
                scan.leaf(block as u32, false, None)?;
            }
            dots
        };
        if dots[0] != inode.number {
            return Err(corrupt("its entry `.` leads elsewhere"));
        }
        Ok((scan.found, dots[1]))
    }

    /// Returns what is at an absolute path. Symbolic links are not followed.
    pub fn resolve(&self, path: &[u8]) -> Result<Inode, ReadError> {
        let mut inode = self.root()?;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let missing = || ReadError::NotFound { path: String::from_utf8_lossy(path).into_owned() };
            if !inode.is_directory() {
                return Err(missing());
            }
            let entry =
                self.entries(&inode)?.into_iter().find(|entry| entry.name == name).ok_or_else(missing)?;
            inode = self.inode(entry.inode)?;
        }
        Ok(inode)
    }

    /// Visits everything below the root, and the root first: the names of a directory in order, and directories depth
    /// first. An inode with several names is visited for each.
    pub fn walk(&self, visit: &mut dyn FnMut(&Visit<'_>) -> Result<(), ReadError>) -> Result<(), ReadError> {
        let (mut seen, mut taken) = (BTreeSet::new(), Spans::default());
        let mut enter = |inode: &Inode, parent: u32| {
            let corrupt = |problem: &str| ReadError::corrupt(format!("inode {}", inode.number), problem);
            if !inode.is_directory() {
                return Ok(None);
            }
            if !seen.insert(inode.number) {
                return Err(corrupt("the directory has two names"));
            }
            let (mut entries, found_parent) = self.directory(inode, &mut taken)?;
            if found_parent != parent {
                return Err(corrupt("its entry `..` leads elsewhere"));
            }
            entries.sort_unstable_by(|a, b| b.name.cmp(&a.name));
            if entries.windows(2).any(|pair| pair[0].name == pair[1].name) {
                return Err(corrupt("the directory has a name twice"));
            }
            Ok(Some(entries))
        };
        let root = self.root()?;
        visit(&Visit { path: b"/", inode: &root, file_type: 2 })?;
        let mut descent = Descent::new();
        if let Some(entries) = enter(&root, root.number)? {
            descent.enter(root.number, entries);
        }
        while let Some((parent, entry)) = descent.next(|entry: &DirectoryEntry| &entry.name) {
            if descent.is_too_deep() {
                return Err(ReadError::corrupt(format!("inode {parent}"), TOO_DEEP));
            }
            let inode = self.inode(entry.inode)?;
            visit(&Visit { path: descent.path(), inode: &inode, file_type: entry.file_type })?;
            if let Some(entries) = enter(&inode, parent)? {
                descent.enter(inode.number, entries);
            }
        }
        Ok(())
    }
}

/// Reads the blocks of one directory.
struct Scan<'a, R> {
    data: &'a Data<'a, R>,
    owner: Checksum,
    found: Vec<DirectoryEntry>,
}

impl<R: ReadAt> Scan<'_, R> {
    fn corrupt(&self, problem: &str) -> ReadError {
        ReadError::corrupt(format!("inode {}", self.data.mapped.inode), problem)
    }

    /// Reads a leaf. The first block of a directory starts with the dots, which are returned. In a leaf of an index
    /// all hashes have to be in the range, whose end may belong to the next leaf, too.
    fn leaf(
        &mut self,
        block: u32,
        has_dots: bool,
        hashes: Option<(u32, u32)>,
    ) -> Result<[u32; 2], ReadError> {
        let bytes = self.data.block(block)?;
        if self.data.reader.has_checksums() && !leaf_is_sealed(&bytes, self.owner) {
            return Err(ReadError::checksum(format!(
                "block {block} of the directory inode {}",
                self.data.mapped.inode
            )));
        }
        let mut entries = Vec::new();
        read_leaf(&bytes, &mut entries).map_err(|problem| self.corrupt(problem))?;
        let dots = if has_dots { Some(self.dots(&entries)?) } else { None };
        for entry in &entries[if has_dots { 2 } else { 0 }..] {
            if matches!(entry.name, b"." | b"..") {
                return Err(self.corrupt("it has more than one entry `.` or `..`"));
            }
            if let Some((from, to)) = hashes {
                let hash = self.data.reader.hasher().hash(entry.name).major;
                if hash < from & !1 || hash > to & !1 || hash == to {
                    return Err(self.corrupt("a name is in the wrong block of the index"));
                }
            }
            self.found.push(DirectoryEntry {
                name: entry.name.to_vec(),
                inode: entry.inode,
                file_type: entry.file_type,
            });
        }
        Ok(dots.unwrap_or_default())
    }

    fn dots(&self, entries: &[directory::Entry<'_>]) -> Result<[u32; 2], ReadError> {
        match entries {
            [dot, dot_dot, ..] if dot.name == b"." && dot_dot.name == b".." => Ok([dot.inode, dot_dot.inode]),
            _ => Err(self.corrupt("the directory does not start with `.` and `..`")),
        }
    }

    /// Reads a directory with an index, all of whose blocks have to be in it, once.
    fn indexed(&mut self, n_blocks: u64) -> Result<[u32; 2], ReadError> {
        let root = self.index_block(0, true)?;
        let mut entries = Vec::new();
        let bytes = self.data.block(0)?;
        read_leaf(&bytes, &mut entries).map_err(|problem| self.corrupt(problem))?;
        if entries.len() != 2 {
            return Err(self.corrupt("the root of its index has names"));
        }
        let dots = self.dots(&entries)?;
        let levels = usize::from(root.levels.unwrap_or_default());
        if levels > 2 {
            return Err(self.corrupt("its index is too deep"));
        }
        // Blocks that are still to be read: where they are, how many levels are below, the hashes that they may have.
        let mut pending = vec![];
        let mut n_read = 1;
        push_children(&mut pending, root.children, levels, (0, u32::MAX));
        while let Some((block, levels, hashes)) = pending.pop() {
            n_read += 1;
            if block == 0 || u64::from(block) >= n_blocks || n_read > n_blocks {
                return Err(self.corrupt("its index leads outside or twice to one block"));
            }
            match levels.checked_sub(1) {
                None => {
                    self.leaf(block, false, Some(hashes))?;
                }
                Some(below) => {
                    let node = self.index_block(block, false)?;
                    push_children(&mut pending, node.children, below, hashes);
                }
            }
        }
        if n_read != n_blocks {
            return Err(self.corrupt("its index does not lead to all of its blocks"));
        }
        Ok(dots)
    }

    fn index_block(&self, block: u32, is_root: bool) -> Result<directory::IndexBlock, ReadError> {
        let bytes = self.data.block(block)?;
        let decoded = decode_index(&bytes, is_root).map_err(|problem| self.corrupt(problem))?;
        let count_at = if is_root { ROOT_COUNT_AT } else { NODE_COUNT_AT };
        if self.data.reader.has_checksums() && !index_is_sealed(&bytes, count_at, self.owner) {
            return Err(ReadError::checksum(format!(
                "block {block} of the directory inode {}",
                self.data.mapped.inode
            )));
        }
        Ok(decoded)
    }
}

/// Adds the children of an index block, the first of which is to be read first. The block has the hashes from the
/// first number to the second.
fn push_children(
    pending: &mut Vec<(u32, usize, (u32, u32))>,
    children: Vec<(u32, u32)>,
    levels: usize,
    (from, to): (u32, u32),
) {
    let mut end = to;
    for (position, (hash, block)) in children.into_iter().enumerate().rev() {
        let start = if position == 0 { from } else { hash };
        pending.push((block, levels, (start, end)));
        end = start;
    }
}
