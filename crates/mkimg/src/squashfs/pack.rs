//! Compresses one block at a time, each thread with a compressor of its own.

use std::io;

use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};

use super::bcj::may_change;
use super::error::Error;
use super::format::METADATA_LEN;
use super::options::{Bcj, Compression, Options};
use crate::earlier::Scope;

/// The preset of `mksquashfs`, too.
const XZ_PRESET: u32 = 6;
/// The highest level of LZ4 that is worth it, as `mksquashfs -Xhc` has it.
const LZ4_HIGH: i32 = 12;

/// A compressor with its memory.
pub(super) struct Packer {
    state: State,
    /// What did not turn out smaller, or is not known yet to be the smallest.
    spare: Vec<u8>,
    /// What earlier runs made of metadata.
    earlier: Option<Scope>,
}

enum State {
    Gzip(libdeflater::Compressor),
    Lz4(lz4::block::CompressionMode),
    Xz {
        plain: Filters,
        /// Chains with a filter in front.
        filtered: Vec<(Bcj, Filters)>,
        metadata: Filters,
    },
    Zstd(zstd::bulk::Compressor<'static>),
}

/// What a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Data,
    Metadata,
}

impl Packer {
    pub(super) fn new(options: &Options) -> Result<Packer, Error> {
        let state = match &options.compression {
            Compression::Gzip(level) => {
                let level = libdeflater::CompressionLvl::new(level.get().into())
                    .map_err(|_| compress_error("libdeflate does not have this level"))?;
                State::Gzip(libdeflater::Compressor::new(level))
            }
            Compression::Lz4 { high: false } => State::Lz4(lz4::block::CompressionMode::DEFAULT),
            Compression::Lz4 { high: true } => {
                State::Lz4(lz4::block::CompressionMode::HIGHCOMPRESSION(LZ4_HIGH))
            }
            Compression::Xz { filters, dictionary } => {
                let size = dictionary.bytes(options.block_size);
                State::Xz {
                    plain: chain(None, size)?,
                    filtered: filters
                        .iter()
                        .map(|filter| Ok((*filter, chain(Some(*filter), size)?)))
                        .collect::<Result<_, Error>>()?,
                    metadata: chain(None, METADATA_LEN as u32)?,
                }
            }
            Compression::Zstd(level) => State::Zstd(
                zstd::bulk::Compressor::new(level.get().into())
                    .map_err(|source| Error::Compress { source })?,
            ),
        };
        Ok(Packer { state, spare: Vec::new(), earlier: None })
    }

    /// Returns a packer of metadata that takes over what earlier runs made.
    pub(super) fn reusing(options: &Options, earlier: Option<&Scope>) -> Result<Packer, Error> {
        Ok(Packer { earlier: earlier.cloned(), ..Packer::new(options)? })
    }

    pub(super) fn earlier(&self) -> Option<&Scope> {
        self.earlier.as_ref()
    }

    /// Replaces `packed` with the compressed `block`, if that is smaller, and says whether it is.
    pub(super) fn pack(
        &mut self,
        purpose: Purpose,
        block: &[u8],
        packed: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        // One byte less than the block: what does not fit is not wanted.
        let room = block.len().saturating_sub(1);
        packed.resize(room, 0);
        let length = match &mut self.state {
            State::Gzip(compressor) => compressor.zlib_compress(block, packed).ok(),
            // The only error that is left is too little room.
            State::Lz4(mode) => lz4::block::compress_to_buffer(block, Some(*mode), false, packed).ok(),
            State::Zstd(compressor) => compressor.compress_to_buffer(block, &mut packed[..]).ok(),
            State::Xz { metadata, .. } if purpose == Purpose::Metadata => xz(metadata, block, packed)?,
            State::Xz { plain, filtered, .. } => {
                let mut best = xz(plain, block, packed)?;
                for (filter, chain) in filtered {
                    if !may_change(*filter, block) {
                        continue;
                    }
                    self.spare.resize(best.map_or(room, |best| best.saturating_sub(1)), 0);
                    if let Some(length) = xz(chain, block, &mut self.spare)? {
                        best = Some(length);
                        std::mem::swap(packed, &mut self.spare);
                    }
                }
                best
            }
        };
        packed.truncate(length.unwrap_or(0));
        Ok(length.is_some())
    }

    /// Returns about how many bytes a compressor takes beside the blocks themselves.
    pub(super) fn memory(options: &Options) -> usize {
        let block_len = options.block_size.len();
        match &options.compression {
            Compression::Gzip(level) if level.get() < 10 => 1 << 20,
            Compression::Gzip(_) => 10 << 20,
            Compression::Lz4 { .. } => 1 << 20,
            // Two links of a binary tree for each byte, hash tables, and the dictionary itself.
            Compression::Xz { .. } => block_len * 14 + (2 << 20),
            Compression::Zstd(_) => block_len * 12 + (4 << 20),
        }
    }
}

fn compress_error(problem: &str) -> Error {
    Error::Compress { source: io::Error::other(problem.to_owned()) }
}

fn chain(filter: Option<Bcj>, dictionary: u32) -> Result<Filters, Error> {
    let mut options =
        LzmaOptions::new_preset(XZ_PRESET).map_err(|error| Error::Compress { source: error.into() })?;
    options.dict_size(dictionary);
    let mut filters = Filters::new();
    if let Some(filter) = filter {
        add_filter(&mut filters, filter);
    }
    filters.lzma2(&options);
    Ok(filters)
}

pub(super) fn add_filter(filters: &mut Filters, filter: Bcj) {
    _ = match filter {
        Bcj::X86 => filters.x86(),
        Bcj::PowerPc => filters.powerpc(),
        Bcj::Ia64 => filters.ia64(),
        Bcj::Arm => filters.arm(),
        Bcj::ArmThumb => filters.arm_thumb(),
        Bcj::Sparc => filters.sparc(),
        Bcj::Arm64 => filters.arm64(),
        Bcj::RiscV => filters.riscv(),
    };
}

/// Fills `packed` with an xz stream, and returns its length unless it does not fit.
fn xz(filters: &Filters, block: &[u8], packed: &mut [u8]) -> Result<Option<usize>, Error> {
    let failed = |error: liblzma::stream::Error| Error::Compress { source: error.into() };
    // The kernel's decoder knows no other check.
    let mut stream = Stream::new_stream_encoder(filters, Check::Crc32).map_err(failed)?;
    match stream.process(block, packed, Action::Finish) {
        Ok(Status::StreamEnd) => Ok(usize::try_from(stream.total_out()).ok()),
        Ok(_) | Err(liblzma::stream::Error::MemLimit) => Ok(None),
        // No output at all was possible.
        Err(_) if packed.is_empty() => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
