//! Removes trees, whatever those who made them have done to make that hard.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::StoreError;
use crate::store::Doing as _;

/// Each level takes two file descriptors and a piece of the stack. What lies deeper is moved up before it is
/// removed: whoever can make directories can nest them without end.
const MAX_DEPTH: usize = 64;

/// Removes the file or link at `path`; nothing there is fine.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes the tree at `path`; nothing there is fine. Follows no symbolic link, not even such as appear
/// meanwhile.
///
/// Directories may be closed to their owner, and may be nested deeper than any path can say.
/// Changes no file's mode: a file in it may be a hard link to one that stays.
pub fn remove_tree(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.is_dir() => fs::remove_file(path),
        Ok(_) => remove_directory(path).map_err(io::Error::from),
    };
    match removed {
        // Somebody else was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.doing(|| format!("remove `{}`", path.display())),
    }
}

fn remove_directory(path: &Path) -> Result<(), Errno> {
    let top = open_directory(CWD, path)?;
    // What lies too deep is moved here.
    let _or_moving_says_so = fchmod(&top, Mode::RWXU);
    let mut moved = Moved { top: &top, n_moved: 0 };
    loop {
        let n_before = moved.n_moved;
        empty(&top, 0, &mut moved)?;
        if moved.n_moved == n_before {
            return unlinkat(CWD, path, AtFlags::REMOVEDIR);
        }
    }
}

/// What was too deep and now lies right below the top.
struct Moved<'a> {
    top: &'a OwnedFd,
    n_moved: u64,
}

impl Moved<'_> {
    fn take(&mut self, directory: &OwnedFd, name: &std::ffi::CStr) -> Result<(), Errno> {
        // To be moved, a directory must let its `..` be written.
        fchmod(open_directory(directory, name)?, Mode::RWXU)?;
        loop {
            self.n_moved += 1;
            match renameat(directory, name, self.top, format!("moved-{}", self.n_moved)) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                result => return result,
            }
        }
    }
}

/// Removes what is in `directory`, or moves it up.
fn empty(directory: &OwnedFd, depth: usize, moved: &mut Moved<'_>) -> Result<(), Errno> {
    let mut made_writable = false;
    for entry in list(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Directory => true,
            FileType::Unknown => {
                let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            }
            _ => false,
        };
        if is_directory && depth < MAX_DEPTH {
            match open_directory(directory, name).and_then(|below| empty(&below, depth + 1, moved)) {
                Err(Errno::NOENT) => continue,
                result => result?,
            }
        }
        // What is below is not looked at again, or each level would double that.
        let mut remove = || match is_directory {
            true if depth == MAX_DEPTH => moved.take(directory, name),
            true => unlinkat(directory, name, AtFlags::REMOVEDIR),
            false => unlinkat(directory, name, AtFlags::empty()),
        };
        let mut removed = remove();
        if removed == Err(Errno::ACCESS) && !made_writable {
            fchmod(directory, Mode::RWXU)?;
            made_writable = true;
            removed = remove();
        }
        match removed {
            Err(Errno::NOENT) => {}
            result => result?,
        }
    }
    Ok(())
}

/// Lists a directory, if need be after opening it to us: it may be one that may be read but not searched.
fn list(directory: &OwnedFd) -> Result<Dir, Errno> {
    match Dir::read_from(directory) {
        Err(Errno::ACCESS) => {
            fchmod(directory, Mode::RWXU)?;
            Dir::read_from(directory)
        }
        result => result,
    }
}

/// Opens a directory, if need be after opening it to us.
fn open_directory<P: Arg + Copy>(parent: impl AsFd, name: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&parent, name, flags | OFlags::RDONLY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // What changes a mode by name follows links.
            let place = openat(&parent, name, flags | OFlags::PATH, Mode::empty())?;
            rustix::fs::chmod(format!("/proc/self/fd/{}", place.as_raw_fd()), Mode::RWXU)?;
            openat(&parent, name, flags | OFlags::RDONLY, Mode::empty())
        }
        result => result,
    }
}
