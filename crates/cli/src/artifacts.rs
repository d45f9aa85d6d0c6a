//! Results into the project: `out/TARGET/`, with `SHA256SUMS` beside the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cas::{Digest, Directory, LocalStore, Node, StatCache, Store as _, StoreError};
use serde::Serialize;

use crate::failure::{Failure, io};

/// Where artifacts are put, in the project.
pub(crate) const OUT: &str = "out";
/// The file that lists the digests of all others, as `sha256sum --check` reads it.
const SUMS: &str = "SHA256SUMS";

/// A file that a target left.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Artifact {
    /// Its path in the target's directory.
    pub(crate) path: String,
    /// Its SHA-256.
    pub(crate) sha256: String,
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// The file that says of a target's files that they are not to be given to others.
const TAINTED: &str = "TAINTED";
/// What it says.
const WHY_TAINTED: &str = "\
Made with --incremental: what was left of earlier builds may be in it. For work on it only, not to be signed or published.
Build without --incremental for files that depend on their sources alone.
";

/// Puts what the trees `outputs` have at `directory` unless it is there already, and returns its files. No two of them
/// have the same. A note beside them says whether they are tainted.
///
/// When it fails, what was there before still is. It does for a file that is called as what is put beside them.
pub(crate) fn export(
    store: &LocalStore,
    outputs: &[Digest],
    is_tainted: bool,
    directory: &Path,
    stats: &mut StatCache,
) -> Result<Vec<Artifact>, Failure> {
    let mut artifacts = Vec::new();
    let mut tree = Directory::default();
    for output in outputs {
        list(store, output, "", &mut artifacts).map_err(Failure::store)?;
        tree.entries.extend(store.read_directory(output).map_err(Failure::store)?.entries);
    }
    if let Some(taken) = [SUMS, TAINTED].into_iter().find(|name| tree.entries.contains_key(*name)) {
        let problem = format!("`{}` would have a file `{taken}` of its own", directory.display());
        return Err(Failure::project(problem).help(format!(
            "bootwright writes `{taken}` there itself: leave the file away, or give it another name"
        )));
    }
    artifacts.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let sums: String =
        artifacts.iter().map(|artifact| format!("{}  {}\n", artifact.sha256, artifact.path)).collect();
    let sums = store.noted().write(sums.as_bytes()).map_err(Failure::store)?;
    tree.entries.insert(SUMS.to_owned(), Node::File { digest: sums, executable: false });
    if is_tainted {
        let digest = store.noted().write(WHY_TAINTED.as_bytes()).map_err(Failure::store)?;
        tree.entries.insert(TAINTED.to_owned(), Node::File { digest, executable: false });
    }
    let tree = store.noted().write(&tree.encode()).map_err(Failure::store)?;
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(io(format!("make `{}`", parent.display())))?;
    }
    store.update_export(&Node::Directory { digest: tree }, directory, stats).map_err(Failure::store)?;
    Ok(artifacts)
}

/// Returns the file at a path of a tree, if it is there.
pub(crate) fn file_at(store: &LocalStore, tree: &Digest, path: &str) -> Option<Digest> {
    let mut node = Node::Directory { digest: *tree };
    for name in path.split('/') {
        let Node::Directory { digest } = node else { return None };
        node = store.read_directory(&digest).ok()?.entries.get(name)?.clone();
    }
    match node {
        Node::File { digest, .. } => Some(digest),
        _ => None,
    }
}

fn list(
    store: &LocalStore,
    tree: &Digest,
    prefix: &str,
    artifacts: &mut Vec<Artifact>,
) -> Result<(), StoreError> {
    let bytes = store.noted().read(tree)?;
    let directory =
        Directory::decode(&bytes).map_err(|source| StoreError::NotADirectory { digest: *tree, source })?;
    let entries: BTreeMap<String, Node> = directory.entries;
    for (name, node) in entries {
        let path = format!("{prefix}{name}");
        match node {
            Node::File { digest, .. } => {
                artifacts.push(Artifact { path, sha256: digest.hex(), size: digest.size() });
            }
            Node::Directory { digest } => list(store, &digest, &format!("{path}/"), artifacts)?,
            Node::Symlink { .. } => {}
        }
    }
    Ok(())
}
