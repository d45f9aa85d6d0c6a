//! What is in a container.

use std::collections::BTreeMap;
use std::ops::Range;

use mkimg::{ext4, fat, iso, squashfs};

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link, and where it points.
    Symlink(Vec<u8>),
    /// Another name of the file at this path.
    HardLink(Vec<u8>),
    /// A character device with its numbers.
    CharDevice(u32, u32),
    /// A block device with its numbers.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// What removes something from the layers below.
    Whiteout,
    /// A partition of a disk.
    Partition,
    /// A section of a program, or another part of a file.
    Section,
}

impl EntryKind {
    /// Returns what people call it.
    pub fn name(&self) -> &'static str {
        match self {
            EntryKind::Directory => "directory",
            EntryKind::File => "file",
            EntryKind::Symlink(_) => "symlink",
            EntryKind::HardLink(_) => "hard link",
            EntryKind::CharDevice(..) => "character device",
            EntryKind::BlockDevice(..) => "block device",
            EntryKind::Fifo => "pipe",
            EntryKind::Socket => "socket",
            EntryKind::Whiteout => "whiteout",
            EntryKind::Partition => "partition",
            EntryKind::Section => "section",
        }
    }

    /// Returns the letter that `ls -l` has for it.
    pub fn letter(&self) -> char {
        match self {
            EntryKind::Directory => 'd',
            EntryKind::File | EntryKind::HardLink(_) | EntryKind::Partition | EntryKind::Section => '-',
            EntryKind::Symlink(_) => 'l',
            EntryKind::CharDevice(..) => 'c',
            EntryKind::BlockDevice(..) => 'b',
            EntryKind::Fifo => 'p',
            EntryKind::Socket => 's',
            EntryKind::Whiteout => 'w',
        }
    }

    /// Returns whether it has bytes.
    pub fn has_contents(&self) -> bool {
        matches!(self, EntryKind::File | EntryKind::HardLink(_) | EntryKind::Partition | EntryKind::Section)
    }
}

/// Where a container finds the bytes of an entry.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// Nowhere: it has none.
    None,
    /// In a part of the container's bytes: its number, and the range.
    Range(usize, Range<u64>),
    /// In an inode of ext4.
    Ext4(Box<ext4::Inode>),
    /// In an inode of squashfs.
    Squashfs(Box<squashfs::Inode>),
    /// In an inode of EROFS, by its number.
    Erofs(u64),
    /// In clusters of FAT.
    Fat(fat::Data),
    /// In extents of ISO 9660.
    Iso(Vec<iso::Extent>),
    /// In a file of the machine's.
    Host(std::path::PathBuf),
    /// Here.
    Bytes(std::sync::Arc<Vec<u8>>),
}

/// Something in a container.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its path in the container, without a slash in front; empty for the root.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permissions, if the format has them.
    pub mode: Option<u32>,
    /// Its owner and its group, if the format has them.
    pub owner: Option<(u32, u32)>,
    /// When it was changed, in seconds since 1970.
    pub mtime: Option<i64>,
    /// How many bytes it has.
    pub size: u64,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Where it lies in the bytes of the container, if that is one place.
    pub range: Option<Range<u64>>,
    /// What else is known of it: names of values, as in `type` and `guid` of a partition.
    pub details: Vec<(&'static str, String)>,
    /// What the names of one file have in common.
    pub(crate) identity: Option<u64>,
    pub(crate) place: Place,
}

impl Entry {
    /// Returns an entry of which nothing but this is known.
    pub(crate) fn new(path: impl Into<Vec<u8>>, kind: EntryKind, size: u64, place: Place) -> Entry {
        Entry {
            path: path.into(),
            kind,
            mode: None,
            owner: None,
            mtime: None,
            size,
            xattrs: BTreeMap::new(),
            range: None,
            details: Vec::new(),
            identity: None,
            place,
        }
    }

    /// Returns the path for people.
    pub fn shown(&self) -> String {
        shown(&self.path)
    }
}

/// Returns a path for people: what is not UTF-8 is escaped.
pub(crate) fn shown(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => path.escape_ascii().to_string(),
    }
}
