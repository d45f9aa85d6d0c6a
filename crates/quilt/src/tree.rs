//! A directory that patches are applied to.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use layer::EntryPath;

use crate::error::TreeError;

/// A directory, and a place on the same file system where new files are kept until a whole patch is known to
/// apply. Nobody else may change either meanwhile.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    scratch: PathBuf,
}

impl Tree {
    /// Returns the directory `root`, which must exist as must the empty directory `scratch`, outside of `root`.
    pub fn new(root: impl Into<PathBuf>, scratch: impl Into<PathBuf>) -> Tree {
        Tree { root: root.into(), scratch: scratch.into() }
    }

    /// Returns where a file of the tree is.
    pub fn path(&self, path: &EntryPath) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.as_bytes()))
    }

    /// Returns what is at `path`, or `None` if there is nothing. Links on the way there are refused, one at its
    /// end is what is there.
    pub fn look(&self, path: &EntryPath) -> Result<Option<Metadata>, TreeError> {
        for above in self.above(path) {
            let (ancestor, found) = above?;
            match found {
                None => return Ok(None),
                Some(metadata) if metadata.is_symlink() => {
                    return Err(TreeError::ThroughLink { path: path.clone(), link: beginning(ancestor) });
                }
                Some(metadata) if !metadata.is_dir() => return Ok(None),
                Some(_) => {}
            }
        }
        self.metadata(path.as_bytes())
    }

    /// Returns the places above `path`, the topmost first, with what is there: nothing below what is no directory.
    ///
    /// Each is looked at when it is asked for, and only if the one above it was a directory.
    pub(crate) fn above<'p>(
        &self,
        path: &'p EntryPath,
    ) -> impl Iterator<Item = Result<(&'p [u8], Option<Metadata>), TreeError>> {
        let mut is_in_directory = true;
        path.ancestors().map(move |ancestor| {
            let found = if is_in_directory { self.metadata(ancestor)? } else { None };
            is_in_directory = found.as_ref().is_some_and(Metadata::is_dir);
            Ok((ancestor, found))
        })
    }

    fn metadata(&self, path: &[u8]) -> Result<Option<Metadata>, TreeError> {
        let full = self.root.join(OsStr::from_bytes(path));
        match fs::symlink_metadata(&full) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(TreeError::Io { doing: "look at", path: full, source }),
        }
    }

    /// Returns the bytes of a file, which was looked at.
    pub(crate) fn read(&self, path: &EntryPath) -> Result<Vec<u8>, TreeError> {
        let full = self.path(path);
        fs::read(&full).map_err(failed("read", &full))
    }

    /// Returns the text of a link, which was looked at.
    pub(crate) fn read_link(&self, path: &EntryPath) -> Result<Vec<u8>, TreeError> {
        let full = self.path(path);
        let target = fs::read_link(&full).map_err(failed("read", &full))?;
        Ok(target.as_os_str().as_bytes().to_vec())
    }

    /// Writes a file to the place for those that wait, under a number. Replaces what has that number.
    pub(crate) fn stage(&self, number: usize, content: &[u8], mode: u32) -> Result<PathBuf, TreeError> {
        let path = self.scratch.join(number.to_string());
        self.write_new(&path, content)?;
        // The mode is data and not subject to the umask.
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .map_err(failed("set the mode of", &path))?;
        Ok(path)
    }

    fn write_new(&self, path: &Path, content: &[u8]) -> Result<(), TreeError> {
        let write = || -> io::Result<()> {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            File::options().write(true).create_new(true).mode(0o644).open(path)?.write_all(content)
        };
        write().map_err(failed("write", path))
    }

    /// Moves a file from its waiting place to `path`, where nothing is.
    pub(crate) fn put(&self, staged: &Path, path: &EntryPath) -> Result<(), TreeError> {
        self.make_parents(path)?;
        let full = self.path(path);
        fs::rename(staged, &full).map_err(failed("write", &full))
    }

    /// Writes a file that is no part of what patches change.
    pub(crate) fn write(&self, path: &EntryPath, content: &[u8]) -> Result<(), TreeError> {
        self.look(path)?;
        self.make_parents(path)?;
        self.write_new(&self.path(path), content)
    }

    /// Makes a symbolic link where nothing is.
    pub(crate) fn link(&self, target: &[u8], path: &EntryPath) -> Result<(), TreeError> {
        self.make_parents(path)?;
        let full = self.path(path);
        symlink(OsStr::from_bytes(target), &full).map_err(failed("make the link", &full))
    }

    /// Moves what is at `path` to `to`.
    pub(crate) fn set_aside(&self, path: &EntryPath, to: &EntryPath) -> Result<(), TreeError> {
        self.make_parents(to)?;
        let (from, to) = (self.path(path), self.path(to));
        fs::rename(&from, to).map_err(failed("move", &from))
    }

    /// Copies the file or link at `path` to `to`.
    pub(crate) fn copy_aside(&self, path: &EntryPath, to: &EntryPath) -> Result<(), TreeError> {
        if self.look(path)?.is_some_and(|metadata| metadata.is_symlink()) {
            return self.link(&self.read_link(path)?, to);
        }
        self.make_parents(to)?;
        let (from, to) = (self.path(path), self.path(to));
        fs::copy(&from, to).map(drop).map_err(failed("copy", &from))
    }

    /// Removes a file or link.
    pub(crate) fn remove(&self, path: &EntryPath) -> Result<(), TreeError> {
        let full = self.path(path);
        fs::remove_file(&full).map_err(failed("remove", &full))
    }

    /// Removes the directories above `path` that are empty.
    pub(crate) fn remove_empty_parents(&self, path: &EntryPath) -> Result<(), TreeError> {
        let mut parent = path.parent();
        while let Some(path) = parent {
            let full = self.path(&path);
            match fs::remove_dir(&full) {
                Ok(()) => parent = path.parent(),
                Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound) => {
                    return Ok(());
                }
                Err(source) => return Err(TreeError::Io { doing: "remove", path: full, source }),
            }
        }
        Ok(())
    }

    fn make_parents(&self, path: &EntryPath) -> Result<(), TreeError> {
        for above in self.above(path) {
            let (ancestor, found) = above?;
            match found {
                Some(metadata) if metadata.is_dir() => {}
                Some(metadata) if metadata.is_symlink() => {
                    return Err(TreeError::ThroughLink { path: path.clone(), link: beginning(ancestor) });
                }
                Some(_) => return Err(TreeError::Parent { path: path.clone(), parent: beginning(ancestor) }),
                None => {
                    let full = self.root.join(OsStr::from_bytes(ancestor));
                    fs::create_dir(&full).map_err(failed("make", &full))?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the path of what is above another path.
pub(crate) fn beginning(ancestor: &[u8]) -> EntryPath {
    EntryPath::new(ancestor).expect("a beginning of a path is a path")
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TreeError {
    let path = path.to_owned();
    move |source| TreeError::Io { doing, path, source }
}
