//! Budgets: how large an image and directories in it may be.
//!
//! The check is a step like any other: its result is remembered, and what exceeds a budget is a command that failed.

use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use layer::{NodeKind, ReadAt};

use crate::error::{Error, similar};
use crate::files::Directory;
use crate::spec::BudgetSpec;
use crate::usage::{self, FileUsage, UsageError};

/// How many of the largest files are named.
const NAMED: usize = 5;

/// What is over its budget, or cannot be.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// Something is larger than it may be.
    #[error("`{name}` is over budget:\n{}", .exceeded.join("\n"))]
    Exceeded {
        /// What messages call the image.
        name: String,
        /// A line for each budget, and for each of the largest files.
        exceeded: Vec<String>,
    },
    /// A budget for what is not there.
    #[error("`{name}` has no `{path}`, which has a budget")]
    Nowhere {
        /// What messages call the image.
        name: String,
        /// What was looked for.
        path: String,
        /// The most similar directories that there are.
        similar: Vec<String>,
    },
    /// An image in which files cannot be told apart.
    #[error("`{name}` is no file system or archive, in which directories could have budgets")]
    Format {
        /// What messages call the image.
        name: String,
    },
    /// The image cannot be read.
    #[error("could not measure `{path}`")]
    Usage {
        /// The image.
        path: PathBuf,
        /// Why not.
        source: UsageError,
    },
}

impl BudgetError {
    /// Returns what the reader can do about it.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            BudgetError::Exceeded { .. } => {
                Some("make it smaller, or give it more in the project file".to_owned())
            }
            BudgetError::Nowhere { similar, .. } if !similar.is_empty() => {
                Some(format!("there is {}", crate::error::quoted(similar)))
            }
            _ => None,
        }
    }
}

/// Fails if the image that `spec` names is over its budgets.
pub(crate) fn check(spec: &BudgetSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let (size, Contents { files, directories }) = match &spec.image {
        Some(image) => {
            let path = directory.path(image);
            let file = File::open(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
            let size = file.metadata().map_err(|source| Error::Read { path: path.clone(), source })?.len();
            // The size alone says nothing of what is in it, and needs no reading.
            let needs_files = !spec.directories.is_empty() || spec.max_size.is_some_and(|most| size > most);
            let contents = if needs_files { of_image(spec, path, file)? } else { Contents::default() };
            (size, contents)
        }
        None => {
            let contents = of_layers(spec, directory)?;
            (contents.files.iter().map(|file| file.stored).sum(), contents)
        }
    };
    let mut exceeded = Vec::new();
    if let Some(most) = spec.max_size.filter(|most| size > *most) {
        exceed(&mut exceeded, "it", size, most, files.iter());
    }
    for (path, most) in &spec.directories {
        let below: Vec<&FileUsage> = files.iter().filter(|file| is_below(&file.path, path)).collect();
        if below.is_empty() && !directories.iter().any(|directory| is_below(directory, path)) {
            return Err(Error::Budget(nowhere(spec, path, &files)));
        }
        let size = below.iter().fold(0_u64, |sum, file| sum.saturating_add(file.stored));
        if size > *most {
            exceed(&mut exceeded, &format!("`{path}`"), size, *most, below.into_iter());
        }
    }
    if exceeded.is_empty() {
        return Ok(());
    }
    Err(Error::Budget(BudgetError::Exceeded { name: spec.name.clone(), exceeded }))
}

/// What is in an image or in layers.
#[derive(Default)]
struct Contents {
    files: Vec<FileUsage>,
    directories: Vec<Vec<u8>>,
}

fn of_image(spec: &BudgetSpec, path: PathBuf, file: File) -> Result<Contents, Error> {
    let source: Arc<dyn ReadAt> = Arc::new(file);
    match usage::measure(&source) {
        Ok(Some(usage)) => Ok(Contents { files: usage.files, directories: usage.directories }),
        // A disk may have a budget as a whole.
        Ok(None) if spec.directories.is_empty() => Ok(Contents::default()),
        Ok(None) => Err(Error::Budget(BudgetError::Format { name: spec.name.clone() })),
        Err(source) => Err(Error::Budget(BudgetError::Usage { path, source })),
    }
}

/// Returns what is in merged layers, where each file takes what it has.
fn of_layers(spec: &BudgetSpec, directory: &Directory<'_>) -> Result<Contents, Error> {
    let tree = directory.merge(&spec.layers)?;
    let mut contents = Contents::default();
    for item in tree.items() {
        let path = item.path.as_bytes().to_vec();
        match &item.node.kind {
            NodeKind::Directory => contents.directories.push(path),
            NodeKind::File(content) => {
                let is_further_name = item.is_further_link();
                let stored = if is_further_name { 0 } else { content.size };
                contents.files.push(FileUsage { path, size: content.size, stored, is_further_name });
            }
            _ => {}
        }
    }
    Ok(contents)
}

/// Says whether a file is what `budget` names, or in it.
fn is_below(path: &[u8], budget: &str) -> bool {
    let budget = budget.trim_start_matches('/').as_bytes();
    path.strip_prefix(budget).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

fn exceed<'a>(
    lines: &mut Vec<String>,
    what: &str,
    size: u64,
    most: u64,
    files: impl Iterator<Item = &'a FileUsage>,
) {
    lines.push(format!(
        "  {what} has {}, {} more than its budget of {}",
        binary(size),
        binary(size - most),
        binary(most)
    ));
    let mut files: Vec<&FileUsage> = files.filter(|file| file.stored > 0).collect();
    files.sort_by(|a, b| b.stored.cmp(&a.stored).then_with(|| a.path.cmp(&b.path)));
    for file in files.into_iter().take(NAMED) {
        lines.push(format!("    {:>10}  /{}", binary(file.stored), file.path.escape_ascii()));
    }
}

/// Returns that nothing is at the path of a budget.
fn nowhere(spec: &BudgetSpec, path: &str, files: &[FileUsage]) -> BudgetError {
    let mut directories = std::collections::BTreeSet::new();
    for file in files {
        for (at, byte) in file.path.iter().enumerate() {
            if *byte == b'/' {
                directories.insert(format!("/{}", file.path[..at].escape_ascii()));
            }
        }
    }
    let similar = similar(path, directories.iter().map(String::as_str));
    BudgetError::Nowhere { name: spec.name.clone(), path: path.to_owned(), similar }
}

/// Returns a number of bytes with the units in which budgets are written.
fn binary(n_bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut text = String::new();
    let mut unit = 0;
    let mut value = n_bytes as f64 / 1024.0;
    if value < 1.0 {
        return format!("{n_bytes} bytes");
    }
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    // Writing to a string never fails.
    let _ = write!(text, "{value:.1} {}", UNITS[unit]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_units_of_budgets() {
        for (n_bytes, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1 << 20, "1.0 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(binary(n_bytes), expected);
        }
    }

    #[test]
    fn a_budget_is_for_whole_names() {
        assert!(is_below(b"usr/lib/a", "/usr/lib"));
        assert!(is_below(b"usr/lib", "/usr/lib"));
        assert!(!is_below(b"usr/lib64/a", "/usr/lib"));
        assert!(!is_below(b"usr", "/usr/lib"));
    }
}
