//! Compresses parts of files into clusters, each thread with a compressor of its own.
//!
//! A cluster is filled: the most of a file that fits is what it holds. How much that is, is guessed from the cluster
//! before it.

use std::io;

use super::cut::cut;
use super::error::Error;
use super::options::{BLOCK, Compression, Options};

/// What is decompressed as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// How many bytes of the file it is.
    pub(super) length: u32,
    /// How many blocks it takes.
    pub(super) n_blocks: u16,
    /// Whether it is stored as it is, in one block.
    pub(super) is_plain: bool,
}

impl Extent {
    /// The size of what [`Extent::encode`] returns.
    pub(super) const LEN: usize = 7;

    /// Returns it as the next runs are told of it.
    pub(super) fn encode(&self) -> [u8; Extent::LEN] {
        let ([a, b, c, d], [e, f]) = (self.length.to_le_bytes(), self.n_blocks.to_le_bytes());
        [a, b, c, d, e, f, u8::from(self.is_plain)]
    }

    /// Returns what was encoded so.
    pub(super) fn decode(bytes: &[u8]) -> Option<Extent> {
        let [a, b, c, d, e, f, is_plain] = *bytes else { return None };
        let (length, n_blocks) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]));
        Some(Extent { length, n_blocks, is_plain: is_plain != 0 })
    }
}

/// A compressor with its memory.
pub(super) struct Packer {
    method: Method,
    cluster_len: usize,
    /// How much input made how much output last.
    ratio: Ratio,
    packed: Vec<u8>,
    /// An attempt that may be better than what is there.
    attempt: Vec<u8>,
}

enum Method {
    Lz4(lz4::block::CompressionMode),
    Zstd(zstd::bulk::Compressor<'static>),
}

/// How much input makes how much output.
#[derive(Clone, Copy)]
struct Ratio {
    input: usize,
    output: usize,
}

/// What a new file is taken to come to.
const FIRST_RATIO: Ratio = Ratio { input: 2, output: 1 };
/// How often Zstandard may try to fill a cluster.
const ATTEMPTS: usize = 8;

impl Ratio {
    /// Returns how much input makes `output`, as 1000 to this many thousandths.
    fn input_for(self, output: usize, thousandths: u64) -> usize {
        let input = self.input as u64 * output as u64 / self.output.max(1) as u64;
        usize::try_from(input * thousandths / 1000).unwrap_or(usize::MAX)
    }
}

impl Packer {
    /// Returns a packer, or nothing if nothing is to be compressed.
    pub(super) fn new(options: &Options) -> Result<Option<Packer>, Error> {
        let failed = |source| Error::Compress { source };
        let method = match options.compression {
            Compression::None => return Ok(None),
            Compression::Lz4 => Method::Lz4(lz4::block::CompressionMode::DEFAULT),
            Compression::Lz4hc(level) => {
                Method::Lz4(lz4::block::CompressionMode::HIGHCOMPRESSION(level.get().into()))
            }
            Compression::Zstd(level) => {
                let mut compressor = zstd::bulk::Compressor::new(level.get().into()).map_err(failed)?;
                let window = zstd::zstd_safe::CParameter::WindowLog(options.zstd_window().into());
                compressor.set_parameter(window).map_err(failed)?;
                Method::Zstd(compressor)
            }
        };
        let (packed, attempt) = (Vec::new(), Vec::new());
        Ok(Some(Packer {
            method,
            cluster_len: options.cluster_size.len(),
            ratio: FIRST_RATIO,
            packed,
            attempt,
        }))
    }

