//! What a build would run and why, found out without running anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cas::{Digest, Node, Store};
use serde::Serialize;

use crate::action::Usage;
use crate::difference::{Change, DiffError, Difference, Stored, diff};
use crate::estimate::Estimates;
use crate::executor::ActionCache;
use crate::graph::{Graph, Input, Placement, StepId};
use crate::history::History;
use crate::key::{InputError, Key, Keys, Outputs, command_of};
use crate::merge::{Part, merge};
use crate::needs::{Needs, placements, producers, selection};
use crate::outcome::{NodeName, RunError};
use crate::progress::TimeLeft;
use crate::run::Options;
use crate::tree::{Blobs, TreeError, Trees, is_stored};

/// How many of the steps that another one waits for are named in a sentence.
const LABELS_NAMED: usize = 3;

/// What is known from earlier builds.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Where blobs are.
    pub store: &'a dyn Store,
    /// Remembers results.
    pub cache: &'a dyn ActionCache,
    /// What is known of earlier runs.
    pub history: &'a History,
}

/// What a build would do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Every needed step, each after everything that it reads.
    pub steps: Vec<Planned>,
    /// How long it would take if everything ran that may.
    pub left: TimeLeft,
}

/// What a build would do about a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The step.
    #[serde(skip)]
    pub step: StepId,
    /// Its label.
    pub label: String,
    /// What would become of it.
    pub fate: Fate,
    /// Why.
    pub reason: Reason,
    /// The digest of its action, once all that it reads is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Digest>,
    /// What it cost when it last ran.
    #[serde(flatten)]
    pub expected: Option<Usage>,
}

/// What would become of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Its result is remembered.
    Remembered,
    /// It would run.
    Runs,
    /// It would run if something that runs before it leaves other outputs than last time.
    MayRun,
    /// It cannot run: what it reads does not go together.
    Unready,
}

/// Why a step would run, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Reason {
    /// Its result is remembered: it would not.
    Remembered,
    /// It never ran before.
    NeverRan,
    /// Its run was asked for.
    Forced,
    /// It, or what it reads, is another than when it last ran.
    Changed {
        /// The digest of the action that ran then.
        before: Digest,
        /// What differs.
        #[serde(flatten)]
        difference: Difference,
    },
    /// Nothing changed, but the result is not remembered any more or is incomplete.
    Forgotten,
    /// Nothing changed, and it failed.
    FailedBefore {
        /// How.
        exit_code: i32,
    },
    /// Its inputs are known only after these have run.
    After {
        /// Their labels.
        steps: Vec<String>,
    },
    /// What it reads does not go together.
    Unready {
        /// Why.
        problem: String,
    },
    /// It ran once, and never before that.
    RanFirst,
    /// It ran although nothing had changed: that was asked for, or its result had been lost.
    RanAgain,
    /// Its result is remembered, but no run of it is: it comes from elsewhere.
    NotRecorded,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Remembered => f.write_str("its result is remembered"),
            Reason::NeverRan => f.write_str("it never ran"),
            Reason::Forced => f.write_str("its run is forced"),
            Reason::Changed { difference, .. } if difference.changes == [Change::Unknown] => {
                f.write_str("it changed, but what it ran with before is not stored any more")
            }
            Reason::Changed { .. } => f.write_str("it changed"),
            Reason::Forgotten => f.write_str("its result is not stored any more"),
            Reason::FailedBefore { exit_code } => write!(f, "it failed with exit code {exit_code}"),
            Reason::After { steps } => {
                let named: Vec<String> =
                    steps.iter().take(LABELS_NAMED).map(|label| format!("`{label}`")).collect();
                write!(f, "it reads what {}", named.join(", "))?;
                match steps.len().saturating_sub(LABELS_NAMED) {
                    0 if steps.len() == 1 => f.write_str(" makes anew"),
                    0 => f.write_str(" make anew"),
                    n_more => write!(f, " and {n_more} more make anew"),
                }
            }
            Reason::Unready { problem } => f.write_str(problem),
            Reason::RanFirst => f.write_str("it had never run"),
            Reason::RanAgain => f.write_str("its run was forced, or its result had been lost"),
            Reason::NotRecorded => f.write_str("its result comes from another machine or an older cache"),
        }
    }
}

