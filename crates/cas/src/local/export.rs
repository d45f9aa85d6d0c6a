//! Results from the store to where people use them: copies with ordinary, writable modes.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::fs::{CWD, RenameFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempPath};

use super::LocalStore;
use super::renew::Earlier;
use crate::files::{Stamp, copy_content, copy_hashing, go_on_unless, hash};
use crate::remove::{remove_file, remove_tree};
use crate::replace::remove_unfinished;
use crate::store::Doing as _;
use crate::{Digest, Node, StatCache, StoreError};

impl LocalStore {
    /// Puts a copy of the file, link or tree at `destination`, in place of what is there.
    ///
    /// The parent directory must exist; what a killed export left there is removed. A file or link is replaced
    /// at once, and so is a directory where the file system can exchange two names. When it fails, what was
    /// there still is, but for files that were [renewed](LocalStore::renewing_exports): with
    /// [`StoreError::Damaged`] when a file is not what its digest says.
    /// Modes are 0755 for directories and executable files, else 0644; times are those of the copying.
    pub fn export(&self, node: &Node, destination: &Path) -> Result<(), StoreError> {
        let _lock = begin_export(destination)?;
        self.write_export(node, destination).map(drop)
    }

    /// Returns the files that others wait for until they are dropped.
    fn write_export(&self, node: &Node, destination: &Path) -> Result<Vec<fs::File>, StoreError> {
        let parent = parent_of(destination);
        let doing = || format!("write `{}`", destination.display());
        match node {
            Node::File { digest, executable } => {
                let mut file = NamedTempFile::with_prefix_in(UNFINISHED, parent).doing(doing)?;
                self.copy_out(digest, *executable, file.as_file_mut(), destination, &self.cancel)?;
                clear_directory(destination)?;
                file.persist(destination).map_err(|error| error.error).doing(doing)?;
                Ok(Vec::new())
            }
            Node::Symlink { target } => {
                let path = unused_path(parent).doing(doing)?;
                std::os::unix::fs::symlink(target, &path).doing(doing)?;
                clear_directory(destination)?;
                path.persist(destination).map_err(|error| error.error).doing(doing)?;
                Ok(Vec::new())
            }
            Node::Directory { digest } => {
                let path =
                    unused_path(parent).doing(doing)?.keep().map_err(|error| error.error).doing(doing)?;
                let exported = self
                    .export_tree(digest, &path, destination)
                    .and_then(|held| replace(&path, destination).doing(doing).map(|()| held));
                // The unfinished tree, or what the finished one was exchanged for.
                let removed = remove_large(&path).and_then(|()| remove_any(&path));
                exported.and_then(|held| removed.map(|()| held))
            }
        }
    }

    /// As [`LocalStore::export`], unless `destination` holds the very same already; says whether it wrote.
    ///
    /// Files that `cache` knows are not read to find that out.
    pub fn update_export(
        &self,
        node: &Node,
        destination: &Path,
        cache: &mut StatCache,
    ) -> Result<bool, StoreError> {
        let _lock = begin_export(destination)?;
        let now = self.seconds_now()?;
        if self.is_exported(node, destination, cache, now)? {
            return Ok(false);
        }
        // Nobody else writes into what is remembered before it is.
        let _held = self.write_export(node, destination)?;
        self.remember_export(node, destination, cache)?;
        Ok(true)
    }

    /// Takes note of what was just exported, so that it need not be read to see that it is still the same.
    fn remember_export(&self, node: &Node, path: &Path, cache: &mut StatCache) -> Result<(), StoreError> {
        match node {
            Node::File { digest, .. } => {
                let metadata =
                    fs::symlink_metadata(path).doing(|| format!("look at `{}`", path.display()))?;
                cache.insert_own(path, &metadata, *digest, self.now()?);
            }
            Node::Directory { digest } => {
                for (name, node) in &self.read_directory(digest)?.entries {
                    self.remember_export(node, &path.join(name), cache)?;
                }
            }
            Node::Symlink { .. } => {}
        }
        Ok(())
    }

