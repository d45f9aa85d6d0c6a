//! The contents of files: which pieces they are read in, and where their blocks come to lie.

use std::collections::BTreeMap;

use super::error::Error;
use super::image::Image;
use super::index::HEAD_LEN as INDEX_HEAD;
use super::options::{BLOCK, Compression, Options};
use super::pack::{Extent, Packer};
use super::write::{Threads, block_number};
use crate::bytes::is_zero;
use crate::contents::Placed;
use crate::duplicates;
use crate::earlier::{Earlier, Key, Origin, Scope};
use crate::output::Output;
use crate::pipeline::in_order;
use crate::tree::Node;

/// How much of a file is compressed by itself at least: what comes behind is on another thread, and begins a block.
const SEGMENT: usize = 2 << 20;
/// How much at most: the index says how many blocks an extent has before it with eleven bits.
const MAX_SEGMENT: usize = 2048 * BLOCK;
/// How much of a file that is not compressed is read at once.
const PART: usize = 1 << 20;
/// How many chunks a file is divided into where it has holes, unless that would make them larger than a part.
const MAX_CHUNKS: u64 = 1 << 16;
/// The largest file that is not compressed: it has no block to save.
const SMALL: u64 = BLOCK as u64;

/// Where the data of a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Data {
    /// Its blocks follow each other from this one on. The end that does not fill a block may be beside the inode.
    Flat(u32),
    /// Chunks of this many blocks, as a power of two, in runs.
    Chunks { log: u8, runs: Vec<Run> },
    /// Extents that follow each other from this block on.
    Compressed { start: u32, extents: Vec<Extent> },
}

/// Chunks that follow each other, or that are all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) n_chunks: u64,
    /// The first block; there is none of zeros.
    pub(super) start: Option<u32>,
}

/// A piece of a file that is read, and compressed, by one thread.
struct Piece {
    node: Node,
    offset: u64,
    length: usize,
    is_last: bool,
}

/// What becomes of a piece.
struct Packed {
    piece: Piece,
    stored: Stored,
    /// What the next runs are told of it.
    names: Option<Names>,
}

/// What a piece goes by.
#[derive(Clone, Copy)]
struct Names {
    contents: Key,
    range: Option<Key>,
}

/// What is known of earlier images that were compressed in the same way.
pub(crate) struct Reuse {
    /// Files of one piece, which are only compressed if that makes them smaller.
    whole: Scope,
    parts: Scope,
    files: duplicates::Known,
}

impl Reuse {
    pub(crate) fn new(earlier: &Earlier, options: &Options) -> Reuse {
        let settings = (options.compression, options.cluster_size);
        Reuse {
            whole: earlier.scope("EROFS files", &settings),
            parts: earlier.scope("EROFS parts of files", &settings),
            files: duplicates::Known::new(earlier),
        }
    }

    pub(super) fn files(&self) -> &duplicates::Known {
        &self.files
    }

    fn scope(&self, piece: &Piece) -> &Scope {
        if piece.is_whole() { &self.whole } else { &self.parts }
    }
}

/// The piece is compressed, and the note says what its extents are.
const KIND_COMPRESSED: u8 = 1;
/// It is better left as it is.
const KIND_PLAIN: u8 = 2;

impl Piece {
    fn is_whole(&self) -> bool {
        self.offset == 0 && self.is_last
    }
}

enum Stored {
    /// As it is, in runs of chunks that are holes or are not.
    Plain { bytes: Vec<u8>, found: Vec<(u64, bool)> },
    /// Blocks, what they are, and where an earlier image has them.
    Compressed { blocks: Vec<u8>, extents: Vec<Extent>, origin: Option<Origin> },
}

impl Image {
    /// Returns how much of a file's end is beside its inode if it has no holes.
    pub(super) fn tail(&self, node: Node, size: u64) -> usize {
        let tail = (size % BLOCK as u64) as usize;
        if self.fits_beside(node, tail) { tail } else { 0 }
    }

    /// Says whether a file has blocks of its own, whatever is in it.
    pub(super) fn has_blocks(&self, node: Node) -> bool {
        self.size(node).is_some_and(|size| size > self.tail(node, size) as u64)
    }

    fn is_compressed(&self, node: Node) -> bool {
        self.options.compression != Compression::None && self.size(node).is_some_and(|size| size > SMALL)
    }

