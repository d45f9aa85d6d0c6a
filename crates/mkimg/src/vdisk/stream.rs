//! The blocks of a disk that are not zero, in order: read, and compressed, by many threads.

use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};

use super::contents::Contents;
use super::error::WriteError;
use super::pack::{Compression, Packer};
use crate::Sink;
use crate::bytes::is_zero;
use crate::earlier::{Earlier, Key, Scope};
use crate::pipeline::in_order;

/// How much is read at once, if a block is not larger.
const BATCH: u64 = 1 << 20;
/// What may be in memory of a disk at once, in bytes: blocks that are read or compressed, or wait for earlier ones.
const MEMORY: u64 = 96 << 20;
/// What compressors may take, in bytes.
const PACKERS_MEMORY: u64 = 96 << 20;
/// More threads than this would only wait for the disk.
const MOST_THREADS: usize = 32;

/// How blocks are read.
pub(super) struct How<'a> {
    /// The size of a block.
    pub(super) block: u64,
    /// What compresses them, if anything does.
    pub(super) compression: Option<Compression>,
    /// What lies below: blocks that are the same there are left out.
    pub(super) below: Option<&'a Contents<'a>>,
    /// What earlier runs compressed in the same way.
    pub(super) earlier: Option<Scope>,
    /// How many threads read and compress. They do not change what comes out.
    pub(super) n_threads: usize,
}

impl How<'_> {
    /// Blocks of this size as they are, over nothing.
    pub(super) fn plain(block: u64, n_threads: usize) -> How<'static> {
        How { block, compression: None, below: None, earlier: None, n_threads }
    }
}

/// Returns what goes for blocks that are compressed so.
pub(super) fn scope(earlier: Option<&Earlier>, compression: Option<Compression>) -> Option<Scope> {
    Some(earlier?.scope("blocks of disks", &compression?))
}

/// It turned out smaller.
const KIND_PACKED: u8 = 1;
/// It did not.
const KIND_PLAIN: u8 = 2;

/// What is to be stored of a block.
pub(super) enum Block<'a> {
    /// It is zero, over something that is not.
    Zero,
    /// These bytes.
    Plain(Plain<'a>),
    /// What these bytes unpack to.
    Packed(Packed<'a>),
}

/// A block as it is.
#[derive(Clone, Copy)]
pub(super) struct Plain<'a> {
    pub(super) bytes: &'a [u8],
    /// A file that has these bytes, and where they begin in it.
    file: Option<(&'a File, u64)>,
}

impl Plain<'_> {
    /// Puts it at `offset`.
    pub(super) fn put(&self, offset: u64, sink: &mut (impl Sink + ?Sized)) -> io::Result<()> {
        self.put_before(u64::MAX, offset, sink)
    }

    /// Puts as much of it at `offset` as is before `end`.
    pub(super) fn put_before(
        &self,
        end: u64,
        offset: u64,
        sink: &mut (impl Sink + ?Sized),
    ) -> io::Result<()> {
        let length = end.saturating_sub(offset).min(self.bytes.len() as u64);
        match self.file {
            Some((file, at)) => sink.copy(offset, file, at, length),
            None => sink.data(offset, &self.bytes[..length as usize]),
        }
    }
}

/// What of a block is zero should be a hole also where the block is in some file.
const HOLE: usize = 4096;

/// A block that is compressed.
#[derive(Clone, Copy)]
pub(super) struct Packed<'a> {
    pub(super) bytes: &'a [u8],
    name: Option<(&'a Scope, Key)>,
}

impl Packed<'_> {
    /// Tells the next runs that it lies at `offset` of the file.
    pub(super) fn note(&self, offset: u64) {
        if let Some((scope, key)) = self.name {
            scope.note(key, KIND_PACKED, (offset, self.bytes), &[]);
        }
    }
}

enum Found {
    /// There is nothing to store.
    Nothing,
    Zero,
    Plain(Option<Key>),
    Packed(Vec<u8>, Option<Key>),
}

struct Batch {
    /// The number of the first block.
    first: u64,
    bytes: Vec<u8>,
    blocks: Vec<Found>,
}

