//! The superblock: what the file system is called, how large it is, what it can do.
//!
//! Kernel documentation, ext4, "Super Block". Fields that are zero in every image made here, and that say nothing
//! about how to read one, are left out.

use super::bytes::{get_split_u64, get_u16, get_u32, put_split_u64, put_u16, put_u32};
use super::checksum::{seal_superblock, superblock_is_sealed};
use super::error::ReadError;
use super::options::BlockSize;

/// Where the first superblock is.
pub(super) const OFFSET: u64 = 1024;

/// How long a superblock is.
pub(super) const LEN: usize = 1024;

pub(super) mod compat {
    pub(in crate::ext4) const HAS_JOURNAL: u32 = 0x4;
    pub(in crate::ext4) const EXT_ATTR: u32 = 0x8;
    pub(in crate::ext4) const RESIZE_INODE: u32 = 0x10;
    pub(in crate::ext4) const DIR_INDEX: u32 = 0x20;
    pub(in crate::ext4) const SPARSE_SUPER2: u32 = 0x200;
    pub(in crate::ext4) const ORPHAN_FILE: u32 = 0x1000;
}

pub(super) mod incompat {
    pub(in crate::ext4) const FILETYPE: u32 = 0x2;
    pub(in crate::ext4) const EXTENTS: u32 = 0x40;
    pub(in crate::ext4) const BIT64: u32 = 0x80;
    pub(in crate::ext4) const FLEX_BG: u32 = 0x200;
    pub(in crate::ext4) const CSUM_SEED: u32 = 0x2000;
    pub(in crate::ext4) const LARGE_DIR: u32 = 0x4000;
    /// What the reader understands.
    pub(in crate::ext4) const KNOWN: u32 = FILETYPE | EXTENTS | BIT64 | FLEX_BG | CSUM_SEED | LARGE_DIR;
}

pub(super) mod ro_compat {
    pub(in crate::ext4) const SPARSE_SUPER: u32 = 0x1;
    pub(in crate::ext4) const LARGE_FILE: u32 = 0x2;
    pub(in crate::ext4) const HUGE_FILE: u32 = 0x8;
    pub(in crate::ext4) const GDT_CSUM: u32 = 0x10;
    pub(in crate::ext4) const DIR_NLINK: u32 = 0x20;
    pub(in crate::ext4) const EXTRA_ISIZE: u32 = 0x40;
    pub(in crate::ext4) const BIGALLOC: u32 = 0x200;
    pub(in crate::ext4) const METADATA_CSUM: u32 = 0x400;
}

/// The names of feature bits, as `dumpe2fs` prints them: the field's index (compat, incompat, read-only), the bit.
const FEATURE_NAMES: [(usize, u32, &str); 31] = [
    (0, compat::HAS_JOURNAL, "has_journal"),
    (0, compat::EXT_ATTR, "ext_attr"),
    (0, compat::RESIZE_INODE, "resize_inode"),
    (0, compat::DIR_INDEX, "dir_index"),
    (0, compat::SPARSE_SUPER2, "sparse_super2"),
    (0, 0x400, "fast_commit"),
    (0, 0x800, "stable_inodes"),
    (0, compat::ORPHAN_FILE, "orphan_file"),
    (1, incompat::FILETYPE, "filetype"),
    (1, 0x4, "needs_recovery"),
    (1, 0x8, "journal_dev"),
    (1, 0x10, "meta_bg"),
    (1, incompat::EXTENTS, "extent"),
    (1, incompat::BIT64, "64bit"),
    (1, 0x100, "mmp"),
    (1, incompat::FLEX_BG, "flex_bg"),
    (1, 0x400, "ea_inode"),
    (1, incompat::CSUM_SEED, "metadata_csum_seed"),
    (1, incompat::LARGE_DIR, "large_dir"),
    (1, 0x8000, "inline_data"),
    (1, 0x10000, "encrypt"),
    (1, 0x20000, "casefold"),
    (2, ro_compat::SPARSE_SUPER, "sparse_super"),
    (2, ro_compat::LARGE_FILE, "large_file"),
    (2, ro_compat::HUGE_FILE, "huge_file"),
    (2, ro_compat::GDT_CSUM, "uninit_bg"),
    (2, ro_compat::DIR_NLINK, "dir_nlink"),
    (2, ro_compat::EXTRA_ISIZE, "extra_isize"),
    (2, ro_compat::BIGALLOC, "bigalloc"),
    (2, ro_compat::METADATA_CSUM, "metadata_csum"),
    (2, 0x8000, "verity"),
];

