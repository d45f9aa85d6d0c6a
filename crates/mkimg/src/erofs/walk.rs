//! Reading directories, and walking through all of it.

use std::collections::BTreeSet;

use layer::ReadAt;

use super::directory::{self, Found};
use super::error::ReadError;
use super::inode::{Content, Inode};
use super::options::BLOCK;
use super::read::Reader;
use crate::spans::Spans;
use crate::tree::descent::{Descent, TOO_DEEP};

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name.
    pub name: Vec<u8>,
    /// The number of the inode that it names.
    pub nid: u64,
    kind: u8,
}

/// Something met on a walk through the tree.
pub struct Visit<'a> {
    /// Its absolute path.
    pub path: &'a [u8],
    /// Its inode.
    pub inode: &'a Inode,
}

impl<R: ReadAt> Reader<R> {
    /// Returns the names in a directory in order, without the two dots.
    pub fn entries(&self, directory: &Inode) -> Result<Vec<DirectoryEntry>, ReadError> {
        self.listing(directory).map(|(entries, _)| entries)
    }

    /// Returns the names in a directory, and its parent.
    fn listing(&self, directory: &Inode) -> Result<(Vec<DirectoryEntry>, u64), ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(format!("inode {}", directory.nid), problem);
        if !matches!(directory.content, Content::Directory) {
            return Err(corrupt("it is not a directory"));
        }
        let mut entries: Vec<DirectoryEntry> = Vec::new();
        let mut last: Vec<u8> = Vec::new();
        let mut dots = [None; 2];
        // What it says of its size may be far more than there is, so it is not read ahead of what is understood. Only the
        // last part has less than whole blocks.
        self.contents(directory, &mut |part| {
            for block in part.chunks(BLOCK) {
                for Found { name, number, kind } in directory::decode(block).map_err(corrupt)? {
                    if name <= last {
                        return Err(corrupt("its names are not in order"));
                    }
                    last.clone_from(&name);
                    match &name[..] {
                        b"." => dots[0] = Some(number),
                        b".." => dots[1] = Some(number),
                        _ => entries.push(DirectoryEntry { name, nid: number, kind }),
                    }
                }
            }
            Ok(())
        })?;
        match dots {
            [Some(itself), Some(parent)] if itself == directory.nid => Ok((entries, parent)),
            _ => Err(corrupt("it does not name itself and its parent")),
        }
    }

    /// Returns the inode that an entry names.
    pub fn entry_inode(&self, entry: &DirectoryEntry) -> Result<Inode, ReadError> {
        let inode = self.inode(entry.nid)?;
        if inode.content.kind() != entry.kind {
            return Err(ReadError::corrupt(
                format!("inode {}", inode.nid),
                "a name says that it has another type",
            ));
        }
        Ok(inode)
    }

    /// Returns what is at an absolute path. Symbolic links are not followed.
    pub fn resolve(&self, path: &[u8]) -> Result<Inode, ReadError> {
        let mut inode = self.root()?;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let missing = || ReadError::NotFound { path: String::from_utf8_lossy(path).into_owned() };
            if !matches!(inode.content, Content::Directory) {
                return Err(missing());
            }
            let entry = self.entries(&inode)?.into_iter().find(|entry| entry.name == name);
            inode = self.entry_inode(&entry.ok_or_else(missing)?)?;
        }
        Ok(inode)
    }

    /// Visits everything below the root, and the root first: the names of a directory in order, and directories depth
    /// first. An inode with several names is visited for each.
    pub fn walk(&self, visit: &mut dyn FnMut(&Visit<'_>) -> Result<(), ReadError>) -> Result<(), ReadError> {
        // Directories that shared a listing could make a small image take forever.
        let (mut seen, mut taken) = (BTreeSet::new(), Spans::default());
        let mut enter = |inode: &Inode, parent: u64| {
            let corrupt = |problem: &str| ReadError::corrupt(format!("inode {}", inode.nid), problem);
            if !matches!(inode.content, Content::Directory) {
                return Ok(None);
            }
            if !seen.insert(inode.nid) {
                return Err(corrupt("the directory has two names"));
            }
            if !taken.take(self.flat_blocks(inode)) {
                return Err(corrupt("directories share their listings"));
            }
            let (mut entries, found) = self.listing(inode)?;
            if found != parent {
                return Err(corrupt("its parent is another directory"));
            }
            entries.reverse();
            Ok(Some(entries))
        };
        let root = self.root()?;
        visit(&Visit { path: b"/", inode: &root })?;
        let mut descent = Descent::new();
        if let Some(entries) = enter(&root, root.nid)? {
            descent.enter(root.nid, entries);
        }
        while let Some((parent, entry)) = descent.next(|entry: &DirectoryEntry| &entry.name) {
            if descent.is_too_deep() {
                return Err(ReadError::corrupt(format!("inode {parent}"), TOO_DEEP));
            }
            let inode = self.entry_inode(&entry)?;
            visit(&Visit { path: descent.path(), inode: &inode })?;
            if let Some(entries) = enter(&inode, parent)? {
                descent.enter(inode.nid, entries);
            }
        }
        Ok(())
    }
}
