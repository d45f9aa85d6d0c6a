//! `test`: boots the machines of the project's tests and checks what they say.

use std::path::Path;

use cas::Store as _;
use engine::StepOutcome;
use recipe::Goal;
use serde_json::json;

use crate::args::{Global, Reported};
use crate::failure::{Blame, Failure};
use crate::session::Session;
use crate::ui::{Ui, seconds};
use crate::{budgets, build_report, goals};

/// Runs the tests. A test whose inputs did not change since it passed is not run again.
pub(crate) fn run(global: &Global, ui: &Ui, arguments: &Reported) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let wanted = goals::tests(&session.stack, &arguments.targets.names)?;
    if wanted.is_empty() {
        return Err(Failure::project("the project has no test").help("add a `[test.NAME]` table"));
    }
    if goals_of(&session, &wanted, arguments.report.as_deref())? {
        Ok(())
    } else {
        Err(Failure::told(Blame::Build))
    }
}

/// Runs the tests that are wanted in a session, and writes a report on it if asked to. Returns whether all passed, and
/// nothing that they stand on is over its budget; that has been told.
pub(crate) fn goals_of(
    session: &Session<'_>,
    wanted: &[Goal],
    report: Option<&Path>,
) -> Result<bool, Failure> {
    let (global, ui) = (session.global, session.ui);
    let prepared = session.prepare(wanted)?;
    let names: Vec<_> = wanted
        .iter()
        .filter_map(|goal| match goal {
            Goal::Test(name) => Some(name),
            _ => None,
        })
        .collect();
    let tests: Vec<_> = names.iter().map(|name| prepared.lowered.tests[*name]).collect();
    // What is over a budget is not finished, though it may run.
    let steps: Vec<_> = tests.iter().chain(prepared.lowered.budgets.values()).copied().collect();
    let built = session.build(&prepared, &steps)?;
    session.tell_notes(&prepared, &built)?;
    session.keep(&prepared, &built)?;
    build_report::keep(session, &prepared, &built, &[], report)?;

    let (mut passed, mut failed) = (0, 0);
    let mut reported = Vec::new();
    for (name, step) in names.iter().zip(&tests) {
        let (word, how) = match built.outcome.step(*step) {
            Some(StepOutcome::Hit { .. }) => ("passed", "remembered".to_owned()),
            Some(StepOutcome::Ran { result, .. }) => ("passed", seconds(result.usage.wall)),
            Some(StepOutcome::Failed { result, .. }) => ("failed", seconds(result.usage.wall)),
            Some(StepOutcome::Skipped { because }) => {
                ("failed", format!("`{}` failed", prepared.lowered.graph.step(*because).label))
            }
            Some(StepOutcome::Unready { .. } | StepOutcome::NotStarted) | None => {
                ("failed", "not run".to_owned())
            }
        };
        *(if word == "passed" { &mut passed } else { &mut failed }) += 1;
        if let Some(StepOutcome::Ran { result, .. }) = built.outcome.step(*step) {
            let log = session.caches.store.read(&result.log).map_err(Failure::machine)?;
            // Such as what the guest ran on, if that was not what is fastest.
            for note in String::from_utf8_lossy(&log).lines().filter_map(|line| line.strip_prefix("note: ")) {
                ui.note(&format!("{name}: {note}"));
            }
        }
        if !global.json {
            ui.print(&format!("test {name} ... {word} ({how})\n"));
        }
        reported.push(json!({ "test": name.as_str(), "passed": word == "passed", "how": how }));
    }
    let is_over_budget = budgets::tell(session, &prepared, &built)?;
    let counts = built.outcome.counts();
    if counts.ran == 0 && counts.failed == 0 {
        ui.note(&format!(
            "nothing to do: all {} steps are remembered, {}",
            counts.hits,
            seconds(session.elapsed())
        ));
    } else {
        ui.note(&format!("{} ran, {} remembered, {}", counts.ran, counts.hits, seconds(built.wall)));
    }
    if global.json {
        ui.print_json(&json!({ "version": 1, "tests": reported, "passed": passed, "failed": failed }));
    } else {
        ui.print(&format!("{passed} passed, {failed} failed\n"));
    }
    Ok(failed == 0 && !is_over_budget)
}
