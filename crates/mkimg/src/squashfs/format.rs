//! The superblock, and the numbers that all structures share.

use super::bytes::{Fields, Put};
use super::error::ReadError;

/// The size of a metadata block before it is compressed.
pub(super) const METADATA_LEN: usize = 8192;
/// The bit of a metadata block's size that says that it is not compressed.
pub(super) const METADATA_PLAIN: u16 = 1 << 15;
/// The bit of a data block's size that says that it is not compressed.
pub(super) const BLOCK_PLAIN: u32 = 1 << 24;
/// A table that is not there, and a start of none.
pub(super) const NOWHERE: u64 = u64::MAX;
/// No fragment, no attributes.
pub(super) const NONE: u32 = u32::MAX;
/// The size of the superblock.
pub(super) const SUPERBLOCK_LEN: usize = 96;
const MAGIC: u32 = 0x7371_7368;

/// Bits of [`Superblock::flags`].
pub(super) mod flag {
    pub(crate) const NO_FRAGMENTS: u16 = 1 << 4;
    pub(crate) const ALWAYS_FRAGMENTS: u16 = 1 << 5;
    pub(crate) const DUPLICATES: u16 = 1 << 6;
    pub(crate) const EXPORTABLE: u16 = 1 << 7;
    pub(crate) const COMPRESSOR_OPTIONS: u16 = 1 << 10;

    /// The names of all bits, from the lowest.
    pub(crate) const NAMES: [&str; 12] = [
        "plain-inodes",
        "plain-data",
        "check",
        "plain-fragments",
        "no-fragments",
        "always-fragments",
        "duplicates",
        "exportable",
        "plain-xattrs",
        "no-xattrs",
        "compressor-options",
        "plain-ids",
    ];
}

/// What the first 96 bytes of an image say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// How many inodes there are.
    pub inodes: u32,
    /// When the file system was made, in seconds since 1970.
    pub made: u32,
    /// The size of a data block.
    pub block_size: u32,
    /// How many blocks of fragments there are.
    pub fragments: u32,
    /// The number of the compressor.
    pub compressor: u16,
    /// The block size again, as a power of two.
    pub block_log: u16,
    /// What is stored in which way.
    pub flags: u16,
    /// How many different owners there are, users and groups together.
    pub ids: u16,
    /// Where the root's inode is: its metadata block within the table, and the place in it.
    pub root: u64,
    /// The size of the file system without what pads it.
    pub bytes_used: u64,
    /// Where the index of the table of owners is.
    pub id_table: u64,
    /// Where the header of the table of attributes is, or 2^64-1.
    pub xattr_table: u64,
    /// Where the table of inodes starts.
    pub inode_table: u64,
    /// Where the table of directories starts.
    pub directory_table: u64,
    /// Where the index of the table of fragments is, or 2^64-1.
    pub fragment_table: u64,
    /// Where the index of the table that finds inodes by number is, or 2^64-1.
    pub export_table: u64,
}

impl Superblock {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SUPERBLOCK_LEN);
        for number in [MAGIC, self.inodes, self.made, self.block_size, self.fragments] {
            bytes.put_u32(number);
        }
        for number in [self.compressor, self.block_log, self.flags, self.ids, 4, 0] {
            bytes.put_u16(number);
        }
        let tables = [self.id_table, self.xattr_table, self.inode_table, self.directory_table];
        let places = [self.root, self.bytes_used].into_iter().chain(tables);
        for number in places.chain([self.fragment_table, self.export_table]) {
            bytes.put_u64(number);
        }
        bytes
    }

    /// Returns what the bytes say, if they are a superblock at all.
    pub(super) fn decode(bytes: &[u8; SUPERBLOCK_LEN]) -> Result<Superblock, ReadError> {
        let fits = "the fields of a superblock are 96 bytes";
        let mut fields = Fields(bytes);
        if fields.u32() != Some(MAGIC) {
            return Err(ReadError::NotSquashfs);
        }
        let [inodes, made, block_size, fragments] = [(); 4].map(|()| fields.u32().expect(fits));
        let [compressor, block_log, flags, ids, major, minor] = [(); 6].map(|()| fields.u16().expect(fits));
        if (major, minor) != (4, 0) {
            return Err(ReadError::Unsupported { what: format!("version {major}.{minor}") });
        }
        let [
            root,
            bytes_used,
            id_table,
            xattr_table,
            inode_table,
            directory_table,
            fragment_table,
            export_table,
        ] = [(); 8].map(|()| fields.u64().expect(fits));
        Ok(Superblock {
            inodes,
            made,
            block_size,
            fragments,
            compressor,
            block_log,
            flags,
            ids,
            root,
            bytes_used,
            id_table,
            xattr_table,
            inode_table,
            directory_table,
            fragment_table,
            export_table,
        })
    }
}

/// Returns the reference to `place` in the metadata block that starts at `start` of its table.
pub(super) fn reference(start: u64, place: usize) -> u64 {
    start << 16 | place as u64
}

/// Returns the start of the metadata block and the place in it that a reference means.
pub(super) fn split_reference(reference: u64) -> (u64, usize) {
    (reference >> 16, (reference & 0xffff) as usize)
}
