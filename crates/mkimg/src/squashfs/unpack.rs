//! Decompresses one block at a time into a buffer of bounded size.

use liblzma::stream::{Action, Status, Stream};

use super::options::{BlockSize, Compression};

/// What xz needs beside its dictionary, in bytes.
const XZ_OVERHEAD: u64 = 1 << 20;

/// A decompressor with its memory.
pub(super) struct Unpacker {
    state: State,
    block_size: BlockSize,
}

enum State {
    Gzip(libdeflater::Decompressor),
    Lz4,
    Xz,
    Zstd(Box<zstd::bulk::Decompressor<'static>>),
}

impl Unpacker {
    pub(super) fn new(compression: &Compression, block_size: BlockSize) -> std::io::Result<Unpacker> {
        let state = match compression {
            Compression::Gzip(_) => State::Gzip(libdeflater::Decompressor::new()),
            Compression::Lz4 { .. } => State::Lz4,
            Compression::Xz { .. } => State::Xz,
            Compression::Zstd(_) => State::Zstd(Box::new(zstd::bulk::Decompressor::new()?)),
        };
        Ok(Unpacker { state, block_size })
    }

    /// Returns what `stored` unpacks to, or nothing if that is damaged or more than `limit` bytes.
    pub(super) fn unpack(&mut self, stored: &[u8], limit: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; limit];
        let length = match &mut self.state {
            State::Gzip(decompressor) => decompressor.zlib_decompress(stored, &mut bytes).ok()?,
            State::Lz4 => {
                let most = i32::try_from(limit).ok()?;
                lz4::block::decompress_to_buffer(stored, Some(most), &mut bytes).ok()?
            }
            State::Zstd(decompressor) => decompressor.decompress_to_buffer(stored, &mut bytes[..]).ok()?,
            State::Xz => {
                let memory = u64::from(self.block_size.bytes()) + XZ_OVERHEAD;
                let mut stream = Stream::new_stream_decoder(memory, 0).ok()?;
                match stream.process(stored, &mut bytes, Action::Finish) {
                    Ok(Status::StreamEnd) => usize::try_from(stream.total_out()).ok()?,
                    _ => return None,
                }
            }
        };
        bytes.truncate(length);
        Some(bytes)
    }
}
