//! Microsoft's VHDX (MS-VHDX). Numbers are little-endian.
//!
//! From the front, each at a multiple of a mebibyte: the headers, a log in which nothing is, the metadata, the table of
//! blocks (BAT), and the blocks in the order of the disk.

mod read;
mod write;

pub(super) use read::read;
pub use write::write;

pub(super) const MAGIC: &[u8] = b"vhdxfile";

/// How a VHDX is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The size of a block: a power of two from 1 to 256 MiB. Without it, 1 MiB for disks up to 1 TiB, as suits the
    /// file systems of Linux, and 32 MiB for larger ones.
    pub block_size: Option<u64>,
    /// The size of a sector: 512 or 4096. QEMU reads only the first.
    pub sector_size: u64,
    /// The disk's UUID, as it is stored; those of the file are made of it.
    pub uuid: [u8; 16],
}

impl Default for Options {
    fn default() -> Options {
        Options { block_size: None, sector_size: 512, uuid: [0; 16] }
    }
}

/// Numbers that both sides need.
mod format {
    use crate::disk::Guid;

    pub(super) const NAME: &str = "VHDX";
    pub(super) const MIB: u64 = 1 << 20;
    pub(super) const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
    pub(super) const HEADER_LEN: usize = 4096;
    pub(super) const HEADER_MAGIC: &[u8] = b"head";
    pub(super) const REGIONS: [u64; 2] = [192 << 10, 256 << 10];
    pub(super) const REGIONS_LEN: usize = 64 << 10;
    pub(super) const REGIONS_MAGIC: &[u8] = b"regi";
    pub(super) const METADATA_MAGIC: &[u8] = b"metadata";
    /// What is in front of the metadata's items.
    pub(super) const METADATA_TABLE: usize = 64 << 10;
    /// An entry of the table of regions, and of that of metadata.
    pub(super) const ENTRY_LEN: usize = 32;
    pub(super) const BLOCK_SIZES: std::ops::RangeInclusive<u64> = MIB..=256 * MIB;
    /// MS-VHDX 1.3: 64 TiB.
    pub(super) const MOST: u64 = 64 << 40;
    /// The block is all there.
    pub(super) const PRESENT: u64 = 6;

    /// The regions and items by their GUIDs, as these are stored.
    pub(super) const BAT: Guid = Guid([
        0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08,
    ]);
    pub(super) const METADATA: Guid = Guid([
        0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e,
    ]);
    pub(super) const FILE_PARAMETERS: Guid = Guid([
        0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b,
    ]);
    pub(super) const DISK_SIZE: Guid = Guid([
        0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8,
    ]);
    pub(super) const DISK_ID: Guid = Guid([
        0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46,
    ]);
    pub(super) const LOGICAL_SECTOR: Guid = Guid([
        0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f,
    ]);
    pub(super) const PHYSICAL_SECTOR: Guid = Guid([
        0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56,
    ]);

    /// Returns after how many blocks of the table comes an entry for the bitmap of their sectors.
    pub(super) fn chunk(sector_size: u64, block_size: u64) -> u64 {
        (sector_size << 23) / block_size
    }

    /// Returns how many entries the table has for so many blocks.
    pub(super) fn entries(n_blocks: u64, chunk: u64) -> u64 {
        n_blocks + n_blocks.saturating_sub(1) / chunk
    }
}
