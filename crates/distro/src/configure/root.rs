//! The mounted root, as we change it between and before the scripts.
//!
//! Scripts may leave symbolic links anywhere. Every path is therefore resolved as the scripts see it, with the
//! mounted root as `/`: nothing outside is ever read or written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use layer::{EntryPath, Kind, Metadata};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fchmod, openat, openat2, statat, unlinkat};
use rustix::io::Errno;

use super::ConfigureError;
use super::diversions::{ConflictError, Placement};
use super::packages::Packages;

/// A mounted root.
pub(super) struct Root {
    directory: OwnedFd,
    /// Metadata of what we put at a path, owners above all, which the file system does not have.
    pub(super) placed: BTreeMap<EntryPath, Metadata>,
    /// Files that packages dispute unless a diversion parts them.
    pub(super) conflicts: Vec<ConflictError>,
}

impl Root {
    /// Opens the root that is mounted at `path`.
    pub(super) fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Root { directory, placed: BTreeMap::new(), conflicts: Vec::new() })
    }

    fn resolve(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(&self.directory, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
    }

    fn parent(&self, path: &EntryPath) -> io::Result<OwnedFd> {
        let parent = path.parent_bytes().unwrap_or(b".");
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.resolve(parent, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    self.make_directory(&parent)?;
                }
                self.resolve(parent, flags)
            }
            result => result,
        }
    }

    /// Makes a directory and those above it, unless they are there.
    pub(super) fn make_directory(&self, path: &EntryPath) -> io::Result<()> {
        match rustix::fs::mkdirat(self.parent(path)?, path.file_name(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads a file; `None` if nothing is there.
    pub(super) fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.resolve(path.as_bytes(), OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => File::from(result?),
        };
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Writes a new file in place of what is at `path`.
    pub(super) fn write(&self, path: &EntryPath, mode: u32, mut content: impl Read) -> io::Result<()> {
        self.remove(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file =
            File::from(openat(self.parent(path)?, path.file_name(), flags, Mode::from_raw_mode(0o600))?);
        io::copy(&mut content, &mut file)?;
        file.flush()?;
        Ok(fchmod(&file, Mode::from_raw_mode(mode))?)
    }

    /// Makes a symbolic link in place of what is at `path`.
    pub(super) fn link(&self, path: &EntryPath, target: &[u8]) -> io::Result<()> {
        self.remove(path)?;
        Ok(rustix::fs::symlinkat(target, self.parent(path)?, path.file_name())?)
    }

    /// Removes what is at `path` if it is there, unless it is a directory.
    pub(super) fn remove(&self, path: &EntryPath) -> io::Result<()> {
        match unlinkat(self.parent(path)?, path.file_name(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Says whether something is at `path`, which is not followed if it is a symbolic link.
    pub(super) fn has(&self, path: &EntryPath) -> io::Result<bool> {
        match statat(self.parent(path)?, path.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives the file or directory at `path` the permissions `mode`.
    pub(super) fn set_mode(&self, path: &EntryPath, mode: u32) -> io::Result<()> {
        let parent = self.parent(path)?;
        let found = statat(&parent, path.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => Ok(()),
            _ if found.st_mode & 0o7777 == mode => Ok(()),
            _ => {
                let mode = Mode::from_raw_mode(mode);
                Ok(rustix::fs::chmodat(parent, path.file_name(), mode, AtFlags::empty())?)
            }
        }
    }

    /// Puts what a package has, or nothing, at a path.
    pub(super) fn place(&mut self, packages: &Packages, placement: &Placement) -> Result<(), ConfigureError> {
        let path = &placement.path;
        let error = |source| ConfigureError::root("write", path, source);
        self.placed.remove(path);
        let Some(file) = &placement.file else { return self.remove(path).map_err(error) };
        let metadata = &file.entry.metadata;
        match &file.entry.kind {
            Kind::File { .. } => {
                let content = packages.tree.open_content(file.extent);
                self.write(path, metadata.mode, content).map_err(error)?;
            }
            Kind::Symlink { target } => self.link(path, target).map_err(error)?,
            Kind::HardLink { target } => {
                // Its contents are those of another file of the same package.
                let first = packages.file_of(file.package, target);
                let extent = first.map_or(file.extent, |first| first.extent);
                let content = packages.tree.open_content(extent);
                self.write(path, metadata.mode, content).map_err(error)?;
            }
            // Nobody diverts a device.
            _ => return Ok(()),
        }
        self.placed.insert(path.clone(), metadata.clone());
        Ok(())
    }
}
