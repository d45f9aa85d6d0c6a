//! Streaming: blocks of data from many threads, then the tables that say where they are.

use std::collections::BTreeMap;

use super::bytes::Put;
use super::directory::{self, Listed};
use super::error::Error;
use super::format::{BLOCK_PLAIN, METADATA_LEN, NOWHERE, SUPERBLOCK_LEN, Superblock, flag};
use super::image::Image;
use super::inode::{Laid, Listing};
use super::options::{Fragments, Options};
use super::pack::{Packer, Purpose};
use super::plan::{Block, Blocks, FragmentPacker};
use super::reuse::{Reuse, Stored};
use super::table::{Table, pack_block, write_indexed};
use super::xattr;
use crate::GapSink;
use crate::contents::{Contents, Placed, Unplaced};
use crate::duplicates;
use crate::earlier::{Key, Origin, Scope};
use crate::output::Output;
use crate::pipeline::in_order;
use crate::tree::Node;

/// What compressors and blocks may take together, in bytes.
const WORKERS_MEMORY: usize = 96 << 20;
/// What blocks may take that wait for an earlier one, in bytes.
const WAITING_MEMORY: usize = 48 << 20;
/// The image is padded to whole units of this, as `mksquashfs` does for loop devices.
const PADDING: u64 = 4096;

/// How many threads work, and how many of their results may wait.
pub(super) struct Threads {
    pub(super) count: usize,
    pub(super) limit: usize,
}

impl Threads {
    fn new(wanted: usize, options: &Options) -> Threads {
        let block_len = options.block_size.len();
        // A thread has a block, its compressed form, and with filters another one.
        let each = Packer::memory(options) + 3 * block_len;
        let count = wanted.clamp(1, (WORKERS_MEMORY / each).max(1));
        let limit = (WAITING_MEMORY / block_len).min(count * 64).max(count + 1);
        Threads { count, limit }
    }
}

/// A block that was compressed.
struct Packed {
    /// What is stored of it; nothing of a block of zeros.
    bytes: Vec<u8>,
    /// Where an earlier image has that.
    origin: Option<Origin>,
    /// Its size as the format has it.
    size: u32,
    /// The file that it is of, the offset in that and its length there, unless it is shared.
    owner: Option<(Node, u64, usize)>,
    /// What the next runs are told of it.
    names: Option<Names>,
}

/// What a block goes by.
struct Names {
    contents: Key,
    range: Option<Key>,
    stored: Stored,
}

/// What is known once the data is written.
struct Written {
    /// By leaf.
    laid: Vec<Laid>,
    /// The sizes of all files' blocks.
    sizes: Vec<u32>,
    /// The table of fragments.
    fragments: Vec<u8>,
}

impl Image {
    /// Writes the image into `sink` on `n_threads` threads, which do not change it, and returns its size.
    ///
    /// `contents` is asked for what is in files: some are read twice, to find those that are the same. The superblock
    /// is a gap in the sink until all else is there.
    pub fn write(
        &self,
        contents: &dyn Contents,
        n_threads: usize,
        sink: &mut dyn GapSink,
    ) -> Result<u64, Error> {
        self.write_reusing(&Unplaced(contents), n_threads, None, sink)
    }

