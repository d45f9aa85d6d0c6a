//! One command's view of everything: the project, its lock, this machine's caches, the user.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cas::{Digest, Watcher};
use engine::ActionCache as _;
use recipe::{Goal, Stack};

use crate::args::Global;
use crate::environment::Clock;
use crate::failure::Failure;
use crate::project_state::ProjectState;
use crate::signals;
use crate::ui::Ui;
use crate::workspace::{Caches, Workspace};

/// Everything that a command about a project needs.
pub(crate) struct Session<'a> {
    /// The command line.
    pub(crate) global: &'a Global,
    /// Where things are shown.
    pub(crate) ui: &'a Ui,
    /// The directory of the project.
    pub(crate) root: PathBuf,
    /// What the project file says.
    pub(crate) stack: Stack,
    /// Store and caches.
    pub(crate) caches: Caches,
    /// What is kept between builds of this project.
    pub(crate) state: ProjectState,
    /// Becomes true when the user wants to stop.
    pub(crate) cancel: Arc<AtomicBool>,
    /// Who may know what changed in local sources.
    pub(crate) watcher: Watcher,
    /// The digest of the lock's text, as it was read or written last.
    pub(crate) lock_text: Mutex<Option<Digest>>,
    clock: Clock,
}

impl<'a> Session<'a> {
    /// Opens the project around the current directory, or the one that the command line names.
    pub(crate) fn open(global: &'a Global, ui: &'a Ui) -> Result<Session<'a>, Failure> {
        Session::open_until(global, ui, signals::cancel_flag()?, &mut |_| {})
    }

    /// Does the same for a part of a command, which ends when `cancel` becomes true. Tells each file that the project is
    /// read from.
    pub(crate) fn open_until(
        global: &'a Global,
        ui: &'a Ui,
        cancel: Arc<AtomicBool>,
        tell_file: &mut dyn FnMut(&Path),
    ) -> Result<Session<'a>, Failure> {
        let clock = Clock::start();
        let Workspace { root, stack } = Workspace::open(global, ui, tell_file)?;
        let caches = Caches::open_until(global, Arc::clone(&cancel))?;
        let state = ProjectState::open(&caches.root, &root)?;
        let watcher =
            if global.no_watcher { Watcher::nobody() } else { Watcher::at(&state.watcher_socket()) };
        Ok(Session {
            global,
            ui,
            root,
            stack,
            caches,
            state,
            cancel,
            watcher,
            lock_text: Mutex::default(),
            clock,
        })
    }

    /// Returns the time since the command began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Returns the name under which it is kept what the goals came to, with these knobs.
    pub(crate) fn bundle_name(&self, goals: &[Goal]) -> String {
        let knobs: BTreeMap<_, _> = self.global.knobs.iter().cloned().collect();
        let mode = if self.global.incremental { " incremental" } else { "" };
        format!("{} {goals:?} {knobs:?}{mode}", self.root.display()).replace('\n', " ")
    }

    /// Returns the labels of the steps that `name` may mean, the likeliest first.
    pub(crate) fn labels_for(&self, name: &str) -> Vec<String> {
        vec![
            name.to_owned(),
            format!("test {name}"),
            format!("{name}/configure"),
            format!("env.{name}/configure"),
        ]
    }

    /// Returns the log of the step's last run, if it ran here.
    pub(crate) fn last_log(&self, label: &str) -> Option<Digest> {
        let history = self.state.history().ok()?;
        let run = history.last(label)?;
        match run.exit_code {
            0 => Some(self.caches.action_cache().get(&run.action).ok()??.log),
            _ => Some(run.log),
        }
    }
}
