//! squashfs.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mkimg::squashfs::{Content, Inode, ReadError, Reader};

use super::{Container, Opened, SharedEnd, Stored, damaged, walked};
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::facts::{Fact, Region, Value};
use crate::format::Format;
use crate::source::{Limits, Pieces, Source};

struct Squashfs {
    name: String,
    limits: Limits,
    /// A reader keeps what it unpacked last, so only one at a time can use it.
    reader: Arc<Mutex<Reader<Source>>>,
    source: Source,
}

/// Opens a file system.
pub(super) fn open(name: &str, source: &Source, limits: Limits) -> Result<Opened, Error> {
    let reader = Reader::open(Arc::clone(source)).map_err(|error| damaged(name, Format::Squashfs, error))?;
    let superblock = reader.superblock();
    let facts = vec![
        Fact::new("compression", reader.compression().name()),
        Fact::new("block size", Value::Size(superblock.block_size.into())),
        Fact::new("size", Value::Size(superblock.bytes_used)),
        Fact::new("inodes", Value::Number(superblock.inodes.into())),
        Fact::new("fragments", Value::Number(superblock.fragments.into())),
        Fact::new("made", Value::Number(superblock.made.into())),
    ];
    let parts = [
        ("superblock", 0),
        ("data", 96),
        ("inodes", superblock.inode_table),
        ("directories", superblock.directory_table),
        ("fragments", superblock.fragment_table),
        ("export table", superblock.export_table),
        ("owners", superblock.id_table),
        ("attributes", superblock.xattr_table),
    ];
    let mut parts: Vec<(&str, u64)> =
        parts.into_iter().filter(|(_, at)| *at < superblock.bytes_used).collect();
    parts.sort_by_key(|(_, at)| *at);
    let ends = parts.iter().skip(1).map(|(_, at)| *at).chain([superblock.bytes_used]);
    let regions =
        parts.iter().zip(ends).map(|((name, start), end)| Region::new(*name, *start..end)).collect();
    let container = Squashfs {
        name: name.to_owned(),
        limits,
        reader: Arc::new(Mutex::new(reader)),
        source: Arc::clone(source),
    };
    Ok(Opened { facts, regions, ..Opened::with(Format::Squashfs, container) })
}

impl Squashfs {
    fn wrong(&self, error: ReadError) -> Error {
        damaged(&self.name, Format::Squashfs, error)
    }

    fn reader(&self) -> MutexGuard<'_, Reader<Source>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what an inode is.
fn entry(reader: &Reader<Source>, path: &[u8], inode: &Inode) -> Result<Entry, ReadError> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let (kind, size) = match &inode.content {
        Content::Directory { .. } => (EntryKind::Directory, 0),
        Content::File { size, .. } => (EntryKind::File, *size),
        Content::Symlink { target } => (EntryKind::Symlink(target.clone()), 0),
        Content::CharDevice(major, minor) => (EntryKind::CharDevice(*major, *minor), 0),
        Content::BlockDevice(major, minor) => (EntryKind::BlockDevice(*major, *minor), 0),
        Content::Fifo => (EntryKind::Fifo, 0),
        Content::Socket => (EntryKind::Socket, 0),
    };
    let place = if kind == EntryKind::File { Place::Squashfs(Box::new(inode.clone())) } else { Place::None };
    let is_directory = kind == EntryKind::Directory;
    let mut entry = Entry::new(path, kind, size, place);
    entry.mode = Some(inode.mode.into());
    entry.owner = Some((inode.uid, inode.gid));
    entry.mtime = Some(inode.mtime.into());
    entry.xattrs = reader.xattrs(inode)?;
    entry.identity = (inode.links > 1 && !is_directory).then(|| inode.number.into());
    Ok(entry)
}

impl Container for Squashfs {
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        let mut found = Vec::new();
        let reader = self.reader();
        let mut keep = |entry| {
            found.push(entry);
            Ok(())
        };
        let stop = || ReadError::NotSquashfs;
        let walked = walked((&self.name, Format::Squashfs, self.limits), stop, &mut keep, |visit| {
            reader.walk(&mut |visited| visit(entry(&reader, visited.path, visited.inode)?))
        });
        drop(reader);
        // What came before the damage is worth seeing.
        found.into_iter().try_for_each(visit)?;
        walked
    }

    fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error> {
        let reader = self.reader();
        match reader.resolve(path) {
            Ok(inode) => entry(&reader, path, &inode).map(Some).map_err(|error| self.wrong(error)),
            Err(ReadError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.wrong(error)),
        }
    }

    fn open(&self, entry: &Entry) -> Result<Source, Error> {
        let Place::Squashfs(inode) = &entry.place else { return Ok(Arc::new(Vec::new())) };
        let (reader, inode) = (Arc::clone(&self.reader), inode.clone());
        let paused = Mutex::new(None);
        Ok(Pieces::of(entry.size, move |offset, buffer| {
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let mut paused = paused.lock().unwrap_or_else(PoisonError::into_inner);
            let mut file = match paused.take() {
                Some(at) => reader.resume(at),
                None => reader.file(&inode).map_err(io::Error::other)?,
            };
            file.read_exact_at(offset, buffer).map_err(io::Error::other)?;
            *paused = Some(file.pause());
            Ok(())
        }))
    }

    fn stored(&self, entry: &Entry) -> Option<Stored> {
        let Place::Squashfs(inode) = &entry.place else { return None };
        let Content::File { start, fragment, .. } = &inode.content else { return None };
        let reader = self.reader();
        let superblock = reader.superblock();
        let sizes = reader.file(inode).ok()?.block_sizes().ok()?;
        let length = sizes.iter().map(|size| size.stored()).sum::<u64>();
        let blocks = sizes.len() as u64 * u64::from(superblock.block_size);
        let mut settings = format!("{} {} ", reader.compression().name(), superblock.block_size).into_bytes();
        settings.extend(sizes.iter().flat_map(|size| size.0.to_le_bytes()));
        let end = match fragment {
            Some((number, offset)) => {
                let (start, size) = reader.fragment_place(*number).ok()?;
                let block = start..start.checked_add(size.stored())?;
                let length = entry.size.saturating_sub(blocks);
                Some(SharedEnd { block, is_packed: size.is_packed(), offset: *offset, length })
            }
            None => None,
        };
        Some(Stored {
            settings,
            of: Arc::clone(&self.source),
            range: *start..start.checked_add(length)?,
            end,
        })
    }
}
