//! Where the fixed structures are: superblocks, group descriptors, bitmaps, inode tables.
//!
//! Sixteen groups form a flexible group, whose bitmaps and tables lie together in its first one.

use super::error::Error;
use super::group::DESCRIPTOR_LEN;
use super::inode::LEN as INODE_LEN;
use super::options::{BlockSize, Growth};
use super::superblock::has_superblock;

/// Groups in a flexible group, as a power of two.
pub(super) const LOG_GROUPS_PER_FLEX: u8 = 4;
const GROUPS_PER_FLEX: u64 = 1 << LOG_GROUPS_PER_FLEX;

/// What a last group needs beside its own structures to be worth having.
const WORTHWHILE: u64 = 50;

/// What is at a fixed place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Structure {
    /// A superblock, all group descriptors and the blocks kept for more of them.
    Superblock { group: u32 },
    /// The block bitmaps of `n` groups.
    BlockBitmaps { first: u32, n: u32 },
    /// The inode bitmaps of `n` groups.
    InodeBitmaps { first: u32, n: u32 },
    /// The inode tables of `n` groups.
    InodeTables { first: u32, n: u32 },
}

/// A structure and its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) structure: Structure,
}

/// Where the structures of a group are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Location {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
}

/// What decides a geometry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) block_size: BlockSize,
    pub(super) blocks: u64,
    /// How many inodes there have to be.
    pub(super) inodes: u64,
    /// How many there should be if groups can hold them.
    pub(super) wanted_inodes: u64,
    pub(super) growth: Growth,
    /// What to do with a last group that is too small: drop it, or make it larger.
    pub(super) may_grow: bool,
}

/// The fixed part of a layout.
#[derive(Debug)]
pub(super) struct Geometry {
    pub(super) block_size: BlockSize,
    pub(super) blocks: u64,
    pub(super) groups: u32,
    pub(super) inodes_per_group: u32,
    pub(super) inode_table_blocks: u64,
    pub(super) descriptor_blocks: u64,
    pub(super) reserved_descriptor_blocks: u64,
    /// All structures in the order of their places.
    pub(super) fixed: Vec<Fixed>,
    /// By group.
    pub(super) locations: Vec<Location>,
    /// How many more blocks the structures need than there are.
    pub(super) missing: u64,
}

impl Geometry {
    /// Returns the geometry for a request.
    pub(super) fn new(request: Request) -> Result<Geometry, Error> {
        let block_size = request.block_size;
        let block_len = u64::from(block_size.bytes());
        let per_group = u64::from(block_size.blocks_per_group());
        let first = u64::from(block_size.first_data_block());
        let mut blocks = request.blocks.max(first + 1);
        let limit = Geometry::largest(block_size);
        if blocks > limit {
            let size = blocks.saturating_mul(block_len);
            return Err(Error::SizeTooLarge {
                size,
                block_size: block_size.bytes(),
                limit: limit * block_len,
            });
        }

        let mut groups = (blocks - first).div_ceil(per_group);
        // A group's bitmap is one block, so there are only so many inodes; more groups have more.
        let groups_for_inodes = request.inodes.div_ceil(per_group);
        if groups < groups_for_inodes {
            if !request.may_grow {
                return Err(Error::TooFewInodes { needed: request.inodes, available: groups * per_group });
            }
            blocks = first + (groups_for_inodes - 1) * per_group + WORTHWHILE;
            groups = groups_for_inodes;
        }
        let descriptor_blocks = (groups * DESCRIPTOR_LEN as u64).div_ceil(block_len);
        let reserved = reserved_descriptor_blocks(block_size, blocks, descriptor_blocks, request.growth);
        let inodes_per_group =
            inodes_per_group(request.inodes.max(request.wanted_inodes), groups, block_size);
        let inode_table_blocks = inodes_per_group * INODE_LEN as u64 / block_len;

        let rest = (blocks - first) % per_group;
        let copy = if has_superblock(groups - 1) { 1 + descriptor_blocks + reserved } else { 0 };
        let least = copy + 2 + inode_table_blocks + WORTHWHILE;
        if rest > 0 && rest < least && groups > 1 {
            if !request.may_grow {
                return Geometry::new(Request { blocks: blocks - rest, ..request });
            }
            blocks += (least - rest).min(per_group - rest);
        }

        let n_inodes = groups * inodes_per_group;
        let (Ok(groups), Ok(inodes_per_group), Ok(_)) =
            (u32::try_from(groups), u32::try_from(inodes_per_group), u32::try_from(n_inodes))
        else {
            return Err(Error::TooFewInodes { needed: n_inodes, available: u32::MAX.into() });
        };
        let mut geometry = Geometry {
            block_size,
            blocks,
            groups,
            inodes_per_group,
            inode_table_blocks,
            descriptor_blocks,
            reserved_descriptor_blocks: reserved,
            fixed: Vec::new(),
            locations: vec![Location::default(); groups as usize],
            missing: 0,
        };
        geometry.place();
        Ok(geometry)
    }

