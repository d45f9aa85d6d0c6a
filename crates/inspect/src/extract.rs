//! Writing what is in a container to a directory of the machine's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::container::Container;
use crate::entry::{Entry, EntryKind};
use crate::error::Error;
use crate::source::copy_to_file;

/// What was written, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extracted {
    /// How many files.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// What a directory of this machine cannot have: devices, and what this user may not make.
    pub left_out: Vec<String>,
}

/// Writes everything that is in `container` at or below `top`, or all of it, to `output`, a directory that is empty.
///
/// Owners are kept if `with_owners` says so, which only root may do. Links are made last, so nothing is ever written
/// through one. Names of one file are names of one file there, too, which has the attributes of the first.
///
/// # Errors
///
/// What cannot be read or written, and names that would lead out of the directory.
pub fn extract(
    container: &dyn Container,
    top: Option<&Entry>,
    output: &Path,
    with_owners: bool,
) -> Result<Extracted, Error> {
    let top = top.map_or(&b""[..], |top| &top.path);
    // An archive may have a path twice: the last one holds.
    let mut entries: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
    container.walk(&mut |entry| {
        let is_below = top.is_empty()
            || entry.path.strip_prefix(top).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        if is_below {
            entries.insert(entry.path.clone(), entry);
        }
        Ok(())
    })?;
    let mut job = Job { container, output, with_owners, top, done: Extracted::default() };
    job.run(&entries)?;
    Ok(job.done)
}

struct Job<'a> {
    container: &'a dyn Container,
    output: &'a Path,
    with_owners: bool,
    top: &'a [u8],
    done: Extracted,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Write { path, source }
}

impl Job<'_> {
    fn run(&mut self, entries: &BTreeMap<Vec<u8>, Entry>) -> Result<(), Error> {
        let mut links = Vec::new();
        let mut directories = Vec::new();
        let mut names: BTreeMap<u64, PathBuf> = BTreeMap::new();
        // In the order of paths a directory is in front of what is in it.
        for entry in entries.values() {
            let path = self.place(entry)?;
            match &entry.kind {
                EntryKind::Directory => {
                    fs::create_dir_all(&path).map_err(failed(&path))?;
                    directories.push((path, entry));
                    continue;
                }
                EntryKind::Symlink(_) | EntryKind::HardLink(_) => {
                    links.push((path, entry));
                    continue;
                }
                kind if !kind.has_contents() => {
                    self.done.left_out.push(format!("{}: {}", entry.shown(), kind.name()));
                    continue;
                }
                _ => {}
            }
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed(parent))?;
            }
            if let Some(first) = entry.identity.and_then(|identity| names.get(&identity)) {
                fs::hard_link(first, &path).map_err(failed(&path))?;
                continue;
            }
            self.write(entry, &path)?;
            entry.identity.map(|identity| names.insert(identity, path));
        }
        for (path, entry) in links {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed(parent))?;
            }
            if let EntryKind::Symlink(target) = &entry.kind {
                symlink(OsStr::from_bytes(target), &path).map_err(failed(&path))?;
                continue;
            }
            // The file need not be among what is extracted; then the first link has its bytes. Copies of one that is large, and
            // has many names, would be more than any disk has.
            match entry.identity.and_then(|identity| names.get(&identity)) {
                Some(first) => fs::hard_link(first, &path).map_err(failed(&path))?,
                None => {
                    self.write(entry, &path)?;
                    entry.identity.map(|identity| names.insert(identity, path));
                }
            }
        }
        // What is in a directory changes its time, and it may not be writable.
        for (path, entry) in directories.into_iter().rev() {
            self.attributes(entry, &path)?;
        }
        Ok(())
    }

    /// Returns where an entry goes, which is in the directory.
    fn place(&self, entry: &Entry) -> Result<PathBuf, Error> {
        let relative = entry.path.get(self.top.len()..).unwrap_or_default();
        let mut path = self.output.to_path_buf();
        for name in relative.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            if matches!(name, b"." | b"..") || name.contains(&0) {
                let what = entry.shown();
                let problem = "is a path that leads elsewhere".to_owned();
                return Err(Error::Limit { what, problem });
            }
            path.push(OsStr::from_bytes(name));
        }
        Ok(path)
    }

    fn write(&mut self, entry: &Entry, path: &Path) -> Result<(), Error> {
        let source = self.container.open(entry)?;
        // Nothing is there: the directory was empty, and no path is there twice.
        let file = File::create_new(path).map_err(failed(path))?;
        let read = |source| Error::Io { what: entry.shown(), source };
        let n_bytes = match copy_to_file(&*source, &file) {
            Ok(n_bytes) => n_bytes,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
                ) =>
            {
                return Err(failed(path)(error));
            }
            Err(error) => return Err(read(error)),
        };
        self.done.files += 1;
        self.done.bytes += n_bytes;
        self.attributes(entry, path)
    }

    fn attributes(&mut self, entry: &Entry, path: &Path) -> Result<(), Error> {
        if self.with_owners
            && let Some((uid, gid)) = entry.owner
        {
            chown(path, Some(uid), Some(gid)).map_err(failed(path))?;
        }
        if let Some(mode) = entry.mode {
            // Without their owners, what such files may do would be done as somebody else.
            let mode = if self.with_owners { mode } else { mode & 0o777 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed(path))?;
        }
        if let Some(time) = entry.mtime.and_then(|seconds| u64::try_from(seconds).ok()) {
            let time: SystemTime = UNIX_EPOCH + Duration::from_secs(time);
            let file = File::open(path).and_then(|file| file.set_modified(time));
            // A file that only others may read keeps the time of now.
            match file {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                    return Err(failed(path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
