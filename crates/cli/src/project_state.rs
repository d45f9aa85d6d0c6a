//! What is kept of a project between builds, in the cache: times of its steps, the last events, stat caches.

use std::fs;
use std::path::{Path, PathBuf};

use cas::{Digest, StatCache};
use engine::{History, Run};
use local::HistoryFile;

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
        self.history_file().load().map_err(io("read the history of the project"))
    }

    /// Adds runs to the history; builds side by side keep each other's.
    pub(crate) fn append_history(&self, runs: &[Run]) -> Result<(), Failure> {
        let file = self.history_file();
        let written = runs.iter().try_for_each(|run| file.append(run));
        let compacted = written.and_then(|()| if runs.is_empty() { Ok(()) } else { file.compact() });
        compacted.map_err(io("write the history of the project"))
    }

    /// Returns the stat cache of the project's own files.
    pub(crate) fn stats(&self) -> StatCache {
        StatCache::at(&self.directory.join("stats"))
    }

    /// Returns the stat cache of what was exported into the project.
    pub(crate) fn exported_stats(&self) -> StatCache {
        StatCache::at(&self.directory.join("exported"))
    }

    /// Returns the path of the last build's events.
    pub(crate) fn event_log(&self) -> PathBuf {
        self.directory.join("events.jsonl")
    }

    /// Returns where somebody may answer what changed in the project's sources.
    pub(crate) fn watcher_socket(&self) -> PathBuf {
        self.directory.join("watcher")
    }

    /// Returns where steps of any project keep directories.
    pub(crate) fn all_kept(caches: &Path) -> Result<Vec<PathBuf>, Failure> {
        let projects = caches.join("projects");
        let failed = || io(format!("read `{}`", projects.display()));
        let entries = match fs::read_dir(&projects) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed())?,
        };
        entries.map(|entry| Ok(entry.map_err(failed())?.path().join("kept"))).collect()
    }

    /// Returns where steps keep directories from run to run.
    pub(crate) fn kept(&self) -> PathBuf {
        self.directory.join("kept")
    }

    fn history_file(&self) -> HistoryFile {
        HistoryFile::new(&self.directory.join("history.jsonl"))
    }
}
