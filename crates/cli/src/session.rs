//! One command's view of everything: the project, its lock, this machine's caches, the user.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cas::{Digest, Store as _, Watcher};
use engine::{
    ActionCache as _, Assembled, ExecutorError, Known, Options, Outcome, Request, StepId, StepOutcome, World,
};
use local::{Console, Interactive, LocalActionCache, LocalExecutor};
use recipe::{Goal, Lowered, Resolved, Reuse, Stack};

use crate::args::Global;
use crate::builder::{Builder, actions, executor_failure, machine_failure};
use crate::environment::{self, Clock};
use crate::failure::{Blame, Failure};
use crate::fetch::Fetched;
use crate::project_state::ProjectState;
use crate::sources::{crates, texts};
use crate::ui::Ui;
use crate::verify::{Again, Finding};
use crate::workspace::{Caches, Workspace, tell};
use crate::{fetch, goals, imports, lock, signals, tools};

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
    watcher: Watcher,
    clock: Clock,
}

/// A graph with all that it reads from outside in the store, save for packages.
pub(crate) struct Prepared {
    /// The graph, and where the goals are in it.
    pub(crate) lowered: Lowered,
    /// Where to download what is pinned.
    pub(crate) origins: fetch::Origins,
    goals: Vec<Goal>,
}

impl Prepared {
    /// Returns the steps of the goals, in their order: of a machine or environment, none.
    pub(crate) fn steps(&self) -> Vec<StepId> {
        let steps = |goal: &Goal| match goal {
            Goal::Target(name) => {
                self.lowered.targets.get(name).map(|target| target.steps.clone()).unwrap_or_default()
            }
            Goal::Test(name) => self.lowered.tests.get(name).copied().into_iter().collect(),
            Goal::Machine(_) | Goal::Environment(_) => Vec::new(),
        };
        self.goals.iter().flat_map(steps).collect()
    }
}