    /// As [`Image::write`], and takes over from earlier images what was compressed for them.
    pub(crate) fn write_reusing(
        &self,
        contents: &dyn Placed,
        n_threads: usize,
        reuse: Option<&Reuse>,
        sink: &mut dyn GapSink,
    ) -> Result<u64, Error> {
        let threads = Threads::new(n_threads, &self.options);
        let mut packer = Packer::reusing(&self.options, reuse.map(Reuse::metadata))?;
        let mut output = Output::new(sink, SUPERBLOCK_LEN as u64);
        let compressor_options = self.options.compression.encode(self.options.block_size);
        if let Some(options) = &compressor_options {
            // A metadata block that is never compressed.
            let mut bytes = Vec::new();
            bytes.put_u16(options.len() as u16 | super::format::METADATA_PLAIN);
            bytes.extend_from_slice(options);
            output.append(&bytes)?;
        }
        let files = self.files.iter().filter_map(|node| Some((*node, self.size(*node)?)));
        let known = reuse.map(Reuse::files);
        let same = duplicates::find(files, threads.count, contents, known, |node, offset, buffer| {
            self.read(contents, node, offset, buffer)
        })?;
        let written = self.write_data(contents, &threads, &same, reuse, &mut output)?;

        let inode_table = output.position();
        let mut inodes = Table::new();
        let mut places = self.write_leaves(&threads, &same, &written, reuse, &mut inodes, &mut output)?;
        let mut listings = Table::new();
        self.write_directories(&mut packer, &mut inodes, &mut listings, &mut places)?;
        let references =
            places.iter().map(|place| inodes.reference(*place)).collect::<Result<Vec<u64>, _>>()?;
        inodes.finish(&mut packer)?;
        inodes.drain(&mut output)?;
        let directory_table = output.position();
        listings.finish(&mut packer)?;
        listings.drain(&mut output)?;

        let n_fragments = written.fragments.len() / FRAGMENT_LEN;
        let fragment_table = match n_fragments {
            0 => NOWHERE,
            _ => write_indexed(&mut packer, &mut output, &written.fragments)?,
        };
        let export_table = if self.options.exportable {
            let table: Vec<u8> = references.iter().flat_map(|reference| reference.to_le_bytes()).collect();
            write_indexed(&mut packer, &mut output, &table)?
        } else {
            NOWHERE
        };
        let ids: Vec<u8> = self.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let id_table = write_indexed(&mut packer, &mut output, &ids)?;
        let xattr_table = match self.xattrs.sets() {
            [] => NOWHERE,
            sets => xattr::write(&mut packer, &mut output, sets)?,
        };
        let superblock = Superblock {
            inodes: self.tree.nodes.len() as u32,
            made: self.options.epoch,
            block_size: self.options.block_size.bytes(),
            fragments: u32::try_from(n_fragments).map_err(|_| Error::TreeTooLarge)?,
            compressor: self.options.compression.number(),
            block_log: self.options.block_size.log(),
            flags: self.flags(compressor_options.is_some()),
            ids: self.ids.len() as u16,
            root: *references.last().expect("the root is always there, and last"),
            bytes_used: output.position(),
            id_table,
            xattr_table,
            inode_table,
            directory_table,
            fragment_table,
            export_table,
        };
        Ok(output.close(PADDING, (0, &superblock.encode()))?)
    }

    /// Reads a part of a file, and says whose contents could not be read.
    pub(super) fn read(
        &self,
        contents: &dyn Contents,
        node: Node,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        let failed = |source| Error::Contents { path: self.tree.path(node), source };
        contents.read(node, offset, buffer).map_err(failed)
    }

    fn flags(&self, has_compressor_options: bool) -> u16 {
        let fragments = match self.options.fragments {
            Fragments::None => flag::NO_FRAGMENTS,
            Fragments::Small => 0,
            Fragments::All => flag::ALWAYS_FRAGMENTS,
        };
        let exportable = if self.options.exportable { flag::EXPORTABLE } else { 0 };
        let options = if has_compressor_options { flag::COMPRESSOR_OPTIONS } else { 0 };
        fragments | exportable | options | flag::DUPLICATES
    }