    /// Returns how many blocks the chunks of a file have, as a power of two.
    pub(super) fn chunk_log(&self, node: Node) -> u8 {
        let size = self.size(node).unwrap_or(0);
        let mut log = 0;
        while size.div_ceil((BLOCK as u64) << log) > MAX_CHUNKS && BLOCK << (log + 1) <= PART {
            log += 1;
        }
        log
    }

    /// Returns the size of the largest pieces.
    pub(super) fn piece_len(&self) -> usize {
        match self.options.compression {
            Compression::None => PART,
            _ => (self.options.cluster_size.len() * 8).clamp(SEGMENT, MAX_SEGMENT),
        }
    }

    /// Yields the pieces of files that have blocks.
    fn pieces<'a>(&'a self, same: &'a BTreeMap<Node, Node>) -> impl Iterator<Item = Piece> + Send + use<'a> {
        let files =
            self.files.iter().filter(move |node| self.has_blocks(**node) && !same.contains_key(*node));
        files.flat_map(move |node| {
            let size = self.size(*node).unwrap_or(0);
            let length = if self.is_compressed(*node) { self.piece_len() } else { PART } as u64;
            (0..size.div_ceil(length)).map(move |number| {
                let offset = number * length;
                let end = size.min(offset + length);
                Piece { node: *node, offset, length: (end - offset) as usize, is_last: end == size }
            })
        })
    }

    /// Writes all blocks of files but those that are the same as others', and returns where they are.
    pub(super) fn write_data(
        &self,
        contents: &dyn Placed,
        threads: &Threads,
        same: &BTreeMap<Node, Node>,
        reuse: Option<&Reuse>,
        output: &mut Output<'_>,
    ) -> Result<BTreeMap<Node, Data>, Error> {
        let mut written = BTreeMap::new();
        let mut runs = Vec::new();
        let start = || {
            let mut packer = Packer::new(&self.options)?;
            Ok(move |piece| self.pack_piece(contents, packer.as_mut(), reuse, piece))
        };
        let done = |packed: Packed| {
            let Packed { piece, stored, names } = packed;
            if let Some((reuse, names)) = reuse.zip(names) {
                note(reuse.scope(&piece), names, &stored, output.position());
            }
            match stored {
                Stored::Compressed { blocks, extents, origin } => {
                    let begin = block_number(output.position())?;
                    output.append_found(&blocks, origin.as_ref())?;
                    let empty = Data::Compressed { start: begin, extents: Vec::new() };
                    if let Data::Compressed { extents: all, .. } = written.entry(piece.node).or_insert(empty)
                    {
                        all.extend(extents);
                    }
                }
                Stored::Plain { mut bytes, found } => {
                    let has_holes = runs.iter().any(|run: &Run| run.start.is_none())
                        || found.iter().any(|(_, is_hole)| *is_hole);
                    // With holes there is a block for the end: chunks have nothing beside the inode.
                    if piece.is_last && !has_holes {
                        let size = piece.offset + bytes.len() as u64;
                        bytes.truncate(bytes.len() - self.tail(piece.node, size));
                    }
                    self.put_chunks(&piece, &bytes, &found, &mut runs, output)?;
                    if piece.is_last {
                        let runs = std::mem::take(&mut runs);
                        let data = match runs[..] {
                            [Run { start: Some(start), .. }] => Data::Flat(start),
                            _ => Data::Chunks { log: self.chunk_log(piece.node), runs },
                        };
                        written.insert(piece.node, data);
                    }
                }
            }
            Ok(())
        };
        in_order(self.pieces(same), threads.count, threads.limit, start, done)?;
        Ok(written)
    }

