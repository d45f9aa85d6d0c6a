//! Inodes: a short form for what is usual, and a long one that says more.

use super::bytes::{Fields, Put};
use super::directory::{DOTS, Mark};
use super::error::Error;
use super::format::NONE;
use super::image::Image;
use super::plan::FragmentPlace;
use crate::tree::{self, Node, ROOT, Timestamp};

/// The types of the short forms. The long one of each is [`LONG`] more.
pub(super) const DIRECTORY: u16 = 1;
pub(super) const FILE: u16 = 2;
pub(super) const SYMLINK: u16 = 3;
pub(super) const BLOCK_DEVICE: u16 = 4;
pub(super) const CHAR_DEVICE: u16 = 5;
pub(super) const FIFO: u16 = 6;
pub(super) const SOCKET: u16 = 7;
const LONG: u16 = 7;
/// What all inodes begin with.
pub(super) const HEADER_LEN: usize = 16;

/// Where the data of a file is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Laid {
    /// Where its blocks start.
    pub(super) start: u64,
    /// How many bytes of it are in blocks of zeros, which are not stored.
    pub(super) sparse: u64,
    /// Where its end is.
    pub(super) fragment: Option<FragmentPlace>,
    /// Which sizes of blocks are its own: the first, and how many.
    pub(super) blocks: (usize, usize),
}

/// Where the listing of a directory is.
pub(super) struct Listing {
    /// Its metadata block.
    pub(super) start: u32,
    /// Its place in that.
    pub(super) offset: u16,
    pub(super) length: u32,
    /// Its marks, and the metadata block of each.
    pub(super) marks: Vec<(Mark, u32)>,
}

/// Returns a time as squashfs has it, or the nearest that it has.
fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.seconds().max(0)).unwrap_or(u32::MAX)
}

/// Returns a device's number as the kernel's `new_encode_dev` has it.
fn device_number(major: u16, minor: u32) -> u32 {
    minor & 0xff | u32::from(major) << 8 | (minor & !0xff) << 12
}

impl Image {
    /// Returns the basic type of a node's inode.
    pub(super) fn kind(&self, node: Node) -> u16 {
        match self.tree.nodes[node.index()].content {
            tree::Content::Directory(_) => DIRECTORY,
            tree::Content::File { .. } => FILE,
            tree::Content::Symlink(_) => SYMLINK,
            tree::Content::BlockDevice { .. } => BLOCK_DEVICE,
            tree::Content::CharDevice { .. } => CHAR_DEVICE,
            tree::Content::Fifo => FIFO,
            tree::Content::Socket => SOCKET,
        }
    }

    /// Returns the place of a node's set of attributes, if it has any.
    fn attributes(&self, node: Node) -> Option<u32> {
        self.xattrs.get(self.tree.nodes[node.index()].attributes).map(|(place, _)| place)
    }

    fn put_header(&self, bytes: &mut Vec<u8>, node: Node, is_long: bool) {
        let metadata = &self.tree.nodes[node.index()].metadata;
        bytes.put_u16(self.kind(node) + if is_long { LONG } else { 0 });
        bytes.put_u16(metadata.mode);
        bytes.put_u16(self.id_place(metadata.uid));
        bytes.put_u16(self.id_place(metadata.gid));
        bytes.put_u32(seconds(metadata.mtime));
        bytes.put_u32(self.number(node));
    }

    /// Appends the inode of what is not a directory; `laid` and `sizes` are of a file.
    pub(super) fn put_leaf(&self, bytes: &mut Vec<u8>, node: Node, laid: &Laid, sizes: &[u32]) {
        let declared = &self.tree.nodes[node.index()];
        let xattrs = self.attributes(node);
        if let tree::Content::File { size } = declared.content {
            return self.put_file(bytes, node, size, laid, sizes);
        }
        self.put_header(bytes, node, xattrs.is_some());
        bytes.put_u32(declared.links);
        match declared.content {
            tree::Content::Symlink(target) => {
                let target = self.tree.text(target);
                bytes.put_u32(target.len() as u32);
                bytes.extend_from_slice(target);
            }
            tree::Content::BlockDevice { major, minor } | tree::Content::CharDevice { major, minor } => {
                bytes.put_u32(device_number(major, minor));
            }
            tree::Content::Fifo | tree::Content::Socket => {}
            tree::Content::File { .. } | tree::Content::Directory(_) => {
                unreachable!("these have their own forms")
            }
        }
        if let Some(xattrs) = xattrs {
            bytes.put_u32(xattrs);
        }
    }

    fn put_file(&self, bytes: &mut Vec<u8>, node: Node, size: u64, laid: &Laid, sizes: &[u32]) {
        let declared = &self.tree.nodes[node.index()];
        let xattrs = self.attributes(node);
        let short = (u32::try_from(laid.start).ok())
            .zip(u32::try_from(size).ok())
            .filter(|_| declared.links == 1 && laid.sparse == 0 && xattrs.is_none());
        self.put_header(bytes, node, short.is_none());
        let fragment = laid.fragment.map_or([NONE, 0], |place| [place.block, place.offset]);
        match short {
            Some((start, size)) => {
                bytes.put_u32(start);
                bytes.put_u32(fragment[0]);
                bytes.put_u32(fragment[1]);
                bytes.put_u32(size);
            }
            None => {
                bytes.put_u64(laid.start);
                bytes.put_u64(size);
                // A file of zeros alone would have no block at all for `stat`.
                bytes.put_u64(laid.sparse.min(size.saturating_sub(1)));
                bytes.put_u32(declared.links);
                bytes.put_u32(fragment[0]);
                bytes.put_u32(fragment[1]);
                bytes.put_u32(xattrs.unwrap_or(NONE));
            }
        }
        for size in sizes {
            bytes.put_u32(*size);
        }
    }

