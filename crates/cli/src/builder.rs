//! Runs a graph: the engine with this machine's store, executor and history, its events shown and kept.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cas::{Digest, Store as _};
use engine::{
    Event, Executor, ExecutorError, Graph, Outcome, Run, RunError, StepId, StepOutcome, TreeError, World,
};

use local::LocalActionCache;

use crate::args::Global;
use crate::environment::{self, Clock};
use crate::failure::{Failure, io, is_damage};
use crate::project_state::ProjectState;
use crate::ui::{Ui, seconds, start_of};
use crate::workspace::Caches;

/// How many lines of a failed step's log are shown.
const LAST_LINES: usize = 30;

/// What a build needs beside its graph.
pub(crate) struct Builder<'a> {
    /// The command line.
    pub(crate) global: &'a Global,
    /// Where progress is shown.
    pub(crate) ui: &'a Ui,
    /// Store and caches.
    pub(crate) caches: &'a Caches,
    /// What is kept between builds of this project.
    pub(crate) state: &'a ProjectState,
    /// Becomes true when the user wants to stop.
    pub(crate) cancel: &'a AtomicBool,
    /// Whether this is what people call the last build: its events are kept instead of those of the one before.
    pub(crate) is_told_later: bool,
    /// Where the logs of failed steps are written to, if `log` cannot show them.
    pub(crate) logs: Option<&'a Path>,
}

impl Builder<'_> {
    /// Makes what is wanted. Failed steps are shown with the end of their logs.
    ///
    /// Fails when the machine could not do it or the build was cancelled; that a step failed is part of the
    /// outcome.
    pub(crate) fn run(
        &self,
        graph: &Graph,
        wanted: &[StepId],
        cache: &LocalActionCache<'_>,
    ) -> Result<(Outcome, Duration), Failure> {
        let executor = self.caches.executor(self.jobs(), Some(self.state))?;
        self.run_by(&executor, graph, wanted, cache)
    }

    /// Does the same with another executor than that of sandboxes.
    pub(crate) fn run_by(
        &self,
        executor: &dyn Executor,
        graph: &Graph,
        wanted: &[StepId],
        cache: &LocalActionCache<'_>,
    ) -> Result<(Outcome, Duration), Failure> {
        let clock = Clock::start();
        let history = self.state.history()?;
        let now = || clock.elapsed();
        let world = World { store: &self.caches.store, cache, executor, history: &history, clock: &now };
        let options = engine::Options {
            jobs: self.jobs().get(),
            memory: environment::memory(),
            keep_going: self.global.keep_going,
            force: BTreeSet::new(),
            retries: 1,
        };
        let mut recorder = Recorder::start(self.state, self.global.trace.clone(), self.is_told_later)?;
        let outcome = engine::run(graph, wanted, &world, &options, self.cancel, &mut |event| {
            self.ui.event(&event);
            recorder.record(event);
        });
        self.ui.clear();
        recorder.finish(self.state)?;
        let outcome = outcome.map_err(machine_failure)?;
        for (step, outcome) in outcome.steps() {
            self.tell(graph, step, outcome)?;
        }
        if outcome.end == engine::End::Cancelled {
            return Err(Failure::interrupted().help("what was finished is kept; run it again to go on"));
        }
        Ok((outcome, clock.elapsed()))
    }

    /// Returns how many steps run at once.
    pub(crate) fn jobs(&self) -> NonZeroUsize {
        self.global.jobs.unwrap_or_else(environment::processors)
    }

    /// Shows why a step has no result.
    fn tell(&self, graph: &Graph, step: StepId, outcome: &StepOutcome) -> Result<(), Failure> {
        let label = &graph.step(step).label;
        match outcome {
            StepOutcome::Failed { result, kept, .. } => {
                let log = self.caches.store.read(&result.log).map_err(Failure::machine)?;
                let mut text = format!("error: `{label}` {}\n", ended(result.exit_code, result.usage.wall));
                let lines = String::from_utf8_lossy(&log);
                let lines: Vec<&str> = lines.lines().collect();
                for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
                    text.push_str(&format!("  | {}\n", start_of(line)));
                }
                match self.logs {
                    None => text.push_str(&format!("  the whole log: bootwright log '{label}'\n")),
                    Some(logs) => {
                        let path = logs.join(format!("{}.log", label.replace('/', "-")));
                        fs::create_dir_all(logs)
                            .and_then(|()| fs::write(&path, &log))
                            .map_err(io(format!("write `{}`", path.display())))?;
                        text.push_str(&format!("  the whole log: {}\n", path.display()));
                    }
                }
                if kept.is_some() {
                    text.push_str("  its sandbox: bootwright shell --failed\n");
                }
                self.ui.report(&text);
            }
            StepOutcome::Unready { problem } => {
                self.ui.report(&format!("error: `{label}` cannot run: {problem}\n"))
            }
            StepOutcome::Hit { .. }
            | StepOutcome::Ran { .. }
            | StepOutcome::Skipped { .. }
            | StepOutcome::NotStarted => {}
        }
        Ok(())
    }
}

