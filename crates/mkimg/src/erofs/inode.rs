//! Inodes: 32 bytes for what is root's or nearly, and as old as the file system; 64 bytes for all else.

use super::error::ReadError;
use super::xattr;
use crate::bytes::{get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};
use crate::tree::{Metadata, Timestamp};

/// The size of `struct erofs_inode_compact`.
pub(super) const COMPACT_LEN: usize = 32;
/// The size of `struct erofs_inode_extended`.
pub(super) const EXTENDED_LEN: usize = 64;

/// Where the data of an inode is (`EROFS_INODE_…`).
pub(super) mod layout {
    /// In blocks that follow each other.
    pub(in super::super) const PLAIN: u16 = 0;
    /// Compressed, with an index of eight bytes for each block.
    pub(in super::super) const FULL: u16 = 1;
    /// In blocks that follow each other; what does not fill one is beside the inode.
    pub(in super::super) const INLINE: u16 = 2;
    /// Compressed, with a compact index.
    pub(in super::super) const COMPACT: u16 = 3;
    /// In chunks, of which some are holes.
    pub(in super::super) const CHUNKS: u16 = 4;
}

/// Types of inodes, as in their mode, with those in directories (`EROFS_FT_…`).
pub(super) mod kind {
    pub(in super::super) const FILE: (u16, u8) = (0o100_000, 1);
    pub(in super::super) const DIRECTORY: (u16, u8) = (0o040_000, 2);
    pub(in super::super) const CHAR_DEVICE: (u16, u8) = (0o020_000, 3);
    pub(in super::super) const BLOCK_DEVICE: (u16, u8) = (0o060_000, 4);
    pub(in super::super) const FIFO: (u16, u8) = (0o010_000, 5);
    pub(in super::super) const SOCKET: (u16, u8) = (0o140_000, 6);
    pub(in super::super) const SYMLINK: (u16, u8) = (0o120_000, 7);
}

/// The bits of a mode that say what an inode is.
const TYPE: u16 = 0o170_000;

/// An inode that is written.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) layout: u16,
    /// The number of blocks, the first block, the device or the size of chunks, as the layout and the type have it.
    pub(super) detail: u32,
    pub(super) size: u64,
    /// The size of its attributes beside it.
    pub(super) xattrs_len: usize,
    pub(super) kind: u16,
    pub(super) metadata: Metadata,
    pub(super) number: u32,
    pub(super) links: u32,
}

impl Record {
    fn is_compact(&self, epoch: Timestamp) -> bool {
        let Metadata { uid, gid, mtime, .. } = self.metadata;
        mtime == epoch
            && u32::try_from(self.size).is_ok()
            && [self.links, uid, gid].into_iter().all(|number| u16::try_from(number).is_ok())
    }

    /// Returns the size of the inode itself.
    pub(super) fn len(&self, epoch: Timestamp) -> usize {
        if self.is_compact(epoch) { COMPACT_LEN } else { EXTENDED_LEN }
    }

    /// Returns the inode itself.
    pub(super) fn encode(&self, epoch: Timestamp) -> Vec<u8> {
        let mut bytes = vec![0; self.len(epoch)];
        let is_compact = bytes.len() == COMPACT_LEN;
        let Metadata { mode, uid, gid, mtime } = self.metadata;
        put_u16(&mut bytes, 0, u16::from(!is_compact) | self.layout << 1);
        let units = match self.xattrs_len.checked_sub(xattr::HEADER_LEN) {
            Some(rest) => rest / xattr::UNIT + 1,
            None => 0,
        };
        put_u16(&mut bytes, 2, units as u16);
        put_u16(&mut bytes, 4, self.kind | mode);
        put_u32(&mut bytes, 16, self.detail);
        put_u32(&mut bytes, 20, self.number);
        if is_compact {
            put_u16(&mut bytes, 6, self.links as u16);
            put_u32(&mut bytes, 8, self.size as u32);
            put_u16(&mut bytes, 24, uid as u16);
            put_u16(&mut bytes, 26, gid as u16);
        } else {
            put_u64(&mut bytes, 8, self.size);
            put_u32(&mut bytes, 24, uid);
            put_u32(&mut bytes, 28, gid);
            put_u64(&mut bytes, 32, mtime.seconds().cast_unsigned());
            put_u32(&mut bytes, 40, mtime.nanoseconds());
            put_u32(&mut bytes, 44, self.links);
        }
        bytes
    }
}

