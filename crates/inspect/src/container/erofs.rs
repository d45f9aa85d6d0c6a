//! EROFS.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mkimg::erofs::{Content, Inode, ReadError, Reader};

use super::{Container, Opened, damaged, walked};
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::facts::{Fact, Value, uuid};
use crate::format::Format;
use crate::source::{Limits, Source, Spool};

/// The longest target of a link.
const MOST_TARGET: u64 = 4096;
/// The size of a block.
const BLOCK: u64 = 4096;

struct Erofs {
    name: String,
    reader: Reader<Source>,
    limits: Limits,
    /// How many bytes may still be unpacked, of all files together: as many as may be compared. Files are opened again
    /// and again, and are unpacked whole before anybody reads them.
    left: AtomicU64,
}

/// Opens a file system.
pub(super) fn open(name: &str, source: &Source, limits: Limits) -> Result<Opened, Error> {
    let reader = Reader::open(Source::clone(source)).map_err(|error| damaged(name, Format::Erofs, error))?;
    let superblock = reader.superblock();
    let facts = vec![
        Fact::new("label", superblock.label().escape_ascii().to_string()),
        Fact::new("uuid", uuid(&superblock.uuid)),
        Fact::new("size", Value::Size(u64::from(superblock.blocks) * BLOCK)),
        Fact::new("inodes", Value::Number(superblock.inodes)),
        Fact::new("made", Value::Number(superblock.epoch.0)),
    ];
    let container = Erofs { name: name.to_owned(), reader, limits, left: AtomicU64::new(limits.compared) };
    Ok(Opened { facts, ..Opened::with(Format::Erofs, container) })
}

impl Erofs {
    fn wrong(&self, error: ReadError) -> Error {
        damaged(&self.name, Format::Erofs, error)
    }

    fn entry(&self, path: &[u8], inode: &Inode) -> Result<Entry, ReadError> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let (kind, size) = match inode.content {
            Content::Directory => (EntryKind::Directory, 0),
            Content::File => (EntryKind::File, inode.size),
            Content::Symlink => (EntryKind::Symlink(self.reader.bytes(inode, MOST_TARGET)?), 0),
            Content::CharDevice(major, minor) => (EntryKind::CharDevice(major, minor), 0),
            Content::BlockDevice(major, minor) => (EntryKind::BlockDevice(major, minor), 0),
            Content::Fifo => (EntryKind::Fifo, 0),
            Content::Socket => (EntryKind::Socket, 0),
        };
        let place = if kind == EntryKind::File { Place::Erofs(inode.nid) } else { Place::None };
        let is_directory = kind == EntryKind::Directory;
        let mut entry = Entry::new(path, kind, size, place);
        entry.mode = Some(inode.mode.into());
        entry.owner = Some((inode.uid, inode.gid));
        entry.mtime = Some(inode.mtime.0);
        entry.xattrs = self.reader.xattrs(inode)?;
        entry.identity = (inode.links > 1 && !is_directory).then_some(inode.nid);
        Ok(entry)
    }
}

impl Erofs {
    /// Gives a file to `receive` from its beginning on, until that says that it is enough. Nothing else can be done with
    /// what is compressed.
    fn unpack(
        &self,
        entry: &Entry,
        receive: &mut dyn FnMut(&[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let Place::Erofs(nid) = &entry.place else { return Ok(()) };
        let inode = self.reader.inode(*nid).map_err(|error| self.wrong(error))?;
        let mut stopped = None;
        let read = self.reader.contents(&inode, &mut |part| match receive(part) {
            Ok(true) => Ok(()),
            other => {
                stopped = Some(other.map(drop));
                Err(ReadError::NotFound { path: String::new() })
            }
        });
        stopped.unwrap_or_else(|| read.map_err(|error| self.wrong(error)))
    }
}

impl Container for Erofs {
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        let stop = || ReadError::NotFound { path: String::new() };
        walked((&self.name, Format::Erofs, self.limits), stop, visit, |visit| {
            self.reader.walk(&mut |found| visit(self.entry(found.path, found.inode)?))
        })
    }

    fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error> {
        match self.reader.resolve(path) {
            Ok(inode) => self.entry(path, &inode).map(Some).map_err(|error| self.wrong(error)),
            Err(ReadError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.wrong(error)),
        }
    }

    fn open(&self, entry: &Entry) -> Result<Source, Error> {
        let left = self.left.load(Relaxed);
        let mut spool =
            Spool::new(&self.name, Limits { unpacked: self.limits.unpacked.min(left), ..self.limits });
        self.unpack(entry, &mut |part| {
            let spent = |left: u64| Some(left.saturating_sub(part.len() as u64));
            let _ = self.left.fetch_update(Relaxed, Relaxed, spent);
            spool.add(part).map(|()| true).map_err(|error| match error {
                Error::Limit { what, .. } if left < self.limits.unpacked => {
                    let problem =
                        format!("has files that unpack to more than {} bytes in all", self.limits.compared);
                    Error::Limit { what, problem }
                }
                other => other,
            })
        })?;
        spool.part()
    }

    fn start(&self, entry: &Entry, length: usize) -> Result<Vec<u8>, Error> {
        let mut start = Vec::new();
        self.unpack(entry, &mut |part| {
            start.extend(part.iter().take(length - start.len()));
            Ok(start.len() < length)
        })?;
        Ok(start)
    }
}
