//! `report`: a page about the last build.

use std::path::Path;

use serde_json::json;

use crate::args::Global;
use crate::artifacts::OUT;
use crate::build_report;
use crate::failure::Failure;
use crate::project_state::ProjectState;
use crate::ui::Ui;
use crate::workspace::{Caches, find_root};

/// The page, if nobody says where it goes.
const PAGE: &str = "report.html";

/// Writes the page to `file`, or prints what it says as JSON. Works also when the project file has problems by now.
pub(crate) fn run(global: &Global, ui: &Ui, file: Option<&Path>) -> Result<(), Failure> {
    let caches = Caches::open(global)?;
    let root = find_root(global.directory.as_deref())?;
    let state = ProjectState::open(&caches.root, &root)?;
    if global.json {
        ui.print_json(&json!({ "version": 1, "build": build_report::of_last(&caches, &state)? }));
        return Ok(());
    }
    let path = file.map_or_else(|| root.join(OUT).join(PAGE), Path::to_path_buf);
    build_report::write(&caches, &state, &path)?;
    ui.print(&format!("{}\n", path.display()));
    Ok(())
}
