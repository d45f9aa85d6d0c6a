//! What is written behind the data: listings of directories, and inodes with what is beside them.

use std::collections::BTreeMap;

use super::data::Data;
use super::directory::{self, Listed};
use super::error::Error;
use super::image::Image;
use super::index;
use super::inode::{EXTENDED_LEN, Record, device, kind, layout};
use super::options::BLOCK;
use super::place::{Allocation, SLOT};
use super::write::{Threads, block_number};
use crate::contents::Contents;
use crate::output::Output;
use crate::pipeline::in_order;
use crate::tree::{Content, Node};

/// How many inodes a thread makes at once.
const GROUP: usize = 64;
/// What a size is of a chunk that is a hole, as the number of its first block, and where an inode has no block.
const NOWHERE: u32 = u32::MAX;

/// What is known of the image when its data is written.
pub(super) struct Metadata<'a> {
    image: &'a Image,
    same: &'a BTreeMap<Node, Node>,
    data: &'a BTreeMap<Node, Data>,
    /// The sizes of listings, and the first blocks of those and of targets that have blocks.
    texts: BTreeMap<Node, (u64, u32)>,
    /// By handle, where each inode is.
    places: Vec<u64>,
    /// The size of all inodes.
    len: u64,
}

impl Image {
    /// Says whether so much data can be beside an inode: together they are in one block.
    pub(super) fn fits_beside(&self, node: Node, length: usize) -> bool {
        EXTENDED_LEN + self.body(node).len() + length <= BLOCK
    }

    /// Returns the names in a directory and the two dots in order, each with what `target` makes of its node.
    fn listed<T>(&self, node: Node, target: impl Fn(Node) -> T) -> Vec<Listed<'_, T>> {
        let directory = self.tree.directory(node).expect("only directories are listed");
        let names = directory.entries.iter().map(|(name, child)| (self.tree.text(*name), *child));
        let mut listed: Vec<_> = [(&b"."[..], node), (b"..", directory.parent)]
            .into_iter()
            .chain(names)
            .map(|(name, node)| Listed { name, target: target(node) })
            .collect();
        listed.sort_unstable_by(|a, b| a.name.cmp(b.name));
        listed
    }

    fn kind(&self, node: Node) -> (u16, u8) {
        match self.tree.nodes[node.index()].content {
            Content::Directory(_) => kind::DIRECTORY,
            Content::File { .. } => kind::FILE,
            Content::Symlink(_) => kind::SYMLINK,
            Content::CharDevice { .. } => kind::CHAR_DEVICE,
            Content::BlockDevice { .. } => kind::BLOCK_DEVICE,
            Content::Fifo => kind::FIFO,
            Content::Socket => kind::SOCKET,
        }
    }
}

