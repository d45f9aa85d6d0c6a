//! Giving blocks to contents: one pass over the free space, from the front.
//!
//! The order is: the journal (so that contents do not move it), the map of reserved descriptors, directories, blocks
//! of attributes and long links, files layer by layer. Within each, inodes are in order. The blocks of a file's extent tree
//! come behind its data. So everything that is streamed has ascending addresses.

use super::error::Error;
use super::extent::{MAX_LEN, tree_blocks};
use super::geometry::Geometry;
use super::inode::{JOURNAL, RESIZE};
use super::options::BlockSize;
use super::tree::{Ext4, LOST_AND_FOUND};
use super::xattr::MAX_REFERENCES;
use crate::tree::{self, Content, Node, ROOT, Tree};

/// What a run of blocks holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Content of the inode.
    Data,
    /// Blocks of the inode's extent tree.
    Tree,
    /// A block of attributes that inodes share; `inode` is the set's number, `logical` counts its copies.
    Xattrs,
    /// The indirect block of the inode that owns the reserved group descriptors.
    ResizeMap,
}

/// Blocks that lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) length: u32,
    /// Where it starts in the file or in the list of tree blocks.
    pub(super) logical: u32,
    pub(super) inode: u32,
    pub(super) usage: Use,
}

/// Which inode is which node.
pub(super) struct Numbers {
    /// Nodes from [`super::superblock::FIRST_INODE`] on.
    order: Vec<u32>,
    /// Inodes by node.
    by_node: Vec<u32>,
}

impl Numbers {
    /// Numbers everything in `tree`: the root and `lost+found` as they must be, then a directory's children
    /// together, by name, and directory by directory, depth first.
    pub(super) fn new(tree: &Tree) -> Numbers {
        let mut by_node = vec![0; tree.nodes.len()];
        by_node[ROOT.index()] = super::inode::ROOT;
        by_node[LOST_AND_FOUND.index()] = super::inode::LOST_AND_FOUND;
        let mut order = vec![LOST_AND_FOUND.index() as u32];
        let mut directories = vec![0];
        while let Some(directory) = directories.pop() {
            let below = directories.len();
            for (_, node) in &tree.directories[directory as usize].entries {
                if by_node[node.index()] == 0 {
                    order.push(node.index() as u32);
                    by_node[node.index()] = super::superblock::FIRST_INODE - 1 + order.len() as u32;
                }
                if let Content::Directory(place) = tree.nodes[node.index()].content {
                    directories.push(place);
                }
            }
            directories[below..].reverse();
        }
        Numbers { order, by_node }
    }

    /// Returns the highest inode that is used.
    pub(super) fn last(&self) -> u32 {
        super::superblock::FIRST_INODE - 1 + self.order.len() as u32
    }

    /// Returns the inode of the node with this index.
    pub(super) fn inode(&self, node: usize) -> u32 {
        self.by_node[node]
    }

    /// Returns the index of the node of an inode; reserved inodes other than the root have none.
    pub(super) fn node(&self, inode: u32) -> Option<usize> {
        if inode == super::inode::ROOT {
            return Some(ROOT.index());
        }
        let place = inode.checked_sub(super::superblock::FIRST_INODE)?;
        self.order.get(place as usize).map(|node| *node as usize)
    }

    /// Returns all inodes with nodes, ascending, and their nodes.
    fn all(&self) -> impl Iterator<Item = (u32, usize)> {
        let root = (super::inode::ROOT, ROOT.index());
        let others = self.order.iter().zip(super::superblock::FIRST_INODE..);
        std::iter::once(root).chain(others.map(|(node, inode)| (inode, *node as usize)))
    }
}

