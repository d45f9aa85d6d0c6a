//! Removing what a sandbox left, whatever its modes are.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, chmodat, openat, unlinkat};
use rustix::io::Errno;

/// Removes `path` and everything in it; that it is not there is no error.
///
/// Unlike `std::fs::remove_dir_all` it also removes directories that their owner may not read or write, as
/// overlay mounts (`work/work`) and build steps leave them. Symbolic links are not followed, not even such
/// as appear while this runs.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_dir() => return fs::remove_file(path),
        Ok(_) => {}
    }
    empty(rustix::fs::CWD, path)?;
    fs::remove_dir(path)
}

fn empty<P: rustix::path::Arg + Copy>(parent: impl std::os::fd::AsFd, name: P) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let directory = match openat(&parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            chmodat(&parent, name, Mode::RWXU, AtFlags::empty())?;
            openat(&parent, name, flags, Mode::empty())?
        }
        result => result?,
    };
    let mut made_writable = false;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let mut flags = AtFlags::empty();
        if entry.file_type() == FileType::Directory {
            empty(&directory, name)?;
            flags = AtFlags::REMOVEDIR;
        }
        match unlinkat(&directory, name, flags) {
            Err(Errno::ACCESS) if !made_writable => {
                rustix::fs::fchmod(&directory, Mode::RWXU)?;
                made_writable = true;
                unlinkat(&directory, name, flags)?;
            }
            Err(Errno::NOENT) => {}
            result => result?,
        }
    }
    Ok(())
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
}
