//! The sandboxes of failed steps, kept so that somebody can look into them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cas::Digest;
use engine::{ExecutorError, Request, Requirements};
use serde::{Deserialize, Serialize};

use crate::LocalExecutor;
use crate::executor::{Run, disk};
use crate::stage::Staged;

/// What is written beside a failed sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    version: u32,
    pub(crate) label: String,
    action: Digest,
    exit_code: i32,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    root: bool,
    kvm: bool,
    pub(crate) staged: Staged,
}

/// The version of [`Failed`].
const VERSION: u32 = 2;
const DESCRIPTION: &str = "failed.json";

impl Failed {
    pub(crate) fn new(
        request: &Request<'_>,
        exit_code: i32,
        staged: Staged,
        environment: &[(String, String)],
    ) -> Failed {
        Failed {
            version: VERSION,
            label: request.label.to_owned(),
            action: request.action,
            exit_code,
            arguments: request.command.arguments.clone(),
            // The jobserver is gone with the build.
            environment: environment.iter().filter(|(name, _)| name != "MAKEFLAGS").cloned().collect(),
            root: request.requirements.root,
            kvm: request.requirements.kvm,
            staged,
        }
    }

    pub(crate) fn requirements(&self) -> Requirements {
        // What was kept belongs to the next run of the step.
        Requirements { root: self.root, kvm: self.kvm, ..Requirements::default() }
    }
}

/// A kept sandbox of a step that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedSandbox {
    pub(crate) path: PathBuf,
    pub(crate) failed: Failed,
}

impl FailedSandbox {
    /// Returns its directory; in it are `out`, what the step left there, and `log`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the label of the step.
    pub fn label(&self) -> &str {
        &self.failed.label
    }

    /// Returns the digest of its action.
    pub fn action(&self) -> Digest {
        self.failed.action
    }

    /// Returns the exit code of its command.
    pub fn exit_code(&self) -> i32 {
        self.failed.exit_code
    }

    /// Returns the command line that failed.
    pub fn arguments(&self) -> &[String] {
        &self.failed.arguments
    }

    /// Returns where its log is.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }
}

impl LocalExecutor<'_> {
    /// Returns the sandboxes that are kept, the last failure first.
    pub fn failed_sandboxes(&self) -> Result<Vec<FailedSandbox>, ExecutorError> {
        let sandboxes = self.failed_numbers()?.into_iter().rev().filter_map(|number| {
            let path = self.failed_path(number);
            // One that another process is writing or removing, or that another version wrote.
            let text = fs::read_to_string(path.join(DESCRIPTION)).ok()?;
            let failed: Failed = serde_json::from_str(&text).ok()?;
            (failed.version == VERSION).then_some(FailedSandbox { path, failed })
        });
        Ok(sandboxes.collect())
    }

    /// Removes all kept sandboxes.
    pub fn remove_failed_sandboxes(&self) -> Result<(), ExecutorError> {
        self.failed_numbers()?.into_iter().try_for_each(|number| self.remove_failed(number))
    }

    /// Moves the run of a failed step to where failed sandboxes are kept, removes those that are too many,
    /// and returns where it is.
    pub(crate) fn keep_failed(&self, run: Run, failed: &Failed) -> Result<PathBuf, ExecutorError> {
        let doing = || format!("keep the sandbox of `{}`", failed.label);
        self.forget_removed()?;
        let text = serde_json::to_string_pretty(failed).expect("strings, numbers and digests can be encoded");
        fs::write(run.path().join(DESCRIPTION), text).map_err(|error| disk(doing(), error))?;
        loop {
            let numbers = self.failed_numbers()?;
            let number = numbers.last().map_or(1, |last| last + 1);
            let path = self.failed_path(number);
            // The inputs must outlive a collection.
            self.store.set_root(&root_name(&path), &failed.staged.references())?;
            match fs::rename(run.path(), &path) {
                Ok(()) => {
                    run.keep();
                    let n_kept = numbers.len() + 1;
                    for number in &numbers[..n_kept.saturating_sub(self.options.n_failed).min(numbers.len())]
                    {
                        self.remove_failed(*number)?;
                    }
                    return Ok(path);
                }
                // Another process has taken the number.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
                    ) => {}
                Err(error) => return Err(disk(doing(), error)),
            }
        }
    }

    /// Gives up the inputs of sandboxes that somebody removed without us.
    fn forget_removed(&self) -> Result<(), ExecutorError> {
        for root in self.store.roots()? {
            let path = root.name.strip_prefix(ROOT_PREFIX).map(Path::new);
            if path.is_some_and(|path| path.starts_with(&self.options.failed) && !path.exists()) {
                self.store.remove_root(&root.name)?;
            }
        }
        Ok(())
    }

    fn remove_failed(&self, number: u64) -> Result<(), ExecutorError> {
        let path = self.failed_path(number);
        // First out of the way: of several processes that want it gone, one gets it.
        let doomed = self.store.scratch().join(format!("failed-{number}"));
        match fs::rename(&path, &doomed) {
            Ok(()) => cas::remove_tree(&doomed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(disk(format!("remove `{}`", path.display()), error)),
        }
        Ok(self.store.remove_root(&root_name(&path))?)
    }

    fn failed_path(&self, number: u64) -> PathBuf {
        self.options.failed.join(number.to_string())
    }

    /// Returns the numbers of the kept sandboxes, the oldest first.
    fn failed_numbers(&self) -> Result<Vec<u64>, ExecutorError> {
        let names = fs::read_dir(&self.options.failed)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>());
        let names =
            names.map_err(|error| disk(format!("list `{}`", self.options.failed.display()), error))?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// What the names of roots that keep the inputs of failed sandboxes begin with; their paths follow.
const ROOT_PREFIX: &str = "failed sandbox ";

fn root_name(path: &Path) -> String {
    format!("{ROOT_PREFIX}{}", path.display())
}
