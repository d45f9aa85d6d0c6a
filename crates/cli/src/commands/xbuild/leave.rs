//! What recipes leave in the tree: in `bin`, as upstream does.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use cas::{LocalStore, StatCache};
use engine::{Graph, Outcome};
use recipe::xbuild::Lowered;

use crate::failure::{Failure, io as failed};

/// Where the modules are that are packed.
const MODULES: &str = "bin/fs";

/// Puts what was made into the tree, unless it is there already. What of it was not made stays as it was.
pub(super) fn files(
    store: &LocalStore,
    root: &Path,
    graph: &Graph,
    lowered: &Lowered,
    outcome: &Outcome,
    stats: &mut StatCache,
) -> Result<(), Failure> {
    for (path, (step, file)) in &lowered.files {
        let Some(result) = outcome.result(*step) else { continue };
        let left = store.read_directory(&result.output).map_err(Failure::store)?;
        let Some(node) = left.entries.get(file) else {
            let label = &graph.step(*step).label;
            return Err(Failure::new(crate::failure::Blame::Build, format!("`{label}` left no `{file}`")));
        };
        let place = root.join(path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(failed(format!("make `{}`", parent.display())))?;
        }
        store.update_export(node, &place, stats).map_err(Failure::store)?;
    }
    stats.save().map_err(Failure::machine)?;
    let modules = lowered.files.keys().filter_map(|path| path.strip_prefix(MODULES)?.strip_prefix('/'));
    remove_others(&root.join(MODULES), "", &modules.collect())
        .map_err(failed(format!("clean up `{}`", root.join(MODULES).display())))
}

/// Removes what is below `directory` and not `wanted`: modules of other recipes.
fn remove_others(directory: &Path, prefix: &str, wanted: &BTreeSet<&str>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let below = format!("{path}/");
        let is_directory = entry.file_type()?.is_dir();
        if is_directory && wanted.iter().any(|wanted| wanted.starts_with(&below)) {
            remove_others(&entry.path(), &below, wanted)?;
        } else if is_directory {
            fs::remove_dir_all(entry.path())?;
        } else if !wanted.contains(path.as_str()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