    /// Returns how many blocks a file system can have: the descriptors have to leave room in the first group.
    fn largest(block_size: BlockSize) -> u64 {
        let per_group = u64::from(block_size.blocks_per_group());
        let descriptors = per_group * 3 / 4 * u64::from(block_size.bytes()) / DESCRIPTOR_LEN as u64;
        (descriptors * per_group).min((1 << 48) - 1)
    }

    fn place(&mut self) {
        for group in (0..self.groups).filter(|group| has_superblock(u64::from(*group))) {
            let (start, length) = (self.group_start(group), self.superblock_blocks());
            self.fixed.push(Fixed { start, length, structure: Structure::Superblock { group } });
        }
        for flex in (0..self.groups).step_by(GROUPS_PER_FLEX as usize) {
            self.place_flexible_group(flex, (self.groups - flex).min(GROUPS_PER_FLEX as u32));
        }
        self.fixed.sort_unstable_by_key(|fixed| fixed.start);
        let past = |fixed: &Fixed| (fixed.start + fixed.length).saturating_sub(self.blocks.max(fixed.start));
        self.missing = self.fixed.iter().map(past).sum();
    }

    fn place_flexible_group(&mut self, first: u32, n: u32) {
        let bitmaps = self.free_run(self.group_start(first), n.into());
        self.fixed.push(Fixed {
            start: bitmaps,
            length: n.into(),
            structure: Structure::BlockBitmaps { first, n },
        });
        let inode_bitmaps = self.free_run(bitmaps + u64::from(n), n.into());
        let structure = Structure::InodeBitmaps { first, n };
        self.fixed.push(Fixed { start: inode_bitmaps, length: n.into(), structure });
        let mut at = inode_bitmaps + u64::from(n);
        for index in 0..n {
            let table = self.free_run(at, self.inode_table_blocks);
            at = table + self.inode_table_blocks;
            self.locations[(first + index) as usize] = Location {
                block_bitmap: bitmaps + u64::from(index),
                inode_bitmap: inode_bitmaps + u64::from(index),
                inode_table: table,
            };
            match self.fixed.last_mut() {
                Some(Fixed { start, length, structure: Structure::InodeTables { n, .. } })
                    if *start + *length == table =>
                {
                    *length += self.inode_table_blocks;
                    *n += 1;
                }
                _ => self.fixed.push(Fixed {
                    start: table,
                    length: self.inode_table_blocks,
                    structure: Structure::InodeTables { first: first + index, n: 1 },
                }),
            }
        }
    }

    /// Returns the first run of `length` blocks from `at` on that has no copy of a superblock in it.
    fn free_run(&self, at: u64, length: u64) -> u64 {
        let first = u64::from(self.block_size.first_data_block());
        let per_group = u64::from(self.block_size.blocks_per_group());
        let mut start = at;
        loop {
            let groups = (start - first) / per_group..=(start + length - 1 - first) / per_group;
            let copies = groups.filter(|group| *group < u64::from(self.groups) && has_superblock(*group));
            let ends = copies.map(|group| {
                (first + group * per_group, first + group * per_group + self.superblock_blocks())
            });
            match ends.into_iter().find(|(from, to)| start < *to && *from < start + length) {
                Some((_, end)) => start = end,
                None => return start,
            }
        }
    }

    /// Returns how many blocks a superblock takes with what comes with it.
    pub(super) fn superblock_blocks(&self) -> u64 {
        1 + self.descriptor_blocks + self.reserved_descriptor_blocks
    }

    /// Returns the first block of `group`.
    pub(super) fn group_start(&self, group: u32) -> u64 {
        u64::from(self.block_size.first_data_block())
            + u64::from(group) * u64::from(self.block_size.blocks_per_group())
    }

