//! Results from the store to where people use them: copies with ordinary, writable modes.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempPath};

use super::LocalStore;
use crate::files::{copy_hashing, hash};
use crate::remove::remove_tree;
use crate::replace::remove_unfinished;
use crate::store::Doing as _;
use crate::{Digest, Node, StatCache, StoreError};

impl LocalStore {
    /// Puts a copy of the file, link or tree at `destination`, in place of what is there.
    ///
    /// The parent directory must exist; what a killed export left there is removed. A file or link is replaced
    /// at once, and so is a directory where the file system can exchange two names. When it fails, what was
    /// there still is: with [`StoreError::Damaged`] when a file is not what its digest says.
    /// Modes are 0755 for directories and executable files, else 0644; times are those of the copying.
    pub fn export(&self, node: &Node, destination: &Path) -> Result<(), StoreError> {
        let _lock = begin_export(destination)?;
        self.write_export(node, destination)
    }

    fn write_export(&self, node: &Node, destination: &Path) -> Result<(), StoreError> {
        let parent = parent_of(destination);
        let doing = || format!("write `{}`", destination.display());
        match node {
            Node::File { digest, executable } => {
                let mut file = NamedTempFile::with_prefix_in(UNFINISHED, parent).doing(doing)?;
                self.copy_out(digest, *executable, file.as_file_mut(), destination)?;
                clear_directory(destination)?;
                file.persist(destination).map(drop).map_err(|error| error.error).doing(doing)
            }
            Node::Symlink { target } => {
                let path = unused_path(parent).doing(doing)?;
                std::os::unix::fs::symlink(target, &path).doing(doing)?;
                clear_directory(destination)?;
                path.persist(destination).map_err(|error| error.error).doing(doing)
            }
            Node::Directory { digest } => {
                let path =
                    unused_path(parent).doing(doing)?.keep().map_err(|error| error.error).doing(doing)?;
                let exported =
                    self.export_tree(digest, &path).and_then(|()| replace(&path, destination).doing(doing));
                // The unfinished tree, or what the finished one was exchanged for.
                let removed = remove_any(&path);
                exported.and(removed)
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
        self.write_export(node, destination)?;
        Ok(true)
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
                let Ok(found) = fs::File::open(path).and_then(|mut file| hash(&mut file)) else {
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

    fn export_tree(&self, tree: &Digest, path: &Path) -> Result<(), StoreError> {
        let doing = |path: &Path| format!("write `{}`", path.display());
        fs::create_dir(path)
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
            .doing(|| doing(path))?;
        for (name, node) in self.read_directory(tree)?.entries {
            let path = path.join(name);
            match node {
                Node::File { digest, executable } => {
                    let mut file = fs::File::create_new(&path).doing(|| doing(&path))?;
                    self.copy_out(&digest, executable, &mut file, &path)?;
                }
                Node::Directory { digest } => self.export_tree(&digest, &path)?,
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
    ) -> Result<(), StoreError> {
        let mut blob = self.open_blob(digest)?;
        let mode = if executable { 0o755 } else { 0o644 };
        let doing = || format!("copy blob {digest} to `{}`", destination.display());
        // What leaves the store is what its name says, or does not leave.
        let found = copy_hashing(&mut blob, file).doing(doing)?;
        if found != *digest {
            return Err(StoreError::Damaged { digest: *digest, found });
        }
        file.set_permissions(Permissions::from_mode(mode)).doing(doing)
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
        result => Ok(result?),
    }
}

fn remove_any(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() && !path.is_symlink() {
        return remove_tree(path);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}
