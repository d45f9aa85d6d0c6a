//! Removing what a sandbox left, whatever its modes are.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

/// Each level takes two file descriptors and a piece of the stack. What lies deeper is moved up before it is
/// removed: whoever can make directories can nest them without end.
const MAX_DEPTH: usize = 64;

/// Removes `path` and everything in it; that it is not there is no error.
///
/// Unlike `std::fs::remove_dir_all` it also removes directories that their owner may not read or write, as
/// overlay mounts (`work/work`) and build steps leave them, and such as are nested deeper than any path can say.
/// Symbolic links are not followed, not even such as appear while this runs.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_dir() => return fs::remove_file(path),
        Ok(_) => {}
    }
    let top = open_directory(CWD, path)?;
    // What lies too deep is moved here.
    let _or_moving_says_so = fchmod(&top, Mode::RWXU);
    let mut moved = Moved { top: &top, n_moved: 0 };
    loop {
        let n_before = moved.n_moved;
        empty(&top, 0, &mut moved)?;
        if moved.n_moved == n_before {
            return fs::remove_dir(path);
        }
    }
}

/// What was too deep and now lies right below the top.
struct Moved<'a> {
    top: &'a OwnedFd,
    n_moved: u64,
}

impl Moved<'_> {
    fn take(&mut self, directory: &OwnedFd, name: &CStr) -> Result<(), Errno> {
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
        let is_directory = entry.file_type() == FileType::Directory;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    use super::*;

    #[test]
    fn removes_what_may_not_be_read_or_written_and_follows_no_link() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir_all(tree.join("closed/inner")).unwrap();
        fs::write(tree.join("closed/inner/file"), "x").unwrap();
        fs::write(scratch.path().join("kept"), "x").unwrap();
        std::os::unix::fs::symlink(scratch.path(), tree.join("link")).unwrap();
        for mode in [0o000, 0o500] {
            fs::set_permissions(tree.join("closed/inner"), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::DirBuilder::new().mode(0o000).create(tree.join("empty")).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && scratch.path().join("kept").exists());
        remove_tree(&tree).unwrap();
    }

    /// As somebody whom modes do stop.
    #[test]
    fn removes_at_once_what_may_be_read_but_not_searched() {
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let tree = scratch.path().join("tree");
        let remove = || {
            if rustix::process::geteuid().is_root() {
                // Of this thread only.
                rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(54_322)).unwrap();
            }
            for mode in [0o600, 0o400, 0o0] {
                let deepest = (0..40).fold(tree.clone(), |path, _| path.join("deep"));
                fs::create_dir_all(&deepest).unwrap();
                fs::set_permissions(deepest, fs::Permissions::from_mode(mode)).unwrap();
                remove_tree(&tree).unwrap();
                assert!(!tree.exists(), "{mode:o}");
            }
        };
        std::thread::scope(|scope| scope.spawn(remove).join().unwrap());
    }

    #[test]
    fn removes_what_is_nested_without_end() {
        let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let tree = scratch.path().join("tree");
        for (n_levels, mode) in [(64, 0o700), (65, 0o500), (130, 0o000), (10_000, 0o700)] {
            fs::create_dir(&tree).unwrap();
            let mut here = open_directory(CWD, &tree).unwrap();
            for _ in 0..n_levels {
                rustix::fs::mkdirat(&here, "deep", Mode::RWXU).unwrap();
                let below = open_directory(&here, "deep").unwrap();
                fchmod(&here, Mode::from_raw_mode(mode)).unwrap();
                here = below;
            }
            // As on a thread with little stack.
            std::thread::scope(|scope| {
                let thread = std::thread::Builder::new().stack_size(256 << 10);
                thread.spawn_scoped(scope, || remove_tree(&tree)).unwrap().join().unwrap().unwrap();
            });
            assert!(!tree.exists(), "{n_levels} {mode:o}");
        }
    }
}
