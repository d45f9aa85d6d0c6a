//! The project that a command works on, and this machine's caches.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cas::LocalStore;
use local::{KvmNote, LocalActionCache, LocalExecutor};
use recipe::{FILE_NAME, Problem, Settings, Stack};

use crate::args::Global;
use crate::environment;
use crate::failure::{Blame, Failure, io};
use crate::project_state::ProjectState;
use crate::ui::Ui;

/// A project that was read and understood.
pub(crate) struct Workspace {
    /// The directory of `bootwright.toml`.
    pub(crate) root: PathBuf,
    /// What it says.
    pub(crate) stack: Stack,
}

impl Workspace {
    /// Finds the project and reads it, and tells each file that it reads. All problems are shown at once.
    pub(crate) fn open(
        global: &Global,
        ui: &Ui,
        tell_file: &mut dyn FnMut(&Path),
    ) -> Result<Workspace, Failure> {
        let root = find_root(global.directory.as_deref())?;
        let settings =
            Settings { set: global.knobs.iter().cloned().collect(), environment: environment::variables() };
        let (stack, problems) =
            recipe::load_telling(&root.join(FILE_NAME), &settings, tell_file).map_err(Failure::project)?;
        match stack {
            Some(stack) => Ok(Workspace { root, stack }),
            None => Err(tell(&problems, ui)),
        }
    }
}

/// Shows the problems of a project and returns that it is wrong.
pub(crate) fn tell(problems: &[Problem], ui: &Ui) -> Failure {
    ui.problems(problems);
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        n_problems => format!("{n_problems} problems"),
    };
    Failure::new(Blame::Project, format!("the project has {count}"))
}

/// Returns the directory of the project: `given`, or the nearest one upwards that has a project file.
pub(crate) fn find_root(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        let root = given.canonicalize().map_err(|source| {
            let mut failure = io(format!("find the project in `{}`", given.display()))(source);
            failure.blame = Blame::Project;
            failure
        })?;
        if !root.join(FILE_NAME).is_file() {
            return Err(Failure::project(format!("there is no `{FILE_NAME}` in `{}`", given.display())));
        }
        return Ok(root);
    }
    let here = std::env::current_dir().map_err(io("find the current directory"))?;
    here.ancestors().find(|directory| directory.join(FILE_NAME).is_file()).map(Path::to_path_buf).ok_or_else(
        || {
            Failure::project(format!("there is no `{FILE_NAME}` here or in a directory above"))
                .help("go to a project, or name one with -C DIR")
        },
    )
}

/// How many sandboxes of failed steps are kept.
const KEPT_FAILURES: usize = 5;

/// This machine's caches.
pub(crate) struct Caches {
    /// The directory of all of them.
    pub(crate) root: PathBuf,
    /// Every blob and what is known about them.
    pub(crate) store: LocalStore,
}

impl Caches {
    /// Opens the caches and makes them if there are none.
    pub(crate) fn open(global: &Global) -> Result<Caches, Failure> {
        Caches::open_until(global, Arc::default())
    }

    /// Does the same, and what takes long with them is given up when `cancel` becomes true.
    pub(crate) fn open_until(global: &Global, cancel: Arc<AtomicBool>) -> Result<Caches, Failure> {
        let root = environment::cache_directory(global.cache.as_deref())?;
        let store = LocalStore::open_until(&root.join("store"), cancel).map_err(|error| {
            match error.is_cancelled() {
                true => Failure::interrupted(),
                false => Failure::store(error)
                    .help("name another directory with --cache, or mend this one's permissions"),
            }
        })?;
        let is_ours = |file: &File| sandbox::lease::lease(file).unwrap_or(false);
        Ok(Caches { root, store: store.renewing_exports(is_ours) })
    }

    /// Returns what is remembered of actions.
    pub(crate) fn action_cache(&self) -> LocalActionCache<'_> {
        LocalActionCache::new(&self.store)
    }

    /// Returns where unfinished downloads are kept.
    pub(crate) fn parts(&self) -> PathBuf {
        self.root.join("parts")
    }

    /// Returns where the indexes of packages are kept.
    pub(crate) fn indexes(&self) -> PathBuf {
        self.root.join("indexes")
    }

    /// Returns what is known of KVM since this machine booted.
    pub(crate) fn kvm_note(&self) -> Option<KvmNote> {
        KvmNote::in_directory(&self.root.join("host"))
    }

    /// Returns what runs steps on this machine, `jobs` at once, which keep in `state` what they find again.
    pub(crate) fn executor(
        &self,
        jobs: NonZeroUsize,
        state: Option<&ProjectState>,
    ) -> Result<LocalExecutor<'_>, Failure> {
        self.executor_with(jobs, KEPT_FAILURES, state, sandbox::Variation::default())
    }

    /// Returns what runs steps with a variation, and keeps none of their sandboxes.
    pub(crate) fn varied_executor(
        &self,
        jobs: NonZeroUsize,
        variation: sandbox::Variation,
    ) -> Result<LocalExecutor<'_>, Failure> {
        self.executor_with(jobs, 0, None, variation)
    }

    fn executor_with(
        &self,
        n_jobs: NonZeroUsize,
        n_failed: usize,
        state: Option<&ProjectState>,
        variation: sandbox::Variation,
    ) -> Result<LocalExecutor<'_>, Failure> {
        let init = std::env::current_exe().map_err(io("find the program that is running"))?;
        let failed = self.root.join("failed");
        let kvm_note = self.kvm_note();
        let (kept, earlier) = (state.map(ProjectState::kept), state.map(ProjectState::earlier));
        let options = local::Options { init, failed, n_failed, n_jobs, kept, earlier, kvm_note, variation };
        LocalExecutor::new(&self.store, options).map_err(Failure::machine)
    }
}
