//! Why a step would run, or why it last did: what differs, who made that, and why they ran.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cas::Digest;
use serde::Serialize;

use crate::difference::{Change, DiffError, Difference, Stored};
use crate::graph::{Graph, StepId};
use crate::lines::{LineChange, Lines};
use crate::outcome::{NodeName, RunError};
use crate::plan::{Fate, Known, Planned, Reason, Survey};
use crate::run::Options;
use crate::tree::TreeError;

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
        self.write_as(f, 0, (&format!("`{}`", self.label), false))
    }
}

impl Explanation {
    fn write_as(
        &self,
        f: &mut fmt::Formatter<'_>,
        depth: usize,
        (subject, is_several): (&str, bool),
    ) -> fmt::Result {
        let indent = "  ".repeat(depth);
        let verb = match self.fate {
            Fate::Remembered if self.reason == Reason::NotRecorded => "is up to date",
            Fate::Remembered => "is up to date; it last ran because",
            Fate::Runs => "would run because",
            Fate::MayRun => "may run because",
            Fate::Unready => "cannot run because",
        };
        let separator = if verb == "is up to date" { "; " } else { " " };
        let mut reason = self.reason.to_string();
        if is_several && let Some(rest) = reason.strip_prefix("it ") {
            reason = format!("they {rest}");
        }
        writeln!(f, "{indent}{subject} {verb}{separator}{reason}")?;
        if let Reason::Changed { difference, .. } = &self.reason {
            write_difference(f, &indent, difference)?;
        }
        self.write_causes(f, depth + 1)
    }

    /// Writes what made the difference. Causes that differ in nothing but their labels (a tool that changed
    /// reruns hundreds of steps) are one paragraph.
    fn write_causes(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let mut groups: Vec<Vec<&Explanation>> = Vec::new();
        for cause in &self.causes {
            match groups.iter_mut().find(|group| group[0].says_the_same_as(cause)) {
                Some(group) => group.push(cause),
                None => groups.push(vec![cause]),
            }
        }
        for group in groups {
            match (group.as_slice(), &group[0].reason) {
                ([_, _, ..], Reason::After { .. }) => {
                    let indent = "  ".repeat(depth);
                    writeln!(f, "{indent}{} may run because of these", named(&group))?;
                }
                _ => group[0].write_as(f, depth, (&named(&group), group.len() > 1))?,
            }
        }
        Ok(())
    }

    fn says_the_same_as(&self, other: &Explanation) -> bool {
        let same_reason = match (&self.reason, &other.reason) {
            (Reason::Changed { difference: one, .. }, Reason::Changed { difference: other, .. }) => {
                one == other
            }
            (Reason::After { .. }, Reason::After { .. }) => true,
            (one, other) => one == other,
        };
        same_reason && self.fate == other.fate && self.causes.is_empty() && other.causes.is_empty()
    }
}

impl Reason {
    /// Returns the reason, and in further lines what differs.
    pub fn in_full(&self) -> String {
        let mut text = format!("{self}\n");
        if let Reason::Changed { difference, .. } = self {
            // Writing to a string never fails.
            let _ = write_difference(&mut text, "", difference);
        }
        text
    }
}

fn write_difference(f: &mut dyn fmt::Write, indent: &str, difference: &Difference) -> fmt::Result {
    for change in difference.changes.iter().filter(|change| **change != Change::Unknown) {
        writeln!(f, "{indent}  {change}")?;
        if let Change::Path { lines: Some(lines), .. } = change {
            write_lines(f, &format!("{indent}    "), lines)?;
        }
    }
    if difference.n_more > 0 {
        let common = match difference.common_path.as_str() {
            "" => String::new(),
            path => format!(", all in {path}"),
        };
        writeln!(f, "{indent}  and {} more{common}", difference.n_more)?;
    }
    Ok(())
}

fn write_lines(f: &mut dyn fmt::Write, indent: &str, lines: &Lines) -> fmt::Result {
    for line in &lines.changes {
        match line {
            LineChange::Removed(line) => writeln!(f, "{indent}- {line}")?,
            LineChange::Added(line) => writeln!(f, "{indent}+ {line}")?,
        }
    }
    match lines.n_more {
        0 => Ok(()),
        n_more => writeln!(f, "{indent}and {n_more} more lines"),
    }
}

/// How many of the steps with the same reason are named.
const LABELS_NAMED: usize = 3;

fn named(group: &[&Explanation]) -> String {
    let labels: Vec<String> =
        group.iter().take(LABELS_NAMED).map(|explanation| format!("`{}`", explanation.label)).collect();
    match group.len().saturating_sub(LABELS_NAMED) {
        0 => labels.join(", "),
        n_more => format!("{} and {n_more} more", labels.join(", ")),
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
    Teller::new(graph, step, known, options)?.tell(&graph.step(step).label, 0)
}

/// Returns why `step`, whose result is remembered, makes something else than it did with the action `since`; and for
/// what made the difference, why that makes something else than it did then.
///
/// That can be told as far as the store still has it, and the history the runs that made it. For the rest it is told why
/// it last ran.
///
/// Fails when the store or the cache does.
pub fn explain_since(
    graph: &Graph,
    step: StepId,
    since: &Digest,
    known: &Known<'_>,
    options: &Options,
) -> Result<Explanation, RunError> {
    let mut teller = Teller::new(graph, step, known, options)?;
    let label = &graph.step(step).label;
    teller.since.insert(label.clone(), *since);
    teller.tell(label, 0)
}

struct Teller<'a> {
    survey: Survey<'a>,
    by_label: BTreeMap<String, Planned>,
    /// Each step is explained once, at the first place where it is a cause.
    told: BTreeSet<String>,
    /// With which action a step made what its result is compared with, by its label. Others are compared with their
    /// last but one run.
    since: BTreeMap<String, Digest>,
}

