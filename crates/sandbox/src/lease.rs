//! Whether anybody else has a file open.

use std::fs::File;
use std::os::fd::AsFd as _;

use crate::sys;

/// Says whether this is the only open descriptor of a file on this machine, mappings into memory included.
///
/// If so, whoever opens the file waits until `file` is closed, but for no longer than `/proc/sys/fs/lease-break-time`,
/// which usually is 45 s: it is a write lease of fcntl(2). Only the owner of a file can have one. Also false where the
/// file system has none.
pub fn is_alone(file: &File) -> bool {
    sys::lease(file.as_fd()).is_ok()
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
        assert!(!is_alone(&open(&path)));
        drop(reader);
        let writer = File::options().append(true).open(&path).unwrap();
        assert!(!is_alone(&open(&path)));
        drop(writer);
        assert!(is_alone(&open(&path)));
    }

    #[test]
    fn whoever_opens_it_waits() {
        let (_directory, path) = fresh();
        let mut file = open(&path);
        assert!(is_alone(&file));
        thread::scope(|scope| {
            let reader = scope.spawn(|| fs::read_to_string(&path).unwrap());
            // Time for it to begin to wait. If it is slower than that it finds the same.
            thread::sleep(Duration::from_millis(50));
            file.write_all(b"behind").unwrap();
            drop(file);
            assert_eq!(reader.join().unwrap(), "behind");
        });
    }
}
