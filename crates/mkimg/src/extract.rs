//! Copies files out of merged layers.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use layer::{Item, NodeKind, Tree};

use crate::error::{Error, ExtractProblem, similar};
use crate::files::{Directory, create_above};
use crate::glob::Glob;
use crate::spec::ExtractSpec;

/// Copies every file that `spec` names.
pub(crate) fn write(spec: &ExtractSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let tree = directory.merge(&spec.layers)?;
    for file in &spec.files {
        let item =
            find(&tree, &file.path).map_err(|source| Error::Extract { path: file.path.clone(), source })?;
        copy(&tree, item, directory.path(&file.output))?;
    }
    Ok(())
}

/// Returns the regular file that `pattern` means.
fn find<'a>(tree: &'a Tree, pattern: &str) -> Result<Item<'a>, ExtractProblem> {
    let item = if pattern.contains(['*', '?']) {
        let glob = Glob::new(pattern);
        let matches: Vec<Item<'_>> = tree.items().filter(|item| glob.matches(item.path.as_bytes())).collect();
        match &matches[..] {
            [] => return Err(ExtractProblem::NoMatch { similar: similar_paths(tree, pattern) }),
            [only] => tree.resolve(only.path.as_bytes())?,
            several => {
                let shown = several.iter().take(5).map(|item| format!("`{}`", item.path));
                return Err(ExtractProblem::Ambiguous { matches: shown.collect() });
            }
        }
    } else {
        match tree.resolve(pattern.as_bytes()) {
            Ok(item) => item,
            Err(error) => {
                let similar = similar_paths(tree, pattern);
                return Err(if similar.is_empty() {
                    ExtractProblem::Resolve(error)
                } else {
                    ExtractProblem::NoMatch { similar }
                });
            }
        }
    };
    match item.node.kind {
        NodeKind::File(_) => Ok(item),
        _ => Err(ExtractProblem::NotFile { path: item.path.clone() }),
    }
}

fn similar_paths(tree: &Tree, pattern: &str) -> Vec<String> {
    similar(pattern.trim_start_matches('/'), tree.items().filter_map(|item| item.path.as_str()))
}

fn copy(tree: &Tree, item: Item<'_>, output: PathBuf) -> Result<(), Error> {
    let NodeKind::File(extent) = item.node.kind else { unreachable!("only files are found") };
    let mode = if item.node.metadata.mode & 0o111 == 0 { 0o644 } else { 0o755 };
    let write_error = |source| Error::Write { path: output.clone(), source };
    create_above(&output).map_err(write_error)?;
    let mut file =
        File::options().write(true).create_new(true).mode(mode).open(&output).map_err(write_error)?;
    let mut content = tree.open_content(extent);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = content.read(&mut buffer).map_err(|source| Error::Read {
            path: PathBuf::from(tree.layers()[extent.layer].name()),
            source,
        })?;
        if n == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..n]).map_err(write_error)?;
    }
}