    fn is_exported(
        &self,
        node: &Node,
        path: &Path,
        cache: &mut StatCache,
        now: i64,
    ) -> Result<bool, StoreError> {
        let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(false) };
        match node {
            Node::Symlink { target } => Ok(fs::read_link(path).is_ok_and(|found| found == Path::new(target))),
            Node::File { digest, executable } => {
                let same_mode = (metadata.mode() & 0o100 != 0) == *executable;
                if !metadata.is_file() || metadata.len() != digest.size() || !same_mode {
                    return Ok(false);
                }
                if let Some(found) = cache.get(path, &metadata) {
                    return Ok(found == *digest);
                }
                let Ok(found) = fs::File::open(path).and_then(|mut file| hash(&mut file, &self.cancel))
                else {
                    return Ok(false);
                };
                cache.insert(path, &metadata, found, now);
                Ok(found == *digest)
            }
            Node::Directory { digest } => {
                let entries = self.read_directory(digest)?.entries;
                let Ok(listing) = fs::read_dir(path) else { return Ok(false) };
                if listing.count() != entries.len() {
                    return Ok(false);
                }
                for (name, node) in &entries {
                    if !self.is_exported(node, &path.join(name), cache, now)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Writes the tree, its files side by side. What `earlier` has of large ones may be used up for that; what became of
    /// those is returned.
    fn export_tree(&self, tree: &Digest, root: &Path, earlier: &Path) -> Result<Vec<fs::File>, StoreError> {
        let mut files = Vec::new();
        self.export_directories(tree, root, &mut files)?;
        // What is used up is so last, when nothing else can fail any more.
        let (large, others): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|(_, digest, _)| digest.size() >= LARGE && self.is_fresh(digest));
        let n_large = others.iter().filter(|(_, digest, _)| digest.size() >= LARGE).count();
        let write = |(path, digest, executable): &(PathBuf, Digest, bool), cancel: &AtomicBool| {
            let mut file = fs::File::create_new(path).doing(|| format!("write `{}`", path.display()))?;
            self.copy_out(digest, *executable, &mut file, path, cancel)
        };
        side_by_side(&others, n_large, |of| write(of, &self.cancel))?;
        self.go_on()?;
        let earlier = Earlier::open(earlier);
        // What was used up is not there any more for who gives up, so nobody does from here on.
        let never = AtomicBool::new(false);
        let cancel = if earlier.is_some() { &never } else { &*self.cancel };
        let renewed = Mutex::new(Vec::new());
        side_by_side(&large, large.len(), |of| {
            let (path, digest, executable) = of;
            let name = path.strip_prefix(root).unwrap_or(path);
            let mut blob = self.open_blob(digest)?;
            let file = earlier.as_ref().and_then(|earlier| self.renew(earlier, name, path, &mut blob));
            let Some(file) = file else { return write(of, cancel) };
            finish(&file, *executable, self.now()?).doing(|| format!("write `{}`", path.display()))?;
            renewed.lock().unwrap_or_else(PoisonError::into_inner).push(file);
            Ok(())
        })?;
        Ok(renewed.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the directories and links of a tree, and lists its files.
    fn export_directories(
        &self,
        tree: &Digest,
        path: &Path,
        files: &mut Vec<(PathBuf, Digest, bool)>,
    ) -> Result<(), StoreError> {
        let doing = |path: &Path| format!("write `{}`", path.display());
        fs::create_dir(path)
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
            .doing(|| doing(path))?;
        for (name, node) in self.read_directory(tree)?.entries {
            let path = path.join(name);
            match node {
                Node::File { digest, executable } => files.push((path, digest, executable)),
                Node::Directory { digest } => self.export_directories(&digest, &path, files)?,
                Node::Symlink { target } => {
                    std::os::unix::fs::symlink(target, &path).doing(|| doing(&path))?;
                }
            }
        }
        Ok(())
    }

    fn copy_out(
        &self,
        digest: &Digest,
        executable: bool,
        file: &mut fs::File,
        destination: &Path,
        cancel: &AtomicBool,
    ) -> Result<(), StoreError> {
        let doing = || format!("copy blob {digest} to `{}`", destination.display());
        go_on_unless(cancel).doing(doing)?;
        let mut blob = self.open_blob(digest)?;
        // What leaves the store is what its name says, or does not leave.
        if self.is_fresh(digest) {
            copy_content(&mut blob, file, cancel).doing(doing)?;
        } else {
            let found = copy_hashing(&mut blob, file, cancel).doing(doing)?;
            if found != *digest {
                return Err(StoreError::Damaged { digest: *digest, found });
            }
        }
        finish(file, executable, self.now()?).doing(doing)
    }

    fn is_fresh(&self, digest: &Digest) -> bool {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }
}

/// Files of this size and more are worth a thread.
const LARGE: u64 = 1 << 20;

/// Calls `work` for every item, on as many threads as there are processors, but not more than `n_threads`.
fn side_by_side<T: Sync>(
    items: &[T],
    n_threads: usize,
    work: impl Fn(&T) -> Result<(), StoreError> + Sync,
) -> Result<(), StoreError> {
    let n_threads =
        if n_threads < 2 { 1 } else { thread::available_parallelism().map_or(2, usize::from).min(n_threads) };
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..n_threads).map(|_| scope.spawn(worker)).collect();
        let own = worker();
        // A panic in a worker is our bug, and goes on as one.
        let join = |other: thread::ScopedJoinHandle<'_, _>| {
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        others.into_iter().map(join).fold(own, Result::and)
    })
}

/// Gives a file that was just written its mode and time.
fn finish(file: &fs::File, executable: bool, now: Stamp) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    set_apart(file, now)
}

