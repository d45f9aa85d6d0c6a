//! What a caller decides about a file system before anything is in it.

use super::error::Error;
use crate::tree::Timestamp;

/// The size of a block, the unit of all that is stored.
pub(super) const BLOCK: usize = 4096;

/// How large a physical cluster can be, which holds compressed data: a power of two from 4 KiB to 1 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterSize(u32);

impl ClusterSize {
    /// 64 KiB: within a few percent of the smallest image, and little to read for a byte.
    pub const DEFAULT: ClusterSize = ClusterSize(64 << 10);

    /// Returns the cluster size of `bytes` bytes, if EROFS can have it.
    pub fn from_bytes(bytes: u32) -> Option<ClusterSize> {
        (bytes.is_power_of_two() && (4 << 10..=1 << 20).contains(&bytes)).then_some(ClusterSize(bytes))
    }

    /// Returns how many bytes a cluster has at most.
    pub const fn bytes(self) -> u32 {
        self.0
    }

    /// Returns the cluster size as the length of a buffer.
    pub(super) const fn len(self) -> usize {
        self.0 as usize
    }

    /// Returns how many blocks a cluster has at most.
    pub(super) const fn blocks(self) -> u16 {
        (self.0 as usize / BLOCK) as u16
    }
}

/// How hard a compressor tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(u8);

impl Level {
    /// Returns the level.
    pub fn get(self) -> u8 {
        self.0
    }

    fn within(compressor: &'static str, level: u8, most: u8) -> Result<Level, Error> {
        if (1..=most).contains(&level) {
            Ok(Level(level))
        } else {
            Err(Error::Level { compressor, level, most })
        }
    }
}

/// What compresses files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    None,
    /// LZ4, fast in both directions.
    Lz4,
    /// LZ4 by an encoder that spends more time; as fast to read.
    Lz4hc(Level),
    /// Zstandard, which Linux reads from 6.10 on.
    Zstd(Level),
}

/// The usual levels, those of `mkfs.erofs`.
const LZ4HC_DEFAULT: u8 = 9;
const ZSTD_DEFAULT: u8 = 3;
/// The smallest and largest window of Zstandard, as powers of two.
pub(super) const ZSTD_WINDOWS: [u8; 2] = [10, 20];

impl Compression {
    /// Returns LZ4 at the high level 1 to 12, or at the usual one.
    pub fn lz4hc(level: Option<u8>) -> Result<Compression, Error> {
        Level::within("lz4hc", level.unwrap_or(LZ4HC_DEFAULT), 12).map(Compression::Lz4hc)
    }

    /// Returns Zstandard at the level 1 to 22, or at the usual one.
    pub fn zstd(level: Option<u8>) -> Result<Compression, Error> {
        Level::within("zstd", level.unwrap_or(ZSTD_DEFAULT), 22).map(Compression::Zstd)
    }

    /// Returns the compressor's name, as `mkfs.erofs -z` has it.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Lz4hc(_) => "lz4hc",
            Compression::Zstd(_) => "zstd",
        }
    }

    /// Returns the number of the decompressor in inodes, which is also its bit in the superblock.
    pub(super) fn number(self) -> Option<u8> {
        match self {
            Compression::None => None,
            Compression::Lz4 | Compression::Lz4hc(_) => Some(0),
            Compression::Zstd(_) => Some(3),
        }
    }
}

/// Everything about the file system that its contents do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What compresses files.
    pub compression: Compression,
    /// How large what was compressed together can be.
    pub cluster_size: ClusterSize,
    /// The file system's UUID.
    pub uuid: [u8; 16],
    /// At most 15 bytes without NUL; may be empty.
    pub label: Vec<u8>,
    /// When the file system was made; also the time of the root unless it is given.
    pub epoch: Timestamp,
}

impl Options {
    /// Returns the options of an ordinary file system: clusters of 64 KiB, no label.
    pub fn new(compression: Compression, uuid: [u8; 16], epoch: Timestamp) -> Options {
        Options { compression, cluster_size: ClusterSize::DEFAULT, uuid, label: Vec::new(), epoch }
    }

    /// Returns how far back Zstandard looks, as a power of two: over eight clusters, or as far as kernels do.
    pub(super) fn zstd_window(&self) -> u8 {
        let [least, most] = ZSTD_WINDOWS;
        ((self.cluster_size.0.trailing_zeros() + 3) as u8).clamp(least, most)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        // Linux and `blkid` show sixteen bytes, but tools that take it for text want one for the end.
        if self.label.len() > 15 || self.label.contains(&0) {
            return Err(Error::Label { label: String::from_utf8_lossy(&self.label).into_owned() });
        }
        if self.epoch.seconds() < 0 {
            return Err(Error::Epoch { seconds: self.epoch.seconds() });
        }
        Ok(())
    }
}
