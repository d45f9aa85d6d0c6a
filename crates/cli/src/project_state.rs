//! What is kept of a project between builds, in the cache: times of its steps, the last events, stat caches.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use cas::{Digest, StatCache};
use engine::History;

use crate::failure::{Failure, io};

/// The directory of one project, named by the digest of its path.
pub(crate) struct ProjectState {
    directory: PathBuf,
}

impl ProjectState {
    /// Returns the state of the project at `root`; its directory is made if there is none.
    pub(crate) fn open(caches: &Path, root: &Path) -> Result<ProjectState, Failure> {
        let name = &Digest::of(root.as_os_str().as_encoded_bytes()).hex()[..16];
        let directory = caches.join("projects").join(name);
        fs::create_dir_all(&directory).map_err(io(format!("make `{}`", directory.display())))?;
        Ok(ProjectState { directory })
    }

    /// Returns what earlier runs cost.
    pub(crate) fn history(&self) -> Result<History, Failure> {
        let path = self.history_file();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(History::new(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(History::default()),
            Err(error) => Err(io(format!("read `{}`", path.display()))(error)),
        }
    }

    /// Adds lines to the history with one write, so that builds side by side keep each other's.
    pub(crate) fn append_history(&self, lines: &str, before: &History) -> Result<(), Failure> {
        if lines.is_empty() {
            return Ok(());
        }
        let path = self.history_file();
        let doing = || io(format!("write `{}`", path.display()));
        if before.is_worth_compacting() {
            let text = before.compact() + lines;
            let compact = path.with_extension("new");
            return fs::write(&compact, text).and_then(|()| fs::rename(&compact, &path)).map_err(doing());
        }
        let file = fs::File::options().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(lines.as_bytes())).map_err(doing())
    }

    /// Returns the stat cache of the project's own files.
    pub(crate) fn stats(&self) -> Result<StatCache, Failure> {
        StatCache::load(&self.directory.join("stats")).map_err(Failure::machine)
    }

    /// Returns the stat cache of what was exported into the project.
    pub(crate) fn exported_stats(&self) -> Result<StatCache, Failure> {
        StatCache::load(&self.directory.join("exported")).map_err(Failure::machine)
    }

    /// Returns the path of the last build's events.
    pub(crate) fn event_log(&self) -> PathBuf {
        self.directory.join("events.jsonl")
    }

    fn history_file(&self) -> PathBuf {
        self.directory.join("history.jsonl")
    }
}