fn ended(exit_code: i32, wall: Duration) -> String {
    match exit_code {
        // So shells tell it, and there are 64 signals.
        129..=192 => format!("was killed by signal {} after {}", exit_code - 128, seconds(wall)),
        code => format!("failed with exit code {code} after {}", seconds(wall)),
    }
}

/// Returns the actions whose results a build used or made.
pub(crate) fn actions(outcome: &Outcome) -> impl Iterator<Item = Digest> {
    outcome.steps().filter_map(|(_, outcome)| match outcome {
        StepOutcome::Hit { action, .. } | StepOutcome::Ran { action, .. } => Some(*action),
        _ => None,
    })
}

/// Turns what stopped a build into a failure with its help.
pub(crate) fn machine_failure(error: RunError) -> Failure {
    let help = match &error {
        RunError::Execute { source, .. } => help(source),
        _ => None,
    };
    let cache_is_damaged = match &error {
        RunError::Execute { source: ExecutorError::Store(error), .. }
        | RunError::Inputs { source: TreeError::Store(error), .. } => is_damage(error),
        RunError::Inputs { source: TreeError::NotDirectory { .. }, .. } => true,
        RunError::Cache { source, .. } => source.source.downcast_ref().is_some_and(is_damage),
        RunError::Execute { .. } | RunError::Inputs { .. } => false,
    };
    let failure = Failure::machine(error);
    Failure { help: help.or(failure.help), cache_is_damaged, ..failure }
}

/// Turns what an executor could not do into a failure with its help.
pub(crate) fn executor_failure(error: ExecutorError) -> Failure {
    if matches!(error, ExecutorError::Cancelled) {
        return Failure::interrupted();
    }
    let help = help(&error);
    let failure = Failure::machine(error);
    Failure { help: help.or(failure.help), ..failure }
}

fn help(error: &ExecutorError) -> Option<String> {
    match error {
        // The kernel calls it a full disk, too, when there are no more namespaces to be had.
        ExecutorError::Machine { help, .. } => help.clone(),
        _ => None,
    }
}

/// Keeps the events of a build: for `explain` and the history, and as a trace if asked for.
struct Recorder {
    log: Option<File>,
    trace: Option<PathBuf>,
    events: Vec<Event>,
    runs: Vec<Run>,
}

impl Recorder {
    fn start(state: &ProjectState, trace: Option<PathBuf>, is_kept: bool) -> Result<Recorder, Failure> {
        let mut log = None;
        if is_kept {
            log = Some(state.begin_build()?);
        }
        Ok(Recorder { log, trace, events: Vec::new(), runs: Vec::new() })
    }

    fn record(&mut self, event: Event) {
        // A log that cannot be written must not stop a build; `finish` will say what is wrong with the disk.
        if let Some(log) = &mut self.log
            && !matches!(event.kind, engine::EventKind::Hit { .. })
        {
            let _ = log.write_all(event.to_line().as_bytes());
        }
        if let Some(run) = Run::of_event(&event) {
            self.runs.push(run);
        }
        if self.trace.is_some() {
            self.events.push(event);
        }
    }

    fn finish(self, state: &ProjectState) -> Result<(), Failure> {
        state.append_history(&self.runs)?;
        if let Some(path) = self.trace {
            fs::write(&path, engine::chrome_trace(&self.events))
                .map_err(io(format!("write `{}`", path.display())))?;
        }
        Ok(())
    }
}
