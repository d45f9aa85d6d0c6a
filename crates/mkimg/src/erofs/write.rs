//! Streaming: the data of files from many threads, then everything that says where it is.

use super::data::{Data, Reuse};
use super::error::Error;
use super::image::Image;
use super::metadata::Metadata;
use super::options::{BLOCK, Options};
use super::pack::Packer;
use super::superblock::{self, Summary};
use crate::GapSink;
use crate::contents::{Contents, Placed, Unplaced};
use crate::duplicates;
use crate::output::Output;
use crate::tree::{Node, ROOT};

/// What compressors and what they work on may take together, in bytes.
const WORKERS_MEMORY: usize = 96 << 20;
/// What results may take that wait for an earlier one, in bytes.
const WAITING_MEMORY: usize = 64 << 20;

/// How many threads work, and how many of their results may wait.
pub(super) struct Threads {
    pub(super) count: usize,
    pub(super) limit: usize,
}

impl Threads {
    fn new(wanted: usize, options: &Options, piece_len: usize) -> Threads {
        // A thread has a piece and its compressed form.
        let each = Packer::memory(options) + 2 * piece_len;
        let count = wanted.clamp(1, (WORKERS_MEMORY / each).max(1));
        let limit = (WAITING_MEMORY / piece_len).min(count * 16).max(count + 1);
        Threads { count, limit }
    }
}

/// Returns the number of the block at this position, which begins one.
pub(super) fn block_number(position: u64) -> Result<u32, Error> {
    // The last number stands for none.
    u32::try_from(position / BLOCK as u64).ok().filter(|number| *number < u32::MAX).ok_or(Error::TreeTooLarge)
}

impl Image {
    /// Writes the image into `sink` on `n_threads` threads, which do not change it, and returns its size.
    ///
    /// `contents` is asked for what is in files: some are read twice, to find those that are the same. The first block
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
        let threads = Threads::new(n_threads, &self.options, self.piece_len());
        let mut output = Output::new(sink, BLOCK as u64);
        let files = self.files.iter().filter(|node| self.has_blocks(**node));
        let files = files.filter_map(|node| Some((*node, self.size(*node)?)));
        let known = reuse.map(Reuse::files);
        let mut same = duplicates::find(files, threads.count, contents, known, |node, offset, buffer| {
            self.read(contents, node, offset, buffer)
        })?;
        // An end that is beside one inode is in no block that another could have.
        same.retain(|node, origin| {
            let size = self.size(*node).unwrap_or(0);
            self.tail(*node, size) == self.tail(*origin, size)
        });
        let data = self.write_data(contents, &threads, &same, reuse, &mut output)?;
        let metadata = Metadata::new(self, &same, &data, block_number(output.position())?)?;
        metadata.write_texts(&mut output)?;
        let first = metadata.write_inodes(contents, &threads, &mut output)?;
        let xattrs = if self.shared.bytes.is_empty() { 0 } else { block_number(output.position())? };
        output.append(&self.shared.bytes)?;

        let size = output.position().next_multiple_of(BLOCK as u64);
        let summary = Summary {
            root: u16::try_from(metadata.nid(ROOT)).expect("the root is placed first"),
            inodes: self.tree.nodes.len() as u64,
            blocks: block_number(size)?,
            metadata: first,
            xattrs,
            has_chunks: data.values().any(|data| matches!(data, Data::Chunks { .. })),
        };
        let superblock = superblock::encode(&self.options, &summary);
        Ok(output.close(BLOCK as u64, (0, &superblock))?)
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
}
