//! Checking a whole file system: that every block and inode is used once, and counted where it should be.

use std::collections::BTreeMap;

use layer::ReadAt;

use super::bytes::{get_u32, low_u32};
use super::error::ReadError;
use super::group::{
    BLOCK_UNINIT, GroupDescriptor, INODE_UNINIT, block_bitmap_checksum, has_bit, inode_bitmap_checksum,
    set_bits,
};
use super::inode::{self, FLAG_EXTENTS, Inode, LINK_MAX, entry_type};
use super::read::Reader;
use super::superblock::{self, FIRST_INODE, STATE_CLEAN, Superblock, compat, has_superblock};
use super::{journal, xattr};

/// What has been found so far.
#[derive(Default)]
struct Findings {
    /// Runs of blocks and the inode they belong to; 0 for the file system's own.
    claims: Vec<(u64, u64, u32)>,
    /// How many blocks the claims of inodes have.
    n_claimed: u64,
    inodes: BTreeMap<u32, Found>,
    /// By address: how many inodes share the block, and how many it says there are.
    xattr_blocks: BTreeMap<u64, (u32, u32)>,
}

/// An inode and the names that lead to it.
struct Found {
    is_directory: bool,
    links: u16,
    names: u32,
    subdirectories: u32,
}

impl<R: ReadAt> Reader<R> {
    /// Checks everything that the format says about a file system at rest, and returns the first contradiction.
    ///
    /// It does not read the contents of files. It is stricter than `e2fsck` where images made here always agree, and
    /// knows fewer features.
    pub fn check(&self) -> Result<(), ReadError> {
        let superblock = self.superblock();
        if superblock.state != STATE_CLEAN || superblock.last_orphan != 0 {
            return Err(ReadError::corrupt("the superblock", "the file system was not unmounted cleanly"));
        }
        if superblock.features[0] & compat::ORPHAN_FILE != 0 {
            return Err(ReadError::unsupported("the feature `orphan_file`"));
        }
        let mut findings = Findings::default();
        self.claim_structures(&mut findings)?;
        self.claim_reserved_inodes(&mut findings)?;
        self.claim_tree(&mut findings)?;
        for (number, found) in &findings.inodes {
            check_links(*number, found)?;
        }
        for (address, (found, stored)) in &findings.xattr_blocks {
            findings.claims.push((*address, 1, 0));
            if found != stored {
                let problem = format!("it says that {stored} inodes share it, and {found} do");
                return Err(ReadError::corrupt(
                    format!("the block of extended attributes {address}"),
                    problem,
                ));
            }
        }
        findings.claims.sort_unstable();
        if let Some(pair) = findings.claims.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
            return Err(ReadError::corrupt(format!("block {}", pair[1].0), "it is used twice"));
        }
        self.check_bitmaps(&findings)
    }

    fn group_start(&self, group: u32) -> u64 {
        let superblock = self.superblock();
        let first = u64::from(superblock.block_size.first_data_block());
        first + u64::from(group) * u64::from(superblock.blocks_per_group)
    }

    fn descriptor_blocks(&self) -> u64 {
        let superblock = self.superblock();
        superblock.block_size.blocks_for(self.groups().len() as u64 * u64::from(superblock.descriptor_size))
    }

    fn claim_structures(&self, findings: &mut Findings) -> Result<(), ReadError> {
        let superblock = self.superblock();
        for (group, descriptor) in (0..).zip(self.groups()) {
            if has_superblock(group.into()) {
                let start = self.group_start(group);
                let length = 1 + self.descriptor_blocks() + u64::from(superblock.reserved_gdt_blocks);
                findings.claims.push((start, length, 0));
                if group > 0 {
                    self.check_backup(group, start)?;
                }
            }
            findings.claims.push((descriptor.block_bitmap, 1, 0));
            findings.claims.push((descriptor.inode_bitmap, 1, 0));
            findings.claims.push((descriptor.inode_table, self.table_blocks(), 0));
        }
        Ok(())
    }

    fn check_backup(&self, group: u32, start: u64) -> Result<(), ReadError> {
        let block = self.block(start)?;
        let bytes: [u8; superblock::LEN] = std::array::from_fn(|index| block[index]);
        let backup = Superblock::decode(&bytes)?;
        let superblock = self.superblock();
        // Kernels and `mke2fs` do not keep the counts of copies current.
        let current = Superblock {
            block_group: backup.block_group,
            free_blocks: backup.free_blocks,
            free_inodes: backup.free_inodes,
            state: backup.state,
            journal_backup: backup.journal_backup,
            overhead: backup.overhead,
            ..superblock.clone()
        };
        if backup != current || u32::from(backup.block_group) != group & 0xffff {
            return Err(ReadError::corrupt(
                format!("the superblock of group {group}"),
                "it differs from the first",
            ));
        }
        Ok(())
    }

    fn claim_reserved_inodes(&self, findings: &mut Findings) -> Result<(), ReadError> {
        for number in (1..FIRST_INODE).filter(|number| *number != inode::ROOT) {
            let inode = self.inode(number)?;
            if inode.flags & FLAG_EXTENTS != 0 {
                self.claim_data(&inode, findings)?;
            }
        }
        let superblock = self.superblock();
        if superblock.features[0] & compat::HAS_JOURNAL != 0 {
            let what = "the journal";
            let journal = self.inode(superblock.journal_inode)?;
            let data = self.mapped(&journal)?;
            let first = data.extents().first().filter(|extent| extent.logical == 0);
            let first = first.ok_or_else(|| ReadError::corrupt(what, "it has no blocks"))?;
            journal::check(&self.block(first.physical)?, superblock.block_size, data.n_blocks())
                .map_err(|problem| ReadError::corrupt(what, problem))?;
        }
        if superblock.features[0] & compat::RESIZE_INODE != 0 {
            self.claim_resize_map(findings)?;
        }
        Ok(())
    }

    /// Checks the inode that owns the reserved descriptor blocks.
    fn claim_resize_map(&self, findings: &mut Findings) -> Result<(), ReadError> {
        let refuse = || ReadError::corrupt("inode 7", "it does not own the reserved group descriptors");
        let superblock = self.superblock();
        let inode = self.inode(inode::RESIZE)?;
        let map = u64::from(get_u32(&inode.block, 13 * 4));
        findings.claims.push((map, 1, inode::RESIZE));
        let map = super::read::addresses(&self.block(map)?);
        let n_groups = self.groups().len() as u32;
        let backups: Vec<u32> = (1..n_groups).filter(|group| has_superblock((*group).into())).collect();
        let reserved = u64::from(superblock.reserved_gdt_blocks);
        let mut n_mapped = 0;
        for index in self.descriptor_blocks()..self.descriptor_blocks() + reserved {
            let address = self.group_start(0) + 1 + index;
            let stored = map.get(index as usize % map.len()).copied().unwrap_or_default();
            let copies = super::read::addresses(&self.block(address)?);
            let expected =
                backups.iter().map(|group| low_u32(address + self.group_start(*group) - self.group_start(0)));
            if u64::from(stored) != address || !copies.iter().copied().take(backups.len()).eq(expected) {
                return Err(refuse());
            }
            n_mapped += 1;
        }
        if map.iter().filter(|address| **address != 0).count() != n_mapped {
            return Err(refuse());
        }
        Ok(())
    }

    /// Claims the blocks of an inode and returns how many it has, its extent tree included.
    fn claim_data(&self, inode: &Inode, findings: &mut Findings) -> Result<u64, ReadError> {
        let data = self.mapped(inode)?;
        let n_blocks = data.n_blocks() + data.tree.len() as u64;
        findings.n_claimed += n_blocks;
        // Blocks that are used twice come out when the claims are sorted, unless there are too many to keep.
        if findings.n_claimed > self.superblock().blocks_count {
            return Err(ReadError::corrupt(
                format!("inode {}", inode.number),
                "more blocks are used than there are",
            ));
        }
        let runs =
            data.extents().iter().map(|extent| (extent.physical, u64::from(extent.length), inode.number));
        findings.claims.extend(runs);
        findings.claims.extend(data.tree.iter().map(|address| (*address, 1, inode.number)));
        Ok(n_blocks)
    }

    fn claim_tree(&self, findings: &mut Findings) -> Result<(), ReadError> {
        self.walk(&mut |visit| {
            let inode = visit.inode;
            let what = || format!("inode {}", inode.number);
            let expected = entry_type(inode.mode);
            if expected == 0 || visit.file_type != expected {
                return Err(ReadError::corrupt(what(), "its type is not that of its name"));
            }
            if let Some(found) = findings.inodes.get_mut(&inode.number) {
                found.names += 1;
                return Ok(());
            }
            if inode.number < FIRST_INODE && inode.number != inode::ROOT {
                return Err(ReadError::corrupt(what(), "it is reserved and has a name"));
            }
            let mut subdirectories = 0;
            if inode.is_directory() {
                subdirectories =
                    self.entries(inode)?.iter().filter(|entry| entry.file_type == 2).count() as u32;
            }
            let found =
                Found { is_directory: inode.is_directory(), links: inode.links, names: 1, subdirectories };
            findings.inodes.insert(inode.number, found);

            let mut blocks = 0;
            if inode.is_directory() || inode.is_file() || inode.flags & FLAG_EXTENTS != 0 {
                blocks += self.claim_data(inode, findings)?;
            }
            if inode.is_symlink() {
                self.symlink_target(inode)?;
            }
            self.xattrs(inode)?;
            if inode.xattr_block != 0 {
                blocks += 1;
                let stored = xattr::block_references(&self.xattr_block(inode)?);
                let shared = findings.xattr_blocks.entry(inode.xattr_block).or_insert((0, stored));
                shared.0 += 1;
            }
            if inode.sectors != blocks * u64::from(self.superblock().block_size.bytes()) / 512 {
                return Err(ReadError::corrupt(what(), "it does not take the space that it says"));
            }
            Ok(())
        })
    }

    fn check_bitmaps(&self, findings: &Findings) -> Result<(), ReadError> {
        let superblock = self.superblock();
        let mut free_blocks = 0;
        let mut free_inodes = 0u64;
        for (group, descriptor) in (0..).zip(self.groups()) {
            free_blocks += u64::from(descriptor.free_blocks);
            free_inodes += u64::from(descriptor.free_inodes);
            self.check_block_bitmap(group, descriptor, findings)?;
            self.check_inode_bitmap(group, descriptor, findings)?;
        }
        if free_blocks != superblock.free_blocks || free_inodes != u64::from(superblock.free_inodes) {
            return Err(ReadError::corrupt(
                "the superblock",
                "its free blocks or inodes are not those of the groups",
            ));
        }
        Ok(())
    }

    fn check_block_bitmap(
        &self,
        group: u32,
        descriptor: &GroupDescriptor,
        findings: &Findings,
    ) -> Result<(), ReadError> {
        let superblock = self.superblock();
        let what = format!("the block bitmap of group {group}");
        let start = self.group_start(group);
        let end = superblock.blocks_count.min(start + u64::from(superblock.blocks_per_group));
        let mut expected = vec![0; superblock.block_size.len()];
        let bits = expected.len() * 8;
        let first = findings.claims.partition_point(|(at, length, _)| at + length <= start);
        for (at, length, _) in findings.claims[first..].iter().take_while(|(at, ..)| *at < end) {
            let [from, to] = [*at, at + length].map(|at| (at.clamp(start, end) - start) as usize);
            set_bits(&mut expected, from, to);
        }
        let used = expected.iter().map(|byte| byte.count_ones()).sum::<u32>();
        if u64::from(used) + u64::from(descriptor.free_blocks) != end - start {
            return Err(ReadError::corrupt(what, "the number of free blocks is wrong"));
        }
        if descriptor.flags & BLOCK_UNINIT != 0 {
            return Ok(());
        }
        set_bits(&mut expected, (end - start) as usize, bits);
        let bitmap = self.block(descriptor.block_bitmap)?;
        let checksum = block_bitmap_checksum(&bitmap, superblock.blocks_per_group, self.seed());
        self.check_bitmap_checksum(&what, checksum, descriptor.block_bitmap_checksum)?;
        if bitmap != expected {
            return Err(ReadError::corrupt(what, "it does not say which blocks are used"));
        }
        Ok(())
    }

    fn check_inode_bitmap(
        &self,
        group: u32,
        descriptor: &GroupDescriptor,
        findings: &Findings,
    ) -> Result<(), ReadError> {
        let per_group = self.superblock().inodes_per_group;
        let what = format!("the inode bitmap of group {group}");
        let first = u64::from(group) * u64::from(per_group) + 1;
        let range = low_u32(first)..=low_u32(first + u64::from(per_group) - 1);
        let reserved =
            (1..FIRST_INODE).filter(|number| range.contains(number) && *number != inode::ROOT).count();
        let used = findings.inodes.range(range.clone()).count() + reserved;
        if used as u64 + u64::from(descriptor.free_inodes) != u64::from(per_group) {
            return Err(ReadError::corrupt(what, "the number of free inodes is wrong"));
        }
        let directories =
            findings.inodes.range(range.clone()).filter(|(_, found)| found.is_directory).count();
        if directories as u64 != u64::from(descriptor.used_directories) {
            return Err(ReadError::corrupt(what, "the number of directories is wrong"));
        }
        if descriptor.flags & INODE_UNINIT != 0 {
            return Ok(());
        }
        let bitmap = self.block(descriptor.inode_bitmap)?;
        let checksum = inode_bitmap_checksum(&bitmap, per_group, self.seed());
        self.check_bitmap_checksum(&what, checksum, descriptor.inode_bitmap_checksum)?;
        for (bit, number) in range.enumerate() {
            let is_used = findings.inodes.contains_key(&number) || number < FIRST_INODE;
            if has_bit(&bitmap, bit) != is_used {
                return Err(ReadError::corrupt(what, "it does not say which inodes are used"));
            }
        }
        Ok(())
    }

    fn check_bitmap_checksum(&self, what: &str, computed: u32, stored: u32) -> Result<(), ReadError> {
        let mask = if self.superblock().descriptor_size > 32 { u32::MAX } else { 0xffff };
        if self.has_checksums() && computed & mask != stored {
            return Err(ReadError::checksum(what));
        }
        Ok(())
    }
}

fn check_links(number: u32, found: &Found) -> Result<(), ReadError> {
    let links = if found.is_directory { found.subdirectories.saturating_add(2) } else { found.names };
    let is_right =
        u32::from(found.links) == links || found.is_directory && links > LINK_MAX && found.links == 1;
    if is_right {
        return Ok(());
    }
    let problem = format!("it has {links} names and says {}", found.links);
    Err(ReadError::corrupt(format!("inode {number}"), problem))
}
