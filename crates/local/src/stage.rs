//! Puts a step's inputs in place without copying them: as the trees of an overlay, or bound to where they belong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cas::{Digest, Directory, LocalStore, Node, Reference, Store as _, StoreError};
use engine::{Placed, Request, WORKING_DIRECTORY};
use sandbox::{Mount, Overlay};
use serde::{Deserialize, Serialize};

use crate::near::Checkouts;

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

/// What a step's `/` is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Staged {
    /// These trees over each other, the topmost first.
    Overlay(Vec<Layer>),
    /// Files and trees at absolute paths of an empty root: what a tool reads that needs no environment. It takes
    /// nothing on disk, and what the tool does with the trees goes through no overlay.
    Bound(Vec<(String, Bound)>),
}

/// Something at its place in an empty root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Bound {
    /// The blob of a file.
    File {
        /// Its content.
        digest: Digest,
        /// Whether it may be executed.
        executable: bool,
    },
    /// Checkouts of trees that are shared with other steps, over each other, the topmost first.
    Trees(Vec<Digest>),
}

/// Says what the step's `/` is made of, and makes what is its own of it in `run`.
///
/// An input that is not in the store is [`StoreError::Missing`].
pub(crate) fn stage(
    store: &LocalStore,
    checkouts: &Checkouts,
    request: &Request<'_>,
    run: &Path,
) -> Result<Staged, StoreError> {
    let Some((environment, others)) = split(store, request.placed)? else {
        // What covers what, and what whiteouts remove, is seen in the merged tree.
        let parts = checkouts.parts(store, &request.input_root)?;
        return Ok(Staged::Overlay(parts.into_iter().map(Layer::Shared).collect()));
    };
    if environment.is_none()
        && let Some(bound) = bind(store, checkouts, others)?
    {
        return Ok(Staged::Bound(bound));
    }
    let mut small = Tree::default();
    small.directory(WORKING_DIRECTORY);
    let mut layers = Vec::new();
    for placed in others {
        match &placed.node {
            Node::Directory { digest } if !is_small(store, digest)? => {
                let mut tree = Tree::default();
                tree.insert(&placed.path, placed.node.clone());
                // A source with one more change is checked out as that change.
                let parts = checkouts.parts(store, &tree.write(store)?)?;
                layers.extend(parts.into_iter().map(Layer::Shared));
            }
            node => small.insert(&placed.path, node.clone()),
        }
    }
    store.checkout(&small.write(store)?, &run.join("lower"))?;
    layers.insert(0, Layer::Run);
    if let Some(environment) = environment {
        layers.extend(checkouts.parts(store, &environment)?.into_iter().map(Layer::Shared));
    }
    Ok(Staged::Overlay(layers))
}

/// Returns where to find what is placed, unless something is best checked out for this run.
fn bind(
    store: &LocalStore,
    checkouts: &Checkouts,
    placed: &[Placed],
) -> Result<Option<Vec<(String, Bound)>>, StoreError> {
    let mut bound = Vec::with_capacity(placed.len());
    for Placed { path, node } in placed {
        let source = match node {
            Node::File { digest, executable } => Bound::File { digest: *digest, executable: *executable },
            Node::Directory { digest } if !is_small(store, digest)? => {
                Bound::Trees(checkouts.parts(store, digest)?)
            }
            Node::Directory { .. } | Node::Symlink { .. } => return Ok(None),
        };
        bound.push((format!("/{path}"), source));
    }
    Ok(Some(bound))
}

impl Staged {
    /// Returns what keeps the inputs from being collected.
    pub(crate) fn references(&self) -> Vec<Reference> {
        match self {
            Staged::Overlay(layers) => {
                let shared = layers.iter().filter_map(|layer| match layer {
                    Layer::Run => None,
                    Layer::Shared(tree) => Some(Reference::Tree(*tree)),
                });
                shared.collect()
            }
            Staged::Bound(bound) => {
                let references = |bound: &Bound| match bound {
                    Bound::File { digest, .. } => vec![Reference::Blob(*digest)],
                    Bound::Trees(trees) => trees.iter().copied().map(Reference::Tree).collect(),
                };
                bound.iter().flat_map(|(_, bound)| references(bound)).collect()
            }
        }
    }
}

/// Returns where the trees of an overlay are, checking out those that are shared.
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

/// Returns the mount that puts something that is bound at its place.
pub(crate) fn mount(store: &LocalStore, at: &str, bound: &Bound) -> Result<Mount, StoreError> {
    match bound {
        Bound::File { digest, executable } => Ok(Mount::read_only(store.blob_file(digest, *executable)?, at)),
        Bound::Trees(trees) => {
            let mut lowers =
                trees.iter().map(|tree| store.shared_checkout(tree)).collect::<Result<Vec<_>, _>>()?;
            Ok(match lowers.len() {
                1 => Mount::read_only(lowers.remove(0), at),
                _ => Mount::overlay(Overlay { lowers, writable: None }, at),
            })
        }
    }
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
