//! What a layer says about one path.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::header::MAX_PAX;
use crate::path::EntryPath;

/// A file whose name starts with this removes the name behind the prefix, as in the OCI image specification.
pub const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// A file with this name hides what lower layers have in its directory, as in the OCI image specification.
pub const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

/// Owner, mode, time and extended attributes of an inode.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metadata {
    /// Permission, set-id and sticky bits: at most `0o7777`.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
    /// Extended attributes with their full names (`security.capability`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Metadata {
    /// Returns the metadata of something with this mode that belongs to root and is as old as 1970.
    pub fn with_mode(mode: u32) -> Metadata {
        Metadata { mode, ..Metadata::default() }
    }
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file with contents of this size.
    File {
        /// Bytes of content.
        size: u64,
    },
    /// A symbolic link; its mode is always `0o777`, as on Linux.
    Symlink {
        /// Where it points, as it is.
        target: Vec<u8>,
    },
    /// Another name of a file that comes earlier in the same layer. Its metadata is that file's.
    HardLink {
        /// The file's first path in order.
        target: EntryPath,
    },
    /// A character device.
    CharDevice {
        /// Major number, below 4096.
        major: u32,
        /// Minor number, below 2^20.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number, below 4096.
        major: u32,
        /// Minor number, below 2^20.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// The path of lower layers is removed, with everything below it. Has no metadata.
    Whiteout,
    /// What lower layers have below this directory is removed. Has no metadata; the directory itself may
    /// have an entry of its own.
    OpaqueDirectory,
}

/// One path of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path that is meant: for a whiteout, the one that is removed.
    pub path: EntryPath,
    /// Owner, mode, time and extended attributes.
    pub metadata: Metadata,
    /// What is there.
    pub kind: Kind,
}

/// The entry cannot be in a layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// More than the twelve bits of a mode.
    #[error("mode {mode:o} of `{path}` has more than the bits 7777")]
    Mode {
        /// The entry.
        path: EntryPath,
        /// Its mode.
        mode: u32,
    },
    /// Linux has 12 bits for major and 20 bits for minor numbers.
    #[error(
        "`{path}` cannot be device {major}:{minor}: Linux has majors below 4096 and minors below 1048576"
    )]
    Device {
        /// The entry.
        path: EntryPath,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A target that is empty, has a NUL byte or is longer than 4095 bytes.
    #[error("the target of the symbolic link `{path}` is empty, longer than 4095 bytes or has a NUL byte")]
    SymlinkTarget {
        /// The entry.
        path: EntryPath,
    },
    /// Linux wants 1 to 255 bytes without NUL, and the archive cannot hold `=`.
    #[error("`{path}` cannot have an extended attribute named `{name}`")]
    XattrName {
        /// The entry.
        path: EntryPath,
        /// The attribute.
        name: String,
    },
    /// Linux allows 64 KiB.
    #[error("the extended attributes of `{path}` are too large: {size} bytes")]
    XattrSize {
        /// The entry.
        path: EntryPath,
        /// The size of the attribute, or of all of them.
        size: usize,
    },
    /// Names that start with `.wh.` mean whiteouts.
    #[error("`{path}` cannot be stored: names that start with `.wh.` mean removed files")]
    WhiteoutName {
        /// The entry.
        path: EntryPath,
    },
    /// Removed names have no owner, mode or time.
    #[error("`{path}` is removed and cannot have metadata")]
    WhiteoutMetadata {
        /// The entry.
        path: EntryPath,
    },
    /// The name of the whiteout would be longer than 255 bytes.
    #[error("`{path}` cannot be removed by a whiteout: its name is too long")]
    WhiteoutTooLong {
        /// The entry.
        path: EntryPath,
    },
}

const MAX_TARGET: usize = 4095;
const MAX_XATTR_NAME: usize = 255;
const MAX_XATTR_VALUE: usize = 65536;

impl Entry {
    /// Returns the entry that removes `path` of lower layers.
    pub fn whiteout(path: EntryPath) -> Entry {
        Entry { path, metadata: Metadata::default(), kind: Kind::Whiteout }
    }

    /// Returns the entry that hides what lower layers have in the directory `path`.
    pub fn opaque(path: EntryPath) -> Entry {
        Entry { path, metadata: Metadata::default(), kind: Kind::OpaqueDirectory }
    }

