//! Trees from the store as files that a step reads: hard links to blobs, with fixed times.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation};
use rustix::io::Errno;

use super::blobs::seal;
use super::{LocalStore, lock_file};
use crate::files::{Stamp, copy_content, fix_times, in_parallel, make_directory, modified};
use crate::remove::remove_tree;
use crate::store::Doing as _;
use crate::{Digest, Directory, Node, StoreError};

impl LocalStore {
    /// Makes the tree at `destination`, which must not exist while its parent does.
    ///
    /// Files are hard links to blobs, so nobody may write to them; copies where that is impossible. No two of them are names of
    /// one file, or `tar` would pack links, and who copies such a tree with `cp -a` and then writes to one file would write to all
    /// that were equal. Directories have mode 0755, and everything has the time [`crate::FIXED_MTIME`].
    /// When it fails, a part of the tree may be left.
    pub fn checkout(&self, tree: &Digest, destination: &Path) -> Result<(), StoreError> {
        let mut plan = Plan::default();
        self.make_directories(tree, destination, &mut plan)?;
        let mut linked = BTreeSet::new();
        let is_first = plan.files.iter().map(|(_, digest, executable)| {
            // Empty ones are in many trees, which steps see side by side.
            !digest.is_empty() && linked.insert((*digest, *executable))
        });
        let is_first: Vec<bool> = is_first.collect();
        in_parallel(plan.files.len(), |idx| {
            let (path, digest, executable) = &plan.files[idx];
            self.go_on()?;
            if is_first[idx] {
                self.checkout_file(digest, *executable, path)
            } else {
                self.checkout_copy(digest, *executable, path)
            }
        })?;
        in_parallel(plan.directories.len(), |idx| fix_times(&plan.directories[idx]))?;
        Ok(())
    }

    /// Makes the file at `destination`, which must not exist, a hard link to the blob, or a copy of it
    /// where that is impossible. Nobody may write to it.
    pub fn checkout_file(
        &self,
        digest: &Digest,
        executable: bool,
        destination: &Path,
    ) -> Result<(), StoreError> {
        let name = self.find_variant(digest, executable)?;
        let link = || rustix::fs::linkat(&self.blobs, &name, CWD, destination, AtFlags::empty());
        match self.unless_missed(&name, link)? {
            // EMLINK: ext4 ends at 65,000 links.
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP) => {
                self.checkout_copy(digest, executable, destination)
            }
            result => result.doing(|| format!("link `{}`", destination.display())),
        }
    }

    fn checkout_copy(&self, digest: &Digest, executable: bool, destination: &Path) -> Result<(), StoreError> {
        let mut blob = self.open_blob(digest)?;
        let copied = fs::File::create_new(destination).and_then(|mut copy| {
            copy_content(&mut blob, &mut copy, &self.cancel)?;
            Ok(seal(&copy, executable)?)
        });
        copied.doing(|| format!("copy blob {digest} to `{}`", destination.display()))
    }

    fn make_directories(&self, tree: &Digest, path: &Path, plan: &mut Plan) -> Result<(), StoreError> {
        let directory = self.read_directory(tree)?;
        make_directory(path)?;
        for (name, node) in directory.entries {
            let path = path.join(name);
            match node {
                Node::File { digest, executable } => plan.files.push((path, digest, executable)),
                Node::Directory { digest } => self.make_directories(&digest, &path, plan)?,
                Node::Symlink { target } => {
                    rustix::fs::symlinkat(&target, CWD, &path)
                        .doing(|| format!("make link `{}`", path.display()))?;
                    fix_times(&path)?;
                }
            }
        }
        plan.directories.push(path.to_owned());
        Ok(())
    }

    /// Returns the directory that the blob encodes.
    pub fn read_directory(&self, digest: &Digest) -> Result<Directory, StoreError> {
        let bytes = match self.bundles.content(digest) {
            Some(content) => content,
            None => &self.read_blob(digest)?,
        };
        Directory::decode(bytes).map_err(|source| StoreError::NotADirectory { digest: *digest, source })
    }

    /// Returns a directory that holds the tree as [`LocalStore::checkout`] makes it, and which is made at
    /// most once and shared by all processes. Nobody may write to it. It stays until the store is dropped.
    pub fn shared_checkout(&self, tree: &Digest) -> Result<PathBuf, StoreError> {
        let trees = self.root().join("trees");
        let path = trees.join(tree.hex());
        let used = trees.join(format!("{}.used", tree.hex()));
        loop {
            if self.use_checkout(&path, &used)? {
                return Ok(path);
            }
            // Others that want the same tree wait for the one who makes it.
            let Some(_lock) = lock_file(&used, FlockOperation::LockExclusive)? else { continue };
            if path.exists() {
                continue;
            }
            let unfinished = self.scratch().join(format!("tree-{}", tree.hex()));
            remove_tree(&unfinished)?;
            let made = self
                .checkout(tree, &unfinished)
                .and_then(|()| fs::rename(&unfinished, &path).doing(|| format!("make `{}`", path.display())));
            if let Err(error) = made {
                // A full disk should have the room again.
                remove_tree(&unfinished)?;
                return Err(error);
            }
        }
    }

    /// Marks a finished checkout as used; returns `false` when there is none.
    fn use_checkout(&self, path: &Path, used: &Path) -> Result<bool, StoreError> {
        let touched = rustix::fs::utimensat(CWD, used, &super::NOW, AtFlags::SYMLINK_NOFOLLOW);
        match touched {
            // The collector looks at the time, after it took the tree away, and puts it back.
            Ok(()) => Ok(path.is_dir()),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error).doing(|| format!("mark `{}` as used", path.display())),
        }
    }

    /// Deletes the checkout `name` unless somebody makes it or it was used since `threshold`.
    pub(super) fn discard_checkout(&self, name: &str, threshold: Stamp) -> Result<bool, StoreError> {
        let trees = self.root().join("trees");
        let used = trees.join(format!("{name}.used"));
        let Some(lock) = lock_file(&used, FlockOperation::NonBlockingLockExclusive)? else {
            return Ok(false);
        };
        let stat = || rustix::fs::fstat(&lock).doing(|| format!("read the times of `{}`", used.display()));
        if modified(&stat()?) >= threshold {
            return Ok(false);
        }
        let (path, away) = (trees.join(name), self.scratch().join(format!("discarded-{name}")));
        match fs::rename(&path, &away) {
            Ok(()) => {}
            // In the image that a container was started from nothing is in use, and nothing can be moved.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                fs::remove_file(&used).doing(|| format!("remove `{}`", used.display()))?;
                remove_tree(&path)?;
                return Ok(true);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).doing(|| format!("remove `{}`", path.display())),
        }
        if modified(&stat()?) >= threshold {
            let _ = fs::rename(&away, &path);
            return Ok(false);
        }
        fs::remove_file(&used).doing(|| format!("remove `{}`", used.display()))?;
        remove_tree(&away)?;
        Ok(true)
    }
}

#[derive(Default)]
struct Plan {
    files: Vec<(PathBuf, Digest, bool)>,
    /// Children before their parents.
    directories: Vec<PathBuf>,
}