/// Returns what building `wanted` would do. Nothing is run and nothing is written.
///
/// Fails when the store or the cache does.
pub fn plan(
    graph: &Graph,
    wanted: &[StepId],
    known: &Known<'_>,
    options: &Options,
) -> Result<Plan, RunError> {
    let mut survey = Survey::new(graph, wanted, known, options);
    let steps = survey.steps()?;
    let mut is_left = vec![false; survey.needs.n_producers.len()];
    for planned in &steps {
        is_left[planned.step.0 as usize] = matches!(planned.fate, Fate::Runs | Fate::MayRun);
    }
    let mut estimates = Estimates::new(graph, &survey.needs, known.history, |node| is_left[node as usize]);
    let time = estimates.time_left(std::iter::empty(), options.jobs);
    Ok(Plan { steps, left: TimeLeft { known: time, unknown: estimates.n_unknown() } })
}

/// The nodes that some steps need, and what is known of each without running anything.
pub(crate) struct Survey<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) known: Known<'a>,
    options: &'a Options,
    pub(crate) needs: Needs,
    pub(crate) keys: Keys<'a>,
    pub(crate) outputs: Outputs,
    /// What merging in memory made that may not be in the store.
    pub(crate) unwritten: Vec<Blobs>,
    /// Why merged trees cannot be.
    problems: BTreeMap<u32, String>,
}

