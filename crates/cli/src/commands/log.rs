//! `log`: prints what a step wrote when it last ran, or what the last build did.

use std::fs;
use std::io::IsTerminal as _;

use cas::Store as _;
use serde_json::json;

use crate::args::Global;
use crate::build_report;
use crate::failure::{Failure, io};
use crate::project_state::ProjectState;
use crate::session::Session;
use crate::ui::{Ui, printable, replay};
use crate::workspace::{Caches, find_root};

/// Prints the log of the step of `target`: a target, a test or a label.
pub(crate) fn of_step(global: &Global, ui: &Ui, target: &str) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let labels = session.labels_for(target);
    let of_last_run = labels.iter().find_map(|label| Some((label.clone(), session.last_log(label)?)));
    let found = match of_last_run {
        Some(found) => Some(found),
        // It may have run for another checkout of the project that shares the cache.
        None => session.remembered_log(target)?,
    };
    let Some((label, log)) = found else {
        return Err(Failure::project(format!("no step of `{target}` has run here yet"))
            .help("`bootwright plan` lists the steps; labels with spaces need quotes"));
    };
    let bytes = session.caches.store.read(&log).map_err(|error| {
        Failure::machine(error).help(format!("the log of `{label}` was collected; run the step again"))
    })?;
    let text = String::from_utf8_lossy(&bytes);
    if global.json {
        ui.print_json(&json!({ "version": 1, "label": label, "log": text }));
    } else {
        // A pipe gets what the step printed, a terminal nothing that moves its cursor.
        ui.print(&if std::io::stdout().is_terminal() { printable(&text) } else { text });
    }
    Ok(())
}

/// Tells the last build of the project again, and writes its timeline if asked for. Works also when the project
/// file has problems by now.
pub(crate) fn of_build(global: &Global, ui: &Ui) -> Result<(), Failure> {
    let caches = Caches::open(global)?;
    let state = ProjectState::open(&caches.root, &find_root(global.directory.as_deref())?)?;
    let events = build_report::events(&state)?;
    if let Some(trace) = &global.trace {
        fs::write(trace, engine::chrome_trace(&events))
            .map_err(io(format!("write `{}`", trace.display())))?;
    }
    if global.json {
        ui.print_json(&json!({ "version": 1, "events": events }));
    } else {
        ui.print(&replay(&events));
    }
    Ok(())
}