/// A build that ended.
pub(crate) struct Built<'s> {
    /// What came of it.
    pub(crate) outcome: Outcome,
    /// What was remembered, before or of it.
    pub(crate) cache: LocalActionCache<'s>,
    /// How long the steps took.
    pub(crate) wall: Duration,
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
        let caches = Caches::open(global)?;
        let state = ProjectState::open(&caches.root, &root)?;
        let watcher =
            if global.no_watcher { Watcher::nobody() } else { Watcher::at(&state.watcher_socket()) };
        Ok(Session { global, ui, root, stack, caches, state, cancel, watcher, clock })
    }

    /// Returns the time since the command began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Locks what is not locked, puts the project's own files into the store, and lowers the goals.
    pub(crate) fn prepare(&self, goals: &[Goal]) -> Result<Prepared, Failure> {
        let needs = recipe::needs(&self.stack, goals);
        let store = &self.caches.store;
        store.open_bundle(&self.bundle_name(goals)).map_err(Failure::machine)?;
        let lock = lock::ensure(self, &needs)?;
        let mut stats = self.state.stats();
        let (paths, mut sources) = imports::import(&self.root, &needs, store, &mut stats, &self.watcher)?;
        stats.save().map_err(Failure::machine)?;
        let Fetched { sources: fetched, dates } = fetch::sources(self, &needs, &lock)?;
        sources.extend(fetched);
        let texts = texts::read(store, &needs, &sources)?;
        let crates = crates::fetch(self, &needs, &texts)?;
        let texts = texts.into_iter().map(|(file, (_, text))| (file, text)).collect();
        let tools = tools::provide(&store.noted()).map_err(Failure::machine)?;
        let resolved = Resolved { sources, dates, paths, texts, crates, tools };
        let reuse = if self.global.incremental { Reuse::Kept } else { Reuse::Nothing };
        let lowered = recipe::lower(&self.stack, &lock, &resolved, goals, reuse)
            .map_err(|problems| tell(&problems, self.ui))?;
        for blob in &lowered.blobs {
            let digest = store.write(blob).map_err(Failure::machine)?;
            // The next build has to know that it is here, not what it says.
            store.noted().contains(&digest).map_err(Failure::machine)?;
        }
        Ok(Prepared { lowered, origins: fetch::Origins::of(&needs, lock), goals: goals.to_vec() })
    }

    /// Prepares the whole project and returns the step that `name` means: a target, test, machine or
    /// environment, or a step by its label.
    pub(crate) fn prepare_step(&self, name: &str) -> Result<(Prepared, StepId), Failure> {
        let goal = goals::any_one(&self.stack, name);
        // Steps are called TARGET/… or `map MACHINE`; the rest of the project may be in no state to be prepared.
        let of = name.split_once('/').map_or(name, |(of, _)| of);
        let of = of.rsplit_once(' ').map_or(of, |(_, of)| of);
        let of_label = goals::any_one(&self.stack, of).ok();
        let prepared = match goal.as_ref().ok().or(of_label.as_ref()) {
            Some(goal) => self.prepare(std::slice::from_ref(goal))?,
            None => self.prepare(&goals::all(&self.stack))?,
        };
        let graph = &prepared.lowered.graph;
        if goal.is_ok()
            && let Some(step) = prepared.steps().first()
        {
            let step = *step;
            return Ok((prepared, step));
        }
        let labels = self.labels_for(name);
        let found = labels.iter().find_map(|label| graph.steps().find(|(_, step)| step.label == *label));
        match (found.map(|(step, _)| step), goal) {
            (Some(step), _) => Ok((prepared, step)),
            (None, Err(failure)) => Err(failure),
            (None, Ok(_)) => Err(Failure::project(format!("`{name}` has no step of its own"))),
        }
    }

    /// Makes the steps, after fetching what they need that is neither here nor remembered.
    pub(crate) fn build(&self, prepared: &Prepared, steps: &[StepId]) -> Result<Built<'_>, Failure> {
        self.build_by(&self.builder(), prepared, steps)
    }

    /// Makes the steps to look at what they make: what people call the last build is still the one before.
    pub(crate) fn build_to_look(&self, prepared: &Prepared, steps: &[StepId]) -> Result<Built<'_>, Failure> {
        self.build_by(&Builder { is_told_later: false, ..self.builder() }, prepared, steps)
    }

    fn build_by(
        &self,
        builder: &Builder<'_>,
        prepared: &Prepared,
        steps: &[StepId],
    ) -> Result<Built<'_>, Failure> {
        fetch::missing(self, prepared, steps, &BTreeSet::new())?;
        let cache = self.caches.action_cache();
        let (outcome, wall) = builder.run(&prepared.lowered.graph, steps, &cache)?;
        Ok(Built { outcome, cache, wall })
    }

    /// Tells what our tools noted in the steps that ran: warnings of compilers of device trees, exact sizes. Tests tell
    /// theirs themselves.
    pub(crate) fn tell_notes(&self, prepared: &Prepared, built: &Built<'_>) -> Result<(), Failure> {
        for (id, step) in prepared.lowered.graph.steps() {
            let is_of_tool = step.arguments.first().is_some_and(|program| program.starts_with("tools/"));
            let Some(StepOutcome::Ran { result, .. }) = built.outcome.step(id) else { continue };
            if !is_of_tool || prepared.lowered.tests.values().any(|test| *test == id) {
                continue;
            }
            let log = self.caches.store.read(&result.log).map_err(Failure::machine)?;
            for note in String::from_utf8_lossy(&log).lines().filter_map(|line| line.strip_prefix("note: ")) {
                self.ui.note(&format!("{}: {note}", step.label));
            }
        }
        Ok(())
    }

    fn builder(&self) -> Builder<'_> {
        Builder {
            global: self.global,
            ui: self.ui,
            caches: &self.caches,
            state: &self.state,
            cancel: &self.cancel,
            is_told_later: true,
            logs: None,
        }
    }

    /// Runs `all` steps, which are those that `steps` need, once more under other circumstances. Returns those
    /// that differ from what is remembered, in the order of the graph.
    pub(crate) fn again(
        &self,
        prepared: &Prepared,
        steps: &[StepId],
        all: &BTreeSet<StepId>,
    ) -> Result<Vec<Finding>, Failure> {
        fetch::missing(self, prepared, steps, all)?;
        let graph = &prepared.lowered.graph;
        let history = self.state.history()?;
        let cache = self.caches.action_cache();
        let again = Again::new(&self.caches, self.builder().jobs())?;
        let now = || self.clock.elapsed();
        let world = World {
            store: &self.caches.store,
            cache: &cache,
            executor: &again,
            history: &history,
            clock: &now,
        };
        let options = Options {
            memory: environment::memory(),
            force: all.clone(),
            jobs: self.builder().jobs().get(),
            ..Options::default()
        };
        let outcome = engine::run(graph, steps, &world, &options, &self.cancel, &mut |event| {
            self.ui.event(&event);
        });
        self.ui.clear();
        if outcome.map_err(machine_failure)?.end == engine::End::Cancelled {
            return Err(Failure::new(Blame::Build, "interrupted"));
        }
        let mut findings = again.into_findings();
        let position = |finding: &Finding| graph.steps().position(|(_, step)| step.label == finding.step);
        findings.sort_by_key(position);
        Ok(findings)
    }

    /// Builds what `step` reads, then runs `what` in its sandbox with this terminal. Returns the exit code.
    pub(crate) fn enter(
        &self,
        prepared: &Prepared,
        step: StepId,
        what: Interactive<'_>,
    ) -> Result<i32, Failure> {
        self.enter_with(prepared, step, what, None)
    }

    /// Does the same with a socket, which the command finds as [`local::SOCKET`].
    pub(crate) fn enter_with(
        &self,
        prepared: &Prepared,
        step: StepId,
        what: Interactive<'_>,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<i32, Failure> {
        self.at_terminal(prepared, step, |executor, request, console| {
            executor.enter(request, what, &environment::terminal(), Console { socket, ..console })
        })
    }

    /// Does the same while others print on the terminal.
    pub(crate) fn enter_beside(
        &self,
        prepared: &Prepared,
        step: StepId,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<i32, Failure> {
        self.at_terminal(prepared, step, |executor, request, console| {
            let console = Console { socket, is_shared: true, ..console };
            executor.enter(request, Interactive::Command, &environment::terminal(), console)
        })
    }

    /// Returns the action of a step whose inputs are built.
    pub(crate) fn action(&self, prepared: &Prepared, step: StepId) -> Result<Assembled, Failure> {
        let cache = self.caches.action_cache();
        let history = self.state.history()?;
        let known = Known { store: &self.caches.store, cache: &cache, history: &history };
        engine::assemble(&prepared.lowered.graph, step, &known).map_err(Failure::machine)
    }

    /// Builds what `step` reads, then runs its command with this terminal. Returns the exit code and the tree that it
    /// left.
    pub(crate) fn enter_for_output(
        &self,
        prepared: &Prepared,
        step: StepId,
    ) -> Result<(i32, Digest), Failure> {
        let (code, output) = self.at_terminal(prepared, step, |executor, request, console| {
            executor.enter_for_output(request, &environment::terminal(), console)
        })?;
        Ok((code, output.map_err(|reason| Failure::new(Blame::Build, reason))?))
    }

    fn at_terminal<T>(
        &self,
        prepared: &Prepared,
        step: StepId,
        run: impl FnOnce(&LocalExecutor<'_>, &Request<'_>, Console<'_>) -> Result<T, ExecutorError>,
    ) -> Result<T, Failure> {
        let graph = &prepared.lowered.graph;
        let built = self.build(prepared, &graph.producers(step))?;
        let counts = built.outcome.counts();
        if counts.failed > 0 {
            return Err(Failure::told(Blame::Build));
        }
        let assembled = self.action(prepared, step)?;
        let request = assembled.request(graph.step(step));
        let executor = self.caches.executor(NonZeroUsize::MIN, None)?;
        self.ui.clear();
        let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let console = Console {
            input: input.as_fd(),
            output: output.as_fd(),
            error: error.as_fd(),
            is_shared: false,
            socket: None,
            cancel: &self.cancel,
        };
        run(&executor, &request, console).map_err(executor_failure)
    }

    /// Protects the results from collection until the next build of the same goals, which finds them at once.
    pub(crate) fn keep(&self, prepared: &Prepared, built: &Built<'_>) -> Result<(), Failure> {
        // A build that failed early used little of what the last one did, which is not to be given up for that.
        if built.outcome.end != engine::End::Done && self.caches.store.has_bundle() {
            return Ok(());
        }
        let name = self.bundle_name(&prepared.goals);
        built.cache.save_bundle(&name, actions(&built.outcome)).map_err(Failure::machine)
    }

    /// Remembers what targets came to, to compare later images with it.
    pub(crate) fn remember_outputs(&self, prepared: &Prepared, built: &Built<'_>) -> Result<(), Failure> {
        let outputs = prepared.lowered.targets.iter().filter_map(|(name, target)| {
            let result = built.outcome.result(*target.steps.first()?)?;
            Some((name.to_string(), result.output))
        });
        self.state.remember_outputs(outputs)
    }

    /// Returns the name under which it is kept what the goals came to, with these knobs.
    fn bundle_name(&self, goals: &[Goal]) -> String {
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

    /// Returns the label and the log of the remembered result of the step that `name` means.
    pub(crate) fn remembered_log(&self, name: &str) -> Result<Option<(String, Digest)>, Failure> {
        let (prepared, step) = self.prepare_step(name)?;
        let graph = &prepared.lowered.graph;
        let cache = self.caches.action_cache();
        let history = self.state.history()?;
        let known = Known { store: &self.caches.store, cache: &cache, history: &history };
        let plan = engine::plan(graph, &[step], &known, &Options::default()).map_err(Failure::machine)?;
        let action =
            plan.steps.iter().find(|planned| planned.step == step).and_then(|planned| planned.action);
        let Some(action) = action else { return Ok(None) };
        let result = cache.get(&action).map_err(Failure::machine)?;
        Ok(result.map(|result| (graph.step(step).label.clone(), result.log)))
    }
}
