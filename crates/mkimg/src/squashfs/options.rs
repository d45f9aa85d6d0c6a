//! What a caller decides about a file system before anything is in it.

use std::collections::BTreeSet;

use super::bytes::{Fields, Put};
use super::error::Error;

/// The size of a data block: a power of two from 4 KiB to 1 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockSize(u32);

impl BlockSize {
    /// 128 KiB, the usual size.
    pub const DEFAULT: BlockSize = BlockSize(128 << 10);

    /// Returns the block size of `bytes` bytes, if squashfs can have it.
    pub fn from_bytes(bytes: u32) -> Option<BlockSize> {
        (bytes.is_power_of_two() && (4 << 10..=1 << 20).contains(&bytes)).then_some(BlockSize(bytes))
    }

    /// Returns how many bytes a block has.
    pub const fn bytes(self) -> u32 {
        self.0
    }

    /// Returns the block size as the length of a buffer.
    pub(super) const fn len(self) -> usize {
        self.0 as usize
    }

    /// Returns the power of two.
    pub(super) const fn log(self) -> u16 {
        self.0.trailing_zeros() as u16
    }
}

/// A filter that turns the relative addresses of branches into absolute ones, so that xz finds more repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bcj {
    /// x86 in 32 and 64 bits.
    X86,
    /// PowerPC, big endian.
    PowerPc,
    /// Itanium.
    Ia64,
    /// 32-bit ARM.
    Arm,
    /// ARM Thumb.
    ArmThumb,
    /// SPARC.
    Sparc,
    /// 64-bit ARM; Linux reads it from 6.12 on.
    Arm64,
    /// RISC-V; Linux reads it from 6.12 on.
    RiscV,
}

impl Bcj {
    /// All of them, in the order of the bits that name them in the compressor's options.
    pub const ALL: [Bcj; 8] =
        [Bcj::X86, Bcj::PowerPc, Bcj::Ia64, Bcj::Arm, Bcj::ArmThumb, Bcj::Sparc, Bcj::Arm64, Bcj::RiscV];

    /// Returns the filter called `name`, as `mksquashfs -Xbcj` has it.
    pub fn from_name(name: &str) -> Option<Bcj> {
        Bcj::ALL.into_iter().find(|filter| filter.name() == name)
    }

    /// Returns the filter's name.
    pub fn name(self) -> &'static str {
        match self {
            Bcj::X86 => "x86",
            Bcj::PowerPc => "powerpc",
            Bcj::Ia64 => "ia64",
            Bcj::Arm => "arm",
            Bcj::ArmThumb => "armthumb",
            Bcj::Sparc => "sparc",
            Bcj::Arm64 => "arm64",
            Bcj::RiscV => "riscv",
        }
    }

    fn bit(self) -> u32 {
        1 << (self as u32)
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
}

/// How far back xz looks for repetitions in data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dictionary {
    /// Over the whole block.
    Block,
    /// Over so many bytes, from 8192 to a block, of the form 2^n or 3·2^n.
    Bytes(u32),
}

/// What compresses blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compression {
    /// Deflate, which every kernel reads.
    Gzip(Level),
    /// LZ4: large and fastest to read. `high` spends much time to make it smaller.
    Lz4 {
        /// Whether the encoder tries as hard as it can.
        high: bool,
    },
    /// xz: smallest and slowest.
    Xz {
        /// Filters that are tried beside none for each block of data; the smallest result is kept.
        filters: BTreeSet<Bcj>,
        /// How far back it looks.
        dictionary: Dictionary,
    },
    /// Zstandard.
    Zstd(Level),
}

/// The level that the format means if nothing is said.
const GZIP_STORED_DEFAULT: u32 = 9;
const ZSTD_DEFAULT: u8 = 15;
/// Of libdeflate, whose level 7 makes smaller blocks than zlib's 9 in a fifth of the time.
const GZIP_DEFAULT: u8 = 7;

impl Compression {
    /// Returns Deflate at the level 1 to 12, or at the usual one.
    pub fn gzip(level: Option<u8>) -> Result<Compression, Error> {
        Level::within("gzip", level.unwrap_or(GZIP_DEFAULT), 12).map(Compression::Gzip)
    }

    /// Returns Zstandard at the level 1 to 22, or at the usual one.
    pub fn zstd(level: Option<u8>) -> Result<Compression, Error> {
        Level::within("zstd", level.unwrap_or(ZSTD_DEFAULT), 22).map(Compression::Zstd)
    }

    /// Returns xz that tries these filters.
    pub fn xz(filters: impl IntoIterator<Item = Bcj>) -> Compression {
        Compression::Xz { filters: filters.into_iter().collect(), dictionary: Dictionary::Block }
    }

