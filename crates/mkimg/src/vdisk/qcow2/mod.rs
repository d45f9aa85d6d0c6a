//! QEMU's qcow2, version 3 (`docs/interop/qcow2.txt` of QEMU). Numbers are big-endian.
//!
//! From the front: the header and the table of tables (L1), which are filled in last; then for each table (L2) the
//! clusters that it lists and the table itself; then the blocks of reference counts, and their table. Where clusters
//! are compressed, they lie next to each other without regard to clusters of the file.

mod patch;
mod read;
mod write;

pub(crate) use patch::Qcow2Patch;
pub(super) use read::read;
pub use write::write;
pub(crate) use write::write_reusing;

pub(super) const MAGIC: &[u8] = b"QFI\xfb";

/// How a qcow2 is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The size of a cluster: a power of two from 512 to 2 MiB.
    pub cluster_size: u64,
    /// How clusters are compressed.
    pub compression: Compression,
    /// Whether every cluster has its place in the file from the start. What is zero is a hole there.
    pub preallocated: bool,
    /// What the disk lies over.
    pub backing: Option<Backing>,
}

impl Default for Options {
    fn default() -> Options {
        Options { cluster_size: 64 << 10, compression: Compression::None, preallocated: false, backing: None }
    }
}

/// How clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Deflate with a window of 4 KiB, at this level of 1 to 9: every QEMU reads it.
    Zlib(u32),
    /// Zstandard, at this level of 1 to 22: QEMU reads it from 5.1 on.
    Zstd(u32),
}

impl Compression {
    /// The level of zlib if none is given.
    pub const ZLIB_LEVEL: u32 = 9;
    /// The level of Zstandard if none is given.
    pub const ZSTD_LEVEL: u32 = 3;
}

/// The disk that a qcow2 lies over, as its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// Its file: a path, relative to the qcow2.
    pub name: String,
    /// Its format as QEMU calls it: `raw`, `qcow2`.
    pub format: String,
}

/// Numbers that both sides need.
mod format {
    pub(super) const HEADER_LEN: usize = 112;
    pub(super) const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
    /// The most bytes that QEMU reads of the table of tables.
    pub(super) const MOST_L1_BYTES: u64 = 32 << 20;
    /// The most bytes of the name of what lies below.
    pub(super) const MOST_NAME: usize = 1023;
    /// Nothing else uses the cluster.
    pub(super) const COPIED: u64 = 1 << 63;
    pub(super) const COMPRESSED: u64 = 1 << 62;
    pub(super) const ZERO: u64 = 1;
    pub(super) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
    pub(super) const INCOMPATIBLE_CORRUPT: u64 = 1 << 1;
    pub(super) const INCOMPATIBLE_DIRTY: u64 = 1;
    pub(super) const INCOMPATIBLE_COMPRESSION: u64 = 1 << 3;
    pub(super) const COMPRESSION_ZSTD: u8 = 1;
    pub(super) const EXTENSION_BACKING_FORMAT: u32 = 0xe279_2aca;
    /// Counts have 2 to this power of bits.
    pub(super) const REFCOUNT_ORDER: u32 = 4;
    pub(super) const REFCOUNT_BYTES: u64 = 2;

    /// Returns by how many bits the length of a compressed cluster is shifted.
    pub(super) fn length_shift(cluster_bits: u32) -> u32 {
        62 - (cluster_bits - 8)
    }
}
