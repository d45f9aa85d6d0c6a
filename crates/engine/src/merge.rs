//! Merges placements into one tree.
//!
//! Only directories that two or more placements share are read and rewritten; everything else is linked by
//! digest. So a step that adds one file to an environment of 17,000 costs the root directory and `build`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use cas::{Digest, Directory, Node};

use crate::tree::{Blobs, DigestMap, MAX_DEPTH, TreeError, Trees};

/// What starts the name of an OCI whiteout.
const WHITEOUT: &str = ".wh.";
/// The first name after all that start with [`WHITEOUT`].
const AFTER_WHITEOUTS: &str = ".wh/";
/// The name that hides everything earlier in its directory.
const OPAQUE: &str = ".wh..wh..opq";

/// One resolved placement; [`crate::Placed`] without owning its path.
#[derive(Clone, Debug)]
pub(crate) struct Part<'p> {
    pub(crate) path: &'p str,
    pub(crate) node: Node,
}

/// Where one directory of the result comes from, from the bottom up.
#[derive(Clone, Copy)]
enum Source<'p> {
    /// A whole directory that is in the store.
    Tree(Digest),
    /// Something at a path below the directory.
    Below { path: &'p str, node: &'p Node },
}

/// What one name of the result stands for.
enum Slot<'p> {
    Leaf(&'p Node),
    Shared(Vec<Source<'p>>),
}

/// Returns the digest of the tree that results when `parts` are placed one after another, and pushes the
/// directories that may be new. In directories that parts share, whiteouts act and vanish; those in a
/// directory from one part alone have nothing to act on and are linked with it, unread.
pub(crate) fn overlay(
    trees: &mut Trees<'_>,
    parts: &[Part<'_>],
    blobs: &mut Blobs,
) -> Result<Digest, TreeError> {
    Merger { trees, blobs, clean: None }.root(parts)
}

/// As [`overlay`], but no whiteout is left anywhere in the result. Reads every directory once.
pub(crate) fn merge(
    trees: &mut Trees<'_>,
    parts: &[Part<'_>],
    blobs: &mut Blobs,
) -> Result<Digest, TreeError> {
    Merger { trees, blobs, clean: Some(DigestMap::default()) }.root(parts)
}

struct Merger<'m, 't> {
    trees: &'m mut Trees<'t>,
    blobs: &'m mut Blobs,
    /// Directories without their whiteouts, where these must go.
    clean: Option<DigestMap<Digest>>,
}

impl Merger<'_, '_> {
    fn root(&mut self, parts: &[Part<'_>]) -> Result<Digest, TreeError> {
        let mut sources = Vec::with_capacity(parts.len());
        for part in parts {
            sources.push(match (&part.node, part.path) {
                (Node::Directory { digest }, "") => Source::Tree(*digest),
                (_, "") => return Err(TreeError::NotAtRoot),
                (node, path) if is_path(path) => Source::Below { path, node },
                (_, path) => return Err(TreeError::BadPath { path: path.to_owned() }),
            });
        }
        match sources.as_slice() {
            [Source::Tree(digest)] => self.link(*digest, 0),
            sources => self.directory(sources, 0),
        }
    }

    fn directory(&mut self, sources: &[Source<'_>], depth: usize) -> Result<Digest, TreeError> {
        if depth > MAX_DEPTH {
            return Err(TreeError::TooDeep);
        }
        let mut directories: Vec<Option<Arc<Directory>>> = Vec::with_capacity(sources.len());
        for source in sources {
            directories.push(match source {
                Source::Tree(digest) => Some(self.trees.directory(digest)?),
                Source::Below { .. } => None,
            });
        }
        let mut slots: BTreeMap<&str, Slot<'_>> = BTreeMap::new();
        for (source, directory) in sources.iter().zip(&directories) {
            match (source, directory) {
                (Source::Below { path, node }, _) => match path.split_once('/') {
                    Some((name, rest)) => place_below(&mut slots, name, Source::Below { path: rest, node }),
                    None => place_node(&mut slots, path, node),
                },
                (Source::Tree(_), Some(directory)) => place_all(&mut slots, directory),
                (Source::Tree(_), None) => unreachable!("every tree was read above"),
            }
        }
        let mut merged = Directory::default();
        for (name, slot) in slots {
            let node = match slot {
                Slot::Leaf(node) => node.clone(),
                Slot::Shared(sources) => {
                    let digest = match same_tree(&sources) {
                        Some(digest) => self.link(digest, depth + 1)?,
                        None => self.directory(&sources, depth + 1)?,
                    };
                    Node::Directory { digest }
                }
            };
            merged.entries.insert(name.to_owned(), node);
        }
        Ok(self.blobs.push(&merged.encode()))
    }

    fn link(&mut self, digest: Digest, depth: usize) -> Result<Digest, TreeError> {
        let Some(clean) = &self.clean else { return Ok(digest) };
        if let Some(cleaned) = clean.get(&digest) {
            return Ok(*cleaned);
        }
        if depth > MAX_DEPTH {
            return Err(TreeError::TooDeep);
        }
        let directory = self.trees.directory(&digest)?;
        let mut cleaned = Directory::default();
        let mut changed = false;
        for (name, node) in &directory.entries {
            if name.starts_with(WHITEOUT) {
                changed = true;
                continue;
            }
            let node = match node {
                Node::Directory { digest } => {
                    let linked = self.link(*digest, depth + 1)?;
                    changed |= linked != *digest;
                    Node::Directory { digest: linked }
                }
                leaf => leaf.clone(),
            };
            cleaned.entries.insert(name.clone(), node);
        }
        let result = if changed { self.blobs.push(&cleaned.encode()) } else { digest };
        if let Some(clean) = &mut self.clean {
            clean.insert(digest, result);
        }
        Ok(result)
    }
}

fn place_all<'p>(slots: &mut BTreeMap<&'p str, Slot<'p>>, directory: &'p Directory) {
    // A whiteout speaks of earlier placements only: its own directory may bring the name anew.
    let whiteouts = (Bound::Included(WHITEOUT), Bound::Excluded(AFTER_WHITEOUTS));
    for (name, _) in directory.entries.range::<str, _>(whiteouts) {
        hide(slots, name);
    }
    for (name, node) in &directory.entries {
        if !name.starts_with(WHITEOUT) {
            place_node(slots, name, node);
        }
    }
}

fn hide(slots: &mut BTreeMap<&str, Slot<'_>>, whiteout: &str) {
    if whiteout == OPAQUE {
        slots.clear();
    } else {
        slots.remove(&whiteout[WHITEOUT.len()..]);
    }
}

fn place_node<'p>(slots: &mut BTreeMap<&'p str, Slot<'p>>, name: &'p str, node: &'p Node) {
    match node {
        _ if name.starts_with(WHITEOUT) => hide(slots, name),
        Node::Directory { digest } => place_below(slots, name, Source::Tree(*digest)),
        leaf => {
            slots.insert(name, Slot::Leaf(leaf));
        }
    }
}

fn place_below<'p>(slots: &mut BTreeMap<&'p str, Slot<'p>>, name: &'p str, source: Source<'p>) {
    match slots.get_mut(name) {
        Some(Slot::Shared(sources)) => sources.push(source),
        _ => {
            slots.insert(name, Slot::Shared(vec![source]));
        }
    }
}

/// Returns the one tree that all sources are, if so.
fn same_tree(sources: &[Source<'_>]) -> Option<Digest> {
    let Some(Source::Tree(first)) = sources.first() else { return None };
    sources.iter().all(|source| matches!(source, Source::Tree(digest) if digest == first)).then_some(*first)
}

fn is_path(path: &str) -> bool {
    path.split('/').all(|name| !matches!(name, "" | "." | "..") && !name.contains('\0'))
}
