//! `explain`: why a target last ran, or why it would run now.

use engine::{Known, Options};
use serde_json::json;

use crate::args::Global;
use crate::failure::Failure;
use crate::session::Session;
use crate::ui::Ui;

/// Explains the step of `target`: a target, test, machine's kernel, or a step's label.
pub(crate) fn run(global: &Global, ui: &Ui, target: &str) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let (prepared, step) = session.prepare_step(target)?;
    let cache = session.caches.action_cache();
    let history = session.state.history()?;
    let known = Known { store: &session.caches.store, cache: &cache, history: &history };
    let explanation = engine::explain(&prepared.lowered.graph, step, &known, &Options::default())
        .map_err(Failure::machine)?;
    if global.json {
        ui.print_json(&json!({ "version": 1, "explanation": explanation }));
    } else {
        ui.print(&explanation.to_string());
    }
    Ok(())
}