    /// Returns the block behind the last one of `group`.
    pub(super) fn group_end(&self, group: u32) -> u64 {
        self.blocks.min(self.group_start(group) + u64::from(self.block_size.blocks_per_group()))
    }

    /// Returns how many blocks the structures take, with the block before the first group.
    pub(super) fn overhead(&self) -> u64 {
        let fixed: u64 = self.fixed.iter().map(|fixed| fixed.length).sum();
        fixed + u64::from(self.block_size.first_data_block())
    }

    /// Returns the groups beside the first that have copies of the superblock.
    pub(super) fn backup_groups(&self) -> impl Iterator<Item = u32> {
        (1..self.groups).filter(|group| has_superblock(u64::from(*group)))
    }

    /// Returns how many inodes there are.
    pub(super) fn inodes(&self) -> u32 {
        self.groups * self.inodes_per_group
    }
}

fn inodes_per_group(inodes: u64, groups: u64, block_size: BlockSize) -> u64 {
    // Tables fill whole blocks, and bitmaps whole bytes.
    let unit = u64::from(block_size.bytes() / INODE_LEN as u32).max(8);
    inodes.div_ceil(groups).next_multiple_of(unit).min(u64::from(block_size.blocks_per_group()))
}

/// Returns how many blocks are kept for descriptors of groups that come when the file system grows.
fn reserved_descriptor_blocks(
    block_size: BlockSize,
    blocks: u64,
    descriptor_blocks: u64,
    growth: Growth,
) -> u64 {
    let target = match growth {
        Growth::Unplanned => return 0,
        Growth::UpTo(bytes) => block_size.blocks_for(bytes),
        Growth::Auto => blocks.saturating_mul(1024),
    };
    // The blocks are found through an indirect block with 32-bit numbers.
    let target = target.min(u64::from(u32::MAX));
    if blocks > target {
        return 0;
    }
    let first = u64::from(block_size.first_data_block());
    let groups = (target - first).div_ceil(u64::from(block_size.blocks_per_group()));
    let needed = (groups * DESCRIPTOR_LEN as u64).div_ceil(u64::from(block_size.bytes()));
    needed.saturating_sub(descriptor_blocks).min(u64::from(block_size.bytes() / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(block_size: BlockSize, blocks: u64, inodes: u64) -> Geometry {
        let request =
            Request { block_size, blocks, inodes, wanted_inodes: 0, growth: Growth::Auto, may_grow: false };
        let geometry = Geometry::new(request).unwrap();
        assert_eq!(geometry.missing, 0);
        assert!(geometry.fixed.windows(2).all(|pair| pair[0].start + pair[0].length <= pair[1].start));
        assert!(u64::from(geometry.inodes()) >= inodes);
        geometry
    }

    #[test]
    fn a_gigabyte_looks_as_from_mke2fs() {
        let geometry = check(BlockSize::B4096, 262_144, 65_536);
        assert_eq!((geometry.descriptor_blocks, geometry.reserved_descriptor_blocks), (1, 127));
        assert_eq!((geometry.inodes_per_group, geometry.inode_table_blocks), (8192, 512));
        let Location { block_bitmap, inode_bitmap, inode_table } = geometry.locations[1];
        assert_eq!((block_bitmap, inode_bitmap, inode_table), (130, 138, 657));
        assert_eq!(geometry.overhead(), 12_949 - 8192);
    }

    #[test]
    fn structures_never_overlap() {
        for block_size in [BlockSize::B1024, BlockSize::B2048, BlockSize::B4096] {
            for blocks in [10_000, 100_000, 1_000_000, 30_000_000] {
                check(block_size, blocks, 20);
                check(block_size, blocks, blocks / 2);
            }
        }
    }

    #[test]
    fn a_last_group_is_dropped_or_filled_when_it_is_not_worthwhile() {
        assert_eq!(check(BlockSize::B4096, 32_768 * 2 + 20, 1000).blocks, 32_768 * 2);
        let blocks = 32_768 * 2 + 20;
        let request = Request {
            block_size: BlockSize::B4096,
            blocks,
            inodes: 1000,
            wanted_inodes: 0,
            growth: Growth::Auto,
            may_grow: true,
        };
        assert!(Geometry::new(request).unwrap().blocks > blocks);
    }
}