impl<'a> Survey<'a> {
    pub(crate) fn new(
        graph: &'a Graph,
        wanted: &[StepId],
        known: &Known<'a>,
        options: &'a Options,
    ) -> Survey<'a> {
        Survey {
            graph,
            known: *known,
            options,
            needs: Needs::of(graph, wanted),
            keys: Keys::new(graph, Trees::new(known.store)),
            outputs: Outputs::new(graph),
            unwritten: Vec::new(),
            problems: BTreeMap::new(),
        }
    }

    /// Looks at every node, and returns what would become of the steps.
    pub(crate) fn steps(&mut self) -> Result<Vec<Planned>, RunError> {
        let mut steps = Vec::new();
        for node in self.needs.order.clone() {
            match self.needs.step(node) {
                Some(step) => steps.push(self.step(step)?),
                None => self.merge(node)?,
            }
        }
        Ok(steps)
    }

    fn step(&mut self, step: StepId) -> Result<Planned, RunError> {
        let label = &self.graph.step(step).label;
        let expected = self.known.history.expected(label);
        let planned =
            |fate, reason, action| Planned { step, label: label.clone(), fate, reason, action, expected };
        if let Some(problem) = self.problem_of_producers(step.0) {
            return Ok(planned(Fate::Unready, Reason::Unready { problem }, None));
        }
        if producers(self.graph, step.0).any(|producer| self.outputs.get(producer).is_none()) {
            let mut unknown = self.unknown_producers(step.0);
            if unknown.is_empty() {
                unknown = self.producing_steps(step.0);
            }
            return Ok(planned(Fate::MayRun, Reason::After { steps: unknown }, None));
        }
        let is_forced = self.options.force.contains(&step);
        let shortcut = self.keys.shortcut(step.0, &self.outputs);
        if let Some((action, result)) = self.known.cache.recall(&shortcut).filter(|_| !is_forced) {
            self.outputs.set(step.0, result.output);
            return Ok(planned(Fate::Remembered, Reason::Remembered, Some(action)));
        }
        let key = match self.key(step) {
            Ok(key) => key,
            Err(InputError::Tree(error)) if error.is_missing() => {
                // Which producer lost something is found out when it is made again.
                let steps = self.producing_steps(step.0);
                return Ok(planned(Fate::MayRun, Reason::After { steps }, None));
            }
            Err(InputError::Tree(error @ TreeError::Store(_))) => return Err(self.inputs_error(step, error)),
            Err(problem) => {
                let reason = Reason::Unready { problem: problem.to_string() };
                return Ok(planned(Fate::Unready, reason, None));
            }
        };
        let action = Some(key.action);
        if is_forced {
            return Ok(planned(Fate::Runs, Reason::Forced, action));
        }
        if let Some(output) = self.remembered(step, &key.action)? {
            self.outputs.set(step.0, output);
            return Ok(planned(Fate::Remembered, Reason::Remembered, action));
        }
        let reason = match self.known.history.last(label) {
            None => Reason::NeverRan,
            Some(run) if run.action != key.action => {
                let difference = self.difference_to(step, &run.action, key.input_root)?;
                Reason::Changed { before: run.action, difference }
            }
            Some(run) if run.exit_code != 0 => Reason::FailedBefore { exit_code: run.exit_code },
            Some(_) => Reason::Forgotten,
        };
        Ok(planned(Fate::Runs, reason, action))
    }

    /// Finds out the output of a merge whose parts are known: what is not remembered is merged in memory.
    fn merge(&mut self, node: u32) -> Result<(), RunError> {
        if let Some(problem) = self.problem_of_producers(node) {
            self.problems.insert(node, problem);
            return Ok(());
        }
        if producers(self.graph, node).any(|producer| self.outputs.get(producer).is_none()) {
            return Ok(());
        }
        let merged = self.merge_output(node);
        let for_step = self.first_step(node);
        let name = || NodeName::of_merge_for(self.graph, for_step);
        match merged {
            Ok(output) => self.outputs.set(node, output),
            Err(MergeError::Cache(source)) => return Err(RunError::Cache { node: name(), source }),
            Err(MergeError::Inputs(InputError::Tree(source @ TreeError::Store(_))))
                if !source.is_missing() =>
            {
                return Err(RunError::Inputs { node: name(), source });
            }
            // A part has gone: whoever reads the merged tree is told to wait for what made it.
            Err(MergeError::Inputs(InputError::Tree(source))) if source.is_missing() => {}
            Err(MergeError::Inputs(problem)) => {
                self.problems.insert(node, problem.to_string());
            }
        }
        Ok(())
    }

    fn merge_output(&mut self, node: u32) -> Result<Digest, MergeError> {
        let shortcut = self.keys.shortcut(node, &self.outputs);
        if let Some((_, result)) = self.known.cache.recall(&shortcut) {
            return Ok(result.output);
        }
        let parts = self.keys.resolve(placements(self.graph, node), &self.outputs)?;
        let selection = selection(self.graph, node);
        let key = self.keys.merge(&parts, selection)?;
        let result = self.known.cache.get(&key.action).map_err(MergeError::Cache)?;
        if let Some(result) = result
            && is_stored(self.known.store, &result.output).map_err(|error| InputError::Tree(error.into()))?
        {
            return Ok(result.output);
        }
        let mut blobs = Blobs::default();
        let output = merge(&mut self.keys.trees, &parts, selection, &mut blobs).map_err(InputError::Tree)?;
        self.keys.trees.adopt(&blobs);
        self.unwritten.push(blobs);
        Ok(output)
    }

    pub(crate) fn key(&mut self, step: StepId) -> Result<Key, InputError> {
        let step = self.graph.step(step);
        let mut parts: Vec<Part<'a>> = self.keys.resolve(&step.inputs, &self.outputs)?;
        self.keys.step(step, &mut parts)
    }

    fn remembered(&self, step: StepId, action: &Digest) -> Result<Option<Digest>, RunError> {
        let cache = |source| RunError::Cache { node: NodeName::of_step(self.graph, step), source };
        let result = self.known.cache.get(action).map_err(cache)?;
        let Some(result) = result.filter(|result| result.exit_code == 0) else { return Ok(None) };
        let stored = |digest| {
            is_stored(self.known.store, digest).map_err(|error| self.inputs_error(step, error.into()))
        };
        Ok((stored(&result.output)? && stored(&result.log)?).then_some(result.output))
    }

    /// Returns what differs between an earlier action of the step and the one whose key was just computed.
    pub(crate) fn difference_to(
        &mut self,
        step: StepId,
        before: &Digest,
        input_root: Digest,
    ) -> Result<Difference, RunError> {
        // What it would take to run the action is nowhere else yet.
        self.keys.trees.adopt(&self.keys.blobs);
        let after = Stored { command: command_of(self.graph.step(step)), input_root };
        self.difference(step, before, Some(after))
    }

    /// Returns what differs between two actions of the step, and where what differs comes from.
    pub(crate) fn difference(
        &mut self,
        step: StepId,
        before: &Digest,
        after: Option<Stored>,
    ) -> Result<Difference, RunError> {
        let name = || NodeName::of_step(self.graph, step);
        let before = match Stored::load(self.known.store, before) {
            Ok(before) => before,
            // Written by a version whose commands ran elsewhere.
            Err(DiffError::Decode { .. }) => None,
            Err(DiffError::Tree(source)) => return Err(RunError::Inputs { node: name(), source }),
        };
        let (Some(before), Some(after)) = (before, after) else {
            return Ok(Difference { changes: vec![Change::Unknown], ..Difference::default() });
        };
        let mut difference = match diff(&mut self.keys.trees, &before, &after) {
            Ok(difference) => difference,
            Err(DiffError::Tree(source)) => return Err(RunError::Inputs { node: name(), source }),
            Err(DiffError::Decode { .. }) => unreachable!("both were decoded above"),
        };
        for change in &mut difference.changes {
            if let Change::Path { path, from, .. } = change {
                *from = self
                    .origin(&self.graph.step(step).inputs, path)
                    .map(|(step, _)| self.graph.step(step).label.clone());
            }
        }
        Ok(difference)
    }

    /// Returns the step that made what `placements` put at `path`, if one did, and where that is in its output.
    pub(crate) fn origin(&mut self, placements: &'a [Placement], path: &str) -> Option<(StepId, String)> {
        for placement in placements.iter().rev() {
            let Some(rest) = path_below(path, &placement.path) else { continue };
            match &placement.input {
                Input::File { .. } if rest.is_empty() => return None,
                Input::File { .. } => {}
                Input::Tree(root) => {
                    if self.has(root, rest) {
                        return None;
                    }
                }
                Input::Output { step, path } => {
                    let Some(root) = self.outputs.get(step.0) else { continue };
                    match self.keys.trees.lookup(&root, path) {
                        Ok(Some(Node::Directory { digest })) if self.has(&digest, rest) => {
                            return Some((*step, joined(path, rest)));
                        }
                        Ok(Some(_)) if rest.is_empty() => return Some((*step, path.clone())),
                        _ => {}
                    }
                }
                Input::Merged(merge) => {
                    let parts = &self.graph.merges[merge.0 as usize].parts;
                    let node = (self.graph.steps.len() + merge.0 as usize) as u32;
                    if self.outputs.get(node).is_some_and(|root| self.has(&root, rest)) {
                        return self.origin(parts, rest);
                    }
                }
            }
        }
        // What was removed is missed where a step's output was placed by name.
        placements.iter().rev().find_map(|placement| match &placement.input {
            Input::Output { step, path: of_output } if !placement.path.is_empty() => {
                path_below(path, &placement.path).map(|rest| (*step, joined(of_output, rest)))
            }
            _ => None,
        })
    }

    fn has(&mut self, root: &Digest, path: &str) -> bool {
        matches!(self.keys.trees.lookup(root, path), Ok(Some(_)))
    }

    fn problem_of_producers(&self, node: u32) -> Option<String> {
        producers(self.graph, node).find_map(|producer| self.problems.get(&producer)).cloned()
    }

    /// Returns the labels of the steps that keep the inputs of a node from being known.
    fn unknown_producers(&self, node: u32) -> Vec<String> {
        let is_unknown = |node: u32| self.outputs.get(node).is_none();
        self.steps_behind(node, &is_unknown)
    }

    fn producing_steps(&self, node: u32) -> Vec<String> {
        self.steps_behind(node, &|_| true)
    }

    /// Returns the labels of the steps that a node reads and `is_meant`, through merges that are.
    fn steps_behind(&self, node: u32, is_meant: &dyn Fn(u32) -> bool) -> Vec<String> {
        let mut labels = Vec::new();
        let mut seen = BTreeSet::new();
        let mut unseen = vec![node];
        while let Some(node) = unseen.pop() {
            for producer in producers(self.graph, node) {
                if !is_meant(producer) || !seen.insert(producer) {
                    continue;
                }
                match self.needs.step(producer) {
                    Some(step) => labels.push(self.graph.step(step).label.clone()),
                    None => unseen.push(producer),
                }
            }
        }
        labels
    }

    fn first_step(&self, node: u32) -> StepId {
        let mut node = node;
        loop {
            match self.needs.step(node) {
                Some(step) => return step,
                None => node = *self.needs.dependents(node).first().expect("a needed merge has a reader"),
            }
        }
    }

    fn inputs_error(&self, step: StepId, source: TreeError) -> RunError {
        RunError::Inputs { node: NodeName::of_step(self.graph, step), source }
    }
}

enum MergeError {
    Cache(crate::executor::CacheError),
    Inputs(InputError),
}

impl From<InputError> for MergeError {
    fn from(error: InputError) -> MergeError {
        MergeError::Inputs(error)
    }
}

/// Returns the path of something at `rest` in what is at `path`; either may be empty.
fn joined(path: &str, rest: &str) -> String {
    match (path, rest) {
        (path, "") => path.to_owned(),
        ("", rest) => rest.to_owned(),
        (path, rest) => format!("{path}/{rest}"),
    }
}

/// Returns the rest of `path` below `directory`, if it is there.
fn path_below<'p>(path: &'p str, directory: &str) -> Option<&'p str> {
    if directory.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(directory)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}
