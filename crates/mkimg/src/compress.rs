//! Compression that uses every core and gives the same bytes on any number of them.
//!
//! Each format is one stream that the kernel's decompressors read: an initramfs must not be several members,
//! because the kernel wants an archive to end where a member ends.

use std::io::{self, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use flate2::{Compress, FlushCompress, Status};
use liblzma::stream::{Check, MtStreamBuilder};

use crate::earlier::{Earlier, Key, Scope};
use crate::lz4::Lz4;
use crate::spec::Compression;

/// How the input is cut into pieces that are compressed by themselves; the sizes are part of the output.
#[derive(Clone, Copy)]
struct Pieces {
    gzip_block: usize,
    zstd_job: u32,
    xz_block: u64,
}

const PIECES: Pieces = Pieces { gzip_block: 1 << 20, zstd_job: 8 << 20, xz_block: 8 << 20 };

const GZIP_LEVEL: u32 = 9;
const ZSTD_LEVEL: i32 = 9;
const XZ_PRESET: u32 = 6;

/// Compresses what is written to it, into `sink`.
pub enum Compressor<W: Write> {
    /// Passes everything on.
    None(W),
    /// gzip.
    Gzip(Gzip<W>),
    /// Zstandard.
    Zstd(zstd::stream::write::Encoder<'static, W>),
    /// xz.
    Xz(liblzma::write::XzEncoder<W>),
    /// LZ4.
    Lz4(Lz4<W>),
}

impl<W: Write> Compressor<W> {
    /// Returns a compressor that uses as many threads as the machine has.
    pub fn new(compression: Compression, sink: W) -> io::Result<Compressor<W>> {
        let n_threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        Compressor::with_threads(compression, sink, n_threads)
    }

    /// Returns a compressor that uses `n_threads` threads, which does not change the output.
    pub fn with_threads(compression: Compression, sink: W, n_threads: usize) -> io::Result<Compressor<W>> {
        Compressor::with_pieces(compression, sink, n_threads, PIECES)
    }

    /// Returns one for gzip, which takes over what earlier runs compressed. The sink is the beginning of a file.
    pub(crate) fn gzip(sink: W, n_threads: usize, earlier: Option<&Earlier>) -> io::Result<Compressor<W>> {
        let scope = earlier.map(|earlier| earlier.scope("gzip", &GZIP_LEVEL));
        Ok(Compressor::Gzip(Gzip::new(sink, n_threads.clamp(1, 64), PIECES.gzip_block, scope)?))
    }

    fn with_pieces(
        compression: Compression,
        sink: W,
        n_threads: usize,
        pieces: Pieces,
    ) -> io::Result<Compressor<W>> {
        let n_workers = u32::try_from(n_threads.clamp(1, 64)).expect("64 fits");
        Ok(match compression {
            Compression::None => Compressor::None(sink),
            Compression::Gzip => {
                Compressor::Gzip(Gzip::new(sink, n_threads.clamp(1, 64), pieces.gzip_block, None)?)
            }
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(sink, ZSTD_LEVEL)?;
                // Even one worker splits the input into jobs; none at all would give other bytes.
                encoder.multithread(n_workers)?;
                encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(pieces.zstd_job))?;
                encoder.include_checksum(true)?;
                Compressor::Zstd(encoder)
            }
            Compression::Xz => {
                let stream = MtStreamBuilder::new()
                    .threads(n_workers)
                    .block_size(pieces.xz_block)
                    .preset(XZ_PRESET)
                    // The kernel's decoder knows no other check.
                    .check(Check::Crc32)
                    .encoder()?;
                Compressor::Xz(liblzma::write::XzEncoder::new_stream(sink, stream))
            }
            // One thread writes as fast as several could read the layers.
            Compression::Lz4 => Compressor::Lz4(Lz4::new(sink)?),
        })
    }

    /// Writes what is left and returns the sink.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Compressor::None(mut sink) => sink.flush().map(|()| sink),
            Compressor::Gzip(gzip) => gzip.finish(),
            Compressor::Zstd(encoder) => encoder.finish(),
            Compressor::Xz(encoder) => encoder.finish(),
            Compressor::Lz4(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Compressor::None(sink) => sink.write(bytes),
            Compressor::Gzip(gzip) => gzip.write(bytes),
            Compressor::Zstd(encoder) => encoder.write(bytes),
            Compressor::Xz(encoder) => encoder.write(bytes),
            Compressor::Lz4(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A block that was compressed.
struct Compressed {
    deflated: Vec<u8>,
    crc: crc32fast::Hasher,
    /// What the next runs know it by.
    key: Option<Key>,
}

struct Worker {
    blocks: SyncSender<(Vec<u8>, bool)>,
    done: Receiver<io::Result<Compressed>>,
    thread: JoinHandle<()>,
}

/// One gzip member whose blocks were compressed independently and joined at byte boundaries, as by `pigz -i`.
pub struct Gzip<W: Write> {
    sink: W,
    block: Vec<u8>,
    block_size: usize,
    crc: crc32fast::Hasher,
    workers: Vec<Worker>,
    /// Blocks go to the workers in turn, and come back in the same order.
    n_sent: usize,
    n_received: usize,
    earlier: Option<Scope>,
    /// How much is in the sink.
    position: u64,
    /// How much was compressed, modulo 2^32, which is what the trailer wants.
    size: u32,
}

/// RFC 1952: deflate, no name, no time, best compression, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];

impl<W: Write> Gzip<W> {
    fn new(mut sink: W, n_threads: usize, block_size: usize, earlier: Option<Scope>) -> io::Result<Gzip<W>> {
        sink.write_all(&GZIP_HEADER)?;
        let workers = (0..n_threads).map(|_| Worker::start(earlier.clone())).collect::<io::Result<_>>()?;
        let (block, crc) = (Vec::with_capacity(block_size), crc32fast::Hasher::new());
        let position = GZIP_HEADER.len() as u64;
        Ok(Gzip {
            sink,
            block,
            block_size,
            crc,
            workers,
            n_sent: 0,
            n_received: 0,
            earlier,
            position,
            size: 0,
        })
    }

    fn send(&mut self, is_last: bool) -> io::Result<()> {
        if self.n_sent - self.n_received == self.workers.len() {
            self.receive()?;
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(self.block_size));
        self.size = self.size.wrapping_add(block.len() as u32);
        let worker = &self.workers[self.n_sent % self.workers.len()];
        worker.blocks.send((block, is_last)).map_err(|_| worker_is_gone())?;
        self.n_sent += 1;
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        let worker = &self.workers[self.n_received % self.workers.len()];
        let compressed = worker.done.recv().map_err(|_| worker_is_gone())??;
        self.n_received += 1;
        self.crc.combine(&compressed.crc);
        if let Some((scope, key)) = self.earlier.as_ref().zip(compressed.key) {
            scope.note(key, 0, (self.position, &compressed.deflated), &[]);
        }
        self.position += compressed.deflated.len() as u64;
        self.sink.write_all(&compressed.deflated)
    }

    fn finish(mut self) -> io::Result<W> {
        self.send(true)?;
        while self.n_received < self.n_sent {
            self.receive()?;
        }
        for worker in self.workers {
            drop(worker.blocks);
            worker.thread.join().map_err(|_| worker_is_gone())?;
        }
        self.sink.write_all(&self.crc.finalize().to_le_bytes())?;
        self.sink.write_all(&self.size.to_le_bytes())?;
        self.sink.flush()?;
        Ok(self.sink)
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == self.block_size {
            self.send(false)?;
        }
        let n = bytes.len().min(self.block_size - self.block.len());
        self.block.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn worker_is_gone() -> io::Error {
    io::Error::other("a compression thread is gone")
}

impl Worker {
    fn start(earlier: Option<Scope>) -> io::Result<Worker> {
        let (blocks, input) = sync_channel::<(Vec<u8>, bool)>(1);
        let (output, done) = sync_channel(1);
        let thread = std::thread::Builder::new().name("gzip".to_owned()).spawn(move || {
            for (block, is_last) in input {
                // Nobody receives any more: the writer gave up.
                if output.send(recall_or_deflate(&block, is_last, earlier.as_ref())).is_err() {
                    return;
                }
            }
        })?;
        Ok(Worker { blocks, done, thread })
    }
}

/// Returns what an earlier run made of a block, or deflates it. The last one is different, and never asked for twice.
fn recall_or_deflate(block: &[u8], is_last: bool, earlier: Option<&Scope>) -> io::Result<Compressed> {
    let Some(scope) = earlier.filter(|_| !is_last) else { return deflate(block, is_last) };
    let key = scope.contents(block);
    match scope.recall(&key) {
        None => Ok(Compressed { key: Some(key), ..deflate(block, is_last)? }),
        Some(found) => {
            let mut crc = crc32fast::Hasher::new();
            crc.update(block);
            Ok(Compressed { deflated: found.bytes, crc, key: Some(key) })
        }
    }
}

/// Deflates a block so that it ends at a byte boundary, or ends the stream.
fn deflate(block: &[u8], is_last: bool) -> io::Result<Compressed> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(block);
    let mut compress = Compress::new(flate2::Compression::new(GZIP_LEVEL), false);
    let mut deflated = Vec::with_capacity(block.len() / 2 + 64);
    let flush = if is_last { FlushCompress::Finish } else { FlushCompress::Sync };
    loop {
        let consumed = usize::try_from(compress.total_in()).map_err(io::Error::other)?;
        if deflated.capacity() - deflated.len() < 4096 {
            deflated.reserve(deflated.capacity());
        }
        let status =
            compress.compress_vec(&block[consumed..], &mut deflated, flush).map_err(io::Error::other)?;
        // A flush is complete when all input is in and there was room to spare.
        let is_flushed = compress.total_in() == block.len() as u64 && deflated.len() < deflated.capacity();
        if if is_last { status == Status::StreamEnd } else { is_flushed } {
            return Ok(Compressed { deflated, crc, key: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use sha2::{Digest, Sha256};

    use super::*;

    /// Text that compresses, but not to nothing.
    fn sample(size: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut words = Vec::with_capacity(size + 16);
        while words.len() < size {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            words.extend_from_slice(format!("{:x} ", state >> 18).as_bytes());
        }
        words.truncate(size);
        words
    }

    /// As small as the libraries allow, so that little input makes many pieces.
    const SMALL: Pieces = Pieces { gzip_block: 10_000, zstd_job: 512 << 10, xz_block: 100_000 };

    fn compress(compression: Compression, bytes: &[u8], n_threads: usize, write_size: usize) -> Vec<u8> {
        let mut compressor = Compressor::with_pieces(compression, Vec::new(), n_threads, SMALL).unwrap();
        for part in bytes.chunks(write_size.max(1)) {
            compressor.write_all(part).unwrap();
        }
        compressor.finish().unwrap()
    }

    fn decompress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match compression {
            Compression::None => out.extend_from_slice(bytes),
            Compression::Gzip => _ = flate2::bufread::GzDecoder::new(bytes).read_to_end(&mut out).unwrap(),
            Compression::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(bytes).unwrap();
                _ = decoder.single_frame().read_to_end(&mut out).unwrap();
            }
            Compression::Xz => _ = crate::xz_decoder(bytes, false).unwrap().read_to_end(&mut out).unwrap(),
            Compression::Lz4 => _ = crate::lz4::Decoder::new(bytes).read_to_end(&mut out).unwrap(),
        }
        out
    }

    #[test]
    fn one_stream_that_gives_everything_back() {
        for compression in
            [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Xz, Compression::Lz4]
        {
            for size in [0, 1, 9_999, 10_000, 10_001, 250_000] {
                let bytes = sample(size);
                let compressed = compress(compression, &bytes, 2, 7_000);
                assert!(decompress(compression, &compressed) == bytes, "{compression:?} {size}");
            }
        }
    }

    #[test]
    fn the_bytes_do_not_depend_on_threads_or_pieces() {
        for (compression, size) in
            [(Compression::Gzip, 300_000), (Compression::Zstd, 1_200_000), (Compression::Xz, 350_000)]
        {
            let bytes = sample(size);
            let expected = compress(compression, &bytes, 1, bytes.len());
            assert!(compress(compression, &bytes, 4, 65_537) == expected, "{compression:?}");
        }
    }

    #[test]
    fn the_digests_never_change() {
        let digests =
            [Compression::Gzip, Compression::Zstd, Compression::Xz, Compression::Lz4].map(|compression| {
                let mut compressor = Compressor::with_threads(compression, Vec::new(), 2).unwrap();
                compressor.write_all(&sample(1_200_000)).unwrap();
                let hash = Sha256::digest(compressor.finish().unwrap());
                hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
            });
        assert_eq!(digests, ["824c46e27b6b2fbb", "2ab7eb76f0a3caf0", "6ec9d0e2a3c5a9f1", "6ff311ef0fa6cf22"]);
    }
}