    fn write_data(
        &self,
        contents: &dyn Placed,
        threads: &Threads,
        same: &BTreeMap<Node, Node>,
        reuse: Option<&Reuse>,
        output: &mut Output<'_>,
    ) -> Result<Written, Error> {
        let mut written = Written {
            laid: vec![Laid::default(); self.leaves.len()],
            sizes: Vec::new(),
            fragments: Vec::new(),
        };
        let mut fragments = FragmentPacker::default();
        for node in &self.files {
            let Some(size) = self.size(*node).filter(|_| !same.contains_key(node)) else { continue };
            let tail = self.divide(size).tail;
            let laid = &mut written.laid[self.number(*node) as usize - 1];
            laid.fragment = (tail > 0).then(|| fragments.place(tail, self.options.block_size.len()));
        }
        let start = || {
            let mut packer = Packer::new(&self.options)?;
            let mut buffer = Vec::with_capacity(self.options.block_size.len());
            Ok(move |block| self.pack_data(contents, &mut packer, &mut buffer, reuse, block))
        };
        let done = |packed: Packed| {
            if let Some((reuse, names)) = reuse.zip(packed.names) {
                let scope = reuse.scope(packed.owner.is_none());
                let stored = (output.position(), &packed.bytes[..]);
                let origin = packed.origin.as_ref();
                scope.note_found(names.contents, names.stored as u8, stored, origin, &[]);
                if let Some(range) = names.range {
                    scope.note_range(range, names.contents);
                }
            }
            match packed.owner {
                None => {
                    written.fragments.put_u64(output.position());
                    written.fragments.put_u32(packed.size);
                    written.fragments.put_u32(0);
                }
                Some((node, offset, length)) => {
                    let laid = &mut written.laid[self.number(node) as usize - 1];
                    if offset == 0 {
                        laid.start = output.position();
                        laid.blocks.0 = written.sizes.len();
                    }
                    laid.blocks.1 += 1;
                    if packed.bytes.is_empty() {
                        laid.sparse += length as u64;
                    }
                    written.sizes.push(packed.size);
                }
            }
            Ok(output.append_found(&packed.bytes, packed.origin.as_ref())?)
        };
        in_order(Blocks::new(self, same), threads.count, threads.limit, start, done)?;
        Ok(written)
    }

    /// Reads and compresses a block, unless an earlier image has it.
    fn pack_data(
        &self,
        contents: &dyn Placed,
        packer: &mut Packer,
        buffer: &mut Vec<u8>,
        reuse: Option<&Reuse>,
        block: Block,
    ) -> Result<Packed, Error> {
        let scope = reuse.map(|reuse| reuse.scope(matches!(block, Block::Fragment(_))));
        let owner = match &block {
            Block::Data(piece) => Some((piece.node, piece.offset, piece.length)),
            Block::Fragment(_) => None,
        };
        let range = reuse.and_then(|reuse| reuse.range(contents, &block));
        if let Some((scope, range)) = scope.zip(range)
            && let Some(known) = scope.of_range(&range)
            && let Some(packed) = recall(scope, known, Some(range), owner)
        {
            return Ok(packed);
        }
        self.gather(contents, buffer, block)?;
        let key = scope.map(|scope| scope.contents(buffer));
        if let Some((scope, key)) = scope.zip(key)
            && let Some(packed) = recall(scope, key, range, owner)
        {
            return Ok(packed);
        }
        let names = |stored| key.map(|contents| Names { contents, range, stored });
        // A block whose size is zero reads as zeros. A block that is shared has to be there.
        if owner.is_some() && is_zero(buffer) {
            return Ok(Packed {
                bytes: Vec::new(),
                size: 0,
                origin: None,
                owner,
                names: names(Stored::Nothing),
            });
        }
        let mut bytes = Vec::new();
        if packer.pack(Purpose::Data, buffer, &mut bytes)? {
            bytes.shrink_to_fit();
            let (size, names) = (bytes.len() as u32, names(Stored::Packed));
            return Ok(Packed { size, bytes, origin: None, owner, names });
        }
        bytes.clear();
        bytes.extend_from_slice(buffer);
        let (size, names) = (bytes.len() as u32 | BLOCK_PLAIN, names(Stored::Plain));
        Ok(Packed { size, bytes, origin: None, owner, names })
    }

    /// Reads what a block has.
    fn gather(&self, contents: &dyn Contents, buffer: &mut Vec<u8>, block: Block) -> Result<(), Error> {
        buffer.clear();
        match block {
            Block::Data(piece) => {
                buffer.resize(piece.length, 0);
                self.read(contents, piece.node, piece.offset, buffer)
            }
            Block::Fragment(pieces) => {
                for piece in pieces {
                    let filled = buffer.len();
                    buffer.resize(filled + piece.length, 0);
                    self.read(contents, piece.node, piece.offset, &mut buffer[filled..])?;
                }
                Ok(())
            }
        }
    }

