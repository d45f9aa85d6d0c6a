//! What is kept of a project between builds, in the cache: times of its steps, the last events, stat caches.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cas::{Digest, StatCache};
use engine::{History, Run};
use local::HistoryFile;

use crate::failure::{Failure, io};

/// How often is looked whether another process is done.
const PATIENCE: Duration = Duration::from_millis(50);

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

    /// Returns the path of what is kept of the last build beside its events.
    pub(crate) fn build_record(&self) -> PathBuf {
        self.directory.join("build.json")
    }

    /// Forgets what was kept of the last build, because another one begins, and returns the file for its events. That is its
    /// own: builds beside it do not write into it.
    pub(crate) fn begin_build(&self) -> Result<File, Failure> {
        remove(&self.build_record())?;
        let path = self.event_log();
        loop {
            remove(&path)?;
            match File::create_new(&path) {
                // Another one has just begun.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                created => return created.map_err(io(format!("create `{}`", path.display()))),
            }
        }
    }

    /// Waits until no other process adds to the project's lock, which none does until what is returned is dropped.
    pub(crate) fn lock_lock(&self, cancel: &AtomicBool) -> Result<File, Failure> {
        let path = self.directory.join("locking");
        let file = File::create(&path).map_err(io(format!("create `{}`", path.display())))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if cancel.load(Ordering::Relaxed) => {
                    return Err(Failure::interrupted());
                }
                Err(TryLockError::WouldBlock) => thread::sleep(PATIENCE),
                Err(TryLockError::Error(error)) => {
                    return Err(io(format!("lock `{}`", path.display()))(error));
                }
            }
        }
    }

    /// Remembers what targets came to, for reports of what grew: of each the last output and the one before it.
    pub(crate) fn remember_outputs(
        &self,
        outputs: impl Iterator<Item = (String, Digest)>,
    ) -> Result<(), Failure> {
        let mut known = self.outputs();
        let mut is_new = false;
        for (target, output) in outputs {
            let last = known.entry(target).or_default();
            if last.first() != Some(&output) {
                last.retain(|earlier| *earlier != output);
                last.insert(0, output);
                last.truncate(2);
                is_new = true;
            }
        }
        if !is_new {
            return Ok(());
        }
        let path = self.outputs_file();
        let text = serde_json::to_vec(&known).expect("names and digests can be encoded");
        cas::replace_file(&path, &text).map_err(io(format!("write `{}`", path.display())))
    }

    /// Returns what a target came to last that was not `output`.
    pub(crate) fn earlier_output(&self, target: &str, output: &Digest) -> Option<Digest> {
        self.outputs().remove(target)?.into_iter().find(|earlier| earlier != output)
    }

    fn outputs_file(&self) -> PathBuf {
        self.directory.join("outputs.json")
    }

    /// Returns what is remembered of outputs. What cannot be read is as if it were not there: it is only good for
    /// comparisons.
    fn outputs(&self) -> BTreeMap<String, Vec<Digest>> {
        let text = fs::read(self.outputs_file()).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Returns where somebody may answer what changed in the project's sources.
    pub(crate) fn watcher_socket(&self) -> PathBuf {
        self.directory.join("watcher")
    }

    /// Returns where steps of any project keep directories.
    pub(crate) fn all_kept(caches: &Path) -> Result<Vec<PathBuf>, Failure> {
        ProjectState::all(caches, "kept")
    }

    /// Returns where it is remembered what steps of any project can take over of their last outputs.
    pub(crate) fn all_earlier(caches: &Path) -> Result<Vec<PathBuf>, Failure> {
        ProjectState::all(caches, "earlier")
    }

    /// Returns the directory `name` of every project.
    fn all(caches: &Path, name: &str) -> Result<Vec<PathBuf>, Failure> {
        let projects = caches.join("projects");
        let failed = || io(format!("read `{}`", projects.display()));
        let entries = match fs::read_dir(&projects) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed())?,
        };
        entries.map(|entry| Ok(entry.map_err(failed())?.path().join(name))).collect()
    }

    /// Returns where steps keep directories from run to run.
    pub(crate) fn kept(&self) -> PathBuf {
        self.directory.join("kept")
    }

    /// Returns where it is remembered what steps can take over of their last outputs.
    pub(crate) fn earlier(&self) -> PathBuf {
        self.directory.join("earlier")
    }

    fn history_file(&self) -> HistoryFile {
        HistoryFile::new(&self.directory.join("history.jsonl"))
    }
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(io(format!("remove `{}`", path.display()))(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn builds_side_by_side_have_events_of_their_own() {
        let caches = tempfile::tempdir().unwrap();
        let state = ProjectState::open(caches.path(), Path::new("/x")).unwrap();
        let mut first = state.begin_build().unwrap();
        first.write_all(b"the first, which is long\n").unwrap();
        let mut second = state.begin_build().unwrap();
        second.write_all(b"the second\n").unwrap();
        first.write_all(b"the end of the first\n").unwrap();
        assert_eq!(fs::read(state.event_log()).unwrap(), b"the second\n");
    }
}
