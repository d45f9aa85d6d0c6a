//! What a patch is going to do to a directory, as far as it was followed.
//!
//! Nothing of it happens before all of it is known to be possible. Where git says that a file is renamed or
//! copied, it means the file as it was before the patch, so that two files can change places.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use layer::EntryPath;

use crate::error::TreeError;
use crate::tree::Tree;

/// The files that a patch changes, as they will be.
pub(crate) struct Pending<'t> {
    tree: &'t Tree,
    changes: BTreeMap<EntryPath, Change>,
    n_staged: usize,
}

enum Change {
    /// It will not be there.
    Removed,
    /// It stays as it is; the patch names it all the same.
    Kept,
    /// It will be this file, which waits elsewhere.
    File { staged: PathBuf, mode: u32, in_place: bool },
    /// It will be a link with this text.
    Link { target: Vec<u8>, in_place: bool },
}

/// A file, or a link, whose text is its content.
pub(crate) struct Found {
    pub(crate) content: Vec<u8>,
    pub(crate) permissions: u32,
    pub(crate) is_link: bool,
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Absent,
    File,
    Link,
    Other,
}

impl<'t> Pending<'t> {
    pub(crate) fn new(tree: &'t Tree) -> Pending<'t> {
        Pending { tree, changes: BTreeMap::new(), n_staged: 0 }
    }

    /// Returns what is at a path after what the patch did so far. Fails behind a link that the patch makes.
    pub(crate) fn kind(&self, path: &EntryPath) -> Result<Kind, TreeError> {
        for ancestor in path.ancestors() {
            if let Some((link, Change::Link { .. })) = self.changes.get_key_value(ancestor) {
                return Err(TreeError::ThroughLink { path: path.clone(), link: link.clone() });
            }
        }
        match self.changes.get(path) {
            Some(Change::Removed) => Ok(Kind::Absent),
            Some(Change::File { .. }) => Ok(Kind::File),
            Some(Change::Link { .. }) => Ok(Kind::Link),
            Some(Change::Kept) | None => self.kind_before(path),
        }
    }

    fn kind_before(&self, path: &EntryPath) -> Result<Kind, TreeError> {
        Ok(match self.tree.look(path)? {
            None => Kind::Absent,
            Some(metadata) if metadata.is_symlink() => Kind::Link,
            Some(metadata) if metadata.is_file() => Kind::File,
            Some(_) => Kind::Other,
        })
    }

    /// Returns the file at a path, after what the patch did so far; it must be a file or a link.
    pub(crate) fn read(&self, path: &EntryPath) -> Result<Found, TreeError> {
        match self.changes.get(path) {
            Some(Change::File { staged, mode, .. }) => {
                let content = std::fs::read(staged).map_err(|source| TreeError::Io {
                    doing: "read",
                    path: staged.clone(),
                    source,
                })?;
                Ok(Found { content, permissions: *mode, is_link: false })
            }
            Some(Change::Link { target, .. }) => {
                Ok(Found { content: target.clone(), permissions: 0o777, is_link: true })
            }
            Some(Change::Removed | Change::Kept) | None => self.read_before(path),
        }
    }

    fn read_before(&self, path: &EntryPath) -> Result<Found, TreeError> {
        match self.tree.look(path)? {
            Some(metadata) if metadata.is_symlink() => {
                Ok(Found { content: self.tree.read_link(path)?, permissions: 0o777, is_link: true })
            }
            Some(metadata) => Ok(Found {
                content: self.tree.read(path)?,
                permissions: metadata.permissions().mode() & 0o777,
                is_link: false,
            }),
            None => Ok(Found { content: Vec::new(), permissions: 0o644, is_link: false }),
        }
    }

    /// Returns the file that is renamed or copied. What an earlier part of the patch moved to its place is not
    /// meant, what one changed about it is.
    pub(crate) fn read_source(&self, path: &EntryPath) -> Result<Found, TreeError> {
        match self.changes.get(path) {
            Some(Change::File { in_place: false, .. } | Change::Link { in_place: false, .. })
                if !matches!(self.kind_before(path)?, Kind::Absent) =>
            {
                self.read_before(path)
            }
            _ => self.read(path),
        }
    }

    /// Notes that a file is named by the patch and stays as it is.
    pub(crate) fn keep(&mut self, path: &EntryPath) {
        self.changes.entry(path.clone()).or_insert(Change::Kept);
    }

    pub(crate) fn remove(&mut self, path: &EntryPath) {
        self.changes.insert(path.clone(), Change::Removed);
    }

    /// Notes that the file at `path` was moved away, unless another one was moved there.
    pub(crate) fn remove_source(&mut self, path: &EntryPath) {
        let is_taken = matches!(
            self.changes.get(path),
            Some(Change::File { in_place: false, .. } | Change::Link { in_place: false, .. })
        );
        if !is_taken {
            self.remove(path);
        }
    }

    /// Notes what a file will be.
    pub(crate) fn write(&mut self, path: &EntryPath, file: Found, in_place: bool) -> Result<(), TreeError> {
        self.check_place(path)?;
        let in_place = in_place && !matches!(self.changes.get(path), Some(change) if change.is_moved());
        let change = if file.is_link {
            Change::Link { target: file.content, in_place }
        } else {
            self.n_staged += 1;
            let staged = self.tree.stage(self.n_staged, &file.content, file.permissions)?;
            Change::File { staged, mode: file.permissions, in_place }
        };
        self.changes.insert(path.clone(), change);
        Ok(())
    }

    /// Checks that a file can be where it will be: all above it are directories, and it is none.
    fn check_place(&self, path: &EntryPath) -> Result<(), TreeError> {
        for ancestor in path.ancestors() {
            let ancestor = EntryPath::new(ancestor).expect("a beginning of a path is a path");
            let is_removed = matches!(self.changes.get(&ancestor), Some(Change::Removed));
            let is_file = match self.tree.look(&ancestor)? {
                Some(metadata) => !metadata.is_dir() && !is_removed,
                None => false,
            };
            if is_file || matches!(self.changes.get(&ancestor), Some(Change::File { .. })) {
                return Err(TreeError::Parent { path: path.clone(), parent: ancestor });
            }
        }
        let first_below = [path.as_bytes(), b"/"].concat();
        let below = self
            .changes
            .range::<[u8], _>((Bound::Included(first_below.as_slice()), Bound::Unbounded))
            .take_while(|(other, _)| other.is_below(path))
            .find(|(_, change)| matches!(change, Change::File { .. } | Change::Link { .. }));
        match below {
            Some((other, _)) => Err(TreeError::Parent { path: other.clone(), parent: path.clone() }),
            None => Ok(()),
        }
    }

    /// Does it. What was there before is kept below `backups`, if given; for what was not there, an empty file.
    pub(crate) fn commit(self, backups: Option<&EntryPath>) -> Result<(), TreeError> {
        let backup = |path: &EntryPath| backups.and_then(|backups| backups.join(path.as_bytes()).ok());
        for path in self.changes.keys() {
            backup(path).map(|backup| self.tree.look(&backup)).transpose()?;
        }
        let mut removed = Vec::new();
        for (path, change) in &self.changes {
            let is_there = self.tree.look(path)?.is_some();
            match (change, backup(path)) {
                (Change::Kept, Some(backup)) if is_there => self.tree.copy_aside(path, &backup)?,
                (_, Some(backup)) if is_there => self.tree.set_aside(path, &backup)?,
                (_, Some(backup)) => self.tree.write(&backup, b"")?,
                (Change::Kept, None) => {}
                (_, None) if is_there => self.tree.remove(path)?,
                (_, None) => {}
            }
            if matches!(change, Change::Removed) && is_there {
                removed.push(path);
            }
        }
        for (path, change) in &self.changes {
            match change {
                Change::File { staged, .. } => self.tree.put(staged, path)?,
                Change::Link { target, .. } => self.tree.link(target, path)?,
                Change::Removed | Change::Kept => {}
            }
        }
        // A directory that has lost its last file goes too; a patch cannot say that it stays.
        removed.into_iter().try_for_each(|path| self.tree.remove_empty_parents(path))
    }
}

impl Change {
    fn is_moved(&self) -> bool {
        matches!(self, Change::File { in_place: false, .. } | Change::Link { in_place: false, .. })
    }
}
