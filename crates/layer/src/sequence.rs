//! The rules between the entries of one layer; writer and reader follow the same ones.

use crate::entry::{Entry, EntryError, Kind, Metadata};
use crate::path::EntryPath;

/// The entry cannot stand where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// The entry is wrong by itself.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Not in the order of the paths' bytes, or twice.
    #[error("`{path}` comes after `{previous}`: the paths of a layer ascend")]
    Order {
        /// The entry's stored path.
        path: EntryPath,
        /// The stored path before it.
        previous: EntryPath,
    },
    /// The layer itself has something else where the path needs a directory.
    #[error("`{path}` lies below `{parent}`, which is not a directory")]
    Parent {
        /// The entry's stored path.
        path: EntryPath,
        /// What is above it.
        parent: EntryPath,
    },
    /// The target is not a file that comes earlier in the layer.
    #[error(
        "the hard link `{path}` points to `{target}`, which is no file that comes before it in the layer"
    )]
    LinkTarget {
        /// The link.
        path: EntryPath,
        /// Its target.
        target: EntryPath,
    },
    /// Two names of one inode cannot have two owners, modes or times.
    #[error("the hard link `{path}` has other metadata than its target `{target}`")]
    LinkMetadata {
        /// The link.
        path: EntryPath,
        /// Its target.
        target: EntryPath,
    },
}

/// Watches the entries of one layer go by.
#[derive(Default)]
pub(crate) struct Sequence {
    previous: Option<EntryPath>,
    /// The stored paths so far that are byte prefixes of the previous one, with whether they are directories.
    /// Whatever lies between `a` and `a/b` in byte order starts with `a`, so a stack is enough.
    prefixes: Vec<(EntryPath, bool)>,
    /// The regular files so far, in order.
    files: Vec<(EntryPath, Metadata)>,
}

impl Sequence {
    /// Checks that `entry` can come next and remembers it; returns the path under which it is stored.
    pub(crate) fn accept(&mut self, entry: &Entry) -> Result<EntryPath, SequenceError> {
        entry.check()?;
        let stored = entry.stored_path()?;
        if let Some(previous) = self.previous.as_ref().filter(|previous| **previous >= stored) {
            return Err(SequenceError::Order { path: stored, previous: previous.clone() });
        }
        while self.prefixes.last().is_some_and(|(path, _)| !stored.as_bytes().starts_with(path.as_bytes())) {
            self.prefixes.pop();
        }
        if let Some((parent, _)) =
            self.prefixes.iter().find(|(path, is_directory)| !is_directory && stored.is_below(path))
        {
            return Err(SequenceError::Parent { path: stored, parent: parent.clone() });
        }
        match &entry.kind {
            Kind::File { .. } => self.files.push((stored.clone(), entry.metadata.clone())),
            Kind::HardLink { target } => {
                let (path, target) = (entry.path.clone(), target.clone());
                let Ok(found) = self.files.binary_search_by(|(file, _)| file.cmp(&target)) else {
                    return Err(SequenceError::LinkTarget { path, target });
                };
                if self.files[found].1 != entry.metadata {
                    return Err(SequenceError::LinkMetadata { path, target });
                }
            }
            _ => {}
        }
        self.prefixes.push((stored.clone(), matches!(entry.kind, Kind::Directory)));
        self.previous = Some(stored.clone());
        Ok(stored)
    }
}
