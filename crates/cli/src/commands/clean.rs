//! `clean`: removes what was put into the project.

use std::fs;
use std::io::ErrorKind;

use crate::args::Global;
use crate::artifacts::OUT;
use crate::failure::{Failure, io};
use crate::ui::Ui;
use crate::workspace::find_root;

/// Removes `out/`. Works also when the project file has problems.
pub(crate) fn run(global: &Global, ui: &Ui) -> Result<(), Failure> {
    let out = find_root(global.directory.as_deref())?.join(OUT);
    let removed = match fs::remove_dir_all(&out) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(io(format!("remove `{}`", out.display()))(error)),
    };
    if global.json {
        ui.print_json(&serde_json::json!({ "version": 1, "removed": removed, "path": out }));
    } else if removed {
        ui.note(&format!("removed `{}`", out.display()));
    } else {
        ui.note("there is nothing to remove");
    }
    Ok(())
}