/// The half-MD4 hash (`s_def_hash_version`).
pub(super) const HASH_HALF_MD4: u8 = 1;

/// `s_flags`: names are hashed as signed, or as unsigned bytes.
pub(super) const FLAG_SIGNED_HASH: u32 = 1;
pub(super) const FLAG_UNSIGNED_HASH: u32 = 2;

/// `s_state`: unmounted, without known errors.
pub(super) const STATE_CLEAN: u16 = 1;

/// `s_default_mount_opts`: user attributes and ACLs.
const MOUNT_USER_XATTR_AND_ACL: u32 = 0xc;

/// The first inode that is not reserved (`s_first_ino`).
pub(super) const FIRST_INODE: u32 = 11;

/// A superblock's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// How many inodes there are.
    pub inodes_count: u32,
    /// How many blocks there are.
    pub blocks_count: u64,
    /// How many of them are for root.
    pub reserved_blocks: u64,
    /// How many blocks are free.
    pub free_blocks: u64,
    /// How many inodes are free.
    pub free_inodes: u32,
    /// The block size.
    pub block_size: BlockSize,
    /// Blocks in each group.
    pub blocks_per_group: u32,
    /// Inodes in each group.
    pub inodes_per_group: u32,
    /// When it was made, last written and last checked, in seconds since 1970.
    pub made: u64,
    /// Clean or not (`s_state`).
    pub state: u16,
    /// What to do on errors (`s_errors`).
    pub errors: u16,
    /// Bytes of an inode.
    pub inode_size: u16,
    /// The group that this copy is in.
    pub block_group: u16,
    /// Compatible, incompatible and read-only compatible features.
    pub features: [u32; 3],
    /// The file system's UUID.
    pub uuid: [u8; 16],
    /// The label, filled up with NUL.
    pub label: [u8; 16],
    /// Blocks kept for more group descriptors.
    pub reserved_gdt_blocks: u16,
    /// The journal's inode, or 0.
    pub journal_inode: u32,
    /// The head of the list of inodes that are deleted and still open.
    pub last_orphan: u32,
    /// The seed of directory hashes.
    pub hash_seed: [u8; 16],
    /// The hash function of directories.
    pub hash_version: u8,
    /// Bytes of a group descriptor.
    pub descriptor_size: u16,
    /// The journal inode's block map and the halves of its size, high first, in case the inode is lost.
    pub journal_backup: Option<[u8; 68]>,
    /// Flags (`s_flags`).
    pub flags: u32,
    /// Groups whose bitmaps and tables lie together, as a power of two.
    pub log_groups_per_flex: u8,
    /// Blocks that never hold files.
    pub overhead: u32,
    /// Where checksums start if not from the UUID.
    pub checksum_seed: u32,
}

