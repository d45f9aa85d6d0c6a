//! Compression of one block at a time.

use std::io::{self, Read as _};

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::WriteError;

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// Deflate without a header, with a window of 4 KiB: what qcow2 calls zlib.
    SmallDeflate(u32),
    /// Deflate with zlib's header.
    Zlib(u32),
    /// Zstandard.
    Zstd(u32),
}

/// The window of deflate in qcow2: 2 to this power.
const SMALL_WINDOW: u8 = 12;

impl Compression {
    /// Returns about how many bytes a compressor takes beside the blocks themselves.
    pub(super) fn memory(self, block: u64) -> u64 {
        match self {
            Compression::SmallDeflate(_) | Compression::Zlib(_) => 1 << 20,
            Compression::Zstd(_) => block * 12 + (4 << 20),
        }
    }
}

/// A compressor with its memory.
pub(super) enum Packer {
    SmallDeflate(Compress),
    Zlib(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Packer {
    pub(super) fn new(compression: Compression) -> Result<Packer, WriteError> {
        let failed = |source| WriteError::Compress { source };
        Ok(match compression {
            Compression::SmallDeflate(level) => {
                let level = flate2::Compression::new(level);
                Packer::SmallDeflate(Compress::new_with_window_bits(level, false, SMALL_WINDOW))
            }
            Compression::Zlib(level) => {
                let level =
                    i32::try_from(level).ok().and_then(|level| libdeflater::CompressionLvl::new(level).ok());
                let level =
                    level.ok_or_else(|| failed(io::Error::other("libdeflate does not have this level")))?;
                Packer::Zlib(libdeflater::Compressor::new(level))
            }
            Compression::Zstd(level) => {
                let level = i32::try_from(level).unwrap_or(i32::MAX);
                Packer::Zstd(zstd::bulk::Compressor::new(level).map_err(failed)?)
            }
        })
    }

    /// Returns the compressed `block`, unless it does not turn out smaller. Only [`Compression::Zlib`] always has one:
    /// the format that uses it has no other blocks.
    pub(super) fn pack(&mut self, block: &[u8]) -> Result<Option<Vec<u8>>, WriteError> {
        let room = match self {
            Packer::Zlib(compressor) => compressor.zlib_compress_bound(block.len()),
            // All that deflate can need: zlib-rs 0.6 panics at level 1 when there is less.
            Packer::SmallDeflate(_) => block.len() + block.len() / 7 + 64,
            // One byte less than the block: what does not fit is not wanted.
            _ => block.len().saturating_sub(1),
        };
        let mut packed = vec![0; room];
        let length = match self {
            Packer::SmallDeflate(compress) => {
                compress.reset();
                let status = compress
                    .compress(block, &mut packed, FlushCompress::Finish)
                    .map_err(|error| WriteError::Compress { source: error.into() })?;
                let length = compress.total_out() as usize;
                (status == Status::StreamEnd && length < block.len()).then_some(length)
            }
            // The only errors that are left are too little room.
            Packer::Zlib(compressor) => compressor.zlib_compress(block, &mut packed).ok(),
            Packer::Zstd(compressor) => compressor.compress_to_buffer(block, &mut packed[..]).ok(),
        };
        Ok(length.map(|length| {
            packed.truncate(length);
            packed.shrink_to_fit();
            packed
        }))
    }
}

/// The largest window of Zstandard that is read, as a power of two: no block is larger.
const MOST_WINDOW: u32 = 24;

/// Fills `block` with what `packed` begins with, and returns how much that is, or nothing if it is damaged. What is
/// behind it does not matter: compressed blocks end somewhere in a sector.
pub(super) fn unpack(compression: Compression, packed: &[u8], block: &mut [u8]) -> Option<usize> {
    let is_zlib = match compression {
        // A window that is larger than needed does not hurt, and others may have used it.
        Compression::SmallDeflate(_) => false,
        Compression::Zlib(_) => true,
        Compression::Zstd(_) => return unpack_zstd(packed, block).ok(),
    };
    let mut decompress = Decompress::new(is_zlib);
    let status = decompress.decompress(packed, block, FlushDecompress::Finish).ok()?;
    let length = usize::try_from(decompress.total_out()).ok()?;
    (status == Status::StreamEnd || length == block.len()).then_some(length)
}

fn unpack_zstd(packed: &[u8], block: &mut [u8]) -> io::Result<usize> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?.single_frame();
    decoder.window_log_max(MOST_WINDOW)?;
    let mut length = 0;
    while length < block.len() {
        match decoder.read(&mut block[length..])? {
            0 => break,
            n => length += n,
        }
    }
    Ok(length)
}
