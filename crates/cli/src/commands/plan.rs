//! `plan`: what a build would run and why, and how long that would take.

use engine::{Fate, Known, Options, Plan, Planned, Reason};
use serde_json::json;

use crate::args::{Global, Targets};
use crate::environment;
use crate::failure::Failure;
use crate::goals;
use crate::session::Session;
use crate::ui::{Ui, seconds, time_left};

/// Of steps of one kind with one reason, so many are named and the others counted.
const NAMED: usize = 3;

/// Prints the steps that would run. Nothing is run; the lock is completed if it has to be.
pub(crate) fn run(global: &Global, ui: &Ui, targets: &Targets) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let wanted = goals::any(&session.stack, &targets.names)?;
    let prepared = session.prepare(&wanted)?;
    let steps = prepared.steps();
    let cache = session.caches.action_cache();
    let history = session.state.history()?;
    let known = Known { store: &session.caches.store, cache: &cache, history: &history };
    let jobs = global.jobs.unwrap_or_else(environment::processors).get();
    let options = Options { jobs, ..Options::default() };
    let plan = engine::plan(&prepared.lowered.graph, &steps, &known, &options).map_err(Failure::machine)?;
    if global.json {
        ui.print_json(&json!({ "version": 1, "plan": plan }));
    } else {
        ui.print(&render(&plan));
    }
    Ok(())
}

fn render(plan: &Plan) -> String {
    let left: Vec<&Planned> = plan.steps.iter().filter(|step| step.fate != Fate::Remembered).collect();
    let mut text = String::new();
    let mut rest = left.as_slice();
    while let [first, ..] = rest {
        // The steps of packages come in long rows that differ in the package only.
        let n_alike = rest.iter().take_while(|step| alike(first, step)).count();
        let (group, others) = rest.split_at(if n_alike > NAMED { n_alike } else { 1 });
        rest = others;
        let verb = match first.fate {
            Fate::Remembered | Fate::Runs => "runs    ",
            Fate::MayRun => "may run ",
            Fate::Unready => "cannot  ",
        };
        match (group, kind(first)) {
            ([_, _, ..], Some((word, reason))) => {
                let named: Vec<&str> =
                    group.iter().take(NAMED).map(|step| &step.label[word.len() + 1..]).collect();
                let n_more = group.len() - named.len();
                text.push_str(&format!("{verb} {word} {} and {n_more} more: {reason}\n", named.join(", ")));
            }
            _ => {
                let expected = first.expected.map(|usage| format!(" ({} last time)", seconds(usage.wall)));
                let expected = expected.unwrap_or_default();
                text.push_str(&format!("{verb} {}{expected}: {}\n", first.label, first.reason));
            }
        }
    }
    text.push_str(&format!("{} of {} steps would run", left.len(), plan.steps.len()));
    if !left.is_empty() {
        text.push_str(&format!(": {}", time_left(plan.left.known, plan.left.unknown)));
    }
    text.push('\n');
    text
}

/// Returns what a step does to what its label names, and why, for a row of such steps; `None` for a step that
/// stands for itself.
fn kind(step: &Planned) -> Option<(&str, &'static str)> {
    let (word, _) = step.label.split_once(' ')?;
    let reason = match step.reason {
        Reason::NeverRan => "they never ran",
        Reason::Forgotten => "their results are not stored any more",
        Reason::After { .. } => "they read what others make anew",
        _ => return None,
    };
    Some((word, reason))
}

fn alike(one: &Planned, other: &Planned) -> bool {
    one.fate == other.fate && kind(one).is_some() && kind(one) == kind(other)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use engine::{Graph, Requirements, Step, StepId, TimeLeft};

    use super::*;

    /// An id to put into what is planned: nothing is printed of it.
    fn some_step() -> StepId {
        Graph::default().add_step(Step {
            label: String::new(),
            arguments: Vec::new(),
            environment: Arc::default(),
            inputs: Vec::new(),
            requirements: Requirements::default(),
        })
    }

    #[test]
    fn rows_of_packages_are_one_line() {
        let planned = |label: &str, fate, reason| Planned {
            step: some_step(),
            label: label.to_owned(),
            fate,
            reason,
            action: None,
            expected: None,
        };
        let never = |label: &str| planned(label, Fate::Runs, Reason::NeverRan);
        let after = |label: &str| {
            planned(label, Fate::MayRun, Reason::After { steps: vec!["unpack a 1".to_owned()] })
        };
        let mut steps: Vec<Planned> =
            ["a 1", "b 2", "c 3", "d 4", "e 5"].map(|name| never(&format!("unpack {name}"))).into();
        steps.extend([never("tree a 1"), after("tree b 2"), never("disk"), after("test boots")]);
        steps.push(planned("kernel", Fate::Remembered, Reason::Remembered));
        let left = TimeLeft { known: Duration::from_secs(2), unknown: 8 };
        assert_eq!(
            render(&Plan { steps, left }),
            "runs     unpack a 1, b 2, c 3 and 2 more: they never ran\n\
             runs     tree a 1: it never ran\n\
             may run  tree b 2: it reads what `unpack a 1` makes anew\n\
             runs     disk: it never ran\n\
             may run  test boots: it reads what `unpack a 1` makes anew\n\
             9 of 10 steps would run: about 2.0 s and 8 that never ran\n"
        );
        let nothing = Plan { steps: Vec::new(), left: TimeLeft { known: Duration::ZERO, unknown: 0 } };
        assert_eq!(render(&nothing), "0 of 0 steps would run\n");
    }
}
