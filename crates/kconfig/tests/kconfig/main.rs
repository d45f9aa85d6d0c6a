//! Trees of a few lines, and what is said about them.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]

mod explain;
mod hostile;
mod load;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use kconfig::{Kconfig, LoadError};

/// Writes files to a new directory.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    directory
}

/// Reads `Kconfig` below a directory, for the architecture `x86`.
fn load(top: &Path) -> Result<Kconfig, LoadError> {
    let variables = [("ARCH", "x86_64"), ("SRCARCH", "x86"), ("CC", "gcc")];
    let variables: BTreeMap<String, String> =
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Kconfig::load(top, "Kconfig", &variables)
}
