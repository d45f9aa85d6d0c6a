//! Directories that steps keep from run to run, as [`engine::Kept`] asks for them.
//!
//! Each is a directory `files` with a file `lock` beside it, which is locked as long as a step uses it and whose time
//! says when one last did.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use engine::{ExecutorError, Kept};
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::io::Errno;
use sandbox::Mount;

use crate::executor::{disk, make_directory};

const FILES: &str = "files";
const LOCK: &str = "lock";
/// How often somebody who waits for a directory looks whether it is free, or whether it need not wait any more.
const INTERVAL: Duration = Duration::from_millis(50);

/// A directory that is ours until this is dropped.
pub(crate) struct Lent {
    files: PathBuf,
    at: String,
    _lock: File,
}

impl Lent {
    /// Returns the mount that puts it where the step looks for it.
    pub(crate) fn mount(&self) -> Mount {
        Mount::read_write(&self.files, &self.at)
    }
}

/// Returns the directories `kept` of those in `directory`, made if they are new. Waits until nobody else uses them.
pub(crate) fn lend(directory: &Path, kept: &[Kept], cancel: &AtomicBool) -> Result<Vec<Lent>, ExecutorError> {
    // In one order, so that two who want the same ones do not wait for each other.
    let mut sorted: Vec<&Kept> = kept.iter().collect();
    sorted.sort_by(|left, right| left.name.cmp(&right.name));
    sorted.dedup();
    sorted.into_iter().map(|kept| lend_one(&directory.join(&kept.name), kept, cancel)).collect()
}

fn lend_one(place: &Path, kept: &Kept, cancel: &AtomicBool) -> Result<Lent, ExecutorError> {
    let failed =
        |error: io::Error| disk(format!("open the directory `{}` that a step keeps", place.display()), error);
    let files = place.join(FILES);
    loop {
        fs::create_dir_all(place).map_err(failed)?;
        // What a step leaves in it may be setuid to us, and others must not find it.
        rustix::fs::chmod(place, Mode::from_raw_mode(0o700)).map_err(|error| failed(error.into()))?;
        let lock = match File::options().create(true).truncate(false).write(true).open(place.join(LOCK)) {
            // Swept away in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            lock => lock.map_err(failed)?,
        };
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                if cancel.load(Ordering::Relaxed) {
                    return Err(ExecutorError::Cancelled);
                }
                std::thread::sleep(INTERVAL);
                continue;
            }
            Err(error) => return Err(failed(error.into())),
        }
        if !is_still_there(place, &lock) {
            continue;
        }
        // The step's own user is another one to the directory that it did not make.
        make_directory(&files, 0o1777).map_err(failed)?;
        touch(&lock).map_err(failed)?;
        return Ok(Lent { files, at: kept.at.clone(), _lock: lock });
    }
}

/// Says whether the lock is that of the directory, and not one that was swept away.
fn is_still_there(place: &Path, lock: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(ours), Ok(found)) = (lock.metadata(), fs::metadata(place.join(LOCK))) else { return false };
    (ours.dev(), ours.ino()) == (found.dev(), found.ino())
}

fn touch(lock: &File) -> io::Result<()> {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
    Ok(rustix::fs::futimens(lock, &times)?)
}

/// What [`sweep_kept`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweptKept {
    /// How many directories.
    pub n_directories: u64,
    /// The bytes that their files took on the disk.
    pub bytes: u64,
}

/// Removes the directories in `directory` that no step has used since `since` and that none uses now.
pub fn sweep_kept(directory: &Path, since: SystemTime) -> io::Result<SweptKept> {
    let mut swept = SweptKept::default();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(swept),
        entries => entries?,
    };
    for entry in entries {
        let place = entry?.path();
        // Whoever is not there any more was swept by somebody else.
        let Ok(lock) = File::options().write(true).open(place.join(LOCK)) else { continue };
        let used = lock.metadata()?.modified()?;
        if used >= since || flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let files = place.join(FILES);
        swept.bytes += size(&files);
        cas::remove_tree(&files).map_err(io::Error::other)?;
        fs::remove_file(place.join(LOCK))?;
        fs::remove_dir(&place)?;
        swept.n_directories += 1;
    }
    Ok(swept)
}

/// Returns how much the files in a directory take; what cannot be looked at counts as nothing.
fn size(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(name: &str) -> Kept {
        Kept { name: name.to_owned(), at: format!("/build/cache/{name}") }
    }

    #[test]
    fn what_was_left_is_found_again() {
        let scratch = tempfile::tempdir().unwrap();
        let go = AtomicBool::new(false);
        let lent = lend(scratch.path(), &[kept("b"), kept("a")], &go).unwrap();
        assert_eq!(
            lent.iter().map(|lent| lent.at.as_str()).collect::<Vec<_>>(),
            ["/build/cache/a", "/build/cache/b"]
        );
        fs::write(lent[0].files.join("file"), "left").unwrap();
        drop(lent);
        let lent = lend(scratch.path(), &[kept("a")], &go).unwrap();
        assert_eq!(fs::read_to_string(lent[0].files.join("file")).unwrap(), "left");
    }

    #[test]
    fn who_waits_for_another_one_can_be_stopped() {
        let scratch = tempfile::tempdir().unwrap();
        let _lent = lend(scratch.path(), &[kept("a")], &AtomicBool::new(false)).unwrap();
        let waiting = lend(scratch.path(), &[kept("a")], &AtomicBool::new(true));
        assert!(matches!(waiting, Err(ExecutorError::Cancelled)));
    }

    #[test]
    fn what_nobody_used_lately_is_swept() {
        let scratch = tempfile::tempdir().unwrap();
        let go = AtomicBool::new(false);
        let (first, second) = (lend(scratch.path(), &[kept("a")], &go).unwrap(), kept("b"));
        drop(lend(scratch.path(), &[second], &go).unwrap());
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 34);
        assert_eq!(sweep_kept(scratch.path(), SystemTime::UNIX_EPOCH).unwrap().n_directories, 0);
        assert_eq!(sweep_kept(scratch.path(), later).unwrap().n_directories, 1);
        assert!(first[0].files.exists());
        assert!(!scratch.path().join("b").exists());
    }
}