    /// Reads a piece, and compresses it if that makes it smaller and no earlier image has it.
    fn pack_piece(
        &self,
        contents: &dyn Placed,
        packer: Option<&mut Packer>,
        reuse: Option<&Reuse>,
        piece: Piece,
    ) -> Result<Packed, Error> {
        let packer = packer.filter(|_| self.is_compressed(piece.node));
        let scope = reuse.filter(|_| packer.is_some()).map(|reuse| reuse.scope(&piece));
        let place = contents.place(piece.node, piece.offset);
        let range = scope.zip(place);
        let range = range.map(|(scope, place)| scope.range(std::iter::once((place, piece.length as u64))));
        if let Some((scope, range)) = scope.zip(range)
            && let Some(contents) = scope.of_range(&range)
            && let Some((KIND_COMPRESSED, stored)) = recall(scope, &contents, piece.length)
        {
            return Ok(Packed { piece, stored, names: Some(Names { contents, range: Some(range) }) });
        }
        let mut bytes = vec![0; piece.length];
        self.read(contents, piece.node, piece.offset, &mut bytes)?;
        let names = scope.map(|scope| Names { contents: scope.contents(&bytes), range });
        let known = scope.zip(names).and_then(|(scope, names)| recall(scope, &names.contents, piece.length));
        match (packer, known) {
            (_, Some((KIND_COMPRESSED, stored))) => return Ok(Packed { piece, stored, names }),
            (None, _) | (_, Some(_)) => {}
            (Some(packer), None) => {
                let mut blocks = Vec::new();
                let extents = packer.pack(&bytes, &mut blocks)?;
                // A file of one piece has the choice. The index has two bytes for each of its blocks, and a header.
                let is_smaller = blocks.len() + bytes.len() / BLOCK * 2 + 2 * INDEX_HEAD < bytes.len();
                if !piece.is_whole() || is_smaller {
                    blocks.shrink_to_fit();
                    let stored = Stored::Compressed { blocks, extents, origin: None };
                    return Ok(Packed { piece, stored, names });
                }
            }
        }
        let mut found: Vec<(u64, bool)> = Vec::new();
        for chunk in bytes.chunks(BLOCK << self.chunk_log(piece.node)) {
            let is_hole = is_zero(chunk);
            match found.last_mut() {
                Some((n_chunks, last)) if *last == is_hole => *n_chunks += 1,
                _ => found.push((1, is_hole)),
            }
        }
        Ok(Packed { piece, stored: Stored::Plain { bytes, found }, names })
    }

    /// Appends what is no hole, and says so in `runs`.
    fn put_chunks(
        &self,
        piece: &Piece,
        bytes: &[u8],
        found: &[(u64, bool)],
        runs: &mut Vec<Run>,
        output: &mut Output<'_>,
    ) -> Result<(), Error> {
        let chunk_len = BLOCK << self.chunk_log(piece.node);
        let mut at = 0;
        for (n_chunks, is_hole) in found {
            let end = (at + *n_chunks as usize * chunk_len).min(bytes.len());
            let start = if *is_hole { None } else { Some(block_number(output.position())?) };
            if start.is_some() {
                output.append(&bytes[at..end])?;
                output.fill_to(output.position().next_multiple_of(BLOCK as u64))?;
            }
            at = end;
            match runs.last_mut() {
                // Data goes on where it ended, since nothing else was written meanwhile.
                Some(run) if run.start.is_none() == *is_hole => run.n_chunks += n_chunks,
                _ => runs.push(Run { n_chunks: *n_chunks, start }),
            }
        }
        Ok(())
    }
}

/// Tells the next runs what became of a piece whose blocks, if it has any of its own, begin at `position`.
fn note(scope: &Scope, names: Names, stored: &Stored, position: u64) {
    if let Some(range) = names.range {
        scope.note_range(range, names.contents);
    }
    match stored {
        Stored::Plain { .. } => scope.note(names.contents, KIND_PLAIN, (0, &[]), &[]),
        Stored::Compressed { blocks, extents, origin } => {
            let note: Vec<u8> = extents.iter().flat_map(Extent::encode).collect();
            scope.note_found(names.contents, KIND_COMPRESSED, (position, blocks), origin.as_ref(), &note);
        }
    }
}

/// Returns what became of a piece of `length` bytes in an earlier image. What was left as it is has to be read.
fn recall(scope: &Scope, contents: &Key, length: usize) -> Option<(u8, Stored)> {
    let found = scope.recall(contents)?;
    let extents = found.note.chunks(Extent::LEN).map(Extent::decode).collect::<Option<Vec<_>>>()?;
    if found.kind == KIND_COMPRESSED && !are_whole(&extents, length, found.bytes.len()) {
        return None;
    }
    let origin = Some(found.origin);
    Some((found.kind, Stored::Compressed { blocks: found.bytes, extents, origin }))
}

/// Says whether a piece of `length` bytes can consist of these extents, which are stored in `n_bytes`.
fn are_whole(extents: &[Extent], length: usize, n_bytes: usize) -> bool {
    let lengths: u64 = extents.iter().map(|extent| u64::from(extent.length)).sum();
    let blocks: usize = extents.iter().map(|extent| usize::from(extent.n_blocks)).sum();
    let can_be = |extent: &Extent| match extent.is_plain {
        true => extent.n_blocks == 1 && extent.length as usize <= BLOCK,
        false => extent.n_blocks > 0 && extent.length > 0,
    };
    lengths == length as u64 && blocks * BLOCK == n_bytes && extents.iter().all(can_be)
}
