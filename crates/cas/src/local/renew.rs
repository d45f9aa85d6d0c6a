//! Large files of an export that become those of the next one, so that what is the same in both is not written again.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2, renameat};

use super::LocalStore;
use crate::files::rewrite;

/// The directory of an earlier export.
pub(super) struct Earlier(OwnedFd);

impl Earlier {
    pub(super) fn open(path: &Path) -> Option<Earlier> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Some(Earlier(rustix::fs::open(path, flags, Mode::empty()).ok()?))
    }

    /// Opens a file at a path in it, which is followed to nowhere else.
    fn file(&self, path: &Path) -> Option<File> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        Some(File::from(openat2(&self.0, path, flags, Mode::empty(), inside).ok()?))
    }
}

impl LocalStore {
    /// Lets exports of directories write into large files that an earlier export left, instead of copying them whole.
    ///
    /// `is_ours` says whether nobody else has a file open, and has everybody who opens it wait until it is closed: a
    /// machine that runs from an image keeps what it has. A file with several names is left alone, too. Whoever is
    /// killed while it becomes the new one leaves the directory without it: a file in an export is whole or not there.
    #[must_use]
    pub fn renewing_exports(self, is_ours: fn(&File) -> bool) -> LocalStore {
        LocalStore { is_ours, ..self }
    }

    /// Moves a file of `earlier` from where it is in it to `path`, and makes it hold what `blob` does.
    ///
    /// Returns nothing when that cannot be done, and then there is nothing at `path`.
    pub(super) fn renew(&self, earlier: &Earlier, name: &Path, path: &Path, blob: &mut File) -> Option<File> {
        let file = earlier.file(name)?;
        let is_alike = |metadata: fs::Metadata| metadata.is_file() && metadata.nlink() == 1;
        if !file.metadata().is_ok_and(is_alike) || !(self.is_ours)(&file) {
            return None;
        }
        renameat(&earlier.0, name, CWD, path).ok()?;
        if rewrite(blob, &file).is_ok() {
            return Some(file);
        }
        // Nobody is to find what is half of each. Whoever copies it instead meets the error, if it is one of the disk.
        let _gone = fs::remove_file(path);
        None
    }
}