/// Returns the number of a device as Linux has it in 32 bits.
pub(super) fn device(major: u16, minor: u32) -> u32 {
    minor & 0xff | u32::from(major) << 8 | (minor & !0xff) << 12
}

/// An inode that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// The number by which directories name it: its place.
    pub nid: u64,
    /// The number by which 32-bit programs know it.
    pub number: u32,
    /// Permission, set-id and sticky bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Modification time: seconds after 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// How many names it has.
    pub links: u32,
    /// The size of its contents, its listing or its target.
    pub size: u64,
    /// What it is.
    pub content: Content,
    pub(super) layout: u16,
    pub(super) detail: u32,
    /// The size of the inode itself and of the attributes beside it.
    pub(super) head_len: usize,
    pub(super) xattrs_len: usize,
}

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link.
    Symlink,
    /// A block device.
    BlockDevice(u32, u32),
    /// A character device.
    CharDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Content {
    /// Returns the type that a directory says.
    pub(super) fn kind(self) -> u8 {
        let (_, kind) = match self {
            Content::Directory => kind::DIRECTORY,
            Content::File => kind::FILE,
            Content::Symlink => kind::SYMLINK,
            Content::BlockDevice(..) => kind::BLOCK_DEVICE,
            Content::CharDevice(..) => kind::CHAR_DEVICE,
            Content::Fifo => kind::FIFO,
            Content::Socket => kind::SOCKET,
        };
        kind
    }

    fn new(mode: u16, device: u32) -> Option<Content> {
        let device = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00);
        let kinds = [
            (kind::DIRECTORY, Content::Directory),
            (kind::FILE, Content::File),
            (kind::SYMLINK, Content::Symlink),
            (kind::BLOCK_DEVICE, Content::BlockDevice(device.0, device.1)),
            (kind::CHAR_DEVICE, Content::CharDevice(device.0, device.1)),
            (kind::FIFO, Content::Fifo),
            (kind::SOCKET, Content::Socket),
        ];
        kinds.into_iter().find(|((bits, _), _)| mode & TYPE == *bits).map(|(_, content)| content)
    }
}

impl Inode {
    /// Returns the size of an inode that begins with these two bytes.
    pub(super) fn len(format: [u8; 2]) -> usize {
        if format[0] & 1 == 0 { COMPACT_LEN } else { EXTENDED_LEN }
    }

    /// Understands an inode, which has the size that its first bytes say.
    pub(super) fn decode(nid: u64, bytes: &[u8], epoch: (u64, u32)) -> Result<Inode, ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(format!("inode {nid}"), problem);
        let format = get_u16(bytes, 0);
        let layout = format >> 1 & 7;
        if layout > layout::CHUNKS || format > 0xf {
            return Err(ReadError::unsupported(format!("inode {nid} has the format {format:#x}")));
        }
        let units = usize::from(get_u16(bytes, 2));
        let xattrs_len = if units == 0 { 0 } else { xattr::HEADER_LEN + (units - 1) * xattr::UNIT };
        let (mode, detail) = (get_u16(bytes, 4), get_u32(bytes, 16));
        let is_compact = bytes.len() == COMPACT_LEN;
        let small = |at| u32::from(get_u16(bytes, at));
        let (uid, gid, links) = if is_compact {
            (small(24), small(26), small(6))
        } else {
            (get_u32(bytes, 24), get_u32(bytes, 28), get_u32(bytes, 44))
        };
        let (seconds, nanoseconds) =
            if is_compact { epoch } else { (get_u64(bytes, 32), get_u32(bytes, 40)) };
        Ok(Inode {
            nid,
            number: get_u32(bytes, 20),
            mode: mode & !TYPE,
            uid,
            gid,
            mtime: (seconds.cast_signed(), nanoseconds),
            links,
            size: if is_compact { get_u32(bytes, 8).into() } else { get_u64(bytes, 8) },
            content: Content::new(mode, detail).ok_or_else(|| corrupt("its type is unknown"))?,
            layout,
            detail,
            head_len: bytes.len() + xattrs_len,
            xattrs_len,
        })
    }
}
