//! Builds: what is missing is fetched, steps run, and results are remembered.

use std::collections::BTreeSet;
use std::time::Duration;

use cas::Store as _;
use engine::{Assembled, Known, Options, Outcome, StepId, StepOutcome, World};
use local::LocalActionCache;

use crate::builder::{Builder, actions, machine_failure};
use crate::environment;
use crate::failure::Failure;
use crate::fetch;
use crate::prepared::Prepared;
use crate::session::Session;
use crate::verify::{Again, Finding};

/// A build that ended.
pub(crate) struct Built<'s> {
    /// What came of it.
    pub(crate) outcome: Outcome,
    /// What was remembered, before or of it.
    pub(crate) cache: LocalActionCache<'s>,
    /// How long the steps took.
    pub(crate) wall: Duration,
}

impl Session<'_> {
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
        fetch::missing(self, &prepared.lowered.graph, &prepared.origins, steps, &BTreeSet::new())?;
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
        fetch::missing(self, &prepared.lowered.graph, &prepared.origins, steps, all)?;
        let graph = &prepared.lowered.graph;
        let history = self.state.history()?;
        let cache = self.caches.action_cache();
        let again = Again::new(&self.caches, self.builder().jobs())?;
        let now = || self.elapsed();
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
            return Err(Failure::interrupted());
        }
        let mut findings = again.into_findings();
        let position = |finding: &Finding| graph.steps().position(|(_, step)| step.label == finding.step);
        findings.sort_by_key(position);
        Ok(findings)
    }

    /// Returns the action of a step whose inputs are built.
    pub(crate) fn action(&self, prepared: &Prepared, step: StepId) -> Result<Assembled, Failure> {
        let cache = self.caches.action_cache();
        let history = self.state.history()?;
        let known = Known { store: &self.caches.store, cache: &cache, history: &history };
        engine::assemble(&prepared.lowered.graph, step, &known).map_err(Failure::machine)
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
}
