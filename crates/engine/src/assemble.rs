//! A step's action made ready without running it, for those who want to look into its sandbox.

use std::collections::BTreeSet;

use cas::Digest;

use crate::action::Command;
use crate::executor::{Placed, Request};
use crate::graph::{Graph, Step, StepId};
use crate::key::{InputError, command_of, placed};
use crate::needs::producers;
use crate::outcome::RunError;
use crate::plan::{Known, Reason, Survey};
use crate::run::Options;

/// An action that could be run.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The digest of the action; it, its command and its input root are in the store.
    pub action: Digest,
    /// The command.
    pub command: Command,
    /// The digest of the root of the merged input tree.
    pub input_root: Digest,
    /// The same before it was merged.
    pub placed: Vec<Placed>,
}

impl Assembled {
    /// Returns what an executor is to be asked for to run it as `step`.
    pub fn request<'a>(&'a self, step: &'a Step) -> Request<'a> {
        Request {
            label: &step.label,
            action: self.action,
            command: &self.command,
            input_root: self.input_root,
            placed: &self.placed,
            requirements: &step.requirements,
        }
    }
}

/// Why a step could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The results of some steps are not remembered.
    #[error("{} must be built first", quoted(.steps))]
    NotBuilt {
        /// Their labels.
        steps: Vec<String>,
    },
    /// Its inputs do not go together.
    #[error("`{label}` cannot run: {problem}")]
    Unready {
        /// The step.
        label: String,
        /// Why.
        problem: String,
    },
    /// The inputs could not be read or written.
    #[error("could not put together the inputs of `{label}`")]
    Inputs {
        /// The step.
        label: String,
        /// Why.
        source: InputError,
    },
    /// The store or the cache failed.
    #[error(transparent)]
    World(#[from] RunError),
}

fn quoted(labels: &[String]) -> String {
    labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ")
}

impl Graph {
    /// Returns the steps whose outputs the step reads, also through merged trees: what is to be built before
    /// it can be assembled.
    pub fn producers(&self, step: StepId) -> Vec<StepId> {
        let mut seen = BTreeSet::new();
        let mut steps = Vec::new();
        let mut unseen = vec![step.0];
        while let Some(node) = unseen.pop() {
            for producer in producers(self, node) {
                if seen.insert(producer) {
                    match (producer as usize) < self.steps.len() {
                        true => steps.push(StepId(producer)),
                        false => unseen.push(producer),
                    }
                }
            }
        }
        steps
    }
}

/// Makes the action of `step` ready from remembered results, and writes what describes it to the store.
///
/// Fails when results are missing that [`Graph::producers`] names, when the inputs do not go together, or
/// when the store or the cache fails.
pub fn assemble(graph: &Graph, step: StepId, known: &Known<'_>) -> Result<Assembled, AssembleError> {
    let options = Options::default();
    let mut survey = Survey::new(graph, &[step], known, &options);
    let planned = survey.steps()?.pop().expect("the step itself comes last");
    match planned.reason {
        Reason::After { steps } => return Err(AssembleError::NotBuilt { steps }),
        Reason::Unready { problem } => return Err(AssembleError::Unready { label: planned.label, problem }),
        _ => {}
    }
    let label = || graph.step(step).label.clone();
    let inputs = |source| AssembleError::Inputs { label: label(), source };
    let mut parts = survey.keys.resolve(&graph.step(step).inputs, &survey.outputs).map_err(inputs)?;
    let key = survey.keys.step(graph.step(step), &mut parts).map_err(inputs)?;
    for blobs in survey.unwritten.iter().chain([&survey.keys.blobs]) {
        blobs.write_to(known.store).map_err(|error| inputs(InputError::Tree(error.into())))?;
    }
    let command = command_of(graph.step(step));
    Ok(Assembled { action: key.action, command, input_root: key.input_root, placed: placed(&parts) })
}
