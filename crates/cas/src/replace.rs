//! Files that are replaced whole, and what is left when that is interrupted.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::FlockOperation;
use tempfile::Builder;

/// Makes `bytes` the contents of the file at `path`, so that a full disk, a kill or another process leaves what was
/// there before or all of them. Its mode is 0644.
///
/// What was left by those who were killed while they replaced the same file is removed.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".new-");
    let _lock = remove_unfinished(parent, &prefix, |path| fs::remove_file(path))?;
    let mode = fs::Permissions::from_mode(0o644);
    let mut file = Builder::new().prefix(&prefix).permissions(mode).tempfile_in(parent)?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Waits until nobody else makes something in `parent`, and removes what begins with `prefix`: it was left by those
/// who were killed. Until the result is dropped, others wait.
pub(crate) fn remove_unfinished(
    parent: &Path,
    prefix: &OsStr,
    remove: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<File> {
    let lock = File::open(parent)?;
    // Where there are no locks, nobody knows whether something is left or being made.
    if rustix::fs::flock(&lock, FlockOperation::LockExclusive).is_ok() {
        for entry in fs::read_dir(parent)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
                remove(&entry.path())?;
            }
        }
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_leftovers_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(directory.path().join(".file.new-killed"), "half").unwrap();
        fs::write(directory.path().join(".other.new-killed"), "of another").unwrap();
        for text in ["one", "two"] {
            replace_file(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn many_at_once_leave_a_whole_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::thread::scope(|scope| {
            for byte in 0..8_u8 {
                let path = &path;
                scope.spawn(move || (0..20).for_each(|_| replace_file(path, &[byte; 10_000]).unwrap()));
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes, vec![bytes[0]; 10_000]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
