//! ext4.

use std::io;
use std::sync::Arc;

use mkimg::ext4::{BlockSize, Inode, ReadError, Reader};

use super::{Container, Opened, damaged, walked};
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::facts::{Fact, Value, uuid};
use crate::format::Format;
use crate::source::{Limits, Pieces, Source};

struct Ext4 {
    name: String,
    limits: Limits,
    reader: Arc<Reader<Source>>,
}

/// Opens a file system.
pub(super) fn open(name: &str, source: &Source, limits: Limits) -> Result<Opened, Error> {
    let reader = Reader::open(Arc::clone(source)).map_err(|error| damaged(name, Format::Ext4, error))?;
    let superblock = reader.superblock();
    let block = u64::from(BlockSize::bytes(superblock.block_size));
    let label = superblock.label.split(|byte| *byte == 0).next().unwrap_or_default();
    let facts = vec![
        Fact::new("label", label.escape_ascii().to_string()),
        Fact::new("uuid", uuid(&superblock.uuid)),
        Fact::new("size", Value::Size(superblock.blocks_count * block)),
        Fact::new("free", Value::Size(superblock.free_blocks * block)),
        Fact::new("reserved", Value::Size(superblock.reserved_blocks * block)),
        Fact::new("block size", Value::Size(block)),
        Fact::new("inodes", Value::Number(superblock.inodes_count.into())),
        Fact::new("free inodes", Value::Number(superblock.free_inodes.into())),
        Fact::new("features", superblock.feature_names().join(" ")),
    ];
    let container = Ext4 { name: name.to_owned(), limits, reader: Arc::new(reader) };
    Ok(Opened { facts, ..Opened::with(Format::Ext4, container) })
}

impl Ext4 {
    fn wrong(&self, error: ReadError) -> Error {
        damaged(&self.name, Format::Ext4, error)
    }

    fn entry(&self, path: &[u8], inode: &Inode) -> Result<Entry, ReadError> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let device = inode.device().unwrap_or_default();
        let kind = match inode.mode & 0o170_000 {
            0o040_000 => EntryKind::Directory,
            0o120_000 => EntryKind::Symlink(self.reader.symlink_target(inode)?),
            0o020_000 => EntryKind::CharDevice(device.0, device.1),
            0o060_000 => EntryKind::BlockDevice(device.0, device.1),
            0o010_000 => EntryKind::Fifo,
            0o140_000 => EntryKind::Socket,
            _ => EntryKind::File,
        };
        let size = if kind == EntryKind::File { inode.size } else { 0 };
        let place = if kind == EntryKind::File { Place::Ext4(Box::new(inode.clone())) } else { Place::None };
        let mut entry = Entry::new(path, kind, size, place);
        entry.mode = Some(u32::from(inode.mode & 0o7777));
        entry.owner = Some((inode.uid, inode.gid));
        entry.mtime = Some(inode.mtime.seconds());
        entry.xattrs = self.reader.xattrs(inode)?;
        entry.identity = (inode.links > 1 && !inode.is_directory()).then(|| inode.number.into());
        Ok(entry)
    }
}

impl Container for Ext4 {
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        let stop = || ReadError::NotFound { path: String::new() };
        walked((&self.name, Format::Ext4, self.limits), stop, visit, |visit| {
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
        let Place::Ext4(inode) = &entry.place else { return Ok(Arc::new(Vec::new())) };
        let mapped = self.reader.mapped(inode).map_err(|error| self.wrong(error))?;
        let (reader, mapped) = (Arc::clone(&self.reader), Arc::new(mapped));
        let (same_reader, same_mapped) = (Arc::clone(&reader), Arc::clone(&mapped));
        let read = move |offset, buffer: &mut [u8]| {
            reader.read_data(&mapped, offset, buffer).map_err(io::Error::other)
        };
        Ok(Pieces::with_holes(
            entry.size,
            read,
            move |offset| Ok(same_reader.next_data(&same_mapped, offset)),
        ))
    }
}
