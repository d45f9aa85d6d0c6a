//! `watch`: builds, and builds again whenever something of it is saved.

pub(super) mod daemon;
mod inputs;
mod machine;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cas::{Server, WatchError, Watches};
use recipe::{FILE_NAME, Goal};

use self::inputs::Inputs;
use self::machine::Runner;
use super::{build, healing, test};
use crate::args::Global;
use crate::failure::Failure;
use crate::lock;
use crate::project_state::ProjectState;
use crate::session::Session;
use crate::ui::{Ui, some};
use crate::workspace::{Caches, find_root};
use crate::{goals, imports, signals};

/// How often a build is given up in favour of what changed since, before one is let finish: otherwise who changes
/// something all the time never sees an end.
const MOST_RESTARTS: usize = 3;

/// How many names of what changed are shown.
const SHOWN: usize = 3;

/// How long it may take until an end is noticed: of a build, and of the watch.
const SOON: Duration = Duration::from_millis(20);
const SOON_ENOUGH: Duration = Duration::from_millis(100);

/// Makes what is named, or what `build` makes, and runs `machine`; makes it again when something changes. Ends when the
/// user wants that.
///
/// Fails only when there is no project, or no watching.
pub(crate) fn run(global: &Global, ui: &Ui, names: &[String], machine: Option<&str>) -> Result<(), Failure> {
    let stop = signals::cancel_flag()?;
    let root = find_root(global.directory.as_deref())?;
    let caches = Caches::open(global)?;
    let state = ProjectState::open(&caches.root, &root)?;
    let watches = Watches::new().map_err(failure)?;
    let _server = if global.no_watcher { None } else { serve(ui, &state.watcher_socket(), &watches)? };
    let mut watch = Watch {
        global,
        ui,
        names,
        machine,
        stop: &stop,
        inputs: Inputs::new(&watches, &root, ui),
        n_restarts: 0,
        has_begun: false,
    };
    thread::scope(|scope| {
        let mut runner = Runner::new(scope, ui, Arc::clone(&stop));
        while let Next::Again(changed) = watch.once(&root, &mut runner) {
            ui.note(&format!("{} changed", some(&changed, SHOWN)));
        }
        runner.stop();
    });
    ui.clear();
    Ok(())
}

/// Tells other builds what changed, unless another process does.
fn serve(ui: &Ui, socket: &Path, watches: &Arc<Watches>) -> Result<Option<Server>, Failure> {
    match Server::start(socket, watches) {
        Ok(server) => Ok(Some(server)),
        Err(WatchError::Served) => Ok(None),
        // It is only slower.
        Err(error) => {
            ui.note(&format!("other builds are not told what changed: {error}"));
            Ok(None)
        }
    }
}

/// Turns what keeps from watching into a failure with its help.
fn failure(error: WatchError) -> Failure {
    let help = error.help();
    let failure = Failure::machine(error);
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// What comes after a build.
enum Next {
    /// Another one, since this changed.
    Again(Vec<String>),
    /// The end.
    Stop,
}

struct Watch<'a> {
    global: &'a Global,
    ui: &'a Ui,
    names: &'a [String],
    machine: Option<&'a str>,
    stop: &'a AtomicBool,
    inputs: Inputs<'a>,
    /// How many builds in a row were given up.
    n_restarts: usize,
    has_begun: bool,
}

