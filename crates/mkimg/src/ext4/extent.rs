//! Extent trees: which blocks of the disk are which blocks of a file.
//!
//! Kernel documentation, ext4, "Extent Tree". A tree is built from the bottom: leaves are full, except the last of
//! each level, and the root in the inode has what is left, at most four entries.

use super::bytes::{get_u16, get_u32, low_u16, low_u32, put_u16, put_u32};
use super::checksum::{Checksum, seal_extents};
use super::options::BlockSize;

/// How many blocks an extent can have.
pub(super) const MAX_LEN: u32 = 32768;

/// How many entries the root in the inode has.
const ROOT_ENTRIES: usize = 4;

/// The depth that trees never pass: four entries and 84 in each block of 1024 bytes reach 2^32 blocks.
pub(super) const MAX_DEPTH: u16 = 5;

const MAGIC: u16 = 0xf30a;
const HEADER_LEN: usize = 12;
const ENTRY_LEN: usize = 12;

/// A run of blocks that is together in the file and on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first block in the file.
    pub logical: u32,
    /// The first block on the disk.
    pub physical: u64,
    /// How many blocks.
    pub length: u32,
    /// Whether it holds data; if not, it reads as zeros.
    pub is_written: bool,
}

/// Returns how many entries a block of the tree has.
pub(super) fn entries_per_block(block_size: BlockSize) -> usize {
    (block_size.len() - HEADER_LEN) / ENTRY_LEN
}

/// Returns how many blocks each level of the tree has for `n_extents` extents, leaves first; the root is not one.
fn levels(n_extents: usize, block_size: BlockSize) -> Vec<usize> {
    let mut levels = Vec::new();
    let mut entries = n_extents;
    while entries > ROOT_ENTRIES {
        entries = entries.div_ceil(entries_per_block(block_size));
        levels.push(entries);
    }
    levels
}

/// Returns how many blocks the tree for `n_extents` extents needs beside the root.
pub(super) fn tree_blocks(n_extents: usize, block_size: BlockSize) -> usize {
    levels(n_extents, block_size).iter().sum()
}

fn put_header(bytes: &mut [u8], entries: usize, max: usize, depth: usize) {
    put_u16(bytes, 0, MAGIC);
    put_u16(bytes, 2, entries as u16);
    put_u16(bytes, 4, max as u16);
    put_u16(bytes, 6, depth as u16);
}

fn put_extent(bytes: &mut [u8], index: usize, extent: &Extent) {
    let at = HEADER_LEN + index * ENTRY_LEN;
    put_u32(bytes, at, extent.logical);
    put_u16(bytes, at + 4, low_u16(extent.length));
    put_u16(bytes, at + 6, low_u16(low_u32(extent.physical >> 32)));
    put_u32(bytes, at + 8, low_u32(extent.physical));
}

fn put_index(bytes: &mut [u8], index: usize, logical: u32, address: u64) {
    let at = HEADER_LEN + index * ENTRY_LEN;
    put_u32(bytes, at, logical);
    put_u32(bytes, at + 4, low_u32(address));
    put_u16(bytes, at + 8, low_u16(low_u32(address >> 32)));
}

/// The tree of one file: its extents, none longer than [`MAX_LEN`], and the addresses of its blocks, leaves first.
pub(super) struct Tree<'a> {
    extents: &'a [Extent],
    addresses: &'a [u64],
    block_size: BlockSize,
    levels: Vec<usize>,
}

impl<'a> Tree<'a> {
    /// Returns the tree. There must be [`tree_blocks`] addresses.
    pub(super) fn new(extents: &'a [Extent], addresses: &'a [u64], block_size: BlockSize) -> Tree<'a> {
        let levels = levels(extents.len(), block_size);
        Tree { extents, addresses, block_size, levels }
    }

    /// Returns the first block of the file below block `index` of `level`.
    fn first_logical(&self, level: usize, index: usize) -> u32 {
        let below = entries_per_block(self.block_size).pow(level as u32 + 1);
        self.extents[index * below].logical
    }

    /// Returns the part of the addresses that `level` has.
    fn addresses_of(&self, level: usize) -> &[u64] {
        let start = self.levels[..level].iter().sum::<usize>();
        &self.addresses[start..start + self.levels[level]]
    }

    /// Returns the root, which is the inode's block map.
    pub(super) fn root(&self) -> [u8; 60] {
        let mut bytes = [0; 60];
        let depth = self.levels.len();
        let entries = self.levels.last().copied().unwrap_or(self.extents.len());
        put_header(&mut bytes, entries, ROOT_ENTRIES, depth);
        for index in 0..entries {
            match depth.checked_sub(1) {
                None => put_extent(&mut bytes, index, &self.extents[index]),
                Some(level) => {
                    let address = self.addresses_of(level)[index];
                    put_index(&mut bytes, index, self.first_logical(level, index), address);
                }
            }
        }
        bytes
    }

    /// Writes block `index`, counted as the addresses are, into `bytes`, which has the length of a block.
    pub(super) fn block(&self, index: usize, owner: Checksum, bytes: &mut [u8]) {
        bytes.fill(0);
        let mut level = 0;
        let mut index = index;
        while index >= self.levels[level] {
            index -= self.levels[level];
            level += 1;
        }
        let max = entries_per_block(self.block_size);
        let below = if level == 0 { self.extents.len() } else { self.levels[level - 1] };
        let children = index * max..below.min((index + 1) * max);
        put_header(bytes, children.len(), max, level);
        for (entry, child) in children.enumerate() {
            match level.checked_sub(1) {
                None => put_extent(bytes, entry, &self.extents[child]),
                Some(lower) => {
                    let address = self.addresses_of(lower)[child];
                    put_index(bytes, entry, self.first_logical(lower, child), address);
                }
            }
        }
        seal_extents(bytes, owner);
    }
}

