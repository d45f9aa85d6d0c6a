//! The superblock: what a kernel has to know before it reads anything else.

use super::error::ReadError;
use super::options::{BLOCK, Compression, Options, ZSTD_WINDOWS};
use crate::bytes::{get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};

/// Where it is.
pub(super) const OFFSET: usize = 1024;
/// The size of `struct erofs_super_block` without extensions.
pub(super) const LEN: usize = 128;
const MAGIC: u32 = 0xe0f5_e1e2;

/// Features that a kernel need not know.
mod compatible {
    pub(super) const CHECKSUM: u32 = 1;
    /// Times are those of modification.
    pub(super) const MTIME: u32 = 2;
}

/// Features without which an image cannot be read.
mod needed {
    /// Zeros come before compressed data, not behind.
    pub(super) const PADDED: u32 = 1;
    /// Compressors have options, and clusters can have several blocks.
    pub(super) const OPTIONS: u32 = 2;
    pub(super) const CHUNKS: u32 = 4;
    pub(super) const KNOWN: u32 = PADDED | OPTIONS | CHUNKS;
}

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// Which features it has that a kernel need not know.
    pub compatible: u32,
    /// Which features it has that a reader must know.
    pub needed: u32,
    /// The number of the root's inode.
    pub root: u16,
    /// How many inodes there are.
    pub inodes: u64,
    /// When it was made: seconds after 1970, and nanoseconds; also the age of inodes that do not say theirs.
    pub epoch: (u64, u32),
    /// How many blocks it has.
    pub blocks: u32,
    /// The block from which numbers of inodes count.
    pub metadata: u32,
    /// The block from which shared attributes count.
    pub xattrs: u32,
    /// The UUID.
    pub uuid: [u8; 16],
    /// The label, which ends with NUL if it is short.
    pub label: [u8; 16],
    /// Which compressors it uses, as bits.
    pub algorithms: u16,
}

/// What is known of an image once all else is written.
pub(super) struct Summary {
    pub(super) root: u16,
    pub(super) inodes: u64,
    pub(super) blocks: u32,
    pub(super) metadata: u32,
    pub(super) xattrs: u32,
    pub(super) has_chunks: bool,
}

/// Returns the first block, without the checksum of [`OFFSET`]'s block.
pub(super) fn encode(options: &Options, summary: &Summary) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK];
    let block = &mut bytes[OFFSET..];
    let mut features = if summary.has_chunks { needed::CHUNKS } else { 0 };
    put_u32(block, 0, MAGIC);
    put_u32(block, 8, compatible::CHECKSUM | compatible::MTIME);
    block[12] = BLOCK.trailing_zeros() as u8;
    put_u16(block, 14, summary.root);
    put_u64(block, 16, summary.inodes);
    put_u64(block, 24, options.epoch.seconds().cast_unsigned());
    put_u32(block, 32, options.epoch.nanoseconds());
    put_u32(block, 36, summary.blocks);
    put_u32(block, 40, summary.metadata);
    put_u32(block, 44, summary.xattrs);
    block[48..64].copy_from_slice(&options.uuid);
    block[64..64 + options.label.len()].copy_from_slice(&options.label);
    if let Some(number) = options.compression.number() {
        features |= needed::PADDED | needed::OPTIONS;
        put_u16(block, 84, 1 << number);
        // The size of a compressor's options, and these.
        match options.compression {
            Compression::Zstd(_) => {
                put_u16(block, LEN, 6);
                block[LEN + 3] = options.zstd_window() - ZSTD_WINDOWS[0];
            }
            _ => {
                put_u16(block, LEN, 14);
                // LZ4 looks back as far as its format lets it, which is what zero says.
                put_u16(block, LEN + 4, options.cluster_size.blocks());
            }
        }
    }
    put_u32(block, 80, features);
    let sum = checksum(block);
    put_u32(block, 4, sum);
    bytes
}

/// Returns the checksum of the first block from the superblock on, whose own place is zero: CRC32C that is not inverted
/// at the end.
fn checksum(block: &[u8]) -> u32 {
    !crc32c::crc32c(block)
}

impl Superblock {
    /// Understands the first block of an image.
    pub(super) fn decode(first: &[u8; BLOCK]) -> Result<Superblock, ReadError> {
        let block = &first[OFFSET..];
        if get_u32(block, 0) != MAGIC {
            return Err(ReadError::NotErofs);
        }
        let superblock = Superblock {
            compatible: get_u32(block, 8),
            needed: get_u32(block, 80),
            root: get_u16(block, 14),
            inodes: get_u64(block, 16),
            epoch: (get_u64(block, 24), get_u32(block, 32)),
            blocks: get_u32(block, 36),
            metadata: get_u32(block, 40),
            xattrs: get_u32(block, 44),
            uuid: block[48..64].try_into().expect("sixteen bytes"),
            label: block[64..80].try_into().expect("sixteen bytes"),
            algorithms: get_u16(block, 84),
        };
        if usize::from(block[12]) != BLOCK.trailing_zeros() as usize {
            return Err(ReadError::unsupported(format!("its blocks have 2^{} bytes", block[12])));
        }
        let unknown = superblock.needed & !needed::KNOWN;
        if unknown != 0 {
            return Err(ReadError::unsupported(format!("it needs the features {unknown:#x}")));
        }
        if block[90] != 0 || get_u16(block, 86) != 0 {
            return Err(ReadError::unsupported("large blocks of directories, or several devices"));
        }
        if superblock.compatible & compatible::CHECKSUM != 0 {
            let mut zeroed = block.to_vec();
            put_u32(&mut zeroed, 4, 0);
            if checksum(&zeroed) != get_u32(block, 4) {
                return Err(ReadError::corrupt("the superblock", "its checksum is wrong"));
            }
        }
        Ok(superblock)
    }

    /// Says whether zeros come before compressed data.
    pub(super) fn is_padded(&self) -> bool {
        self.needed & needed::PADDED != 0
    }

    /// Returns the label without what fills its field.
    pub fn label(&self) -> &[u8] {
        let end = self.label.iter().position(|byte| *byte == 0).unwrap_or(self.label.len());
        &self.label[..end]
    }
}

/// Says whether an image begins with a superblock: `start` is the beginning of a file.
pub(crate) fn is_erofs(start: &[u8]) -> bool {
    start.get(OFFSET..OFFSET + 4) == Some(&MAGIC.to_le_bytes())
}