impl Watch<'_> {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Builds once, and waits for the next change.
    fn once<'s>(&mut self, root: &Path, runner: &mut Runner<'s, '_>) -> Next
    where
        Self: 's,
    {
        // Whatever changed until now is about to be read.
        self.inputs.begin();
        let cancel = Arc::new(AtomicBool::new(false));
        let opened = Session::open_until(self.global, self.ui, Arc::clone(&cancel), &mut |path| {
            self.inputs.reads(path);
        });
        let wanted = opened.and_then(|session| {
            let wanted = Wanted::of(&session, self.names, self.machine)?;
            Ok((session, wanted))
        });
        match wanted {
            // What is wrong with a project is put right in it, so it is waited for that.
            Err(failure) => {
                self.inputs.watch_project(&root.join(FILE_NAME));
                self.ui.failure(&failure);
            }
            Ok((session, wanted)) => {
                let needs = recipe::needs(&session.stack, &wanted.all);
                self.inputs.watch(imports::places(&session.root, &needs));
                if let Some(changed) = self.build(session, &wanted, &cancel, runner)
                    && !self.is_over()
                {
                    return Next::Again(changed);
                }
            }
        }
        if self.is_over() {
            return Next::Stop;
        }
        if !self.has_begun {
            self.has_begun = true;
            self.ui.note("waiting for changes; Ctrl-c ends it");
        }
        let stop = self.stop;
        match self.inputs.wait(SOON_ENOUGH, &|| stop.load(Ordering::Relaxed)) {
            Some(changed) => Next::Again(changed),
            None => Next::Stop,
        }
    }

    /// Builds until it is done or something changes, which is returned.
    fn build<'s>(
        &mut self,
        session: Session<'s>,
        wanted: &Wanted,
        cancel: &AtomicBool,
        runner: &mut Runner<'s, '_>,
    ) -> Option<Vec<String>>
    where
        Self: 's,
    {
        // When it was given up, nothing was made.
        let (mut made, mut changed) = self.attempt(&session, wanted, cancel, runner);
        if let Some(machine::Made::Push(push)) = &made
            && !self.is_over()
        {
            // What cannot be pushed is there when it starts anew, unless that is about to be built in another way.
            if runner.push(&session, push) || changed.is_some() {
                return changed.or_else(|| self.changed_while_building(&lock::seen(&session)));
            }
            (made, changed) = self.attempt(&session, wanted, cancel, runner);
        }
        let seen = lock::seen(&session);
        if let Some(machine::Made::Ready(ready)) = made
            && !self.is_over()
            && let Err(failure) = runner.update(session, *ready)
        {
            self.ui.failure(&failure);
        }
        changed.or_else(|| self.changed_while_building(&seen))
    }

    /// Returns what changed that the build has not read, whose lock is `seen`.
    fn changed_while_building(&mut self, seen: &lock::Seen) -> Option<Vec<String>> {
        let is_locked_otherwise = || seen.is_edited().then(|| vec![recipe::Lock::FILE_NAME.to_owned()]);
        self.inputs.changed_while_building().or_else(is_locked_otherwise)
    }

    /// Builds, and gives up when something changes, which is returned.
    fn attempt(
        &mut self,
        session: &Session<'_>,
        wanted: &Wanted,
        cancel: &AtomicBool,
        runner: &Runner<'_, '_>,
    ) -> (Option<machine::Made>, Option<Vec<String>>) {
        let is_done = AtomicBool::new(false);
        let may_restart = self.n_restarts < MOST_RESTARTS;
        let (inputs, stop) = (&mut self.inputs, self.stop);
        let (made, changed) = thread::scope(|scope| {
            let supervisor = scope.spawn(|| {
                let is_over = || is_done.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed);
                let changed = inputs.wait_while_building(SOON, &is_over);
                if changed.is_some() && may_restart || stop.load(Ordering::Relaxed) {
                    cancel.store(true, Ordering::Relaxed);
                }
                changed
            });
            let made = make(session, wanted, runner);
            is_done.store(true, Ordering::Relaxed);
            let changed = supervisor.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (made, changed)
        });
        let was_given_up = cancel.swap(false, Ordering::Relaxed);
        self.n_restarts = if was_given_up { self.n_restarts + 1 } else { 0 };
        let made = made.unwrap_or_else(|failure| {
            // It may have failed for what changed under its hands; the next build will say.
            if changed.is_none() && !self.is_over() {
                self.ui.failure(&failure);
            }
            None
        });
        (made, changed)
    }
}

/// What is built.
struct Wanted {
    targets: Vec<Goal>,
    tests: Vec<Goal>,
    /// Machines that are made ready, and the one that is run.
    machines: Vec<recipe::Name>,
    run: Option<recipe::Name>,
    all: Vec<Goal>,
}

impl Wanted {
    fn of(session: &Session<'_>, names: &[String], run: Option<&str>) -> Result<Wanted, Failure> {
        let stack = &session.stack;
        let run = run.map(|name| goals::machine(stack, Some(name))).transpose()?;
        let mut all = match (names, &run) {
            ([], Some(_)) => Vec::new(),
            ([], None) => goals::targets(stack, names)?,
            (names, _) => names.iter().map(|name| goals::any_one(stack, name)).collect::<Result<_, _>>()?,
        };
        let of_kind = |is_one: fn(&Goal) -> bool| all.iter().filter(|goal| is_one(goal)).cloned().collect();
        let targets = of_kind(|goal| matches!(goal, Goal::Target(_)));
        let tests = of_kind(|goal| matches!(goal, Goal::Test(_)));
        let mut machines = Vec::new();
        for goal in &all {
            match goal {
                Goal::Machine(name) => machines.push(name.clone()),
                Goal::Environment(name) => {
                    return Err(Failure::project(format!("`{name}` is an environment"))
                        .help("name targets, tests or machines"));
                }
                Goal::Target(_) | Goal::Test(_) => {}
            }
        }
        all.extend(run.clone().map(Goal::Machine));
        Ok(Wanted { targets, tests, machines, run, all })
    }
}

/// Returns what came of the machine to run; `None` if there is none, or something failed, which has been told.
fn make(
    session: &Session<'_>,
    wanted: &Wanted,
    runner: &Runner<'_, '_>,
) -> Result<Option<machine::Made>, Failure> {
    let made = Cell::new(None);
    healing(session.global, session.ui, || {
        if !wanted.targets.is_empty() && build::goals_of(session, &wanted.targets, None)?.has_failed {
            return Ok(());
        }
        if !wanted.tests.is_empty() && !test::goals_of(session, &wanted.tests, None)? {
            return Ok(());
        }
        for name in &wanted.machines {
            if machine::ready(session, name)?.is_none() {
                return Ok(());
            }
        }
        if let Some(name) = &wanted.run {
            made.set(runner.make(session, name)?);
        }
        Ok(())
    })?;
    Ok(made.into_inner())
}
