//! `inspect MACHINE`: what lies where in a machine.

use cas::{Node, Store as _};
use recipe::Goal;
use serde_json::json;

use crate::args::Global;
use crate::failure::{Blame, Failure};
use crate::goals;
use crate::session::Session;
use crate::ui::Ui;

/// Builds what the machine loads, and prints the map of its memory.
pub(crate) fn run(global: &Global, ui: &Ui, name: Option<&str>) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let name = goals::machine(&session.stack, name)?;
    let prepared = session.prepare(&[Goal::Machine(name.clone())])?;
    let Some(step) = prepared.lowered.maps.get(&name).copied() else {
        return Err(Failure::project(format!("machine `{name}` leaves to QEMU what lies where"))
            .help("give it `regions` to say so yourself"));
    };
    let built = session.build(&prepared, &[step])?;
    session.keep(&prepared, &built)?;
    let Some(result) = built.outcome.result(step) else { return Err(Failure::told(Blame::Build)) };
    let files = session.caches.store.read_directory(&result.output).map_err(Failure::store)?;
    let file = if global.json { "map.json" } else { "map.txt" };
    let Some(Node::File { digest, .. }) = files.entries.get(file) else {
        return Err(Failure::machine(format!("the map of `{name}` has no `{file}`")));
    };
    let bytes = session.caches.store.read(digest).map_err(Failure::store)?;
    if global.json {
        let map: serde_json::Value = serde_json::from_slice(&bytes).map_err(Failure::machine)?;
        ui.print_json(&json!({ "version": 1, "machine": name.as_str(), "map": map }));
    } else {
        ui.print(&String::from_utf8_lossy(&bytes));
    }
    Ok(())
}
