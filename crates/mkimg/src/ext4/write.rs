//! Streaming: from the layout to bytes, each once, at ascending offsets.

use std::collections::BTreeMap;
use std::io;

use super::allocation::{Run, Use};
use super::bytes::{low_u32, put_u32};
use super::directory::{Blocks, Entry, Plan};
use super::error::Error;
use super::extent::Tree as ExtentTree;
use super::geometry::{Fixed, Structure};
use super::group::{BLOCK_UNINIT, DESCRIPTOR_LEN, INODE_UNINIT, fill_inode_bitmap};
use super::image::Image;
use super::inode::{self, LEN as INODE_LEN, entry_type};
use super::journal;
use super::superblock;
use super::xattr::write_block;
use crate::Sink;
use crate::tree::{Content, Node};

/// How much goes into the sink at once.
const BUFFER_LEN: usize = 1 << 20;

/// Collects bytes that follow each other, so that small files do not become small writes.
struct Output<'a> {
    sink: &'a mut dyn Sink,
    buffer: Vec<u8>,
    /// Where in the image the buffer starts, and how much of it is filled.
    start: u64,
    filled: usize,
}

impl Output<'_> {
    /// Returns the next `length` bytes, which are those at `offset` of the image and have any value.
    fn reserve(&mut self, offset: u64, length: usize) -> Result<&mut [u8], Error> {
        if offset != self.start + self.filled as u64 || self.filled + length > self.buffer.len() {
            self.flush()?;
            self.start = offset;
        }
        let from = self.filled;
        self.filled += length;
        Ok(&mut self.buffer[from..self.filled])
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.filled > 0 {
            self.sink
                .data(self.start, &self.buffer[..self.filled])
                .map_err(|source| Error::Write { source })?;
            self.filled = 0;
        }
        Ok(())
    }

    fn zeros(&mut self, offset: u64, length: u64) -> Result<(), Error> {
        self.flush()?;
        if length > 0 {
            self.sink.zeros(offset, length).map_err(|source| Error::Write { source })?;
        }
        Ok(())
    }
}

/// Fills the buffer with the bytes at an offset of a file; fewer than that are an error.
pub type Contents<'a> = dyn FnMut(Node, u64, &mut [u8]) -> io::Result<()> + 'a;

/// What is needed beside the image while it is written.
struct Writer<'a> {
    image: &'a Image,
    contents: &'a mut Contents<'a>,
    output: Output<'a>,
    block_len: usize,
    /// The directory whose blocks are being written: a large one may be in several runs.
    plan: Option<(u32, Plan)>,
    xattr_references: BTreeMap<u64, u32>,
}

impl Image {
    /// Writes the image into `sink`. `contents` is asked for the data of files, in the order in which it is stored:
    /// it has to fill the buffer with what is in the file from the offset on.
    pub fn write(&self, contents: &mut Contents<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
        let output = Output { sink, buffer: vec![0; BUFFER_LEN], start: 0, filled: 0 };
        let block_len = self.options.block_size.len();
        let xattr_references = self.xattr_references();
        let contents = &mut |node: Node, offset: u64, buffer: &mut [u8]| contents(node, offset, buffer);
        let mut writer = Writer { image: self, contents, output, block_len, plan: None, xattr_references };
        writer.write_all()
    }
}

