//! After the machine died: nothing is believed that was not durable and is not whole.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, AtFlags, FlockOperation};
use rustix::io::Errno;

use super::gc::Marker;
use super::lease::names_in;
use super::{LocalStore, lock_file};
use crate::files::{Stamp, boot_id, changed, hash, in_parallel, modified, open_unused};
use crate::remove::{remove_file, remove_tree};
use crate::store::Doing as _;
use crate::{Digest, StoreError};

/// Later than any use, whatever the clock said then.
const AFTER_ALL: Stamp = (i64::MAX, 0);

/// What verifying a store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// How many files of blobs were read.
    pub n_checked: usize,
    /// The blobs that were damaged and are now deleted; each with its size as it was found.
    pub damaged: Vec<Digest>,
    /// How many records relied on something that is not here, and are deleted too.
    pub n_broken_records: usize,
}

impl LocalStore {
    /// Verifies every blob, deletes those that are damaged, every record that relies on something that is not
    /// here, and every checkout that no other process uses: those share their files with blobs, or have copies
    /// of them. This process must not use any while it scrubs.
    pub fn scrub(&self) -> Result<Scrubbed, StoreError> {
        // Later than any use by ourselves.
        let threshold = self.lease.others_began()?.unwrap_or(AFTER_ALL);
        self.scrub_since(None, threshold)
    }

    /// Verifies what was written after the last synchronisation, unless the machine has been running since and lost nothing.
    /// Returns the start of the last synchronisation.
    pub(super) fn recover_if_needed(&self) -> Result<Stamp, StoreError> {
        let boot = boot_id()?;
        if let Some((synced_boot, stamp)) = self.noted_synced()
            && synced_boot == boot
            && !self.lost().exists()
        {
            let now = self.now()?;
            if stamp <= now {
                return Ok(stamp);
            }
            // Somebody has set the clock back: what is written from now on must not look older than the note. What was
            // written since then does, and may be anywhere yet.
            rustix::fs::syncfs(&self.clock).doing(|| format!("synchronise `{}`", self.root().display()))?;
            self.note_synced(now)?;
            return Ok(now);
        }
        let path = self.root().join("recover.lock");
        let _lock = lock_file(&path, FlockOperation::LockExclusive)?;
        let start = self.now()?;
        // One that cannot be read is of whatever was written.
        let lost = self.lost();
        let lost = lost.exists().then(|| LocalStore::note_in(&lost).unwrap_or_default());
        let since = match (self.noted_synced(), &lost) {
            (Some((synced_boot, stamp)), None) if synced_boot == boot => return Ok(stamp),
            (noted, None) => noted.map(|(_, stamp)| stamp),
            // What was synchronised after that says nothing of what was lost before.
            (noted, Some((_, lost))) => noted.map(|(_, stamp)| stamp.min(*lost)),
        };
        // With one that is still to come, the clock is behind or was ahead, and says nothing of what was written when.
        let since = since.filter(|stamp| *stamp <= start);
        let threshold = match lost {
            Some((lost_boot, _)) if lost_boot == boot => self.lease.others_began()?.unwrap_or(AFTER_ALL),
            // Others of this run of the machine wait for the lock, so nobody uses anything.
            _ => AFTER_ALL,
        };
        self.scrub_since(since, threshold)?;
        // What was verified came from the disk. The stamp stays, since deletions may not be durable yet.
        let stamp = since.unwrap_or((0, 0));
        self.note_synced(stamp)?;
        remove_file(&self.lost())?;
        Ok(stamp)
    }

    /// Notes that everything written before `start` is durable. When this note is lost with the machine,
    /// an older one, or none, makes the next process verify more than it need.
    pub(super) fn note_synced(&self, start: Stamp) -> Result<(), StoreError> {
        self.write_note(&self.synced_note(), start)
    }

    /// Notes that something was lost of what was written since the last synchronisation, and nobody knows what.
    pub(super) fn note_lost(&self) -> Result<(), StoreError> {
        let (_, synced) = self.noted_synced().unwrap_or_default();
        // That needs room, which there may be none of. Without a note of what is synchronised, all is verified.
        self.write_note(&self.lost(), synced).or_else(|_| remove_file(&self.synced_note()))
    }

    /// Fails when something was lost since the store was opened, by anybody: nothing can be vouched for.
    pub(super) fn check_nothing_lost(&self) -> Result<(), StoreError> {
        let has_lost = self.has_lost.load(Ordering::SeqCst) || self.lost().exists();
        if !has_lost && self.synced_note().exists() {
            return Ok(());
        }
        let lost = io::Error::other("the disk has lost what was written earlier");
        Err(lost).doing(|| format!("synchronise `{}`", self.root().display()))
    }

    fn lost(&self) -> PathBuf {
        self.root().join("lost")
    }

    fn synced_note(&self) -> PathBuf {
        self.root().join("synced")
    }

    fn write_note(&self, path: &Path, stamp: Stamp) -> Result<(), StoreError> {
        let mut file = self.new_file()?;
        writeln!(file, "{} {} {}", boot_id()?, stamp.0, stamp.1)
            .and_then(|()| file.persist(path).map_err(|error| error.error))
            .map(drop)
            .doing(|| format!("write `{}`", path.display()))
    }