/// Where the contents are.
pub(super) struct Allocation {
    /// All runs, ascending.
    pub(super) runs: Vec<Run>,
    /// By inode: the place of its first run, if it has one. Its others follow, data first.
    first_runs: Vec<u32>,
    /// The block of attributes of those inodes that have one, ascending by inode.
    xattr_blocks: Vec<(u32, u64)>,
    /// How many blocks are free.
    pub(super) free: u64,
    /// How many more blocks are needed than there are.
    pub(super) missing: u64,
}

/// What has to be placed, apart from the tree.
pub(super) struct Demand<'a> {
    pub(super) format: &'a Ext4,
    pub(super) tree: &'a Tree,
    pub(super) numbers: &'a Numbers,
    /// Blocks of directories, by their place in the tree.
    pub(super) directory_blocks: &'a [u32],
    pub(super) journal_blocks: u32,
}

/// A place in the free space that moves forward.
struct Cursor<'a> {
    geometry: &'a Geometry,
    next_fixed: usize,
    at: u64,
}

impl Cursor<'_> {
    /// Takes up to `length` blocks that lie together. Returns nothing at the end.
    fn take(&mut self, length: u64) -> Option<(u64, u64)> {
        while let Some(fixed) = self.geometry.fixed.get(self.next_fixed)
            && fixed.start <= self.at
        {
            self.at = self.at.max(fixed.start + fixed.length);
            self.next_fixed += 1;
        }
        let end = self.geometry.fixed.get(self.next_fixed).map_or(self.geometry.blocks, |fixed| fixed.start);
        let end = end.min(self.geometry.blocks);
        if self.at >= end {
            return None;
        }
        let start = self.at;
        self.at = end.min(start.saturating_add(length));
        Some((start, self.at - start))
    }
}

struct Allocator<'a> {
    cursor: Cursor<'a>,
    block_size: BlockSize,
    runs: Vec<Run>,
    missing: u64,
    used: u64,
}

impl Allocator<'_> {
    /// Places blocks `logical..logical + length` of something.
    fn place(&mut self, inode: u32, usage: Use, mut logical: u32, length: u64) {
        let mut rest = length;
        while rest > 0 {
            // The last block of a file can be number 2^32 - 2, so a length fits.
            let Some((start, length)) = self.cursor.take(rest.min(u32::MAX.into())) else {
                self.missing += rest;
                return;
            };
            self.runs.push(Run { start, length: length as u32, logical, inode, usage });
            logical += length as u32;
            rest -= length;
            self.used += length;
        }
    }

    /// Places an inode's data, given as logical blocks and lengths, and its extent tree. Returns the place of the
    /// first run.
    fn place_data(&mut self, inode: u32, data: impl Iterator<Item = (u32, u64)>) -> Result<u32, Error> {
        let first = self.runs.len();
        for (logical, length) in data {
            self.place(inode, Use::Data, logical, length);
        }
        let n_extents: usize =
            self.runs[first..].iter().map(|run| run.length.div_ceil(MAX_LEN) as usize).sum();
        self.place(inode, Use::Tree, 0, tree_blocks(n_extents, self.block_size) as u64);
        Ok(u32::try_from(first).map_err(|_| tree::Error::TooLarge)?)
    }
}

