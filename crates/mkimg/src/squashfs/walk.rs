//! Reading directories and attributes, and walking through all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use layer::ReadAt;

use super::bytes::Fields;
use super::directory::{self, DOTS, Found};
use super::error::ReadError;
use super::format::{METADATA_LEN, METADATA_PLAIN, NOWHERE, reference, split_reference};
use super::inode::{self, Content, Inode};
use super::read::Reader;
use super::xattr::Head;
use crate::spans::Spans;
use crate::tree::descent::{Descent, TOO_DEEP};

/// What Linux lists of attributes, and more than it lets a file have.
const MAX_XATTR_BYTES: usize = 1 << 20;
/// What an attribute takes besides its name and its value when it is read, more or less.
const XATTR_COST: usize = 100;
/// How many bytes the size of a block of data has in a file's list of them.
const SIZE_LEN: u64 = 4;

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name.
    pub name: Vec<u8>,
    /// The number of the inode that it names.
    pub number: u32,
    /// Where that inode is.
    reference: u64,
    kind: u16,
}

/// Something met on a walk through the tree.
pub struct Visit<'a> {
    /// Its absolute path.
    pub path: &'a [u8],
    /// Its inode.
    pub inode: &'a Inode,
}

/// A table of metadata blocks, and what of the bytes that they unpack to was taken.
struct Table {
    /// Where in the table each block starts.
    starts: Vec<u64>,
    taken: Spans,
}

impl Table {
    /// Returns which of its unpacked bytes `length` at a reference are, if that leads to one of its blocks. All but the
    /// last of them are full, or nobody reads on behind them.
    fn span(&self, reference: u64, length: u64) -> Option<Range<u64>> {
        let (start, place) = split_reference(reference);
        if length == 0 {
            return Some(0..0);
        }
        let number = self.starts.binary_search(&start).ok()?;
        let start = (number * METADATA_LEN + place) as u64;
        Some(start..start.saturating_add(length))
    }
}