    /// Returns the compressor's name.
    pub fn name(&self) -> &'static str {
        match self {
            Compression::Gzip(_) => "gzip",
            Compression::Lz4 { high: false } => "lz4",
            Compression::Lz4 { high: true } => "lz4hc",
            Compression::Xz { .. } => "xz",
            Compression::Zstd(_) => "zstd",
        }
    }

    /// Returns the number of the compressor in the superblock.
    pub(super) fn number(&self) -> u16 {
        match self {
            Compression::Gzip(_) => 1,
            Compression::Xz { .. } => 4,
            Compression::Lz4 { .. } => 5,
            Compression::Zstd(_) => 6,
        }
    }

    /// Returns the compressor's options as they are stored, or nothing if they are those that the format means then.
    pub(super) fn encode(&self, block_size: BlockSize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Compression::Gzip(level) => {
                // The levels of zlib, to which `unsquashfs -stat` holds them, end at 9.
                let stored = u32::from(level.0).min(GZIP_STORED_DEFAULT);
                if stored == GZIP_STORED_DEFAULT {
                    return None;
                }
                bytes.put_u32(stored);
                bytes.put_u16(15); // The window, 2^15.
                bytes.put_u16(0); // No strategy but the default one.
            }
            Compression::Lz4 { high } => {
                bytes.put_u32(1); // Blocks without frames, "legacy".
                bytes.put_u32(u32::from(*high));
            }
            Compression::Xz { filters, dictionary } => {
                if filters.is_empty() && *dictionary == Dictionary::Block {
                    return None;
                }
                bytes.put_u32(dictionary.bytes(block_size));
                bytes.put_u32(filters.iter().map(|filter| filter.bit()).sum());
            }
            Compression::Zstd(level) => {
                if level.0 == ZSTD_DEFAULT {
                    return None;
                }
                bytes.put_u32(u32::from(level.0));
            }
        }
        Some(bytes)
    }

    /// Returns the compressor that a superblock names, with the options that are stored.
    pub(super) fn decode(
        number: u16,
        stored: Option<&[u8]>,
        block_size: BlockSize,
    ) -> Result<Compression, String> {
        let short = || "the compressor's options are too short".to_owned();
        let level = |level: u32, most: u32| -> Result<Level, String> {
            let fits = (1..=most).contains(&level).then_some(level as u8);
            fits.map(Level).ok_or_else(|| format!("there is no compression level {level}"))
        };
        let mut fields = Fields(stored.unwrap_or_default());
        match (number, stored) {
            (1, None) => Ok(Compression::Gzip(Level(GZIP_STORED_DEFAULT as u8))),
            (1, Some(_)) => Ok(Compression::Gzip(level(fields.u32().ok_or_else(short)?, 9)?)),
            (4, None) => Ok(Compression::xz([])),
            (4, Some(_)) => {
                let size = fields.u32().ok_or_else(short)?;
                let bits = fields.u32().ok_or_else(short)?;
                let filters = Bcj::ALL.into_iter().filter(|filter| bits & filter.bit() != 0).collect();
                let dictionary =
                    if size == block_size.0 { Dictionary::Block } else { Dictionary::Bytes(size) };
                if !dictionary.is_possible(block_size) {
                    return Err(format!("xz cannot have a dictionary of {size} bytes"));
                }
                Ok(Compression::Xz { filters, dictionary })
            }
            (5, Some(_)) => match (fields.u32().ok_or_else(short)?, fields.u32().ok_or_else(short)?) {
                (1, flags) => Ok(Compression::Lz4 { high: flags & 1 != 0 }),
                (version, _) => Err(format!("there is no version {version} of lz4 blocks")),
            },
            (5, None) => Err("lz4 needs its options".to_owned()),
            (6, None) => Ok(Compression::Zstd(Level(ZSTD_DEFAULT))),
            (6, Some(_)) => Ok(Compression::Zstd(level(fields.u32().ok_or_else(short)?, 22)?)),
            _ => Err(format!("compressor {number} is not supported")),
        }
    }
}

impl Level {
    fn within(compressor: &'static str, level: u8, most: u8) -> Result<Level, Error> {
        if (1..=most).contains(&level) {
            Ok(Level(level))
        } else {
            Err(Error::Level { compressor, level, most })
        }
    }
}

impl Dictionary {
    pub(super) fn bytes(self, block_size: BlockSize) -> u32 {
        match self {
            Dictionary::Block => block_size.0,
            Dictionary::Bytes(bytes) => bytes,
        }
    }

    fn is_possible(self, block_size: BlockSize) -> bool {
        let bytes = self.bytes(block_size);
        let mantissa = bytes.checked_shr(bytes.trailing_zeros()).unwrap_or(0);
        // Metadata blocks have 8 KiB, and kernels need no less of a dictionary for them.
        (8192.min(block_size.0)..=block_size.0).contains(&bytes) && matches!(mantissa, 1 | 3)
    }
}

/// What becomes of the ends of files, which do not fill a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragments {
    /// They are blocks of their own.
    None,
    /// Files smaller than a block share blocks; the ends of larger ones are blocks of their own.
    Small,
    /// The ends of all files share blocks.
    All,
}

/// Everything about the file system that its contents do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The size of data blocks.
    pub block_size: BlockSize,
    /// What compresses them.
    pub compression: Compression,
    /// What becomes of the ends of files.
    pub fragments: Fragments,
    /// Whether NFS can export it: a table finds inodes by their number.
    pub exportable: bool,
    /// When the file system was made, in seconds since 1970; also the time of the root unless it is given.
    pub epoch: u32,
}

impl Options {
    /// Returns the options of an ordinary file system: blocks of 128 KiB, small files share blocks, exportable.
    pub fn new(compression: Compression, epoch: u32) -> Options {
        let block_size = BlockSize::DEFAULT;
        Options { block_size, compression, fragments: Fragments::Small, exportable: true, epoch }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.compression {
            Compression::Xz { dictionary, .. } if !dictionary.is_possible(self.block_size) => {
                Err(Error::Dictionary {
                    bytes: dictionary.bytes(self.block_size),
                    block_size: self.block_size.0,
                })
            }
            _ => Ok(()),
        }
    }
}
