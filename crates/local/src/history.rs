//! The file that holds the history of a project or cache.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use engine::{History, Run};
use rustix::fs::FlockOperation;

/// The history on disk. Any number of processes may append to it at once.
#[derive(Clone, Debug)]
pub struct HistoryFile {
    path: PathBuf,
}

impl HistoryFile {
    /// Returns the history file at `path`, whose directory must exist; the file need not.
    pub fn new(path: &Path) -> HistoryFile {
        HistoryFile { path: path.to_owned() }
    }

    /// Reads the history; empty when there is none.
    pub fn load(&self) -> io::Result<History> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(History::new(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(History::default()),
            Err(error) => Err(error),
        }
    }

    /// Adds a run.
    pub fn append(&self, run: &Run) -> io::Result<()> {
        let _lock = self.lock(FlockOperation::LockShared)?;
        let mut file = File::options().append(true).create(true).open(&self.path)?;
        file.write_all(run.to_line().as_bytes())
    }

    /// Rewrites the file without what is not worth keeping, if that makes it much smaller.
    pub fn compact(&self) -> io::Result<()> {
        if !self.load()?.is_worth_compacting() {
            return Ok(());
        }
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let text = self.load()?.compact();
        cas::replace_file(&self.path, text.as_bytes())
    }

    /// Appending shares the lock; who replaces the file has it alone, or lines would go to the old one.
    fn lock(&self, operation: FlockOperation) -> io::Result<File> {
        let path = self.path.with_extension("lock");
        let file = File::options().write(true).create(true).truncate(false).open(path)?;
        rustix::fs::flock(&file, operation)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cas::Digest;
    use engine::Usage;

    use super::*;

    #[test]
    fn runs_are_read_back_and_compacted() {
        let directory = tempfile::tempdir().unwrap();
        let file = HistoryFile::new(&directory.path().join("history"));
        assert!(file.load().unwrap().last("kernel").is_none());
        for seconds in 0..1100 {
            let usage = Usage { wall: Duration::from_secs(seconds), ..Usage::default() };
            let digest = Digest::of(b"x");
            let run = Run { label: "kernel".to_owned(), action: digest, exit_code: 0, log: digest, usage };
            file.append(&run).unwrap();
        }
        file.compact().unwrap();
        let history = file.load().unwrap();
        assert_eq!(history.last("kernel").unwrap().usage.wall, Duration::from_secs(1099));
        assert!(history.runs("kernel").len() < 10);
    }
}
