//! Reading directories and attributes, and walking through all of it.

use std::collections::{BTreeMap, BTreeSet};

use layer::ReadAt;

use super::bytes::Fields;
use super::directory::{self, DOTS, Found};
use super::error::ReadError;
use super::format::{METADATA_LEN, NOWHERE, reference};
use super::inode::{self, Content, Inode};
use super::read::Reader;
use super::xattr::Head;

/// Directories are not followed deeper than this.
const MAX_NESTING: usize = 4096;
/// What Linux lists of attributes, and more than it lets a file have.
const MAX_XATTR_BYTES: usize = 1 << 20;

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
        let listing =
            self.cursor(table, end, reference, "the table of directories").bytes(length as usize)?;
        let found = directory::decode(&listing).map_err(corrupt)?;
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

    /// Returns the size that all directories have together at most, in bytes.
    fn listings_len(&self) -> Result<u64, ReadError> {
        let mut start = self.superblock().directory_table;
        let mut length = 0;
        while start < self.directory_end() {
            let mut head = [0; 2];
            self.read_at(start, &mut head)?;
            start += 2 + u64::from(u16::from_le_bytes(head) & 0x7fff);
            length += METADATA_LEN as u64;
        }
        Ok(length)
    }

    /// Visits everything below the root, and the root first: the names of a directory in order, and directories depth
    /// first. An inode with several names is visited for each.
    pub fn walk(&self, visit: &mut dyn FnMut(&Visit<'_>) -> Result<(), ReadError>) -> Result<(), ReadError> {
        // Directories that shared a listing could make a small image take forever.
        let mut unread = self.listings_len()?;
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
            let length = u64::from(listing.2.saturating_sub(DOTS));
            unread = unread.checked_sub(length).ok_or_else(|| corrupt("directories share their listings"))?;
            let mut entries = self.entries(inode)?;
            entries.reverse();
            Ok(Some((inode.number, entries)))
        };
        let root = self.root()?;
        visit(&Visit { path: b"/", inode: &root })?;
        let mut path: Vec<u8> = Vec::new();
        // The directories above, what is still to be visited in each, and where its name ends in the path.
        let mut above: Vec<(u32, Vec<DirectoryEntry>, usize)> = Vec::new();
        above.extend(enter(&root, None)?.map(|(number, entries)| (number, entries, 0)));
        while let Some((parent, entries, end)) = above.last_mut() {
            path.truncate(*end);
            let Some(entry) = entries.pop() else {
                above.pop();
                continue;
            };
            let parent = *parent;
            path.push(b'/');
            path.extend_from_slice(&entry.name);
            let inode = self.entry_inode(&entry)?;
            visit(&Visit { path: &path, inode: &inode })?;
            if let Some((number, entries)) = enter(&inode, Some(parent))? {
                if above.len() >= MAX_NESTING {
                    let what = format!("directories nested deeper than {MAX_NESTING}");
                    return Err(ReadError::Unsupported { what });
                }
                above.push((number, entries, path.len()));
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
            total += name.len() + value.len();
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