    fn noted_synced(&self) -> Option<(String, Stamp)> {
        LocalStore::note_in(&self.synced_note())
    }

    /// Returns the run of the machine and the time that a note has.
    fn note_in(path: &Path) -> Option<(String, Stamp)> {
        let text = fs::read_to_string(path).ok()?;
        let mut words = text.split_whitespace();
        let boot = words.next()?.to_owned();
        Some((boot, (words.next()?.parse().ok()?, words.next()?.parse().ok()?)))
    }

    /// Does it for what was written since then. Checkouts that were not used since `threshold` go.
    fn scrub_since(&self, since: Option<Stamp>, threshold: Stamp) -> Result<Scrubbed, StoreError> {
        // Clocks of different origin stamp files within this of each other.
        let since = since.map(|(seconds, nanoseconds)| (seconds - 2, nanoseconds));
        let suspects = self.blob_files_since(since)?;
        let found = in_parallel(suspects.len(), |idx| {
            let (hex, path) = &suspects[idx];
            size_if_damaged(hex, path, &self.cancel).doing(|| format!("read `{}`", path.display()))
        })?;
        let mut damaged = Vec::new();
        for ((hex, path), size) in suspects.iter().zip(found) {
            let Some(size) = size else { continue };
            remove_file(path)?;
            damaged.extend(Digest::from_hex(hex, size));
        }
        self.discard_checkouts_since(since, threshold)?;
        // A blob may be gone without a trace, and the record that relied on it may not.
        let n_broken_records = if suspects.is_empty() && !self.has_records_since(since)? {
            0
        } else {
            Marker::new(self)?.delete_broken_records()?
        };
        Ok(Scrubbed { n_checked: suspects.len(), damaged, n_broken_records })
    }

    /// Returns hash and path of the blobs' files that changed since then.
    fn blob_files_since(&self, since: Option<Stamp>) -> Result<Vec<(String, PathBuf)>, StoreError> {
        let mut files = Vec::new();
        for shard in names_in(&self.root().join("blobs"))? {
            let directory = self.root().join("blobs").join(&shard);
            let stat = rustix::fs::stat(&directory)
                .doing(|| format!("read the times of `{}`", directory.display()))?;
            // A rename into a directory changes the directory's time too.
            if since.is_some_and(|since| modified(&stat) < since) {
                continue;
            }
            for name in names_in(&directory)? {
                let path = directory.join(&name);
                let stat = match rustix::fs::statat(rustix::fs::CWD, &path, AtFlags::SYMLINK_NOFOLLOW) {
                    // Collected, or found to be damaged by somebody else.
                    Err(Errno::NOENT) => continue,
                    stat => stat.doing(|| format!("read the times of `{}`", path.display()))?,
                };
                if since.is_none_or(|since| changed(&stat) >= since) {
                    let name = format!("{}{}", shard.to_string_lossy(), name.to_string_lossy());
                    files.push((name.trim_end_matches(".x").to_owned(), path));
                }
            }
        }
        Ok(files)
    }

    /// Returns whether any record was written since then.
    fn has_records_since(&self, since: Option<Stamp>) -> Result<bool, StoreError> {
        let Some(since) = since else { return Ok(true) };
        let top = self.root().join("records");
        for kind in names_in(&top)? {
            for shard in names_in(&top.join(&kind))? {
                // A record gets its name by a rename, which changes the directory's time.
                let directory = top.join(&kind).join(shard);
                let stat = rustix::fs::stat(&directory)
                    .doing(|| format!("read the times of `{}`", directory.display()))?;
                if modified(&stat) >= since {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Deletes the checkouts that were used, and so perhaps made, since then, unless they were since `threshold`.
    fn discard_checkouts_since(&self, since: Option<Stamp>, threshold: Stamp) -> Result<(), StoreError> {
        let trees = self.root().join("trees");
        for name in names_in(&trees)? {
            let Some(name) = name.to_str() else { continue };
            let used = match name.strip_suffix(".used") {
                Some(name) => Some((name, trees.join(format!("{name}.used")))),
                // One without its mark: that was lost, and nobody knows since when.
                None if trees.join(format!("{name}.used")).exists() => None,
                None => {
                    remove_tree(&trees.join(name))?;
                    None
                }
            };
            let Some((name, used)) = used else { continue };
            let Ok(stat) = rustix::fs::stat(&used) else { continue };
            if since.is_none_or(|since| modified(&stat) >= since) {
                self.discard_checkout(name, threshold)?;
            }
        }
        Ok(())
    }
}

/// Returns the size of a blob's file if what is in it is not what its name says, or cannot be read any more. One that is gone
/// is not damaged.
fn size_if_damaged(hex: &str, path: &Path, cancel: &AtomicBool) -> io::Result<Option<u64>> {
    let found = open_unused(path).and_then(|mut file| {
        // What is in memory may be better than what the disk has of it, until somebody else needs the memory.
        let _may_be_read_from_memory = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
        hash(&mut file, cancel)
    });
    match found {
        Ok(found) => Ok((found.hex() != hex).then_some(found.size())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
            Ok(Some(fs::symlink_metadata(path)?.len()))
        }
        Err(error) => Err(error),
    }
}
