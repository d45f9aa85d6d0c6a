//! Why a step would run, or why it last did: what differs, who made that, and why they ran.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::difference::{Change, DiffError, Difference, Stored};
use crate::graph::{Graph, StepId};
use crate::outcome::RunError;
use crate::plan::{Fate, Known, Planned, Reason, Survey};
use crate::run::Options;

/// How far a chain of causes is followed. Who reads on after that many asks for the last of them.
const MAX_CHAIN: usize = 32;

/// Why a step would run or did, and why what it reads had changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The label of the step.
    pub label: String,
    /// What would become of it now.
    pub fate: Fate,
    /// Why; for a step that would not run, why it last did.
    pub reason: Reason,
    /// The same for the steps that made what differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Explanation>,
}

impl fmt::Display for Explanation {
    /// Writes a few lines, indented by two blanks for what belongs to the line before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_indented(f, 0)
    }
}

impl Explanation {
    fn write_indented(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        let verb = match self.fate {
            Fate::Remembered if self.reason == Reason::NotRecorded => "is up to date",
            Fate::Remembered => "is up to date; it last ran because",
            Fate::Runs => "would run because",
            Fate::MayRun => "may run because",
            Fate::Unready => "cannot run because",
        };
        let separator = if verb == "is up to date" { "; " } else { " " };
        writeln!(f, "{indent}`{}` {verb}{separator}{}", self.label, self.reason)?;
        if let Reason::Changed { difference, .. } = &self.reason {
            for change in difference.changes.iter().filter(|change| **change != Change::Unknown) {
                writeln!(f, "{indent}  {change}")?;
            }
            if difference.n_more > 0 {
                let common = match difference.common_path.as_str() {
                    "" => String::new(),
                    path => format!(", all in {path}"),
                };
                writeln!(f, "{indent}  and {} more{common}", difference.n_more)?;
            }
        }
        self.causes.iter().try_for_each(|cause| cause.write_indented(f, depth + 1))
    }
}

/// Returns why `step` would run; when it would not, why it last ran.
///
/// Fails when the store or the cache does.
pub fn explain(
    graph: &Graph,
    step: StepId,
    known: &Known<'_>,
    options: &Options,
) -> Result<Explanation, RunError> {
    let mut survey = Survey::new(graph, &[step], known, options);
    let planned = survey.steps()?;
    let by_label = planned.into_iter().map(|planned| (planned.label.clone(), planned)).collect();
    let mut teller = Teller { survey, by_label, told: BTreeSet::new() };
    teller.told.insert(graph.step(step).label.clone());
    teller.tell(&graph.step(step).label, 0)
}

struct Teller<'a> {
    survey: Survey<'a>,
    by_label: BTreeMap<String, Planned>,
    /// Each step is explained once, at the first place where it is a cause.
    told: BTreeSet<String>,
}

impl Teller<'_> {
    fn tell(&mut self, label: &str, depth: usize) -> Result<Explanation, RunError> {
        let planned = &self.by_label[label];
        let (step, fate) = (planned.step, planned.fate);
        let reason = match &planned.reason {
            Reason::Remembered => self.why_it_ran(step, label)?,
            reason => reason.clone(),
        };
        let mut explanation = Explanation { label: label.to_owned(), fate, reason, causes: Vec::new() };
        if depth < MAX_CHAIN {
            for cause in self.causes(&explanation.reason) {
                explanation.causes.push(self.tell(&cause, depth + 1)?);
            }
        }
        Ok(explanation)
    }

    /// Returns the labels to explain next.
    fn causes(&mut self, reason: &Reason) -> Vec<String> {
        let labels: Vec<&String> = match reason {
            Reason::After { steps } => steps.iter().collect(),
            Reason::Changed { difference, .. } => {
                difference.changes.iter().filter_map(Change::producer).collect()
            }
            _ => Vec::new(),
        };
        let known = labels.into_iter().filter(|label| self.by_label.contains_key(*label));
        let mut causes = Vec::new();
        for label in known.cloned().collect::<Vec<_>>() {
            if self.told.insert(label.clone()) {
                causes.push(label);
            }
        }
        causes
    }

    fn why_it_ran(&mut self, step: StepId, label: &str) -> Result<Reason, RunError> {
        let (before, last) = match self.survey.known.history.runs(label) {
            [] => return Ok(Reason::NotRecorded),
            [_] => return Ok(Reason::RanFirst),
            [.., before, last] => (before, last),
        };
        if before.action == last.action {
            return Ok(match before.exit_code {
                0 => Reason::RanAgain,
                exit_code => Reason::FailedBefore { exit_code },
            });
        }
        let difference = match Stored::load(self.survey.known.store, &last.action) {
            Ok(after) => self.survey.difference(step, &before.action, after)?,
            Err(DiffError::Tree(source)) => {
                let node = crate::outcome::NodeName::of_step(self.survey.graph, step);
                return Err(RunError::Inputs { node, source });
            }
            Err(DiffError::Decode { .. }) => {
                Difference { changes: vec![Change::Unknown], ..Difference::default() }
            }
        };
        Ok(Reason::Changed { before: before.action, difference })
    }
}
