//! `fetch`: downloads what the lock names, so that `--offline` builds work.

use serde_json::json;

use crate::args::{Global, Targets};
use crate::failure::Failure;
use crate::session::Session;
use crate::ui::Ui;
use crate::{fetch, goals};

/// Downloads everything that the goals may need, also what is only needed if a result is made again.
pub(crate) fn run(global: &Global, ui: &Ui, targets: &Targets) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let wanted = match targets.names.as_slice() {
        [] => goals::all(&session.stack),
        names => goals::any(&session.stack, names)?,
    };
    let prepared = session.prepare(&wanted)?;
    let n_files = fetch::all(&session, &prepared.origins)?;
    if global.json {
        ui.print_json(&json!({ "version": 1, "fetched": n_files }));
    } else if n_files == 0 {
        ui.print("everything is here\n");
    } else {
        ui.print(&format!("fetched {n_files} files\n"));
    }
    Ok(())
}