impl Writer<'_> {
    fn write_all(&mut self) -> Result<(), Error> {
        let image = self.image;
        let mut fixed = image.geometry.fixed.iter().peekable();
        let mut runs = image.allocation.runs.iter().peekable();
        // A block of 1024 bytes in front of the first group is for boot loaders.
        let mut at = 0;
        loop {
            let next_run = runs.peek().map_or(u64::MAX, |run| run.start);
            if let Some(structure) = fixed.next_if(|fixed| fixed.start < next_run) {
                self.zeros(at, structure.start)?;
                self.write_fixed(structure)?;
                at = structure.start + structure.length;
            } else if let Some(run) = runs.next() {
                self.zeros(at, run.start)?;
                self.write_run(run)?;
                at = run.start + u64::from(run.length);
            } else {
                break;
            }
        }
        let end = self.offset(at);
        self.output.zeros(end, image.size() - end)
    }

    fn offset(&self, block: u64) -> u64 {
        block * self.block_len as u64
    }

    /// Writes zeros from block `from` up to block `to`.
    fn zeros(&mut self, from: u64, to: u64) -> Result<(), Error> {
        if from == to {
            return Ok(());
        }
        self.output.zeros(self.offset(from), self.offset(to - from))
    }

    /// Returns the buffer of block `block`, of any value.
    fn block(&mut self, block: u64) -> Result<&mut [u8], Error> {
        self.output.reserve(self.offset(block), self.block_len)
    }

    fn write_fixed(&mut self, fixed: &Fixed) -> Result<(), Error> {
        let image = self.image;
        match fixed.structure {
            Structure::Superblock { group } => self.write_superblock(fixed.start, group),
            Structure::BlockBitmaps { first, n } => {
                for group in first..first + n {
                    let bitmap = self.block(image.geometry.locations[group as usize].block_bitmap)?;
                    if image.groups[group as usize].flags & BLOCK_UNINIT == 0 {
                        image.fill_block_bitmap(group, bitmap);
                    } else {
                        bitmap.fill(0);
                    }
                }
                Ok(())
            }
            Structure::InodeBitmaps { first, n } => {
                for group in first..first + n {
                    let bitmap = self.block(image.geometry.locations[group as usize].inode_bitmap)?;
                    if image.groups[group as usize].flags & INODE_UNINIT == 0 {
                        fill_inode_bitmap(bitmap, image.used_inodes(group), image.geometry.inodes_per_group);
                    } else {
                        bitmap.fill(0);
                    }
                }
                Ok(())
            }
            Structure::InodeTables { first, n } => {
                (first..first + n).try_for_each(|group| self.write_table(group))
            }
        }
    }

    fn write_superblock(&mut self, start: u64, group: u32) -> Result<(), Error> {
        let image = self.image;
        let geometry = &image.geometry;
        let block = self.block(start)?;
        block.fill(0);
        // The first superblock is always 1024 bytes into the image, and the others start their blocks.
        let at = if start == 0 { superblock::OFFSET as usize } else { 0 };
        block[at..at + superblock::LEN].copy_from_slice(&image.superblock.encode(group));

        let per_block = self.block_len / DESCRIPTOR_LEN;
        for (index, descriptors) in image.groups.chunks(per_block).enumerate() {
            let block = self.block(start + 1 + index as u64)?;
            block.fill(0);
            for (position, descriptor) in descriptors.iter().enumerate() {
                let group = (index * per_block + position) as u32;
                let at = position * DESCRIPTOR_LEN;
                block[at..at + DESCRIPTOR_LEN].copy_from_slice(&descriptor.encode(group, image.seed));
            }
        }

        let reserved = start + 1 + geometry.descriptor_blocks;
        if group > 0 {
            return self.zeros(reserved, reserved + geometry.reserved_descriptor_blocks);
        }
        // Each of the first group's is an indirect block with the addresses of its copies in the other groups.
        for index in 0..geometry.reserved_descriptor_blocks {
            let address = reserved + index;
            let block = self.block(address)?;
            block.fill(0);
            for (place, backup) in geometry.backup_groups().enumerate() {
                let copy = address + geometry.group_start(backup) - geometry.group_start(0);
                put_u32(block, place * 4, low_u32(copy));
            }
        }
        Ok(())
    }

    fn write_table(&mut self, group: u32) -> Result<(), Error> {
        let image = self.image;
        let start = image.geometry.locations[group as usize].inode_table;
        let first = group * image.geometry.inodes_per_group + 1;
        let used = image.used_inodes(group);
        let per_block = (self.block_len / INODE_LEN) as u32;
        for index in 0..used.div_ceil(per_block) {
            let block = self.block(start + u64::from(index))?;
            for (position, slot) in (0..per_block).zip(block.chunks_exact_mut(INODE_LEN)) {
                let place = index * per_block + position;
                if place < used {
                    image.inode(first + place).encode(image.seed, slot);
                } else {
                    slot.fill(0);
                }
            }
        }
        let written = u64::from(used.div_ceil(per_block));
        self.zeros(start + written, start + image.geometry.inode_table_blocks)
    }

    fn write_run(&mut self, run: &Run) -> Result<(), Error> {
        let image = self.image;
        match run.usage {
            Use::Data => match image.numbers.node(run.inode) {
                None => self.write_journal(run),
                Some(node) => match image.tree.nodes[node].content {
                    Content::Directory(place) => self.write_directory(run, place as usize),
                    Content::Symlink(target) => {
                        let block = self.block(run.start)?;
                        let target = image.tree.text(target);
                        block[..target.len()].copy_from_slice(target);
                        block[target.len()..].fill(0);
                        Ok(())
                    }
                    Content::File { size } => self.write_file(run, node as u32, size),
                    Content::CharDevice { .. }
                    | Content::BlockDevice { .. }
                    | Content::Fifo
                    | Content::Socket => Ok(()),
                },
            },
            Use::Tree => {
                let extents = image.extents(run.inode);
                let addresses = image.tree_addresses(run.inode);
                let tree = ExtentTree::new(&extents, &addresses, image.options.block_size);
                let owner = image.seed.inode(run.inode, 0);
                for index in 0..run.length {
                    let block = self.block(run.start + u64::from(index))?;
                    tree.block((run.logical + index) as usize, owner, block);
                }
                Ok(())
            }
            Use::Xattrs => {
                let references = self.xattr_references.get(&run.start).copied().unwrap_or_default();
                let attributes = &image.xattrs.sets()[run.inode as usize].block;
                let block = self.block(run.start)?;
                write_block(attributes, references, run.start, image.seed, block);
                Ok(())
            }
            Use::ResizeMap => {
                let geometry = &image.geometry;
                let block = self.block(run.start)?;
                block.fill(0);
                let addresses = block.len() as u64 / 4;
                for index in geometry.descriptor_blocks
                    ..geometry.descriptor_blocks + geometry.reserved_descriptor_blocks
                {
                    let place = (index % addresses) as usize;
                    put_u32(block, place * 4, low_u32(geometry.group_start(0) + 1 + index));
                }
                Ok(())
            }
        }
    }

    fn write_journal(&mut self, run: &Run) -> Result<(), Error> {
        let image = self.image;
        let mut start = run.start;
        if run.logical == 0 {
            let n_blocks = image.allocation.data(inode::JOURNAL).iter().map(|run| run.length).sum();
            let block = self.block(start)?;
            journal::superblock(image.options.block_size, n_blocks, &image.options.uuid, block);
            start += 1;
        }
        self.zeros(start, run.start + u64::from(run.length))
    }

    fn write_directory(&mut self, run: &Run, place: usize) -> Result<(), Error> {
        let image = self.image;
        let plan = match self.plan.take() {
            Some((inode, plan)) if inode == run.inode => plan,
            _ => image.plan(place),
        };
        let entries = &image.tree.directories[place].entries;
        let entry = |index: usize| {
            let (name, node) = entries[index];
            let file_type = entry_type(match image.tree.nodes[node.index()].content {
                Content::Directory(_) => inode::DIRECTORY,
                Content::File { .. } => inode::REGULAR,
                Content::Symlink(_) => inode::SYMLINK,
                Content::CharDevice { .. } => inode::CHAR_DEVICE,
                Content::BlockDevice { .. } => inode::BLOCK_DEVICE,
                Content::Fifo => inode::FIFO,
                Content::Socket => inode::SOCKET,
            });
            Entry { name: image.tree.text(name), inode: image.numbers.inode(node.index()), file_type }
        };
        let blocks = Blocks {
            plan: &plan,
            n_names: entries.len(),
            entry,
            inode: run.inode,
            parent: image.parent(place),
            owner: image.seed.inode(run.inode, 0),
            block_size: image.options.block_size,
        };
        for index in 0..run.length {
            let block = self
                .output
                .reserve((run.start + u64::from(index)) * self.block_len as u64, self.block_len)?;
            blocks.write((run.logical + index) as usize, block);
        }
        self.plan = Some((run.inode, plan));
        Ok(())
    }

    fn write_file(&mut self, run: &Run, node: u32, size: u64) -> Result<(), Error> {
        let node = Node::from_index(node);
        let mut done = 0;
        while done < u64::from(run.length) {
            let room = self.output.buffer.len() - self.output.filled;
            let blocks = (room / self.block_len).max(1) as u64;
            // A small rest of the buffer would make many small reads of a large file.
            let blocks = if room < BUFFER_LEN / 4 { (BUFFER_LEN / self.block_len) as u64 } else { blocks };
            let blocks = blocks.min(u64::from(run.length) - done);
            let offset = self.offset(u64::from(run.logical) + done);
            let length = self.offset(blocks) as usize;
            let start = self.offset(run.start + done);
            let buffer = self.output.reserve(start, length)?;
            let (data, padding) = buffer.split_at_mut(length.min((size.saturating_sub(offset)) as usize));
            padding.fill(0);
            (self.contents)(node, offset, data)
                .map_err(|source| Error::Contents { path: self.image.tree.path(node), source })?;
            done += blocks;
        }
        Ok(())
    }
}
