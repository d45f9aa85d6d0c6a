//! Finding a size: the fixed one if everything fits, or the smallest that is large enough.

use super::allocation::{Allocation, Demand, Numbers};
use super::directory::{Plan, TooManyNames};
use super::error::Error;
use super::geometry::{Geometry, Request};
use super::hash::NameHasher;
use super::journal;
use super::options::{BlockSize, Inodes, Options, Size};
use super::tree::{Ext4, LOST_AND_FOUND};
use crate::tree::Tree;

/// How large `lost+found` is at least, so that it need not grow when the file system is full.
const LOST_AND_FOUND_LEN: u32 = 16384;

/// How many blocks a kernel keeps back at most, so that what it has promised to write can be written.
const KEPT_BLOCKS: u64 = 4096;

/// What is known about a tree before it has a size.
pub(super) struct Shape {
    /// Which inode is which node.
    pub(super) numbers: Numbers,
    /// By a directory's place in the tree: how many blocks it has.
    directory_blocks: Vec<u32>,
    /// By a directory's place in the tree: whether it has an index.
    pub(super) is_indexed: Vec<bool>,
    /// Whether a directory needs `large_dir`.
    pub(super) has_large_directory: bool,
}

impl Shape {
    /// Numbers the inodes and measures the directories.
    pub(super) fn new(tree: &Tree, hasher: &NameHasher, block_size: BlockSize) -> Result<Shape, Error> {
        let numbers = Numbers::new(tree);
        let mut shape = Shape {
            numbers,
            directory_blocks: Vec::with_capacity(tree.directories.len()),
            is_indexed: Vec::with_capacity(tree.directories.len()),
            has_large_directory: false,
        };
        for index in 0..tree.directories.len() {
            let too_large = || {
                let path = tree.path(tree.directories[index].node);
                Error::DirectoryTooLarge { path, block_size: block_size.bytes() }
            };
            let plan = plan(tree, index, hasher, block_size).map_err(|_| too_large())?;
            let blocks = u32::try_from(plan.n_blocks()).map_err(|_| too_large())?;
            shape.has_large_directory |=
                plan.is_large() || u64::from(blocks) * u64::from(block_size.bytes()) >= 1 << 31;
            shape.directory_blocks.push(blocks);
            shape.is_indexed.push(plan.is_indexed());
        }
        let lost_and_found = tree.directories.iter().position(|directory| directory.node == LOST_AND_FOUND);
        if let Some(place) = lost_and_found.filter(|place| !shape.is_indexed[*place]) {
            shape.directory_blocks[place] = LOST_AND_FOUND_LEN / block_size.bytes();
        }
        Ok(shape)
    }
}

/// Finds how large the file system has to be.
pub(super) struct Sizing<'a> {
    pub(super) format: &'a Ext4,
    pub(super) tree: &'a Tree,
    pub(super) shape: &'a Shape,
    /// How many inodes are needed.
    pub(super) needed: u64,
}

impl Sizing<'_> {
    /// Returns the layout for the size that the options say.
    pub(super) fn lay_out(&self) -> Result<(Geometry, Allocation), Error> {
        let block_size = self.format.options.block_size;
        match self.format.options.size {
            Size::Fit { slack } => {
                let wanted = self.needed + inodes_for(slack);
                let slack = block_size.blocks_for(slack);
                let kept = |blocks: u64| if slack > 0 { (blocks / 50).min(KEPT_BLOCKS) } else { 0 };
                self.smallest(|_| wanted, |blocks| slack + kept(blocks))
            }
            Size::Fixed(size) => {
                let blocks = size / u64::from(block_size.bytes());
                let (geometry, allocation) = self.attempt(blocks, inodes_for(size), false)?;
                if allocation.missing == 0 {
                    return Ok((geometry, allocation));
                }
                let wanted = |blocks: u64| inodes_for(blocks.saturating_mul(block_size.bytes().into()));
                let (enough, _) = self.smallest(wanted, |_| 0)?;
                let needed = enough.blocks * u64::from(block_size.bytes());
                let largest = self.tree.largest();
                Err(Error::DoesNotFit { size, short_by: needed.saturating_sub(size), largest })
            }
        }
    }

    /// Returns the smallest layout that has as many free blocks as `slack` says for its size.
    fn smallest(
        &self,
        wanted_inodes: impl Fn(u64) -> u64,
        slack: impl Fn(u64) -> u64,
    ) -> Result<(Geometry, Allocation), Error> {
        let mut blocks = 0;
        loop {
            let (geometry, allocation) = self.attempt(blocks, wanted_inodes(blocks), true)?;
            let missing = allocation.missing + slack(geometry.blocks).saturating_sub(allocation.free);
            if missing == 0 {
                return Ok((geometry, allocation));
            }
            // What is missing at this size is missing at every size, so no step goes too far.
            blocks = geometry.blocks.saturating_add(missing);
        }
    }

    /// Lays everything out in `blocks` blocks, or more if `may_grow`.
    fn attempt(
        &self,
        blocks: u64,
        wanted_inodes: u64,
        may_grow: bool,
    ) -> Result<(Geometry, Allocation), Error> {
        let Options { block_size, growth, .. } = self.format.options;
        let (inodes, wanted_inodes) = match self.format.options.inodes {
            Inodes::Auto => (self.needed, wanted_inodes),
            Inodes::Count(count) if u64::from(count) < self.needed => {
                return Err(Error::TooFewInodes { needed: self.needed, available: count.into() });
            }
            Inodes::Count(count) => (count.into(), 0),
        };
        let geometry =
            Geometry::new(Request { block_size, blocks, inodes, wanted_inodes, growth, may_grow })?;
        let demand = Demand {
            format: self.format,
            tree: self.tree,
            numbers: &self.shape.numbers,
            directory_blocks: &self.shape.directory_blocks,
            journal_blocks: journal::blocks(self.format.options.journal, geometry.blocks),
        };
        let allocation = Allocation::new(&demand, &geometry)?;
        Ok((geometry, allocation))
    }
}

/// Returns how many inodes there should be for this many bytes of room.
fn inodes_for(room: u64) -> u64 {
    let bytes_per_inode = match room {
        0..0x2000_0000 => 4096,
        0x2000_0000..0x400_0000_0000 => 16384,
        0x400_0000_0000..0x1000_0000_0000 => 32768,
        _ => 65536,
    };
    room / bytes_per_inode
}

/// Divides a directory into blocks.
pub(super) fn plan(
    tree: &Tree,
    directory: usize,
    hasher: &NameHasher,
    block_size: BlockSize,
) -> Result<Plan, TooManyNames> {
    let entries = &tree.directories[directory].entries;
    Plan::new(entries.iter().map(|(name, _)| tree.text(*name)), hasher, block_size)
}
