//! Reading directories, and walking through all of them.

use std::collections::BTreeSet;

use layer::ReadAt;

use super::SECTOR;
use super::error::ReadError;
use super::read::{Reader, View};
use super::record::{CONTINUED, Extent, Record};
use super::rock::System;
use super::susp::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK};
use crate::tree::descent::{Descent, TOO_DEEP};

/// How many sectors of a directory can be without a record: what says that it is large costs nothing in a sparse file.
const MOST_EMPTY: u32 = 64;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory(Extent),
    /// A file, whose extents follow one another in it, not in the image.
    File(Vec<Extent>),
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice(u32, u32),
    /// A block device.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// Something in a directory, or the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the view; that of the root is empty.
    pub name: Vec<u8>,
    /// Permissions. Without Rock Ridge, what everybody may do.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// How many names it has.
    pub links: u32,
    /// What tells which names are of one file, if the image says that.
    pub serial: Option<u32>,
    /// When it was modified, in seconds since 1970.
    pub mtime: i64,
    /// What it is.
    pub content: Content,
}

/// Something met on a walk through the tree.
pub struct Visit<'a> {
    /// Its absolute path.
    pub path: &'a [u8],
    /// What is there.
    pub entry: &'a Entry,
}

impl<R: ReadAt> Reader<R> {
    /// Visits everything below the root, and the root first: directories depth first, and each in the order of its
    /// records. Does nothing if there is no such view.
    pub fn walk(
        &self,
        view: View,
        visit: &mut dyn FnMut(&Visit<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let volume = if view == View::Joliet { self.joliet.as_ref() } else { Some(&self.primary) };
        let Some(root) = volume.map(|volume| volume.root) else { return Ok(()) };
        let view = if view == View::RockRidge && self.rock.is_none() { View::Plain } else { view };
        let mut seen = BTreeSet::new();
        let mut n_read = 0;
        let mut enter = |path: &[u8], entry: &Entry| {
            let Content::Directory(extent) = entry.content else { return Ok(None) };
            let what = String::from_utf8_lossy(path);
            if !seen.insert(extent.sector) {
                return Err(ReadError::corrupt(what, "the directory has two names"));
            }
            // Directories that share sectors could make a small image take forever.
            n_read += u64::from(extent.size);
            if n_read > self.image_size() {
                return Err(ReadError::corrupt(what, "directories have more sectors than there are"));
            }
            let mut entries = self.entries(view, &what, extent)?;
            entries.reverse();
            Ok(Some(entries))
        };
        let root = self.root(view, root)?;
        visit(&Visit { path: b"/", entry: &root })?;
        let mut descent = Descent::new();
        if let Some(entries) = enter(b"/", &root)? {
            descent.enter((), entries);
        }
        while let Some(((), entry)) = descent.next(|entry: &Entry| &entry.name) {
            if descent.is_too_deep() {
                return Err(ReadError::corrupt(String::from_utf8_lossy(descent.directory()), TOO_DEEP));
            }
            visit(&Visit { path: descent.path(), entry: &entry })?;
            if let Some(entries) = enter(descent.path(), &entry)? {
                descent.enter((), entries);
            }
        }
        Ok(())
    }

    fn root(&self, view: View, extent: Extent) -> Result<Entry, ReadError> {
        let bytes = self.bytes("/", Extent { size: extent.size.min(SECTOR as u32), ..extent })?;
        let (record, _) = Record::decode(&bytes).map_err(|problem| ReadError::corrupt("/", problem))?;
        if record.extent != extent || !record.is_directory() {
            return Err(ReadError::corrupt("/", "it does not begin with itself"));
        }
        let mut entry = self.entry(view, "/", &record, vec![extent])?;
        entry.name = Vec::new();
        Ok(entry)
    }

    /// Returns what is in a directory.
    fn entries(&self, view: View, what: &str, extent: Extent) -> Result<Vec<Entry>, ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(what, problem);
        if extent.size == 0 || !(extent.size as usize).is_multiple_of(SECTOR) {
            return Err(corrupt("the directory's size is not that of its sectors"));
        }
        let mut entries = Vec::new();
        let mut names = BTreeSet::new();
        // The extents of a file that goes on.
        let mut before: Vec<Extent> = Vec::new();
        let mut last = Vec::new();
        let (mut n_records, mut n_empty) = (0, 0);
        self.check_extent(what, extent)?;
        let mut sector = [0; SECTOR];
        for number in 0..u64::from(extent.size) / SECTOR as u64 {
            self.read_at((u64::from(extent.sector) + number) * SECTOR as u64, &mut sector)?;
            let mut rest = &sector[..];
            n_empty += u32::from(rest[0] == 0);
            if n_empty > MOST_EMPTY {
                return Err(corrupt("many of the directory's sectors have no records"));
            }
            while rest.first().is_some_and(|length| *length > 0) {
                let (record, length) = Record::decode(rest).map_err(corrupt)?;
                rest = &rest[length..];
                n_records += 1;
                if n_records <= 2 {
                    // Itself and the directory above.
                    let is_first = n_records == 1;
                    if record.identifier != [u8::from(!is_first)] || is_first && record.extent != extent {
                        return Err(corrupt("it does not begin with itself and the directory above"));
                    }
                    continue;
                }
                self.check_extent(what, record.extent)?;
                if !before.is_empty() && last != record.identifier {
                    return Err(corrupt("a file goes on in a record of another name"));
                }
                before.push(record.extent);
                if record.flags & CONTINUED != 0 {
                    last.clone_from(&record.identifier);
                    continue;
                }
                let extents = std::mem::take(&mut before);
                if extents.iter().map(|extent| u64::from(extent.size)).sum::<u64>() > self.image_size() {
                    return Err(corrupt("a file is larger than the image"));
                }
                if view == View::RockRidge && self.is_moved(what, &record)? {
                    continue;
                }
                let entry = self.entry(view, what, &record, extents)?;
                let is_name = !entry.name.is_empty()
                    && !matches!(&entry.name[..], b"." | b"..")
                    && !entry.name.iter().any(|byte| matches!(byte, 0 | b'/'));
                if !is_name || !names.insert(entry.name.clone()) {
                    let name = entry.name.escape_ascii();
                    return Err(corrupt(&format!("the name `{name}` is no name, or is there twice")));
                }
                entries.push(entry);
            }
        }
        if n_records < 2 || !before.is_empty() {
            return Err(corrupt("records are missing"));
        }
        Ok(entries)
    }