    /// Writes the inodes of all leaves but for what does not fill a metadata block, which stays in `table`. Returns
    /// where each is in the table before it is compressed.
    fn write_leaves(
        &self,
        threads: &Threads,
        same: &BTreeMap<Node, Node>,
        written: &Written,
        reuse: Option<&Reuse>,
        table: &mut Table,
        output: &mut Output<'_>,
    ) -> Result<Vec<u64>, Error> {
        let mut places = Vec::with_capacity(self.tree.nodes.len());
        let mut pending: Vec<u8> = Vec::new();
        let mut end = 0;
        let mut leaves = self.leaves.iter();
        let mut chunks = std::iter::from_fn(|| {
            while pending.len() < METADATA_LEN {
                let node = leaves.next()?;
                let origin = same.get(node).unwrap_or(node);
                let laid = &written.laid[self.number(*origin) as usize - 1];
                let sizes = &written.sizes[laid.blocks.0..laid.blocks.0 + laid.blocks.1];
                places.push(end);
                let before = pending.len();
                self.put_leaf(&mut pending, *node, laid, sizes);
                end += (pending.len() - before) as u64;
            }
            let rest = pending.split_off(METADATA_LEN);
            Some(std::mem::replace(&mut pending, rest))
        });
        let start = || {
            let mut packer = Packer::reusing(&self.options, reuse.map(Reuse::metadata))?;
            Ok(move |chunk: Vec<u8>| pack_block(&mut packer, &chunk))
        };
        let done = |block: Vec<u8>| {
            table.add(&block);
            table.drain(output)
        };
        in_order(&mut chunks, threads.count, threads.count * 16, start, done)?;
        table.leave(pending);
        Ok(places)
    }

    /// Writes listings and inodes of directories, each behind those of what is in it.
    fn write_directories(
        &self,
        packer: &mut Packer,
        inodes: &mut Table,
        listings: &mut Table,
        places: &mut Vec<u64>,
    ) -> Result<(), Error> {
        for node in &self.directories {
            let start = listings.length();
            let entries = &self.tree.directory(*node).expect("only directories are here").entries;
            let listed = entries.iter().map(|(name, child)| {
                let number = self.number(*child);
                let reference = inodes.reference(places[number as usize - 1])?;
                Ok(Listed { name: self.tree.text(*name), reference, number, kind: self.kind(*child) })
            });
            let (bytes, marks) = directory::encode(listed, start)?;
            listings.append(packer, &bytes)?;
            let listing = Listing {
                start: listings.block_start(start)?,
                offset: (start % METADATA_LEN as u64) as u16,
                length: u32::try_from(bytes.len()).map_err(|_| Error::TreeTooLarge)?,
                marks: marks
                    .into_iter()
                    .map(|mark| {
                        let block = listings.block_start(start + u64::from(mark.offset))?;
                        Ok((mark, block))
                    })
                    .collect::<Result<_, Error>>()?,
            };
            places.push(inodes.length());
            let mut bytes = Vec::new();
            self.put_directory(&mut bytes, *node, &listing)?;
            inodes.append(packer, &bytes)?;
        }
        Ok(())
    }
}

/// The size of an entry of the table of fragments.
pub(super) const FRAGMENT_LEN: usize = 16;

/// Returns the block that an earlier image has with these contents.
fn recall(
    scope: &Scope,
    contents: Key,
    range: Option<Key>,
    owner: Option<(Node, u64, usize)>,
) -> Option<Packed> {
    let found = scope.recall(&contents)?;
    let stored = Stored::from_number(found.kind)?;
    let mark = if stored == Stored::Plain { BLOCK_PLAIN } else { 0 };
    let size = u32::try_from(found.bytes.len()).ok()? | mark;
    let names = Some(Names { contents, range, stored });
    Some(Packed { size, bytes: found.bytes, origin: Some(found.origin), owner, names })
}

fn is_zero(bytes: &[u8]) -> bool {
    // Nearly all blocks show in their first bytes that they are not.
    bytes.iter().all(|byte| *byte == 0)
}
