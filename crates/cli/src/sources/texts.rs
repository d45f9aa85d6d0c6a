//! Files of sources that say what more is needed.

use std::collections::BTreeMap;

use cas::{Digest, Directory, LocalStore, Node, Store as _};
use recipe::{FileIn, Imported, Name, Needs};

use crate::failure::Failure;

/// The size of a file that nobody wrote by hand, nor cargo.
const LARGEST: u64 = 16 << 20;

/// Returns the files that `needs` lists, with their digests, of those that are there and are text.
pub(crate) fn read(
    store: &LocalStore,
    needs: &Needs,
    sources: &BTreeMap<Name, Imported>,
) -> Result<BTreeMap<FileIn, (Digest, String)>, Failure> {
    let mut texts = BTreeMap::new();
    for file in needs.texts.keys() {
        let Some(Imported::Tree(root)) = sources.get(&file.source) else { continue };
        if let Some(digest) = find(store, root, &file.path)?
            && digest.size() <= LARGEST
            && let Ok(text) = String::from_utf8(store.read(&digest).map_err(Failure::machine)?)
        {
            texts.insert(file.clone(), (digest, text));
        }
    }
    Ok(texts)
}

/// Returns the file at a path of a tree. Links are not followed.
fn find(store: &LocalStore, root: &Digest, path: &str) -> Result<Option<Digest>, Failure> {
    Ok(match node(store, root, path)? {
        Some(Node::File { digest, .. }) => Some(digest),
        _ => None,
    })
}

/// Returns what is at a path of a tree. Links are not followed.
pub(super) fn node(store: &LocalStore, root: &Digest, path: &str) -> Result<Option<Node>, Failure> {
    let mut current = Node::Directory { digest: *root };
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let Node::Directory { digest } = current else { return Ok(None) };
        let Directory { mut entries } = store.read_directory(&digest).map_err(Failure::store)?;
        match entries.remove(name) {
            Some(next) => current = next,
            None => return Ok(None),
        }
    }
    Ok(Some(current))
}