impl<R: ReadAt> Reader<R> {
    /// Returns the names in a directory in order.
    pub fn entries(&self, directory: &Inode) -> Result<Vec<DirectoryEntry>, ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(format!("inode {}", directory.number), problem);
        let Content::Directory { listing: (start, place, size), .. } = directory.content else {
            return Err(corrupt("it is not a directory"));
        };
        let length = size.checked_sub(DOTS).ok_or_else(|| corrupt("the directory has an impossible size"))?;
        let reference = reference(start.into(), place.into());
        let (table, end) = (self.superblock().directory_table, self.directory_end());
        let mut cursor = self.cursor(table, end, reference, "the table of directories");
        let found = directory::decode(length, |buffer| cursor.fill(buffer), corrupt)?;
        let entry =
            |Found { name, reference, number, kind }| DirectoryEntry { name, number, reference, kind };
        Ok(found.into_iter().map(entry).collect())
    }

    /// Returns the inode that an entry names.
    pub fn entry_inode(&self, entry: &DirectoryEntry) -> Result<Inode, ReadError> {
        let inode = self.inode(entry.reference)?;
        let kind = match inode.content {
            Content::Directory { .. } => inode::DIRECTORY,
            Content::File { .. } => inode::FILE,
            Content::Symlink { .. } => inode::SYMLINK,
            Content::BlockDevice(..) => inode::BLOCK_DEVICE,
            Content::CharDevice(..) => inode::CHAR_DEVICE,
            Content::Fifo => inode::FIFO,
            Content::Socket => inode::SOCKET,
        };
        if inode.number != entry.number || kind != entry.kind {
            let what = format!("inode {}", inode.number);
            return Err(ReadError::corrupt(what, "a name says that it has another number or type"));
        }
        Ok(inode)
    }

    /// Returns what is at an absolute path. Symbolic links are not followed.
    pub fn resolve(&self, path: &[u8]) -> Result<Inode, ReadError> {
        let mut inode = self.root()?;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let missing = || ReadError::NotFound { path: String::from_utf8_lossy(path).into_owned() };
            if !matches!(inode.content, Content::Directory { .. }) {
                return Err(missing());
            }
            let entry = self.entries(&inode)?.into_iter().find(|entry| entry.name == name);
            inode = self.entry_inode(&entry.ok_or_else(missing)?)?;
        }
        Ok(inode)
    }

    /// Returns a table of metadata, of which nothing was taken.
    fn table(&self, start: u64, end: u64) -> Result<Table, ReadError> {
        let mut starts = Vec::new();
        let mut at = start;
        while at < end {
            let mut head = [0; 2];
            self.read_at(at, &mut head)?;
            let length = u64::from(u16::from_le_bytes(head) & !METADATA_PLAIN);
            if length == 0 {
                return Err(ReadError::corrupt(format!("the metadata block at {at}"), "it is empty"));
            }
            starts.push(at - start);
            at += 2 + length;
        }
        Ok(Table { starts, taken: Spans::default() })
    }

    /// Visits everything below the root, and the root first: the names of a directory in order, and directories depth
    /// first. An inode with several names is visited for each.
    pub fn walk(&self, visit: &mut dyn FnMut(&Visit<'_>) -> Result<(), ReadError>) -> Result<(), ReadError> {
        let root = self.root()?;
        let superblock = self.superblock();
        // Directories that shared a listing could make a small image take forever, and so could files that shared the
        // list of their blocks.
        let mut listings = self.table(superblock.directory_table, self.directory_end())?;
        let mut lists = self.table(superblock.inode_table, superblock.directory_table)?;
        let mut seen = BTreeSet::new();
        let mut enter = |inode: &Inode, parent: Option<u32>| {
            let corrupt = |problem: &str| ReadError::corrupt(format!("inode {}", inode.number), problem);
            let Content::Directory { parent: found, listing, .. } = inode.content else {
                return Ok(None);
            };
            if !seen.insert(inode.number) {
                return Err(corrupt("the directory has two names"));
            }
            if parent.is_some_and(|parent| parent != found) {
                return Err(corrupt("its parent is another directory"));
            }
            let (start, place, size) = listing;
            let span = listings
                .span(reference(start.into(), place.into()), size.saturating_sub(DOTS).into())
                .ok_or_else(|| corrupt("its listing begins in no block of their table"))?;
            if !listings.taken.take(span) {
                return Err(corrupt("directories share their listings"));
            }
            let mut entries = self.entries(inode)?;
            entries.reverse();
            Ok(Some(entries))
        };
        visit(&Visit { path: b"/", inode: &root })?;
        let mut descent = Descent::new();
        if let Some(entries) = enter(&root, None)? {
            descent.enter(root.number, entries);
        }
        while let Some((parent, entry)) = descent.next(|entry: &DirectoryEntry| &entry.name) {
            if descent.is_too_deep() {
                return Err(ReadError::corrupt(format!("inode {parent}"), TOO_DEEP));
            }
            let inode = self.entry_inode(&entry)?;
            visit(&Visit { path: descent.path(), inode: &inode })?;
            if let Content::File { size, fragment, blocks, .. } = inode.content {
                let length = self.n_blocks(size, fragment).saturating_mul(SIZE_LEN);
                // Another name of a file has the same list.
                let is_own = lists
                    .span(blocks, length)
                    .is_some_and(|span| lists.taken.has(&span) || lists.taken.take(span));
                if !is_own {
                    let what = format!("inode {}", inode.number);
                    return Err(ReadError::corrupt(what, "files share the list of their blocks"));
                }
            }
            if let Some(entries) = enter(&inode, Some(parent))? {
                descent.enter(inode.number, entries);
            }
        }
        Ok(())
    }

    /// Returns the extended attributes of an inode under their full names.
    pub fn xattrs(&self, inode: &Inode) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ReadError> {
        let what = "the table of attributes";
        let corrupt = |problem: &str| ReadError::corrupt(what, problem);
        let mut found = BTreeMap::new();
        let Some(number) = inode.xattrs else { return Ok(found) };
        let header = self.superblock().xattr_table;
        if header == NOWHERE {
            return Err(corrupt("an inode has attributes and there are none"));
        }
        let mut bytes = [0; 16];
        self.read_at(header, &mut bytes)?;
        let mut fields = Fields(&bytes);
        let (table, n_sets) = (fields.u64().unwrap_or_default(), fields.u32().unwrap_or_default());
        if number >= n_sets || table > header {
            return Err(corrupt("an inode has attributes that are not in it"));
        }
        let entry = self.indexed::<16>(header + 16, number.into(), what)?;
        let mut fields = Fields(&entry);
        let (place, count) = (fields.u64().unwrap_or_default(), fields.u32().unwrap_or_default());
        let mut cursor = self.cursor(table, header, place, what);
        let mut total = 0;
        for _ in 0..count {
            let head = Head::decode(&cursor.array::<{ Head::LEN }>()?).map_err(corrupt)?;
            let name = head.full_name(&cursor.bytes(head.name_len)?);
            let length = u32::from_le_bytes(cursor.array()?);
            if !Head::is_value_len(length) || head.is_elsewhere && length != 8 {
                return Err(corrupt("a value has an impossible size"));
            }
            let mut value = cursor.bytes(length as usize)?;
            if head.is_elsewhere {
                let place = Fields(&value).u64().unwrap_or_default();
                let mut cursor = self.cursor(table, header, place, what);
                let length = u32::from_le_bytes(cursor.array()?);
                if !Head::is_value_len(length) {
                    return Err(corrupt("a value has an impossible size"));
                }
                value = cursor.bytes(length as usize)?;
            }
            total += name.len() + value.len() + XATTR_COST;
            if total > MAX_XATTR_BYTES {
                return Err(corrupt("an inode has too many attributes"));
            }
            if found.insert(name, value).is_some() {
                return Err(corrupt("an inode has an attribute twice"));
            }
        }
        Ok(found)
    }
}
