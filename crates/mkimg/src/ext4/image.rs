//! Sealing: from declarations to a layout in which every byte but the files' contents is fixed.

use std::collections::BTreeMap;

use super::allocation::{Allocation, Numbers, Run};
use super::checksum::Checksum;
use super::directory::Plan;
use super::error::Error;
use super::extent::{Extent, MAX_LEN, Tree as ExtentTree};
use super::geometry::{Fixed, Geometry, LOG_GROUPS_PER_FLEX};
use super::group::{
    BLOCK_UNINIT, DESCRIPTOR_LEN, GroupDescriptor, INODE_UNINIT, INODE_ZEROED, block_bitmap_checksum,
    fill_inode_bitmap, inode_bitmap_checksum, set_bits,
};
use super::hash::{NameHasher, Signedness};
use super::inode::{self, FLAG_EXTENTS, FLAG_INDEX, Inode, LINK_MAX, encode_device};
use super::options::{OnError, Options, Size};
use super::sizing::{Shape, Sizing, plan};
use super::superblock::{
    FIRST_INODE, FLAG_SIGNED_HASH, HASH_HALF_MD4, STATE_CLEAN, Superblock, compat, incompat, ro_compat,
};
use super::tree::Ext4;
use super::xattr::{Attribute, Placed};
use crate::tree::{Attributes, Content, Declared, Tree};

/// Targets of symbolic links that are at least this long need a block.
pub(super) const FAST_LINK: usize = 60;

/// A file system whose layout is fixed. [`Image::write`] makes its bytes.
pub struct Image {
    pub(super) options: Options,
    pub(super) tree: Tree,
    pub(super) xattrs: Attributes<Attribute, Placed>,
    pub(super) numbers: Numbers,
    pub(super) geometry: Geometry,
    pub(super) allocation: Allocation,
    pub(super) superblock: Superblock,
    pub(super) groups: Vec<GroupDescriptor>,
    pub(super) seed: Checksum,
    pub(super) hasher: NameHasher,
    /// By a directory's place in the tree: whether it has an index.
    is_indexed: Vec<bool>,
    size: u64,
}

impl Image {
    pub(super) fn new(format: Ext4, tree: Tree) -> Result<Image, Error> {
        let options = &format.options;
        let hasher = NameHasher::new(&options.hash_seed, Signedness::Signed);
        let n_inodes = u64::from(FIRST_INODE) - 1 + tree.nodes.len() as u64 - 1;
        if n_inodes > u64::from(u32::MAX) {
            return Err(Error::TooFewInodes { needed: n_inodes, available: u32::MAX.into() });
        }
        let shape = Shape::new(&tree, &hasher, options.block_size)?;
        let sizing = Sizing { format: &format, tree: &tree, shape: &shape, needed: n_inodes };
        let (geometry, allocation) = sizing.lay_out()?;

        let size = match options.size {
            Size::Fixed(size) => size,
            Size::Fit { .. } => geometry.blocks * u64::from(options.block_size.bytes()),
        };
        let seed = Checksum::of_uuid(&options.uuid);
        let Shape { numbers, is_indexed, has_large_directory, .. } = shape;
        let superblock = superblock(options, &geometry, &allocation, has_large_directory);
        let Ext4 { options, xattrs, .. } = format;
        let mut image = Image {
            options,
            tree,
            xattrs,
            numbers,
            geometry,
            allocation,
            superblock,
            groups: Vec::new(),
            seed,
            hasher,
            is_indexed,
            size,
        };
        image.groups = image.describe_groups();
        image.superblock.free_blocks = image.groups.iter().map(|group| u64::from(group.free_blocks)).sum();
        image.superblock.free_inodes = image.groups.iter().map(|group| group.free_inodes).sum();
        if image.superblock.journal_inode != 0 {
            image.superblock.journal_backup = Some(journal_backup(&image.inode(inode::JOURNAL)));
        }
        Ok(image)
    }

    /// Returns the image's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns how many bytes are free in the file system.
    pub fn free(&self) -> u64 {
        self.superblock.free_blocks * u64::from(self.options.block_size.bytes())
    }

