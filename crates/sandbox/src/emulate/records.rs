//! What was asked of an emulated root.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

/// What an inode would be if root had been real. What is `None` was not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The owner.
    pub user: Option<u32>,
    /// The owning group.
    pub group: Option<u32>,
    /// What it should be instead of the empty regular file that stands for it. Its mode is the file's.
    pub device: Option<Device>,
    /// Extended attributes in `security.` and `trusted.`, and access control lists (`system.posix_acl_…`, with
    /// the numbers of users and groups as they were given), by name.
    pub attributes: BTreeMap<String, Vec<u8>>,
}

/// A device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Of which kind.
    pub kind: DeviceKind,
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

/// The kind of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A stream of bytes.
    Character,
    /// Blocks.
    Block,
}

/// Records by inode.
///
/// Every inode with a record is held open, so neither is its number given to another file when its last name
/// is removed, nor does an overlay number it anew. Renames and hard links need no care.
#[derive(Debug, Default)]
pub struct Records {
    inodes: BTreeMap<(u64, u64), Held>,
}

#[derive(Debug)]
struct Held {
    record: Record,
    /// Never read: see [`Records`].
    _inode: OwnedFd,
}

impl Records {
    /// Returns what was asked for the file that `metadata` is of (`symlink_metadata`, through the mount that
    /// the commands had as root).
    #[must_use]
    pub fn get(&self, metadata: &Metadata) -> Option<&Record> {
        self.inodes.get(&(metadata.dev(), metadata.ino())).map(|held| &held.record)
    }

    /// Returns the number of inodes with a record, whether or not they still have a name.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inodes.len()
    }

    /// Returns whether nothing was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inodes.is_empty()
    }

    /// Returns the record of the inode `key`, an empty one at first, and holds `inode`.
    pub(super) fn entry(&mut self, key: (u64, u64), inode: OwnedFd) -> &mut Record {
        &mut self
            .inodes
            .entry(key)
            .or_insert_with(|| Held { record: Record::default(), _inode: inode })
            .record
    }

    pub(super) fn existing(&mut self, key: (u64, u64)) -> Option<&mut Record> {
        self.inodes.get_mut(&key).map(|held| &mut held.record)
    }
}
