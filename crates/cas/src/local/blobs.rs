//! One blob: its two files, finding it, placing it, reading it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::LocalStore;
use crate::files::{TOUCHED, USED_NOW, accessed, copy_content, hash};
use crate::store::Doing as _;
use crate::{Digest, StoreError};

impl LocalStore {
    /// Opens the blob for reading. Does not verify it.
    ///
    /// Fails with [`StoreError::Missing`] when it is not here.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let found = match self.find(digest)? {
            None if !digest.is_empty() => {
                self.wait_for_collector(&blob_name(digest, false))?;
                self.wait_for_collector(&blob_name(digest, true))?;
                self.find(digest)?
            }
            found => found,
        };
        let name = match found {
            Some(name) => name,
            None if digest.is_empty() => {
                self.place(self.new_file()?, digest, false)?;
                blob_name(digest, false)
            }
            None => {
                self.bundles.disbelieve();
                return Err(StoreError::Missing { digest: *digest });
            }
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&self.blobs, &name, flags, Mode::empty());
        let file = self.unless_missed(&name, open)?;
        Ok(File::from(file.doing(|| format!("open blob {digest}"))?))
    }

    /// Returns the blob's file that can be executed, or the one that cannot; the other one is copied if need be.
    /// Nobody may write to it. It stays until the store is dropped.
    ///
    /// Fails with [`StoreError::Missing`] when the blob is not here.
    pub fn blob_file(&self, digest: &Digest, executable: bool) -> Result<PathBuf, StoreError> {
        Ok(self.root().join("blobs").join(self.find_variant(digest, executable)?))
    }

    /// Says whether one of the blob's files is here, and leaves it at that: it does not count as used.
    pub fn has_file(&self, digest: &Digest) -> bool {
        let is_there = |executable| {
            let name = blob_name(digest, executable);
            rustix::fs::statat(&self.blobs, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
        };
        is_there(false) || is_there(true)
    }

    /// Returns the bytes of the blob, after they were compared with its name.
    ///
    /// Fails with [`StoreError::Missing`] or [`StoreError::Damaged`].
    pub(super) fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let mut file = self.open_blob(digest)?;
        // Made by reading as large as the file is: a digest may claim any size.
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).doing(|| format!("read blob {digest}"))?;
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(StoreError::Damaged { digest: *digest, found }) }
    }

    /// Reads the blob and compares it with its name.
    ///
    /// Fails with [`StoreError::Missing`] or [`StoreError::Damaged`].
    pub fn verify(&self, digest: &Digest) -> Result<(), StoreError> {
        let mut file = self.open_blob(digest)?;
        let found = hash(&mut file, &self.cancel).doing(|| format!("read blob {digest}"))?;
        if found == *digest { Ok(()) } else { Err(StoreError::Damaged { digest: *digest, found }) }
    }

    /// Returns the name, below `blobs`, of one of the blob's files and notes that it is in use.
    pub(super) fn find(&self, digest: &Digest) -> Result<Option<String>, StoreError> {
        for executable in [false, true] {
            let name = blob_name(digest, executable);
            if self.touch_blob(digest, &name)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Returns the name of the blob's file of that mode, which is made of the other one if need be.
    ///
    /// Fails with [`StoreError::Missing`] when there is neither.
    pub(super) fn find_variant(&self, digest: &Digest, executable: bool) -> Result<String, StoreError> {
        let name = blob_name(digest, executable);
        if self.touch_blob(digest, &name)? {
            return Ok(name);
        }
        let mut other = self.open_blob(digest)?;
        let mut file = self.new_file()?;
        copy_content(&mut other, file.as_file_mut(), &self.cancel).doing(|| format!("copy blob {digest}"))?;
        self.place(file, digest, executable)?;
        Ok(name)
    }

    /// Returns whether the file is there with the right size, and marks it as used.
    fn touch_blob(&self, digest: &Digest, name: &str) -> Result<bool, StoreError> {
        let stat = match rustix::fs::statat(&self.blobs, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error).doing(|| format!("look for blob {digest}")),
        };
        if u64::try_from(stat.st_size) != Ok(digest.size()) {
            return Ok(false);
        }
        // Since our lease began it has been out of reach of any collector.
        if accessed(&stat) >= self.lease.start {
            return Ok(true);
        }
        match rustix::fs::utimensat(&self.blobs, name, &TOUCHED, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error).doing(|| format!("mark blob {digest} as used")),
        }
    }

    /// Makes a file in the scratch directory, which disappears unless it is placed.
    pub(super) fn new_file(&self) -> Result<NamedTempFile, StoreError> {
        NamedTempFile::new_in(self.scratch())
            .doing(|| format!("make a file in `{}`", self.scratch().display()))
    }

    /// Turns a file that holds exactly the blob into the blob.
    pub(super) fn place(
        &self,
        file: NamedTempFile,
        digest: &Digest,
        executable: bool,
    ) -> Result<(), StoreError> {
        seal(file.as_file(), executable).doing(|| format!("seal blob {digest}"))?;
        let (_file, path) = file.into_parts();
        rustix::fs::renameat(CWD, &*path, &self.blobs, blob_name(digest, executable))
            .doing(|| format!("place blob {digest}"))?;
        // It has gone from there.
        let _ = path.keep();
        Ok(())
    }
}

/// Gives a file the mode and times of a blob.
pub(super) fn seal(file: &File, executable: bool) -> Result<(), Errno> {
    let mode = if executable { 0o555 } else { 0o444 };
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
    rustix::fs::futimens(file, &USED_NOW)
}

/// Returns the path of the blob's file below `blobs`.
pub(super) fn blob_name(digest: &Digest, executable: bool) -> String {
    let hash = digest.hash();
    let mut name = String::with_capacity(68);
    for (idx, byte) in hash.iter().enumerate() {
        if idx == 1 {
            name.push('/');
        }
        let _ = write!(name, "{byte:02x}");
    }
    if executable {
        name.push_str(".x");
    }
    name
}
