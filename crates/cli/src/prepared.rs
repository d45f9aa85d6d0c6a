//! The graph of some goals, with all that it reads from outside at hand.

use cas::{Digest, Store as _};
use engine::{ActionCache as _, Known, Options, StepId};
use recipe::{Goal, Lowered, Resolved, Reuse};

use crate::failure::Failure;
use crate::fetch::{self, Fetched, Origins};
use crate::session::Session;
use crate::sources::{crates, texts};
use crate::workspace::tell;
use crate::{goals, imports, lock, tools};

/// A graph with all that it reads from outside in the store, save for packages.
pub(crate) struct Prepared {
    /// The graph, and where the goals are in it.
    pub(crate) lowered: Lowered,
    /// Where to download what is pinned.
    pub(crate) origins: Origins,
    /// What it is for.
    pub(crate) goals: Vec<Goal>,
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

impl Session<'_> {
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
        Ok(Prepared { lowered, origins: Origins::of(&needs, lock), goals: goals.to_vec() })
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
