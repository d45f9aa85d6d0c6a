//! `plan`: what a build would run and why, and how long that would take.

use engine::{Fate, Known, Options};
use serde_json::json;

use crate::args::{Global, Targets};
use crate::environment;
use crate::failure::Failure;
use crate::goals;
use crate::session::Session;
use crate::ui::{Ui, seconds};

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
        return Ok(());
    }
    let mut n_remembered = 0;
    let mut text = String::new();
    for planned in &plan.steps {
        let verb = match planned.fate {
            Fate::Remembered => {
                n_remembered += 1;
                continue;
            }
            Fate::Runs => "runs    ",
            Fate::MayRun => "may run ",
            Fate::Unready => "cannot  ",
        };
        let expected =
            planned.expected.map(|usage| format!(" ({} last time)", seconds(usage.wall))).unwrap_or_default();
        text.push_str(&format!("{verb} {}{expected}: {}\n", planned.label, planned.reason));
    }
    let n_left = plan.steps.len() - n_remembered;
    text.push_str(&format!("{n_left} of {} steps would run", plan.steps.len()));
    if n_left > 0 {
        text.push_str(&format!(", about {}", seconds(plan.left.known)));
        if plan.left.unknown > 0 {
            text.push_str(&format!(" and {} that never ran", plan.left.unknown));
        }
    }
    text.push('\n');
    ui.print(&text);
    Ok(())
}