/// A node of a tree, as it was found.
pub(super) enum Node {
    /// Extents.
    Leaf(Vec<Extent>),
    /// First logical blocks and addresses of nodes one level below.
    Index(Vec<(u32, u64)>),
}

/// Reads a node that should have this `depth` (any, for a root). Says what is wrong with it.
pub(super) fn decode(bytes: &[u8], depth: Option<u16>) -> Result<(u16, Node), &'static str> {
    if get_u16(bytes, 0) != MAGIC {
        return Err("a node of its extent tree has no header");
    }
    let entries = usize::from(get_u16(bytes, 2));
    let max = usize::from(get_u16(bytes, 4));
    let found = get_u16(bytes, 6);
    if found > MAX_DEPTH || depth.is_some_and(|depth| depth != found) {
        return Err("a node of its extent tree has the wrong depth");
    }
    if max != (bytes.len() - HEADER_LEN) / ENTRY_LEN || entries > max {
        return Err("a node of its extent tree has too many entries");
    }
    if entries == 0 && (depth.is_some() || found > 0) {
        return Err("a node of its extent tree is empty");
    }
    let places = (0..entries).map(|index| HEADER_LEN + index * ENTRY_LEN);
    let address =
        |low: usize, high: usize| u64::from(get_u32(bytes, low)) | u64::from(get_u16(bytes, high)) << 32;
    let node = if found == 0 {
        Node::Leaf(
            places
                .map(|at| {
                    let stored = u32::from(get_u16(bytes, at + 4));
                    let is_written = stored <= MAX_LEN;
                    let length = if is_written { stored } else { stored - MAX_LEN };
                    Extent {
                        logical: get_u32(bytes, at),
                        physical: address(at + 8, at + 6),
                        length,
                        is_written,
                    }
                })
                .collect(),
        )
    } else {
        Node::Index(places.map(|at| (get_u32(bytes, at), address(at + 4, at + 8))).collect())
    };
    Ok((found, node))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(bytes: &[u8], depth: Option<u16>, blocks: &[Vec<u8>], found: &mut Vec<Extent>) -> u16 {
        let (depth, node) = decode(bytes, depth).unwrap();
        match node {
            Node::Leaf(extents) => found.extend(extents),
            Node::Index(children) => {
                for (logical, address) in children {
                    let before = found.len();
                    collect(&blocks[address as usize - 1000], Some(depth - 1), blocks, found);
                    assert_eq!(found[before].logical, logical);
                }
            }
        }
        depth
    }

    #[track_caller]
    fn check(n_extents: u32, block_size: BlockSize, n_blocks: usize, depth: u16) {
        let extents: Vec<Extent> = (0..n_extents)
            .map(|index| Extent {
                logical: index * 3 + 1,
                physical: u64::from(index) << 12 | 5,
                length: 2,
                is_written: true,
            })
            .collect();
        assert_eq!(tree_blocks(extents.len(), block_size), n_blocks);
        let addresses: Vec<u64> = (0..n_blocks as u64).map(|index| 1000 + index).collect();
        let tree = Tree::new(&extents, &addresses, block_size);
        let blocks: Vec<Vec<u8>> = (0..n_blocks)
            .map(|index| {
                let mut bytes = vec![1; block_size.len()];
                tree.block(index, Checksum::new(), &mut bytes);
                assert!(super::super::checksum::extents_are_sealed(&bytes, Checksum::new()));
                bytes
            })
            .collect();
        let mut found = Vec::new();
        assert_eq!(collect(&tree.root(), None, &blocks, &mut found), depth);
        assert_eq!(found, extents);
    }

    #[test]
    fn trees_of_every_depth_read_back() {
        check(0, BlockSize::B4096, 0, 0);
        check(4, BlockSize::B4096, 0, 0);
        check(5, BlockSize::B4096, 1, 1);
        check(4 * 340, BlockSize::B4096, 4, 1);
        check(4 * 340 + 1, BlockSize::B4096, 6, 2);
        check(4 * 84 * 84, BlockSize::B1024, 4 * 84 + 4, 2);
        check(4 * 84 * 84 + 1, BlockSize::B1024, 4 * 84 + 1 + 5 + 1, 3);
    }
}