    /// Returns the size of the entry's contents.
    pub fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }

    /// Returns the path under which the entry is stored: whiteouts are files with names of their own.
    ///
    /// Fails if that name is too long.
    pub fn stored_path(&self) -> Result<EntryPath, EntryError> {
        let stored = match self.kind {
            Kind::Whiteout => {
                let name = [WHITEOUT_PREFIX, self.path.file_name()].concat();
                match self.path.parent() {
                    Some(parent) => parent.join(&name),
                    None => EntryPath::new(name),
                }
            }
            Kind::OpaqueDirectory => self.path.join(OPAQUE_NAME),
            _ => return Ok(self.path.clone()),
        };
        stored.map_err(|_| EntryError::WhiteoutTooLong { path: self.path.clone() })
    }

    /// Returns the path and the kind of whiteout that a file stored at `stored` means, if it is one.
    ///
    /// Fails for other names that start with `.wh.`, and for a marker that would hide the whole root.
    pub(crate) fn whiteout_at(stored: &EntryPath) -> Result<Option<Entry>, EntryError> {
        let Some(name) = stored.file_name().strip_prefix(WHITEOUT_PREFIX) else { return Ok(None) };
        let refused = || EntryError::WhiteoutName { path: stored.clone() };
        if stored.file_name() == OPAQUE_NAME {
            return stored.parent().map(|parent| Some(Entry::opaque(parent))).ok_or_else(refused);
        }
        if name.starts_with(WHITEOUT_PREFIX) {
            return Err(refused());
        }
        let path = match stored.parent() {
            Some(parent) => parent.join(name),
            None => EntryPath::new(name),
        };
        path.map(|path| Some(Entry::whiteout(path))).map_err(|_| refused())
    }

    /// Checks everything about the entry that does not depend on its neighbours.
    pub fn check(&self) -> Result<(), EntryError> {
        let path = || self.path.clone();
        if self.path.components().any(|name| name.starts_with(WHITEOUT_PREFIX)) {
            return Err(EntryError::WhiteoutName { path: path() });
        }
        if self.metadata.mode > 0o7777 {
            return Err(EntryError::Mode { path: path(), mode: self.metadata.mode });
        }
        match &self.kind {
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                if *major >= 1 << 12 || *minor >= 1 << 20 {
                    return Err(EntryError::Device { path: path(), major: *major, minor: *minor });
                }
            }
            Kind::Symlink { target } => {
                if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) {
                    return Err(EntryError::SymlinkTarget { path: path() });
                }
            }
            Kind::Whiteout | Kind::OpaqueDirectory => {
                if self.metadata != Metadata::default() {
                    return Err(EntryError::WhiteoutMetadata { path: path() });
                }
            }
            Kind::Directory | Kind::File { .. } | Kind::HardLink { .. } | Kind::Fifo => {}
        }
        self.check_xattrs()
    }

    fn check_xattrs(&self) -> Result<(), EntryError> {
        let mut total = 0;
        for (name, value) in &self.metadata.xattrs {
            if name.is_empty()
                || name.len() > MAX_XATTR_NAME
                || name.iter().any(|byte| matches!(byte, 0 | b'='))
            {
                let name = String::from_utf8_lossy(name).into_owned();
                return Err(EntryError::XattrName { path: self.path.clone(), name });
            }
            if value.len() > MAX_XATTR_VALUE {
                return Err(EntryError::XattrSize { path: self.path.clone(), size: value.len() });
            }
            total += name.len() + value.len() + 64;
        }
        // The names and numbers beside the attributes need a little of the extension header, too.
        if total > MAX_PAX - 16384 {
            return Err(EntryError::XattrSize { path: self.path.clone(), size: total });
        }
        Ok(())
    }
}

/// One line for people: kind, mode, owner, time, path and what the kind has; then a line for each attribute.
///
/// Bytes that are not printable ASCII are escaped as in Rust's string literals.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Metadata { mode, uid, gid, mtime, xattrs } = &self.metadata;
        let kind = match self.kind {
            Kind::Directory => "dir",
            Kind::File { .. } => "file",
            Kind::Symlink { .. } => "symlink",
            Kind::HardLink { .. } => "link",
            Kind::CharDevice { .. } => "char",
            Kind::BlockDevice { .. } => "block",
            Kind::Fifo => "fifo",
            Kind::Whiteout => "removed",
            Kind::OpaqueDirectory => "opaque",
        };
        write!(f, "{kind:<7} {mode:04o} {uid}:{gid} {mtime} {}", self.path.as_bytes().escape_ascii())?;
        match &self.kind {
            Kind::File { size } => write!(f, " size={size}")?,
            Kind::Symlink { target } => write!(f, " -> {}", target.escape_ascii())?,
            Kind::HardLink { target } => write!(f, " = {}", target.as_bytes().escape_ascii())?,
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                write!(f, " device={major}:{minor}")?;
            }
            Kind::Directory | Kind::Fifo | Kind::Whiteout | Kind::OpaqueDirectory => {}
        }
        for (name, value) in xattrs {
            write!(f, "\n        {}=\"{}\"", name.escape_ascii(), value.escape_ascii())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: Kind) -> Entry {
        Entry { path: EntryPath::new("a/b").unwrap(), metadata: Metadata::default(), kind }
    }

    #[test]
    fn whiteouts_are_stored_under_their_own_names() {
        for (kind, stored) in [(Kind::Whiteout, "a/.wh.b"), (Kind::OpaqueDirectory, "a/b/.wh..wh..opq")] {
            let entry = entry(kind);
            let path = entry.stored_path().unwrap();
            assert_eq!(path.to_string(), stored);
            assert_eq!(Entry::whiteout_at(&path).unwrap(), Some(entry));
        }
        for bad in [".wh.", ".wh...", ".wh..wh..opq", ".wh..wh.plnk"] {
            assert!(Entry::whiteout_at(&EntryPath::new(bad).unwrap()).is_err(), "{bad}");
        }
        assert_eq!(Entry::whiteout_at(&EntryPath::new("a/wh.b").unwrap()), Ok(None));
    }

    #[test]
    fn what_linux_or_the_archive_cannot_hold_is_refused() {
        let mut bad = vec![
            entry(Kind::CharDevice { major: 4096, minor: 0 }),
            entry(Kind::BlockDevice { major: 8, minor: 1 << 20 }),
            entry(Kind::Symlink { target: vec![] }),
            entry(Kind::Symlink { target: b"a\0".to_vec() }),
            Entry { metadata: Metadata::with_mode(0o10000), ..entry(Kind::Directory) },
            Entry { metadata: Metadata::with_mode(0o644), ..entry(Kind::Whiteout) },
            Entry { path: EntryPath::new("a/.wh.b").unwrap(), ..entry(Kind::File { size: 0 }) },
        ];
        for name in ["", "a=b", "a\0"] {
            let mut entry = entry(Kind::Directory);
            entry.metadata.xattrs.insert(name.into(), vec![]);
            bad.push(entry);
        }
        for entry in bad {
            assert!(entry.check().is_err(), "{entry:?}");
        }
        assert_eq!(entry(Kind::Fifo).check(), Ok(()));
    }
}
