//! What is kept of a project between builds, in the cache: times of its steps, the last events, stat caches.

use std::collections::BTreeMap;
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

    /// Returns the path of what is kept of the last build beside its events.
    pub(crate) fn build_record(&self) -> PathBuf {
        self.directory.join("build.json")
    }

    /// Forgets what was kept of the last build, because another one begins.
    pub(crate) fn forget_build(&self) -> Result<(), Failure> {
        let path = self.build_record();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io(format!("remove `{}`", path.display()))(error))
            }
            _ => Ok(()),
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