/// Gives the blocks that are not zero to `store`, each with its number, in order. What is zero is told by looking at it,
/// not by holes of a file: the same disk is always the same blocks.
pub(super) fn blocks(
    contents: &Contents<'_>,
    how: &How<'_>,
    mut store: impl FnMut(u64, Block<'_>) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let block_len = how.block;
    let batch_len = if block_len >= BATCH { block_len } else { BATCH / block_len * block_len };
    let per_batch = batch_len / block_len;
    let n_blocks = contents.size().div_ceil(block_len);
    let (n_threads, limit) = threads(how, batch_len);
    let spare: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    let buffers = || spare.lock().unwrap_or_else(PoisonError::into_inner);
    let start = || {
        let mut packer = how.compression.map(Packer::new).transpose()?;
        let mut below = vec![0; how.below.map_or(0, |_| batch_len as usize)];
        let buffers = &buffers;
        Ok(move |batch: u64| {
            let first = batch * per_batch;
            let n_bytes = ((n_blocks - first).min(per_batch) * block_len) as usize;
            let mut bytes = buffers().pop().unwrap_or_default();
            bytes.resize(n_bytes, 0);
            let offset = first * block_len;
            let failed = |source| WriteError::Read { offset, length: n_bytes, source };
            contents.read(offset, &mut bytes).map_err(failed)?;
            if let Some(base) = how.below {
                base.read(offset, &mut below[..n_bytes]).map_err(failed)?;
            }
            let blocks = bytes.chunks(block_len as usize).enumerate().map(|(idx, block)| {
                let is_below = match how.below {
                    Some(_) => below[idx * block_len as usize..].starts_with(block),
                    None => false,
                };
                if is_below {
                    return Ok(Found::Nothing);
                }
                if is_zero(block) {
                    return Ok(if how.below.is_some() { Found::Zero } else { Found::Nothing });
                }
                let Some(packer) = &mut packer else { return Ok(Found::Plain(None)) };
                let key = how.earlier.as_ref().map(|scope| scope.contents(block));
                let known = how.earlier.as_ref().zip(key).and_then(|(scope, key)| scope.recall(&key));
                Ok(match known {
                    Some(known) if known.kind == KIND_PACKED => Found::Packed(known.bytes, key),
                    Some(_) => Found::Plain(key),
                    None => match packer.pack(block)? {
                        Some(packed) => Found::Packed(packed, key),
                        None => Found::Plain(key),
                    },
                })
            });
            let blocks = blocks.collect::<Result<Vec<Found>, WriteError>>()?;
            Ok::<Batch, WriteError>(Batch { first, bytes, blocks })
        })
    };
    let done = |batch: Batch| {
        let pieces = batch.bytes.chunks(block_len as usize);
        for ((number, found), bytes) in (batch.first..).zip(&batch.blocks).zip(pieces) {
            match found {
                Found::Nothing => {}
                Found::Zero => store(number, Block::Zero)?,
                Found::Plain(key) => {
                    if let Some((scope, key)) = how.earlier.as_ref().zip(*key) {
                        scope.note(key, KIND_PLAIN, (0, &[]), &[]);
                    }
                    let (offset, length) = (number * block_len, bytes.len() as u64);
                    let is_dense = || !bytes.chunks(HOLE).any(is_zero);
                    let file = contents.file(offset, length).filter(|_| is_dense());
                    store(number, Block::Plain(Plain { bytes, file }))?;
                }
                Found::Packed(packed, key) => {
                    let name = how.earlier.as_ref().zip(*key);
                    store(number, Block::Packed(Packed { bytes: packed, name }))?;
                }
            }
        }
        buffers().push(batch.bytes);
        Ok(())
    };
    match how.below {
        None => in_order(contents.pieces(batch_len), n_threads, limit, start, done),
        // Where there is nothing, there may be something below.
        Some(_) => in_order(0..n_blocks.div_ceil(per_batch), n_threads, limit, start, done),
    }
}

/// Returns how many threads work, and how many batches are in memory.
fn threads(how: &How<'_>, batch_len: u64) -> (usize, usize) {
    let packed = if how.compression.is_some() { 2 } else { 1 };
    let below = u64::from(how.below.is_some());
    let most = (MEMORY / (batch_len * (packed + below))).max(2) as usize;
    let packers = how
        .compression
        .map_or(MOST_THREADS, |compression| (PACKERS_MEMORY / compression.memory(how.block)).max(1) as usize);
    let n_threads = how.n_threads.clamp(1, MOST_THREADS).min(most - 1).min(packers);
    (n_threads, most.min(n_threads * 4))
}
