//! Leases: how a process says that it runs, and since when.
//!
//! A lease is a file on which its process holds a lock. The system drops the lock when the process ends,
//! however it ends, so that a lease whose lock can be taken is void.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::StoreError;
use crate::files::{Stamp, modified, spread};
use crate::remove::remove_tree;
use crate::store::Doing as _;

/// The lease of this process on a store, and the scratch directory that goes with it.
pub(crate) struct Lease {
    /// Held for the lock on it.
    _file: File,
    path: PathBuf,
    /// When it began; whatever was used since then must stay.
    pub(crate) start: Stamp,
    /// A directory that is removed with the lease, by this process or by one that finds it void.
    pub(crate) scratch: PathBuf,
}

impl Lease {
    /// Takes a new lease on the store at `root`.
    pub(crate) fn take(root: &Path) -> Result<Lease, StoreError> {
        let leases = root.join("leases");
        loop {
            let named = tempfile::Builder::new().prefix("").rand_bytes(12).tempfile_in(&leases);
            let (file, path) = named
                .and_then(|file| file.keep().map_err(|error| error.error))
                .doing(|| format!("make a lease in `{}`", leases.display()))?;
            let locked = rustix::fs::flock(&file, FlockOperation::LockExclusive);
            let stat = locked
                .and_then(|()| rustix::fs::fstat(&file))
                .doing(|| format!("lock `{}`", path.display()))?;
            // Between its making and its locking somebody may have found it void and removed it.
            if stat.st_nlink == 0 {
                continue;
            }
            let name = path.file_name().unwrap_or_default();
            let scratch = root.join("scratch").join(name);
            let mut made = fs::create_dir(&scratch);
            if is_full(&made) {
                // What a killed process left may be what fills the disk.
                sweep(root)?;
                made = fs::create_dir(&scratch);
            }
            if made.is_err() {
                let _void = fs::remove_file(&path);
            }
            made.doing(|| format!("make directory `{}`", scratch.display()))?;
            spread(&scratch);
            return Ok(Lease { _file: file, path, start: modified(&stat), scratch });
        }
    }
}

fn is_full(made: &io::Result<()>) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    made.as_ref().is_err_and(|error| matches!(error.kind(), StorageFull | QuotaExceeded))
}

impl Lease {
    /// Returns when the oldest live lease of another process began, if there is one.
    pub(crate) fn others_began(&self) -> Result<Option<Stamp>, StoreError> {
        let mut oldest = None;
        let leases = self.path.parent().unwrap_or(Path::new("."));
        for name in names_in(leases)? {
            let path = leases.join(&name);
            if path == self.path {
                continue;
            }
            // One that is gone or void by now is nobody's.
            let Ok(file) = File::open(&path) else { continue };
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                let stat =
                    rustix::fs::fstat(&file).doing(|| format!("read the times of `{}`", path.display()))?;
                let start = modified(&stat);
                oldest = Some(oldest.map_or(start, |oldest: Stamp| oldest.min(start)));
            }
        }
        Ok(oldest)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next process.
        let _ = remove_tree(&self.scratch);
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns when the oldest live lease on the store at `root` began, if there is one, and removes the void
/// leases together with what their processes left in the scratch directory.
pub(crate) fn sweep(root: &Path) -> Result<Option<Stamp>, StoreError> {
    // Scratch directories first: one that is listed here had its lease before.
    let scratch = names_in(&root.join("scratch"))?;
    let mut oldest = None;
    let mut live = Vec::new();
    for name in names_in(&root.join("leases"))? {
        let path = root.join("leases").join(&name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).doing(|| format!("open `{}`", path.display())),
        };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Removed while locked: its maker, if it lives after all, sees that and makes another.
            let _ = fs::remove_file(&path);
        } else {
            let stat =
                rustix::fs::fstat(&file).doing(|| format!("read the times of `{}`", path.display()))?;
            let start = modified(&stat);
            oldest = Some(oldest.map_or(start, |oldest: Stamp| oldest.min(start)));
            live.push(name);
        }
    }
    for name in scratch.into_iter().filter(|name| !live.contains(name)) {
        // What cannot be removed takes room, which is better than a store that cannot be opened.
        let _ = remove_tree(&root.join("scratch").join(name));
    }
    Ok(oldest)
}

/// Returns the names in a directory of the store.
pub(crate) fn names_in(directory: &Path) -> Result<Vec<std::ffi::OsString>, StoreError> {
    let names =
        fs::read_dir(directory).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    names.doing(|| format!("list `{}`", directory.display()))
}