    /// Returns the superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    fn describe_groups(&self) -> Vec<GroupDescriptor> {
        let geometry = &self.geometry;
        let mut used_blocks = vec![0u32; geometry.groups as usize];
        let mut is_touched = vec![false; geometry.groups as usize];
        let first = u64::from(geometry.block_size.first_data_block());
        let per_group = u64::from(geometry.block_size.blocks_per_group());
        for (start, length, is_computable) in self.pieces() {
            let mut at = start;
            while at < start + length {
                let group = (at - first) / per_group;
                let end = (first + (group + 1) * per_group).min(start + length);
                used_blocks[group as usize] += (end - at) as u32;
                is_touched[group as usize] |= !is_computable;
                at = end;
            }
        }
        let mut used_directories = vec![0u32; geometry.groups as usize];
        for (declared, node) in self.tree.nodes.iter().zip(0..) {
            if matches!(declared.content, Content::Directory(_)) {
                let group = (self.numbers.inode(node) - 1) / geometry.inodes_per_group;
                used_directories[group as usize] += 1;
            }
        }
        let mut bitmap = vec![0; geometry.block_size.len()];
        let describe = |group: u32| {
            let place = group as usize;
            let location = geometry.locations[place];
            let blocks = (geometry.group_end(group) - geometry.group_start(group)) as u32;
            let used_inodes = self.used_inodes(group);
            let mut descriptor = GroupDescriptor {
                block_bitmap: location.block_bitmap,
                inode_bitmap: location.inode_bitmap,
                inode_table: location.inode_table,
                free_blocks: blocks - used_blocks[place],
                free_inodes: geometry.inodes_per_group - used_inodes,
                used_directories: used_directories[place],
                unused_inodes: geometry.inodes_per_group - used_inodes,
                flags: INODE_ZEROED,
                ..GroupDescriptor::default()
            };
            if used_inodes == 0 {
                descriptor.flags |= INODE_UNINIT;
            } else {
                fill_inode_bitmap(&mut bitmap, used_inodes, geometry.inodes_per_group);
                descriptor.inode_bitmap_checksum =
                    inode_bitmap_checksum(&bitmap, geometry.inodes_per_group, self.seed);
            }
            // The last group's bitmap has an end of its own, which nobody can compute from the superblock alone.
            if group > 0 && group + 1 < geometry.groups && !is_touched[place] {
                descriptor.flags |= BLOCK_UNINIT;
            } else {
                self.fill_block_bitmap(group, &mut bitmap);
                let blocks_per_group = geometry.block_size.blocks_per_group();
                descriptor.block_bitmap_checksum =
                    block_bitmap_checksum(&bitmap, blocks_per_group, self.seed);
            }
            descriptor
        };
        (0..geometry.groups).map(describe).collect()
    }

    /// Returns how many inodes of `group` are used; they are the first ones.
    pub(super) fn used_inodes(&self, group: u32) -> u32 {
        let before = u64::from(group) * u64::from(self.geometry.inodes_per_group);
        u64::from(self.numbers.last()).saturating_sub(before).min(self.geometry.inodes_per_group.into())
            as u32
    }

    /// Returns all used blocks in two ascending sequences, and whether a kernel can compute that they are used.
    fn pieces(&self) -> impl Iterator<Item = (u64, u64, bool)> {
        let is_copy =
            |fixed: &Fixed| matches!(fixed.structure, super::geometry::Structure::Superblock { .. });
        let fixed = self.geometry.fixed.iter().map(move |fixed| (fixed.start, fixed.length, is_copy(fixed)));
        fixed.chain(self.allocation.runs.iter().map(|run| (run.start, u64::from(run.length), false)))
    }

    /// Fills `bitmap` with the used blocks of `group`. What follows the last block counts as used.
    pub(super) fn fill_block_bitmap(&self, group: u32, bitmap: &mut [u8]) {
        bitmap.fill(0);
        let (start, end) = (self.geometry.group_start(group), self.geometry.group_end(group));
        let bits = bitmap.len() * 8;
        let mut mark = |from: u64, length: u64| {
            let [from, to] = [from, from + length].map(|at| (at.clamp(start, end) - start) as usize);
            set_bits(bitmap, from, to);
        };
        let fixed = &self.geometry.fixed;
        let first = fixed.partition_point(|fixed| fixed.start + fixed.length <= start);
        for fixed in fixed[first..].iter().take_while(|fixed| fixed.start < end) {
            mark(fixed.start, fixed.length);
        }
        let runs = &self.allocation.runs;
        let first = runs.partition_point(|run| run.start + u64::from(run.length) <= start);
        for run in runs[first..].iter().take_while(|run| run.start < end) {
            mark(run.start, run.length.into());
        }
        set_bits(bitmap, (end - start) as usize, bits);
    }

    /// Returns the extents of an inode.
    pub(super) fn extents(&self, number: u32) -> Vec<Extent> {
        let mut extents = Vec::new();
        for Run { start, length, logical, .. } in self.allocation.data(number) {
            for offset in (0..*length).step_by(MAX_LEN as usize) {
                extents.push(Extent {
                    logical: logical + offset,
                    physical: start + u64::from(offset),
                    length: (length - offset).min(MAX_LEN),
                    is_written: true,
                });
            }
        }
        extents
    }

    /// Returns the addresses of the blocks of an inode's extent tree.
    pub(super) fn tree_addresses(&self, number: u32) -> Vec<u64> {
        self.allocation
            .tree(number)
            .iter()
            .flat_map(|run| run.start..run.start + u64::from(run.length))
            .collect()
    }

    /// Returns inode `number`.
    pub(super) fn inode(&self, number: u32) -> Inode {
        let epoch = self.options.epoch;
        let empty = Inode {
            number,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            links: 0,
            sectors: 0,
            flags: 0,
            block: [0; 60],
            generation: 0,
            xattr_block: 0,
            atime: epoch,
            ctime: epoch,
            mtime: epoch,
            crtime: epoch,
            tail: Vec::new(),
        };
        match self.numbers.node(number) {
            Some(node) => self.declared_inode(&self.tree.nodes[node], empty),
            None if number == inode::JOURNAL && self.superblock.journal_inode != 0 => {
                let size = self.bytes(self.blocks(number));
                self.mapped(Inode { mode: inode::REGULAR | 0o600, links: 1, size, ..empty })
            }
            None if number == inode::RESIZE && self.geometry.reserved_descriptor_blocks > 0 => {
                self.resize_inode(empty)
            }
            // Reserved inodes that nobody uses have only a date.
            None => empty,
        }
    }

    fn declared_inode(&self, declared: &Declared, empty: Inode) -> Inode {
        let metadata = &declared.metadata;
        let inode = Inode {
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            links: super::bytes::low_u16(declared.links),
            atime: metadata.mtime,
            ctime: metadata.mtime,
            mtime: metadata.mtime,
            xattr_block: self.allocation.xattr_block(empty.number).unwrap_or_default(),
            tail: self
                .xattrs
                .get(declared.attributes)
                .map(|(_, placed)| placed.inline.to_vec())
                .unwrap_or_default(),
            ..empty
        };
        let mut inode = match declared.content {
            Content::Directory(place) => {
                let links = self.tree.directories[place as usize].n_subdirectories.saturating_add(2);
                let flags = if self.is_indexed[place as usize] { FLAG_INDEX } else { 0 };
                self.mapped(Inode {
                    mode: inode.mode | inode::DIRECTORY,
                    links: if links > LINK_MAX { 1 } else { super::bytes::low_u16(links) },
                    size: self.bytes(self.blocks(inode.number)),
                    flags,
                    ..inode
                })
            }
            Content::File { size } => self.mapped(Inode { mode: inode.mode | inode::REGULAR, size, ..inode }),
            Content::Symlink(target) => {
                let target = self.tree.text(target);
                let inode = Inode { mode: inode.mode | inode::SYMLINK, size: target.len() as u64, ..inode };
                if target.len() < FAST_LINK {
                    let mut block = [0; 60];
                    block[..target.len()].copy_from_slice(target);
                    Inode { block, ..inode }
                } else {
                    self.mapped(inode)
                }
            }
            Content::CharDevice { major, minor } => Inode {
                mode: inode.mode | inode::CHAR_DEVICE,
                block: encode_device(major.into(), minor),
                ..inode
            },
            Content::BlockDevice { major, minor } => Inode {
                mode: inode.mode | inode::BLOCK_DEVICE,
                block: encode_device(major.into(), minor),
                ..inode
            },
            Content::Fifo => Inode { mode: inode.mode | inode::FIFO, ..inode },
            Content::Socket => Inode { mode: inode.mode | inode::SOCKET, ..inode },
        };
        if inode.xattr_block != 0 {
            inode.sectors += self.bytes(1) / 512;
        }
        inode
    }

    /// Returns `inode` with its extents and the space it takes.
    fn mapped(&self, inode: Inode) -> Inode {
        let extents = self.extents(inode.number);
        let addresses = self.tree_addresses(inode.number);
        let block = ExtentTree::new(&extents, &addresses, self.options.block_size).root();
        let sectors = self.bytes(self.blocks(inode.number) + addresses.len() as u64) / 512;
        Inode { block, sectors, flags: inode.flags | FLAG_EXTENTS, ..inode }
    }

    /// Returns the inode whose double indirect block leads to the reserved descriptor blocks of the first group, and
    /// from them, as if they were indirect blocks, to those of the other groups.
    fn resize_inode(&self, empty: Inode) -> Inode {
        let addresses = u64::from(self.options.block_size.bytes() / 4);
        let map = self.allocation.runs.iter().find(|run| run.usage == super::allocation::Use::ResizeMap);
        let mut block = [0; 60];
        let map = map.map_or(0, |run| super::bytes::low_u32(run.start));
        super::bytes::put_u32(&mut block, 13 * 4, map);
        let copies = 1 + self.geometry.backup_groups().count() as u64;
        Inode {
            mode: inode::REGULAR | 0o600,
            links: 1,
            size: self.bytes(addresses * addresses + addresses + 12),
            sectors: self.bytes(1 + self.geometry.reserved_descriptor_blocks * copies) / 512,
            block,
            ..empty
        }
    }

    /// Returns how many blocks of data an inode has.
    fn blocks(&self, number: u32) -> u64 {
        self.allocation.data(number).iter().map(|run| u64::from(run.length)).sum()
    }

    fn bytes(&self, blocks: u64) -> u64 {
        blocks * u64::from(self.options.block_size.bytes())
    }

    /// Returns the inode of a directory's parent.
    pub(super) fn parent(&self, directory: usize) -> u32 {
        self.numbers.inode(self.tree.directories[directory].parent.index())
    }

    /// Divides a directory into blocks.
    pub(super) fn plan(&self, directory: usize) -> Plan {
        plan(&self.tree, directory, &self.hasher, self.options.block_size)
            .expect("sealing has made this plan before")
    }

    /// Returns how many inodes share copy `copy` of the block of a set of attributes.
    pub(super) fn xattr_references(&self) -> BTreeMap<u64, u32> {
        let mut references = BTreeMap::new();
        for number in 1..=self.numbers.last() {
            if let Some(address) = self.allocation.xattr_block(number) {
                *references.entry(address).or_default() += 1;
            }
        }
        references
    }
}

