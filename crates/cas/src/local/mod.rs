//! The store on a disk, shared by all processes of a user.
//!
//! ```text
//! blobs/ab/cd…      the blob abcd…, mode 0444      records/KIND/ab/cd…  what is known: key → payload
//! blobs/ab/cd….x    the same, mode 0555            roots/…              what gc must keep
//! trees/abcd…       a checked-out tree             leases/…             who runs, since when
//! synced            up to when all is durable      scratch/LEASE/…      what is being made
//! lost              since when something was lost
//! ```

mod blobs;
mod bundle;
mod checkout;
mod export;
mod gc;
mod import;
mod lease;
mod records;
mod recover;
mod renew;
mod roots;
mod table;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, Timestamps};

use crate::files::{Stamp, TOUCHED, go_on_unless, modified, spread};
use crate::store::Doing as _;
use crate::{Digest, Store, StoreError};
use bundle::Bundles;
use lease::Lease;

pub use bundle::{Note, Noted, Texts};
pub use gc::{Freed, Keep};
pub use import::{ImportMode, Imported};
pub(crate) use import::{read_link, utf8_name};
pub use records::{Record, Reference};
pub use recover::Scrubbed;
pub use roots::Root;

/// A [`Store`] in a directory. Any number of processes may use it at once, one of them collecting garbage.
///
/// **Whole or absent.** A blob is written under another name, on the same file system, and then renamed.
/// One whose size is not that of its digest counts as absent. Blobs are read-only files with a fixed
/// modification time ([`crate::FIXED_MTIME`]), which may be hard links to what steps read.
///
/// **Durable before it is believed.** Synchronising each of 20,000 small files would take longer than
/// making them, so no file is. [`LocalStore::sync`] makes everything durable at once and notes the time.
/// While the machine runs, every process sees what was written, synchronised or not. After it died, the
/// first process to open the store verifies what was written after the noted time, deletes what is
/// damaged, and deletes every record that relied on that or on something that is gone, before anything is
/// believed.
///
/// **Used stays.** What a process has seen as present stays until it drops its `LocalStore`, also when
/// another one collects garbage: a process holds a lease, and what was used since the oldest lease began
/// is not deleted. The time of use is the access time of the file.
pub struct LocalStore {
    root: PathBuf,
    blobs: OwnedFd,
    lease: Lease,
    clock: File,
    /// When the last finished synchronisation began.
    synced: Mutex<Stamp>,
    /// How many synchronisations this process has begun, those left out that failed.
    n_syncs: AtomicU64,
    bundles: Bundles,
    /// Blobs whose files this process has hashed and placed: they need not be compared with their names again.
    fresh: Mutex<BTreeSet<Digest>>,
    /// Whether a synchronisation by this process failed.
    has_lost: AtomicBool,
    /// Becomes true when nobody wants any more what this process does.
    cancel: Arc<AtomicBool>,
    /// Says whether nobody else has a file open; see [`LocalStore::renewing_exports`].
    is_ours: fn(&File) -> bool,
}

impl LocalStore {
    /// Opens the store in the directory `root` and makes it if there is none.
    ///
    /// Sweeps what crashed processes left, and verifies recent blobs if the machine died since they were
    /// written; see [`LocalStore`].
    pub fn open(root: &Path) -> Result<LocalStore, StoreError> {
        LocalStore::open_until(root, Arc::default())
    }

    /// As [`LocalStore::open`], until `cancel` becomes true: whatever may take long, such as to import, to export or to verify
    /// large files, then fails soon, as [`StoreError::is_cancelled`] says. What is short is still done.
    pub fn open_until(root: &Path, cancel: Arc<AtomicBool>) -> Result<LocalStore, StoreError> {
        if !root.join("synced").exists() {
            make_layout(root)?;
        }
        let lease = Lease::take(root)?;
        let blobs_path = root.join("blobs");
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let blobs = rustix::fs::open(&blobs_path, flags, Mode::empty())
            .doing(|| format!("open `{}`", blobs_path.display()))?;
        let clock_path = root.join("clock");
        let clock = File::options().create(true).truncate(false).write(true).open(&clock_path);
        let clock = clock.doing(|| format!("open `{}`", clock_path.display()))?;
        let store = LocalStore {
            root: root.to_owned(),
            blobs,
            lease,
            clock,
            synced: Mutex::new((0, 0)),
            n_syncs: AtomicU64::new(0),
            bundles: Bundles::default(),
            fresh: Mutex::default(),
            has_lost: AtomicBool::new(false),
            cancel,
            is_ours: |_| false,
        };
        let synced = store.recover_if_needed()?;
        *store.synced.lock().unwrap_or_else(PoisonError::into_inner) = synced;
        lease::sweep(root)?;
        store.restore_trash()?;
        Ok(store)
    }