impl<'a> Teller<'a> {
    fn new(
        graph: &'a Graph,
        step: StepId,
        known: &Known<'a>,
        options: &'a Options,
    ) -> Result<Teller<'a>, RunError> {
        let mut survey = Survey::new(graph, &[step], known, options);
        let planned = survey.steps()?;
        let by_label = planned.into_iter().map(|planned| (planned.label.clone(), planned)).collect();
        let told = BTreeSet::from([graph.step(step).label.clone()]);
        Ok(Teller { survey, by_label, told, since: BTreeMap::new() })
    }

    fn tell(&mut self, label: &str, depth: usize) -> Result<Explanation, RunError> {
        let planned = &self.by_label[label];
        let (step, fate, action) = (planned.step, planned.fate, planned.action);
        let reason = match (&planned.reason, self.since.get(label).copied(), action) {
            (Reason::Remembered, Some(before), Some(action)) if before != action => {
                self.why_it_differs(step, &before, &action)?
            }
            (Reason::Remembered, ..) => self.why_it_ran(step, label)?,
            (reason, ..) => reason.clone(),
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
        let (before, last) = (before.action, last.action);
        self.difference(step, &before, &last)
    }

    fn difference(&mut self, step: StepId, before: &Digest, after: &Digest) -> Result<Reason, RunError> {
        let difference = match Stored::load(self.survey.known.store, after) {
            Ok(after) => self.survey.difference(step, before, after)?,
            Err(DiffError::Tree(source)) => return Err(self.inputs_error(step, source)),
            Err(DiffError::Decode { .. }) => {
                Difference { changes: vec![Change::Unknown], ..Difference::default() }
            }
        };
        Ok(Reason::Changed { before: *before, difference })
    }

    fn inputs_error(&self, step: StepId, source: TreeError) -> RunError {
        RunError::Inputs { node: NodeName::of_step(self.survey.graph, step), source }
    }

    /// Tells what differs between two actions, and notes with which actions those ran that made what was there before.
    fn why_it_differs(&mut self, step: StepId, before: &Digest, after: &Digest) -> Result<Reason, RunError> {
        let reason = self.difference(step, before, after)?;
        let (Reason::Changed { difference, .. }, Ok(Some(stored))) =
            (&reason, Stored::load(self.survey.known.store, before))
        else {
            return Ok(reason);
        };
        let graph = self.survey.graph;
        for change in &difference.changes {
            let Change::Path { path, from: Some(producer), .. } = change else { continue };
            if self.since.contains_key(producer) {
                continue;
            }
            let Some((maker, place)) = self.survey.origin(&graph.step(step).inputs, path) else { continue };
            if let Some(run) = self.run_that_made(maker, &place, &stored.input_root, path)? {
                self.since.insert(producer.clone(), run);
            }
        }
        Ok(reason)
    }

    /// Returns the action of the last run of `maker`, but the one that is remembered now, that left at `place` of its output what is at `path` of `root`.
    fn run_that_made(
        &mut self,
        maker: StepId,
        place: &str,
        root: &Digest,
        path: &str,
    ) -> Result<Option<Digest>, RunError> {
        let Ok(wanted) = self.survey.keys.trees.lookup(root, path) else { return Ok(None) };
        let graph = self.survey.graph;
        let label = &graph.step(maker).label;
        let current = self.by_label.get(label).and_then(|planned| planned.action);
        let runs = self.survey.known.history.runs(label).iter().rev();
        for run in runs.filter(|run| run.exit_code == 0 && Some(run.action) != current) {
            let cache = |source| RunError::Cache { node: NodeName::of_step(graph, maker), source };
            let Some(result) = self.survey.known.cache.get(&run.action).map_err(cache)? else { continue };
            if self.survey.keys.trees.lookup(&result.output, place).is_ok_and(|found| found == wanted) {
                return Ok(Some(run.action));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(label: &str, reason: Reason) -> Explanation {
        Explanation { label: label.to_owned(), fate: Fate::Runs, reason, causes: Vec::new() }
    }

    #[test]
    fn causes_that_say_the_same_are_one_line() {
        let mut causes: Vec<Explanation> =
            ["a", "b", "c", "d", "e"].iter().map(|label| cause(label, Reason::NeverRan)).collect();
        causes.insert(1, cause("odd", Reason::Forced));
        let after = Reason::After { steps: vec!["a".to_owned()] };
        let explanation = Explanation { causes, ..cause("disk", after) };
        assert_eq!(
            explanation.to_string(),
            "`disk` would run because it reads what `a` makes anew\n  \
             `a`, `b`, `c` and 2 more would run because they never ran\n  \
             `odd` would run because its run is forced\n"
        );
    }
}