fn superblock(
    options: &Options,
    geometry: &Geometry,
    allocation: &Allocation,
    has_large_directory: bool,
) -> Superblock {
    let journal_blocks: u64 = allocation.data(inode::JOURNAL).iter().map(|run| u64::from(run.length)).sum();
    let [has_journal, can_resize] = [journal_blocks > 0, geometry.reserved_descriptor_blocks > 0];
    let when = |condition: bool, feature: u32| if condition { feature } else { 0 };
    let mut label = [0; 16];
    label[..options.label.len()].copy_from_slice(&options.label);
    Superblock {
        inodes_count: geometry.inodes(),
        blocks_count: geometry.blocks,
        reserved_blocks: geometry.blocks * u64::from(options.reserved_percent) / 100,
        free_blocks: 0,
        free_inodes: 0,
        block_size: options.block_size,
        blocks_per_group: options.block_size.blocks_per_group(),
        inodes_per_group: geometry.inodes_per_group,
        made: options.epoch.seconds().unsigned_abs(),
        state: STATE_CLEAN,
        errors: match options.on_error {
            OnError::Continue => 1,
            OnError::RemountReadOnly => 2,
            OnError::Panic => 3,
        },
        inode_size: inode::LEN as u16,
        block_group: 0,
        features: [
            compat::EXT_ATTR
                | compat::DIR_INDEX
                | when(has_journal, compat::HAS_JOURNAL)
                | when(can_resize, compat::RESIZE_INODE),
            incompat::FILETYPE
                | incompat::EXTENTS
                | incompat::BIT64
                | incompat::FLEX_BG
                | when(has_large_directory, incompat::LARGE_DIR),
            ro_compat::SPARSE_SUPER
                | ro_compat::LARGE_FILE
                | ro_compat::HUGE_FILE
                | ro_compat::DIR_NLINK
                | ro_compat::EXTRA_ISIZE
                | ro_compat::METADATA_CSUM,
        ],
        uuid: options.uuid,
        label,
        reserved_gdt_blocks: geometry.reserved_descriptor_blocks as u16,
        journal_inode: when(has_journal, inode::JOURNAL),
        last_orphan: 0,
        hash_seed: options.hash_seed,
        hash_version: HASH_HALF_MD4,
        descriptor_size: DESCRIPTOR_LEN as u16,
        journal_backup: None,
        flags: FLAG_SIGNED_HASH,
        log_groups_per_flex: LOG_GROUPS_PER_FLEX,
        // Kernels compute what does not fit here.
        overhead: u32::try_from(geometry.overhead() + journal_blocks).unwrap_or_default(),
        checksum_seed: 0,
    }
}

/// Returns what the superblock keeps of the journal's inode.
fn journal_backup(journal: &Inode) -> [u8; 68] {
    let mut backup = [0; 68];
    backup[..60].copy_from_slice(&journal.block);
    super::bytes::put_split_u64(&mut backup, 64, 60, journal.size);
    backup
}