    /// Returns the directory of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Fails once this process is to give up what it does; see [`LocalStore::open_until`].
    pub fn go_on(&self) -> Result<(), StoreError> {
        go_on_unless(&self.cancel).doing(|| "go on".to_owned())
    }

    /// Returns a directory on the store's file system that is this process's own and is removed with the
    /// store, or after a crash by the next process.
    pub fn scratch(&self) -> &Path {
        &self.lease.scratch
    }

    /// Makes everything durable that was written before the call.
    ///
    /// Costs one `syncfs`; calls that come while one runs share the next. After one that failed all others do, until the store
    /// is opened again: the system tells of a lost write only once, and forgets what it was. Whoever opens the store next reads
    /// the blobs from the disk that were written since the last one that did not fail.
    pub fn sync(&self) -> Result<(), StoreError> {
        // Counted, not timed: somebody may set the clock back.
        let n_begun = self.n_syncs.load(Ordering::SeqCst);
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if self.n_syncs.load(Ordering::SeqCst) > n_begun {
            return Ok(());
        }
        let start = self.now()?;
        self.n_syncs.fetch_add(1, Ordering::SeqCst);
        let done = self.check_nothing_lost().and_then(|()| {
            let done = rustix::fs::syncfs(&self.clock);
            if done.is_err() {
                self.has_lost.store(true, Ordering::SeqCst);
                self.note_lost()?;
            }
            done.doing(|| format!("synchronise `{}`", self.root.display()))
        });
        let done = done.and_then(|()| self.note_synced(start));
        match done {
            Ok(()) => *synced = start,
            // Whoever waited must not take it for theirs.
            Err(_) => _ = self.n_syncs.fetch_sub(1, Ordering::SeqCst),
        }
        done
    }

    /// Returns how long ago the last synchronisation by this process began; since it was opened if none. Nobody knows after the
    /// clock was set back, and then it is as long as can be.
    pub fn since_sync(&self) -> Result<Duration, StoreError> {
        let synced = *self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now()?;
        let last = [synced.max(self.lease.start), synced].into_iter().find(|stamp| *stamp <= now);
        Ok(last.map_or(Duration::MAX, |last| Duration::from_secs((now.0 - last.0).unsigned_abs())))
    }

    /// Returns the seconds since 1970 as the file system tells them.
    pub(crate) fn seconds_now(&self) -> Result<i64, StoreError> {
        Ok(self.now()?.0)
    }

    /// Returns the time as the file system tells it, which is the one that it stamps files with.
    fn now(&self) -> Result<Stamp, StoreError> {
        let touched = rustix::fs::futimens(&self.clock, &NOW).and_then(|()| rustix::fs::fstat(&self.clock));
        touched.map(|stat| modified(&stat)).doing(|| format!("touch `{}`", self.root.join("clock").display()))
    }
}

const NOW: Timestamps =
    Timestamps { last_access: TOUCHED.last_access, last_modification: TOUCHED.last_access };

impl Store for LocalStore {
    /// The empty blob is always here, as the Remote Execution API has it.
    fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.bundles.has(digest) || digest.is_empty() || self.find(digest)?.is_some())
    }

    /// Verifies what it reads: [`StoreError::Damaged`] when the bytes are others.
    fn read(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        match self.bundles.content(digest) {
            Some(content) => Ok(content.to_vec()),
            None => self.read_blob(digest),
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.bundles.has(&digest) && self.find(&digest)?.is_none() {
            let mut file = self.new_file()?;
            std::io::Write::write_all(&mut file, bytes).doing(|| format!("write blob {digest}"))?;
            self.place(file, &digest, false)?;
        }
        Ok(digest)
    }
}

fn make_layout(root: &Path) -> Result<(), StoreError> {
    for name in ["blobs", "trees", "records", "roots", "leases", "scratch", "trash"] {
        make_directories(&root.join(name))?;
    }
    for name in ["blobs", "scratch"] {
        spread(&root.join(name));
    }
    for shard in 0..=255_u8 {
        make_directories(&root.join("blobs").join(format!("{shard:02x}")))?;
    }
    // Backup programs leave out directories that have this file: see bford.info/cachedir.
    let tag = root.join("CACHEDIR.TAG");
    let text = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by bootwright; safe to delete.\n";
    fs::write(&tag, text).doing(|| format!("write `{}`", tag.display()))
}

fn make_directories(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).doing(|| format!("make directory `{}`", path.display()))
}

/// Opens the lock file at `path` and waits until this process has it to itself. `None` means that it was
/// removed meanwhile.
fn lock_file(path: &Path, operation: FlockOperation) -> Result<Option<File>, StoreError> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.doing(|| format!("open `{}`", path.display()))?;
    match rustix::fs::flock(&file, operation) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        result => result.doing(|| format!("lock `{}`", path.display()))?,
    }
    let stat = rustix::fs::fstat(&file).doing(|| format!("lock `{}`", path.display()))?;
    Ok((stat.st_nlink > 0).then_some(file))
}