    fn fields(&self, view: View, what: &str, record: &Record) -> Result<System, ReadError> {
        match self.rock.filter(|_| view == View::RockRidge) {
            Some(skip) => {
                // The root's own fields are not behind anything.
                let start = if record.identifier == [0] { 0 } else { skip };
                self.system(what, record.system.get(start..).unwrap_or_default())
            }
            None => Ok(System::default()),
        }
    }

    fn is_moved(&self, what: &str, record: &Record) -> Result<bool, ReadError> {
        Ok(self.fields(View::RockRidge, what, record)?.is_moved)
    }

    fn entry(
        &self,
        view: View,
        what: &str,
        record: &Record,
        extents: Vec<Extent>,
    ) -> Result<Entry, ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(what, problem);
        let system = self.fields(view, what, record)?;
        let plain = match view {
            View::Joliet => joliet_name(&record.identifier),
            View::Plain | View::RockRidge => plain_name(&record.identifier),
        };
        let (kind, mode) = match system.posix {
            Some(posix) => (posix.mode & 0o170_000, (posix.mode & 0o7777) as u16),
            None if record.is_directory() => (S_IFDIR, 0o555),
            None => (S_IFREG, 0o444),
        };
        let content = match kind {
            S_IFDIR if record.is_directory() => Content::Directory(record.extent),
            // The record of a directory that was moved elsewhere is one of a file.
            S_IFDIR => Content::Directory(self.moved(what, &system)?),
            _ if record.is_directory() => {
                return Err(corrupt("a record and its fields are of different kinds"));
            }
            S_IFREG => Content::File(extents),
            S_IFLNK => Content::Symlink(system.target.ok_or_else(|| corrupt("a link has no target"))?),
            S_IFCHR | S_IFBLK => {
                let (major, minor) = system.device.ok_or_else(|| corrupt("a device has no number"))?;
                if kind == S_IFCHR {
                    Content::CharDevice(major, minor)
                } else {
                    Content::BlockDevice(major, minor)
                }
            }
            S_IFIFO => Content::Fifo,
            S_IFSOCK => Content::Socket,
            _ => return Err(corrupt("something is of an unknown kind")),
        };
        Ok(Entry {
            name: system.name.unwrap_or(plain),
            mode,
            uid: system.posix.map_or(0, |posix| posix.uid),
            gid: system.posix.map_or(0, |posix| posix.gid),
            links: system.posix.map_or(1, |posix| posix.links),
            serial: system.posix.and_then(|posix| posix.serial),
            mtime: system.modified.unwrap_or(record.time),
            content,
        })
    }

    /// Returns where a directory is that was moved elsewhere.
    fn moved(&self, what: &str, system: &System) -> Result<Extent, ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(what, problem);
        let sector = system.child.ok_or_else(|| corrupt("a directory has the record of a file"))?;
        let bytes = self.bytes(what, Extent { sector, size: SECTOR as u32 })?;
        let (record, _) = Record::decode(&bytes).map_err(corrupt)?;
        if record.extent.sector != sector || !record.is_directory() {
            return Err(corrupt("a directory is not where it was moved to"));
        }
        self.check_extent(what, record.extent)?;
        Ok(record.extent)
    }
}

/// Returns the name that an identifier stands for: without its version, and without a dot that ends it.
fn plain_name(identifier: &[u8]) -> Vec<u8> {
    let end = identifier.iter().position(|byte| *byte == b';').unwrap_or(identifier.len());
    let name = &identifier[..end];
    name.strip_suffix(b".").unwrap_or(name).to_vec()
}

fn joliet_name(identifier: &[u8]) -> Vec<u8> {
    let units: Vec<u16> =
        identifier.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect();
    let name = String::from_utf16_lossy(&units);
    name.split(';').next().unwrap_or_default().as_bytes().to_vec()
}