    /// Appends `input` to `blocks` as clusters, and says what they are. The result depends on the input alone.
    pub(super) fn pack(&mut self, input: &[u8], blocks: &mut Vec<u8>) -> Result<Vec<Extent>, Error> {
        self.ratio = FIRST_RATIO;
        let mut extents = Vec::new();
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            let length = if rest.len() > BLOCK { self.fill(rest)? } else { 0 };
            let n_blocks = self.packed.len().div_ceil(BLOCK);
            // An extent that saves no block would also be shorter than the index can say.
            if length > n_blocks * BLOCK {
                // Zeros come first, so that kernels can decompress in place.
                blocks.resize(blocks.len() + n_blocks * BLOCK - self.packed.len(), 0);
                blocks.extend_from_slice(&self.packed);
                extents.push(Extent { length: length as u32, n_blocks: n_blocks as u16, is_plain: false });
                at += length;
                continue;
            }
            for plain in rest[..rest.len().min(self.cluster_len)].chunks(BLOCK) {
                blocks.extend_from_slice(plain);
                blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
                extents.push(Extent { length: plain.len() as u32, n_blocks: 1, is_plain: true });
                at += plain.len();
            }
        }
        Ok(extents)
    }

    /// Compresses as much of `input` as fits a cluster, and returns how much that is.
    fn fill(&mut self, input: &[u8]) -> Result<usize, Error> {
        let length = match self.method {
            Method::Lz4(mode) => self.fill_lz4(mode, input)?,
            Method::Zstd(_) => self.fill_zstd(input),
        };
        if length > 0 && !self.packed.is_empty() {
            self.ratio = Ratio { input: length, output: self.packed.len() };
        }
        Ok(length)
    }

    fn fill_lz4(&mut self, mode: lz4::block::CompressionMode, input: &[u8]) -> Result<usize, Error> {
        let failed = |source: io::Error| Error::Compress { source };
        let limit = self.cluster_len;
        let mut ratio = self.ratio;
        loop {
            // A tenth more than is expected to fit: what is cut off costs less than another attempt.
            let guess = ratio.input_for(limit, 1100).saturating_add(64);
            let tried = &input[..guess.min(input.len())];
            self.packed.resize(lz4::block::compress_bound(tried.len()).map_err(failed)?, 0);
            let length =
                lz4::block::compress_to_buffer(tried, Some(mode), false, &mut self.packed).map_err(failed)?;
            self.packed.truncate(length);
            if length > limit {
                return Ok(cut(&mut self.packed, tried, limit));
            }
            if tried.len() == input.len() {
                return Ok(tried.len());
            }
            ratio = Ratio { input: tried.len() + tried.len() / 10, output: length };
        }
    }

    /// Zstandard cannot be cut, so its input is sought.
    fn fill_zstd(&mut self, input: &[u8]) -> usize {
        let Method::Zstd(compressor) = &mut self.method else { return 0 };
        let limit = self.cluster_len;
        // What is known to fit, and what is known not to.
        let (mut fits, mut too_much) = (0, input.len() + 1);
        let mut guess = self.ratio.input_for(limit, 1000);
        self.packed.clear();
        for _ in 0..ATTEMPTS {
            guess = guess.clamp(fits + 1, too_much - 1);
            // Room to see by how much it is too long.
            self.attempt.resize(limit + limit / 4, 0);
            let length = compressor.compress_to_buffer(&input[..guess], &mut self.attempt[..]).ok();
            match length {
                Some(length) if length <= limit => {
                    self.attempt.truncate(length);
                    std::mem::swap(&mut self.packed, &mut self.attempt);
                    fits = guess;
                    // A hundredth of a cluster is not worth another attempt.
                    if guess == input.len() || length >= limit - limit / 100 {
                        break;
                    }
                    guess = Ratio { input: guess, output: length }.input_for(limit, 998);
                }
                Some(length) => {
                    too_much = guess;
                    guess = Ratio { input: guess, output: length }.input_for(limit, 995);
                }
                None => {
                    too_much = guess;
                    guess = if fits > 0 { fits.midpoint(guess) } else { guess * 2 / 3 };
                }
            }
            if too_much <= fits + 1 {
                break;
            }
        }
        fits
    }

    /// Returns about how many bytes a compressor takes beside its input and output.
    pub(super) fn memory(options: &Options) -> usize {
        let cluster_len = options.cluster_size.len();
        match options.compression {
            Compression::None => 0,
            Compression::Lz4 | Compression::Lz4hc(_) => 1 << 20,
            Compression::Zstd(_) => (12 << options.zstd_window()) + 3 * cluster_len + (4 << 20),
        }
    }
}
