//! Files that nobody else has open.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use crate::sys;

/// Says whether nobody else on this machine has a file open, mappings into memory included; it must be open for writing.
///
/// If so, whoever opens the file waits until `file` is closed or [`release`]d, but for no longer than
/// `/proc/sys/fs/lease-break-time`, which usually is 45 s: it is a write lease of fcntl(2). Fails when the file is
/// another user's, or its file system has no leases.
pub fn lease(file: &File) -> io::Result<bool> {
    match sys::set_lease(file.as_fd(), libc::F_WRLCK) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        result => result.map(|()| true),
    }
}

/// Lets others open a file again of which there was a [`lease`].
pub fn release(file: &File) -> io::Result<()> {
    sys::set_lease(file.as_fd(), libc::F_UNLCK)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::path::Path;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A path in a new directory.
    fn fresh() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "before").unwrap();
        (directory, path)
    }

    fn open(path: &Path) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    #[test]
    fn whoever_has_it_open_is_seen() {
        let (_directory, path) = fresh();
        let reader = File::open(&path).unwrap();
        assert!(!lease(&open(&path)).unwrap());
        drop(reader);
        let writer = File::options().append(true).open(&path).unwrap();
        assert!(!lease(&open(&path)).unwrap());
        drop(writer);
        assert!(lease(&open(&path)).unwrap());
    }

    #[test]
    fn whoever_opens_it_waits() {
        let (_directory, path) = fresh();
        let mut file = open(&path);
        assert!(lease(&file).unwrap());
        thread::scope(|scope| {
            let reader = scope.spawn(|| fs::read_to_string(&path).unwrap());
            // Time for it to begin to wait. If it is slower than that it finds the same.
            thread::sleep(Duration::from_millis(50));
            file.write_all(b"behind").unwrap();
            release(&file).unwrap();
            assert_eq!(reader.join().unwrap(), "behind");
        });
        assert!(lease(&file).unwrap());
    }
}