impl<'a> Metadata<'a> {
    /// Fixes the places of everything that is left; listings begin at the block `next`.
    pub(super) fn new(
        image: &'a Image,
        same: &'a BTreeMap<Node, Node>,
        data: &'a BTreeMap<Node, Data>,
        mut next: u32,
    ) -> Result<Metadata<'a>, Error> {
        let mut texts = BTreeMap::new();
        for node in &image.order {
            let length = match image.tree.nodes[node.index()].content {
                Content::Directory(_) => directory::len(&image.listed(*node, |_| ())),
                Content::Symlink(target) => image.tree.text(target).len() as u64,
                _ => continue,
            };
            texts.insert(*node, (length, next));
            let n_blocks = (length - image.tail(*node, length) as u64).div_ceil(BLOCK as u64);
            next = u32::try_from(u64::from(next) + n_blocks).map_err(|_| Error::TreeTooLarge)?;
        }
        let mut metadata =
            Metadata { image, same, data, texts, places: vec![0; image.tree.nodes.len()], len: 0 };
        let mut allocation = Allocation::new();
        for node in &image.order {
            let length = metadata.inode_len(*node)?;
            metadata.places[node.index()] = allocation.place(length);
        }
        metadata.len = allocation.len();
        Ok(metadata)
    }

    /// Returns the number of an inode.
    pub(super) fn nid(&self, node: Node) -> u64 {
        self.places[node.index()] / SLOT
    }

    fn data(&self, node: Node) -> Option<&'a Data> {
        self.data.get(self.same.get(&node).unwrap_or(&node))
    }

    fn record(&self, node: Node) -> Record {
        let declared = &self.image.tree.nodes[node.index()];
        let flat = |size: u64, start: u32| {
            let tail = self.image.tail(node, size);
            let start = if size > tail as u64 { start } else { NOWHERE };
            match (size, tail) {
                (0, _) => (layout::PLAIN, size, 0),
                (_, 0) => (layout::PLAIN, size, start),
                _ => (layout::INLINE, size, start),
            }
        };
        let (layout, size, detail) = match declared.content {
            Content::Directory(_) | Content::Symlink(_) => {
                let (length, start) = self.texts[&node];
                flat(length, start)
            }
            Content::File { size } => match self.data(node) {
                None => flat(size, NOWHERE),
                Some(Data::Flat(start)) => flat(size, *start),
                Some(Data::Chunks { log, .. }) => (layout::CHUNKS, size, (*log).into()),
                Some(Data::Compressed { extents, .. }) => {
                    let n_blocks = extents.iter().map(|extent| u32::from(extent.n_blocks)).sum();
                    (layout::COMPACT, size, n_blocks)
                }
            },
            Content::CharDevice { major, minor } | Content::BlockDevice { major, minor } => {
                (layout::PLAIN, 0, device(major, minor))
            }
            Content::Fifo | Content::Socket => (layout::PLAIN, 0, 0),
        };
        let links = self
            .image
            .tree
            .directory(node)
            .map_or(declared.links, |directory| 2 + directory.n_subdirectories);
        Record {
            layout,
            detail,
            size,
            xattrs_len: self.image.body(node).len(),
            kind: self.image.kind(node).0,
            metadata: declared.metadata,
            number: self.image.number(node),
            links,
        }
    }

    /// Returns the size of an inode with all that is beside it.
    fn inode_len(&self, node: Node) -> Result<usize, Error> {
        let record = self.record(node);
        let before = record.len(self.image.options.epoch) + record.xattrs_len;
        let beside = match (record.layout, self.data(node)) {
            (layout::INLINE, _) => record.size % BLOCK as u64,
            (_, Some(Data::Chunks { runs, .. })) => runs.iter().map(|run| run.n_chunks * 4).sum(),
            (_, Some(Data::Compressed { .. })) => index::len(before, record.size),
            _ => 0,
        };
        usize::try_from(before as u64 + beside).map_err(|_| Error::TreeTooLarge)
    }

    /// Returns an inode with all that is beside it.
    fn encode(&self, contents: &dyn Contents, node: Node) -> Result<Vec<u8>, Error> {
        let image = self.image;
        let record = self.record(node);
        let mut bytes = record.encode(image.options.epoch);
        bytes.extend_from_slice(image.body(node));
        if record.layout == layout::INLINE {
            let tail = (record.size % BLOCK as u64) as usize;
            let offset = record.size - tail as u64;
            if image.size(node).is_some() {
                let before = bytes.len();
                bytes.resize(before + tail, 0);
                image.read(contents, node, offset, &mut bytes[before..])?;
            } else {
                bytes.extend_from_slice(&self.text(node)[offset as usize..]);
            }
            return Ok(bytes);
        }
        match self.data(node) {
            Some(Data::Chunks { log, runs }) => {
                for run in runs {
                    let numbers = (0..run.n_chunks).map(|chunk| match run.start {
                        Some(start) => start + ((chunk as u32) << log),
                        None => NOWHERE,
                    });
                    numbers.for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
                }
            }
            Some(Data::Compressed { start, extents }) => {
                let algorithm = image.options.compression.number().expect("something was compressed");
                let index = index::encode(bytes.len(), algorithm, *start, extents);
                bytes.extend(index);
            }
            Some(Data::Flat(_)) | None => {}
        }
        Ok(bytes)
    }

    /// Returns the listing of a directory or the target of a link.
    fn text(&self, node: Node) -> Vec<u8> {
        match self.image.tree.nodes[node.index()].content {
            Content::Symlink(target) => self.image.tree.text(target).to_vec(),
            _ => {
                let listed = self.image.listed(node, |child| (self.nid(child), self.image.kind(child).1));
                directory::encode(&listed)
            }
        }
    }

    /// Writes the blocks of listings and targets.
    pub(super) fn write_texts(&self, output: &mut Output<'_>) -> Result<(), Error> {
        for node in &self.image.order {
            let Some((length, _)) = self.texts.get(node) else { continue };
            let whole = (length - self.image.tail(*node, *length) as u64) as usize;
            if whole > 0 {
                output.append(&self.text(*node)[..whole])?;
                output.fill_to(output.position().next_multiple_of(BLOCK as u64))?;
            }
        }
        Ok(())
    }

    /// Writes all inodes, and returns the block that their numbers count from.
    pub(super) fn write_inodes(
        &self,
        contents: &dyn Contents,
        threads: &Threads,
        output: &mut Output<'_>,
    ) -> Result<u32, Error> {
        let begin = output.position();
        let mut sorted = self.image.order.clone();
        sorted.sort_unstable_by_key(|node| self.places[node.index()]);
        let start = || {
            Ok(|nodes: &[Node]| {
                nodes
                    .iter()
                    .map(|node| Ok((*node, self.encode(contents, *node)?)))
                    .collect::<Result<Vec<_>, Error>>()
            })
        };
        let done = |encoded: Vec<(Node, Vec<u8>)>| {
            for (node, bytes) in encoded {
                output.fill_to(begin + self.places[node.index()])?;
                output.append(&bytes)?;
            }
            Ok(())
        };
        in_order(sorted.chunks(GROUP), threads.count, threads.count * 4, start, done)?;
        output.fill_to(begin + self.len)?;
        block_number(begin)
    }
}
