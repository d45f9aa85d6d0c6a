//! Puts a step's inputs in place without copying them: as the trees of an overlay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cas::{Digest, Directory, LocalStore, Node, Store as _, StoreError};
use engine::{Placed, Request, WORKING_DIRECTORY};
use serde::{Deserialize, Serialize};

/// One tree of the overlay that is a step's `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Layer {
    /// The directory `lower` of the run: whatever is small.
    Run,
    /// A checkout of a tree that is shared with other steps.
    Shared(Digest),
}

/// Trees with fewer files than this are linked for each run: that takes less than a millisecond, and leaves
/// no checkout behind that nobody may want again.
const SMALL: usize = 256;

/// Returns the overlay's trees from the top down, and makes the run's own in `run`.
///
/// An input that is not in the store is [`StoreError::Missing`].
pub(crate) fn stage(store: &LocalStore, request: &Request<'_>, run: &Path) -> Result<Vec<Layer>, StoreError> {
    let Some((environment, others)) = split(store, request.placed)? else {
        // What covers what, and what whiteouts remove, is seen in the merged tree.
        return Ok(vec![Layer::Shared(request.input_root)]);
    };
    let mut small = Tree::default();
    small.directory(WORKING_DIRECTORY);
    let mut layers = Vec::new();
    for placed in others {
        match &placed.node {
            Node::Directory { digest } if !is_small(store, digest)? => {
                let mut tree = Tree::default();
                tree.insert(&placed.path, placed.node.clone());
                layers.push(Layer::Shared(tree.write(store)?));
            }
            node => small.insert(&placed.path, node.clone()),
        }
    }
    store.checkout(&small.write(store)?, &run.join("lower"))?;
    layers.insert(0, Layer::Run);
    layers.extend(environment.map(Layer::Shared));
    Ok(layers)
}

/// Returns the directories of `layers`, made anew if they have been collected.
pub(crate) fn directories(
    store: &LocalStore,
    layers: &[Layer],
    run: &Path,
) -> Result<Vec<PathBuf>, StoreError> {
    let directory = |layer: &Layer| match layer {
        Layer::Run => Ok(run.join("lower")),
        Layer::Shared(tree) => store.shared_checkout(tree),
    };
    layers.iter().map(directory).collect()
}

/// The environment, if there is one, and what else is placed.
type Split<'p> = (Option<Digest>, &'p [Placed]);

/// Returns the tree that is the environment, if there is one, and the other placements, if none of them
/// covers a part of another or of the environment; else `None`.
fn split<'p>(store: &LocalStore, placed: &'p [Placed]) -> Result<Option<Split<'p>>, StoreError> {
    let (environment, others) = match placed {
        [Placed { path, node: Node::Directory { digest } }, others @ ..] if path.is_empty() => {
            (Some(*digest), others)
        }
        others => (None, others),
    };
    let mut paths: Vec<&str> = others.iter().map(|placed| placed.path.as_str()).collect();
    paths.sort_unstable_by(|left, right| left.split('/').cmp(right.split('/')));
    // Sorted name by name, a path comes right before those below it.
    let apart = paths.windows(2).all(|pair| {
        pair[1].strip_prefix(pair[0]).is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/'))
    });
    let apart = apart && !paths.contains(&WORKING_DIRECTORY);
    if !apart || paths.first().is_some_and(|path| path.is_empty()) || paths.len() > MAX_PLACED {
        return Ok(None);
    }
    if let Some(environment) = environment {
        let directory = store.read_directory(&environment)?;
        let covers = |path: &str| directory.entries.contains_key(path.split('/').next().unwrap_or(path));
        if covers(WORKING_DIRECTORY) || paths.iter().any(|path| covers(path)) {
            return Ok(None);
        }
    }
    Ok(Some((environment, others)))
}

/// An overlay can have 500 trees; each placement may become one.
const MAX_PLACED: usize = 450;

/// Returns whether the tree has few files, looking at no more directories than that takes.
fn is_small(store: &LocalStore, tree: &Digest) -> Result<bool, StoreError> {
    let mut n_entries = 0;
    let mut unseen = vec![*tree];
    while let Some(digest) = unseen.pop() {
        let directory = store.read_directory(&digest)?;
        n_entries += directory.entries.len();
        if n_entries >= SMALL {
            return Ok(false);
        }
        for node in directory.entries.values() {
            if let Node::Directory { digest } = node {
                unseen.push(*digest);
            }
        }
    }
    Ok(true)
}

/// A tree that is being put together from nodes at paths which do not cover each other.
#[derive(Default)]
struct Tree {
    nodes: BTreeMap<String, Node>,
    directories: BTreeMap<String, Tree>,
}

impl Tree {
    fn insert(&mut self, path: &str, node: Node) {
        match path.rsplit_once('/') {
            None => _ = self.nodes.insert(path.to_owned(), node),
            Some((parent, name)) => _ = self.directory(parent).nodes.insert(name.to_owned(), node),
        }
    }

    fn directory(&mut self, path: &str) -> &mut Tree {
        path.split('/').fold(self, |tree, name| tree.directories.entry(name.to_owned()).or_default())
    }

    fn write(&self, store: &LocalStore) -> Result<Digest, StoreError> {
        let mut directory = Directory { entries: self.nodes.clone() };
        for (name, child) in &self.directories {
            directory.entries.insert(name.clone(), Node::Directory { digest: child.write(store)? });
        }
        store.write(&directory.encode())
    }
}
