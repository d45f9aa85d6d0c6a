//! `lock`: resolves packages and sources.

use serde_json::json;

use crate::args::Global;
use crate::failure::Failure;
use crate::session::Session;
use crate::ui::Ui;
use crate::{goals, lock};

/// Writes the lock of the whole project; with `update`, everything is resolved anew.
pub(crate) fn run(global: &Global, ui: &Ui, update: bool) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let needs = recipe::needs(&session.stack, &goals::all(&session.stack));
    let (lock, changed) = lock::update(&session, &needs, !update)?;
    let n_packages: usize = lock.packages.values().map(|set| set.pins.len()).sum();
    if global.json {
        ui.print_json(&json!({
            "version": 1, "changed": changed, "packages": n_packages, "sources": lock.sources.len(),
        }));
    } else {
        let how = if changed { "written" } else { "up to date" };
        ui.print(&format!("{how}: {n_packages} packages, {} sources\n", lock.sources.len()));
    }
    Ok(())
}