/// Dates a file that was just written a little back, so that no later edit leaves the same time: see
/// [`StatCache::insert_own`].
fn set_apart(file: &fs::File, now: Stamp) -> io::Result<()> {
    let (seconds, nanoseconds) = before(now);
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
    };
    Ok(rustix::fs::futimens(file, &times)?)
}

/// Returns the time that is [`StatCache::BACK`] earlier.
fn before((seconds, nanoseconds): Stamp) -> Stamp {
    match nanoseconds - StatCache::BACK {
        earlier if earlier >= 0 => (seconds, earlier),
        earlier => (seconds - 1, earlier + 1_000_000_000),
    }
}

/// What the names of unfinished exports begin with.
const UNFINISHED: &str = ".export-";

fn parent_of(destination: &Path) -> &Path {
    destination.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Waits until nobody else exports into the same directory, and removes what was left there unfinished.
fn begin_export(destination: &Path) -> Result<fs::File, StoreError> {
    let parent = parent_of(destination);
    let remove = |path: &Path| remove_any(path).map_err(io::Error::other);
    remove_unfinished(parent, UNFINISHED.as_ref(), remove)
        .doing(|| format!("clean up in `{}`", parent.display()))
}

/// Returns a name in `parent` that nobody uses.
fn unused_path(parent: &Path) -> io::Result<TempPath> {
    let path = NamedTempFile::with_prefix_in(UNFINISHED, parent)?.into_temp_path();
    fs::remove_file(&path)?;
    Ok(path)
}

/// A file cannot replace a directory in one step.
fn clear_directory(destination: &Path) -> Result<(), StoreError> {
    if destination.is_dir() && !destination.is_symlink() { remove_tree(destination) } else { Ok(()) }
}

/// Puts `new` in the place of `old`; what was there is afterwards at `new`, or gone.
fn replace(new: &Path, old: &Path) -> io::Result<()> {
    if !old.exists() && !old.is_symlink() {
        return fs::rename(new, old);
    }
    match rustix::fs::renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            let mut aside = PathBuf::from(new).into_os_string();
            aside.push(".old");
            fs::rename(old, &aside)?;
            fs::rename(new, old)?;
            fs::rename(&aside, new)
        }
        // A directory of the image that a container was started from is in a layer that nobody writes to: it cannot be moved.
        Err(Errno::XDEV) if old.is_dir() && !old.is_symlink() => {
            remove_tree(old).map_err(io::Error::other)?;
            fs::rename(new, old)
        }
        result => Ok(result?),
    }
}

/// Removes the large files in a directory side by side: to give back what is in memory of them takes a while.
fn remove_large(directory: &Path) -> Result<(), StoreError> {
    let is_large = |entry: &fs::DirEntry| {
        entry.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() >= LARGE)
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let large: Vec<PathBuf> = entries.filter(is_large).map(|entry| entry.path()).collect();
    side_by_side(&large, large.len(), |path| remove_any(path))
}

fn remove_any(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() && !path.is_symlink() {
        return remove_tree(path);
    }
    remove_file(path)
}