impl Superblock {
    /// Returns the bytes of the copy in `group`.
    pub(super) fn encode(&self, group: u32) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        put_u32(&mut bytes, 0x0, self.inodes_count);
        put_split_u64(&mut bytes, 0x4, 0x150, self.blocks_count);
        put_split_u64(&mut bytes, 0x8, 0x154, self.reserved_blocks);
        put_split_u64(&mut bytes, 0xc, 0x158, self.free_blocks);
        put_u32(&mut bytes, 0x10, self.free_inodes);
        put_u32(&mut bytes, 0x14, self.block_size.first_data_block());
        put_u32(&mut bytes, 0x18, self.block_size.log());
        put_u32(&mut bytes, 0x1c, self.block_size.log());
        put_u32(&mut bytes, 0x20, self.blocks_per_group);
        put_u32(&mut bytes, 0x24, self.blocks_per_group);
        put_u32(&mut bytes, 0x28, self.inodes_per_group);
        put_u16(&mut bytes, 0x36, u16::MAX);
        put_u16(&mut bytes, 0x38, 0xef53);
        put_u16(&mut bytes, 0x3a, self.state);
        put_u16(&mut bytes, 0x3c, self.errors);
        // Written, checked and made at the same moment.
        for (low, high) in [(0x30, 0x274), (0x40, 0x277), (0x108, 0x276)] {
            put_u32(&mut bytes, low, super::bytes::low_u32(self.made));
            bytes[high] = (self.made >> 32 & 0xff) as u8;
        }
        put_u32(&mut bytes, 0x4c, 1);
        put_u32(&mut bytes, 0x54, FIRST_INODE);
        put_u16(&mut bytes, 0x58, self.inode_size);
        // Groups beyond 65535 do not fit, and every implementation keeps the low bits.
        put_u16(&mut bytes, 0x5a, super::bytes::low_u16(group));
        for (index, features) in self.features.into_iter().enumerate() {
            put_u32(&mut bytes, 0x5c + index * 4, features);
        }
        bytes[0x68..0x78].copy_from_slice(&self.uuid);
        bytes[0x78..0x88].copy_from_slice(&self.label);
        put_u16(&mut bytes, 0xce, self.reserved_gdt_blocks);
        put_u32(&mut bytes, 0xe0, self.journal_inode);
        put_u32(&mut bytes, 0xe8, self.last_orphan);
        bytes[0xec..0xfc].copy_from_slice(&self.hash_seed);
        bytes[0xfc] = self.hash_version;
        put_u16(&mut bytes, 0xfe, self.descriptor_size);
        put_u32(&mut bytes, 0x100, MOUNT_USER_XATTR_AND_ACL);
        if let Some(backup) = &self.journal_backup {
            bytes[0xfd] = 1;
            bytes[0x10c..0x150].copy_from_slice(backup);
        }
        put_u16(&mut bytes, 0x15c, 32);
        put_u16(&mut bytes, 0x15e, 32);
        put_u32(&mut bytes, 0x160, self.flags);
        bytes[0x174] = self.log_groups_per_flex;
        bytes[0x175] = 1;
        put_u32(&mut bytes, 0x248, self.overhead);
        put_u32(&mut bytes, 0x270, self.checksum_seed);
        seal_superblock(&mut bytes);
        bytes
    }

    /// Reads a superblock and checks everything about it that needs no other structure.
    pub(super) fn decode(bytes: &[u8; LEN]) -> Result<Superblock, ReadError> {
        if get_u16(bytes, 0x38) != 0xef53 {
            return Err(ReadError::NotExt4);
        }
        let features = [get_u32(bytes, 0x5c), get_u32(bytes, 0x60), get_u32(bytes, 0x64)];
        check_features(features)?;
        if features[2] & ro_compat::METADATA_CSUM != 0 && !superblock_is_sealed(bytes) {
            return Err(ReadError::checksum("the superblock"));
        }
        let block_size = match get_u32(bytes, 0x18) {
            0 => BlockSize::B1024,
            1 => BlockSize::B2048,
            2 => BlockSize::B4096,
            log => return Err(ReadError::unsupported(format!("blocks of 2^{} bytes", u64::from(log) + 10))),
        };
        let bit64 = features[1] & incompat::BIT64 != 0;
        let wide =
            |low, high| if bit64 { get_split_u64(bytes, low, high) } else { u64::from(get_u32(bytes, low)) };
        let take = |at: usize| -> [u8; 16] { std::array::from_fn(|index| bytes[at + index]) };
        let superblock = Superblock {
            inodes_count: get_u32(bytes, 0x0),
            blocks_count: wide(0x4, 0x150),
            reserved_blocks: wide(0x8, 0x154),
            free_blocks: wide(0xc, 0x158),
            free_inodes: get_u32(bytes, 0x10),
            block_size,
            blocks_per_group: get_u32(bytes, 0x20),
            inodes_per_group: get_u32(bytes, 0x28),
            made: u64::from(get_u32(bytes, 0x108)) | u64::from(bytes[0x276]) << 32,
            state: get_u16(bytes, 0x3a),
            errors: get_u16(bytes, 0x3c),
            inode_size: get_u16(bytes, 0x58),
            block_group: get_u16(bytes, 0x5a),
            features,
            uuid: take(0x68),
            label: take(0x78),
            reserved_gdt_blocks: get_u16(bytes, 0xce),
            journal_inode: get_u32(bytes, 0xe0),
            last_orphan: get_u32(bytes, 0xe8),
            hash_seed: take(0xec),
            hash_version: bytes[0xfc],
            descriptor_size: if bit64 { get_u16(bytes, 0xfe) } else { 32 },
            journal_backup: (bytes[0xfd] == 1).then(|| std::array::from_fn(|index| bytes[0x10c + index])),
            flags: get_u32(bytes, 0x160),
            log_groups_per_flex: bytes[0x174],
            overhead: get_u32(bytes, 0x248),
            checksum_seed: get_u32(bytes, 0x270),
        };
        superblock.check(bytes)?;
        Ok(superblock)
    }

    fn check(&self, bytes: &[u8; LEN]) -> Result<(), ReadError> {
        let refuse = |problem: &str| Err(ReadError::corrupt("the superblock", problem));
        let first = u64::from(self.block_size.first_data_block());
        if u64::from(get_u32(bytes, 0x14)) != first || get_u32(bytes, 0x1c) != self.block_size.log() {
            return refuse("its first block or its cluster size does not go with its block size");
        }
        if get_u32(bytes, 0x4c) != 1 || get_u32(bytes, 0x54) != FIRST_INODE {
            return Err(ReadError::unsupported("another revision than 1"));
        }
        if !matches!(self.inode_size, 128 | 256 | 512 | 1024) {
            return refuse("its inodes have an impossible size");
        }
        let descriptor_fits =
            if self.has_incompat(incompat::BIT64) { matches!(self.descriptor_size, 64) } else { true };
        if !descriptor_fits {
            return refuse("its group descriptors have an impossible size");
        }
        if self.blocks_per_group == 0 || self.blocks_per_group > self.block_size.blocks_per_group() {
            return refuse("its groups have an impossible number of blocks");
        }
        let inodes_per_block = self.block_size.bytes() / u32::from(self.inode_size);
        if self.inodes_per_group == 0
            || self.inodes_per_group > self.block_size.blocks_per_group()
            || !self.inodes_per_group.is_multiple_of(inodes_per_block.max(8))
        {
            return refuse("its groups have an impossible number of inodes");
        }
        if self.blocks_count <= first || self.blocks_count >= 1 << 48 {
            return refuse("it has an impossible number of blocks");
        }
        if self.groups() * u64::from(self.inodes_per_group) != u64::from(self.inodes_count) {
            return refuse("its number of inodes is not that of its groups");
        }
        if self.free_blocks > self.blocks_count || self.reserved_blocks > self.blocks_count {
            return refuse("more blocks are free or reserved than there are");
        }
        if self.free_inodes > self.inodes_count {
            return refuse("more inodes are free than there are");
        }
        Ok(())
    }

    /// Returns how many groups there are.
    pub(super) fn groups(&self) -> u64 {
        let blocks = self.blocks_count - u64::from(self.block_size.first_data_block());
        blocks.div_ceil(u64::from(self.blocks_per_group))
    }

    pub(super) fn has_incompat(&self, feature: u32) -> bool {
        self.features[1] & feature != 0
    }

    pub(super) fn has_ro_compat(&self, feature: u32) -> bool {
        self.features[2] & feature != 0
    }

    /// Returns the names of the features, in the order in which `dumpe2fs` has them.
    pub fn feature_names(&self) -> Vec<&'static str> {
        let has = |(field, bit, _): &&(usize, u32, &str)| self.features[*field] & bit != 0;
        FEATURE_NAMES.iter().filter(has).map(|(_, _, name)| *name).collect()
    }
}

