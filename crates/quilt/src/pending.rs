//! What a patch is going to do to a directory, as far as it was followed.
//!
//! Nothing of it happens before all of it is known to be possible. Where git says that a file is renamed or
//! copied, it means the file as it was before the patch, so that two files can change places.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use layer::EntryPath;

use crate::error::TreeError;
use crate::tree::{Tree, beginning};

/// The files that a patch changes, as they will be.
pub(crate) struct Pending<'t> {
    tree: &'t Tree,
    changes: BTreeMap<EntryPath, Change>,
    /// Those of the paths at which something will be.
    made: BTreeSet<EntryPath>,
    /// The number of the last file that waits, and the numbers below it that are not used any more.
    last_staged: usize,
    unused: Vec<usize>,
}

enum Change {
    /// It will not be there.
    Removed,
    /// It stays as it is; the patch names it all the same.
    Kept,
    /// It will be this file, which waits elsewhere.
    File { number: usize, staged: PathBuf, mode: u32, in_place: bool },
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
        Pending { tree, changes: BTreeMap::new(), made: BTreeSet::new(), last_staged: 0, unused: Vec::new() }
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

    /// Returns how many of the directories above a path would have to be made; [`Pending::kind`] has not failed for it.
    pub(crate) fn n_missing(&self, path: &EntryPath) -> Result<usize, TreeError> {
        let mut n_missing = 0;
        for above in self.tree.above(path) {
            let (ancestor, found) = above?;
            let is_there = match self.changes.get(ancestor) {
                Some(Change::Removed) => false,
                Some(Change::File { .. } | Change::Link { .. }) => true,
                Some(Change::Kept) | None => found.is_some(),
            };
            n_missing += usize::from(!is_there);
        }
        Ok(n_missing)
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
        self.made.remove(path);
        self.set(path, Change::Removed);
    }

    fn set(&mut self, path: &EntryPath, change: Change) {
        if let Some(Change::File { number, .. }) = self.changes.insert(path.clone(), change) {
            self.unused.push(number);
        }
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
            let number = self.unused.pop().unwrap_or_else(|| {
                self.last_staged += 1;
                self.last_staged
            });
            let staged = self.tree.stage(number, &file.content, file.permissions)?;
            Change::File { number, staged, mode: file.permissions, in_place }
        };
        self.made.insert(path.clone());
        self.set(path, change);
        Ok(())
    }

    /// Checks that a file can be where it will be: all above it are directories, and it is none.
    fn check_place(&self, path: &EntryPath) -> Result<(), TreeError> {
        for above in self.tree.above(path) {
            let (ancestor, found) = above?;
            let is_file = match self.changes.get(ancestor) {
                Some(Change::File { .. }) => true,
                Some(Change::Removed) => false,
                _ => found.is_some_and(|metadata| !metadata.is_dir()),
            };
            if is_file {
                return Err(TreeError::Parent { path: path.clone(), parent: beginning(ancestor) });
            }
        }
        let first_below = [path.as_bytes(), b"/"].concat();
        let mut below =
            self.made.range::<[u8], _>((Bound::Included(first_below.as_slice()), Bound::Unbounded));
        match below.next().filter(|other| other.is_below(path)) {
            Some(other) => Err(TreeError::Parent { path: other.clone(), parent: path.clone() }),
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