    /// Appends the inode of a directory.
    pub(super) fn put_directory(
        &self,
        bytes: &mut Vec<u8>,
        node: Node,
        listing: &Listing,
    ) -> Result<(), Error> {
        let xattrs = self.attributes(node);
        let directory = self.tree.directory(node).expect("only directories come here");
        let links = directory.n_subdirectories.checked_add(2).ok_or(Error::TreeTooLarge)?;
        // The root is in nothing; its parent is a number that nobody has.
        let parent =
            if node == ROOT { self.tree.nodes.len() as u32 + 1 } else { self.number(directory.parent) };
        let size = listing.length.checked_add(DOTS).ok_or(Error::TreeTooLarge)?;
        let short = u16::try_from(size).ok().filter(|_| listing.marks.is_empty() && xattrs.is_none());
        self.put_header(bytes, node, short.is_none());
        if let Some(size) = short {
            bytes.put_u32(listing.start);
            bytes.put_u32(links);
            bytes.put_u16(size);
            bytes.put_u16(listing.offset);
            bytes.put_u32(parent);
            return Ok(());
        }
        // What is behind the last mark that can be counted is found by reading on from there.
        let marks = &listing.marks[..listing.marks.len().min(u16::MAX.into())];
        bytes.put_u32(links);
        bytes.put_u32(size);
        bytes.put_u32(listing.start);
        bytes.put_u32(parent);
        bytes.put_u16(marks.len() as u16);
        bytes.put_u16(listing.offset);
        bytes.put_u32(xattrs.unwrap_or(NONE));
        for (mark, start) in marks {
            bytes.put_u32(mark.offset);
            bytes.put_u32(*start);
            bytes.put_u32(mark.name.len() as u32 - 1);
            bytes.extend_from_slice(&mark.name);
        }
        Ok(())
    }
}

/// An inode that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Its number, from 1.
    pub number: u32,
    /// Permission, set-id and sticky bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Modification time in seconds since 1970.
    pub mtime: u32,
    /// How many names it has; of a directory, how many directories lead to it.
    pub links: u32,
    /// The number of its set of attributes.
    pub(super) xattrs: Option<u32>,
    /// What it is.
    pub content: Content,
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory {
        /// The number of the directory that it is in.
        parent: u32,
        /// The metadata block of its listing, the place in that, and the size with three bytes for the dots.
        listing: (u32, u16, u32),
        /// How many marks its index has.
        n_marks: u16,
    },
    /// A file; its blocks are in what follows the inode.
    File {
        /// How many bytes it has.
        size: u64,
        /// Where its blocks start.
        start: u64,
        /// How many bytes are not stored, being zero.
        sparse: u64,
        /// The block of fragments that has its end, and where in that.
        fragment: Option<(u32, u32)>,
        /// The reference to the list of its blocks' sizes.
        blocks: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: Vec<u8>,
    },
    /// A block device: major and minor number.
    BlockDevice(u32, u32),
    /// A character device: major and minor number.
    CharDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// What all inodes begin with.
pub(super) struct Header {
    /// The basic type.
    pub(super) kind: u16,
    pub(super) is_long: bool,
    pub(super) mode: u16,
    /// Places in the table of owners.
    pub(super) owners: [u16; 2],
    pub(super) mtime: u32,
    pub(super) number: u32,
}

impl Header {
    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Header> {
        let mut fields = Fields(bytes);
        let kind = fields.u16()?;
        let is_long = kind > LONG;
        let kind = if is_long { kind - LONG } else { kind };
        let is_known = (DIRECTORY..=SOCKET).contains(&kind);
        let header = Header {
            kind,
            is_long,
            mode: fields.u16()?,
            owners: [fields.u16()?, fields.u16()?],
            mtime: fields.u32()?,
            number: fields.u32()?,
        };
        is_known.then_some(header)
    }

    /// Returns the size of what comes next, before anything whose size it says.
    pub(super) fn body_len(&self) -> usize {
        match (self.kind, self.is_long) {
            (DIRECTORY, false) | (FILE, false) => 16,
            (DIRECTORY, true) => 24,
            (FILE, true) => 40,
            (SYMLINK, _) | (BLOCK_DEVICE | CHAR_DEVICE, false) => 8,
            (BLOCK_DEVICE | CHAR_DEVICE, true) => 12,
            (_, is_long) => {
                if is_long {
                    8
                } else {
                    4
                }
            }
        }
    }
}

/// Returns a device's major and minor number, as the kernel's `new_decode_dev` has them.
pub(super) fn device(number: u32) -> (u32, u32) {
    (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00)
}