fn check_features(features: [u32; 3]) -> Result<(), ReadError> {
    let refuse = |field: usize, bits: u32| {
        let named = |(at, bit, _): &&(usize, u32, &str)| *at == field && bits & bit != 0;
        let name = FEATURE_NAMES.iter().find(named).map(|(_, _, name)| format!("the feature `{name}`"));
        Err(ReadError::unsupported(name.unwrap_or_else(|| format!("unknown features {bits:#x}"))))
    };
    let unknown = features[1] & !incompat::KNOWN;
    if unknown != 0 {
        return refuse(1, unknown);
    }
    if features[1] & incompat::FILETYPE == 0 {
        return Err(ReadError::unsupported("directories without file types"));
    }
    let unknown = features[2] & (ro_compat::BIGALLOC | ro_compat::GDT_CSUM);
    if unknown != 0 {
        return refuse(2, unknown);
    }
    if features[0] & compat::SPARSE_SUPER2 != 0 {
        return refuse(0, compat::SPARSE_SUPER2);
    }
    Ok(())
}

/// Tells whether `group` has a copy of the superblock and of the group descriptors under `sparse_super`: groups 0,
/// 1 and powers of 3, 5 and 7.
pub(super) fn has_superblock(group: u64) -> bool {
    let is_power_of = |base: u64| {
        let mut power = base;
        while power < group {
            power *= base;
        }
        power == group
    };
    group <= 1 || group % 2 == 1 && [3, 5, 7].into_iter().any(is_power_of)
}

#[cfg(test)]
mod tests {
    use super::has_superblock;

    #[test]
    fn copies_are_in_groups_0_and_1_and_in_powers_of_3_5_and_7() {
        let groups: Vec<u64> = (0..=130).filter(|group| has_superblock(*group)).collect();
        assert_eq!(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }
}