impl Allocation {
    /// Gives everything its place. Whether it fits is in `missing`.
    pub(super) fn new(demand: &Demand<'_>, geometry: &Geometry) -> Result<Allocation, Error> {
        let Demand { format, tree, numbers, .. } = demand;
        let at = u64::from(geometry.block_size.first_data_block());
        let cursor = Cursor { geometry, next_fixed: 0, at };
        let mut allocator = Allocator {
            cursor,
            block_size: geometry.block_size,
            runs: Vec::new(),
            missing: geometry.missing,
            used: 0,
        };
        let mut first_runs = vec![u32::MAX; numbers.last() as usize + 1];

        let journal = std::iter::once((0, u64::from(demand.journal_blocks)));
        first_runs[JOURNAL as usize] = allocator.place_data(JOURNAL, journal)?;
        if geometry.reserved_descriptor_blocks > 0 {
            allocator.place(RESIZE, Use::ResizeMap, 0, 1);
        }
        for (inode, node) in numbers.all() {
            if let Content::Directory(place) = tree.nodes[node].content {
                let blocks = std::iter::once((0, u64::from(demand.directory_blocks[place as usize])));
                first_runs[inode as usize] = allocator.place_data(inode, blocks)?;
            }
        }
        let xattr_blocks = place_xattrs(demand, &mut allocator);
        for (inode, node) in numbers.all() {
            match tree.nodes[node].content {
                Content::Symlink(target) if tree.text(target).len() >= super::image::FAST_LINK => {
                    first_runs[inode as usize] = allocator.place_data(inode, std::iter::once((0, 1)))?;
                }
                _ => {}
            }
        }
        let is_file = |(_, node): &(u32, usize)| matches!(tree.nodes[*node].content, Content::File { .. });
        let mut files: Vec<Node> =
            numbers.all().filter(is_file).map(|(_, node)| Node::from_index(node as u32)).collect();
        tree.by_layer(&mut files);
        for node in files {
            let inode = numbers.inode(node.index());
            if let Content::File { size } = tree.nodes[node.index()].content {
                first_runs[inode as usize] = match format.ranges.get(&node) {
                    None => allocator
                        .place_data(inode, std::iter::once((0, geometry.block_size.blocks_for(size))))?,
                    Some(ranges) => {
                        let ranges = ranges.iter().map(|(logical, length)| (*logical, u64::from(*length)));
                        allocator.place_data(inode, ranges)?
                    }
                };
            }
        }
        let Allocator { runs, missing, used, .. } = allocator;
        let free = geometry.blocks.saturating_sub(geometry.overhead() + used);
        Ok(Allocation { runs, first_runs, xattr_blocks, free, missing })
    }

    /// Returns the runs of an inode's data.
    pub(super) fn data(&self, inode: u32) -> &[Run] {
        self.runs_of(inode, self.first_runs[inode as usize] as usize, Use::Data)
    }

    /// Returns the runs of an inode's extent tree.
    pub(super) fn tree(&self, inode: u32) -> &[Run] {
        self.runs_of(inode, self.first_runs[inode as usize] as usize + self.data(inode).len(), Use::Tree)
    }

    /// Returns the runs of `inode` for `usage`, the first of which is at `first` if there is one.
    fn runs_of(&self, inode: u32, first: usize, usage: Use) -> &[Run] {
        let runs = self.runs.get(first..).unwrap_or_default();
        let length = runs.iter().take_while(|run| (run.inode, run.usage) == (inode, usage)).count();
        &runs[..length]
    }

    /// Returns where an inode's block of attributes is, if it has one.
    pub(super) fn xattr_block(&self, inode: u32) -> Option<u64> {
        let place = self.xattr_blocks.binary_search_by_key(&inode, |(inode, _)| *inode).ok()?;
        Some(self.xattr_blocks[place].1)
    }
}

/// Places one block of attributes for each set that needs one, and more where too many inodes share it.
fn place_xattrs(demand: &Demand<'_>, allocator: &mut Allocator<'_>) -> Vec<(u32, u64)> {
    let mut sets: std::collections::BTreeMap<u32, (u32, u64)> = std::collections::BTreeMap::new();
    let mut found = Vec::new();
    for (inode, node) in demand.numbers.all() {
        let number = demand.tree.nodes[node].attributes;
        let Some((set, placed)) = demand.format.xattrs.get(number) else { continue };
        if placed.block.is_empty() {
            continue;
        }
        let (references, address) = sets.entry(set).or_default();
        if references.is_multiple_of(MAX_REFERENCES) {
            allocator.place(set, Use::Xattrs, *references / MAX_REFERENCES, 1);
            *address = allocator.runs.last().map_or(0, |run| run.start);
        }
        *references += 1;
        found.push((inode, *address));
    }
    found
}
