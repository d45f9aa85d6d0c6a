//! Merges placements into one tree.
//!
//! Only directories that two or more placements share are read and rewritten; everything else is linked by
//! digest. So a step that adds one file to an environment of 17,000 costs the root directory and `build`.

use std::ops::Bound;
use std::sync::Arc;

use cas::{Digest, Directory, Node};

use crate::select::Selection;
use crate::tree::{Blobs, DigestMap, MAX_DEPTH, TreeError, Trees};
use crate::wire::{Entry, Writer};

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

impl Source<'_> {
    fn is_tree(&self, digest: &Digest) -> bool {
        matches!(self, Source::Tree(other) if other == digest)
    }
}

/// What one name of the result stands for.
enum Slot<'p> {
    /// Not a directory.
    Leaf(Entry<'p>),
    /// A directory from one placement.
    Tree(Digest),
    /// A directory that is to be put together.
    Shared(Vec<Source<'p>>),
}

/// The names of one directory of the result, sorted. Most come sorted, from the lowest placement.
#[derive(Default)]
struct Slots<'p>(Vec<(&'p str, Slot<'p>)>);

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

/// As [`overlay`], but no whiteout is left anywhere in the result, and of that only what `selection` takes. Reads every
/// directory once.
pub(crate) fn merge(
    trees: &mut Trees<'_>,
    parts: &[Part<'_>],
    selection: Option<&Selection>,
    blobs: &mut Blobs,
) -> Result<Digest, TreeError> {
    let clean = Some(DigestMap::default());
    let Some(selection) = selection else { return Merger { trees, blobs, clean }.root(parts) };
    // What is left out need not be kept.
    let mut all = Blobs::default();
    let root = Merger { trees, blobs: &mut all, clean }.root(parts)?;
    trees.adopt(&all);
    selection.of(trees, &root, blobs)
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
            [Source::Tree(digest), rest @ ..] if rest.iter().all(|source| source.is_tree(digest)) => {
                self.link(*digest, 0)
            }
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
        let mut slots = Slots::default();
        for (source, directory) in sources.iter().zip(&directories) {
            match (source, directory) {
                (Source::Below { path, node }, _) => match path.split_once('/') {
                    Some((name, rest)) => slots.place_directory(name, Source::Below { path: rest, node }),
                    None => slots.place(path, node),
                },
                (Source::Tree(_), Some(directory)) => slots.place_all(directory),
                (Source::Tree(_), None) => unreachable!("every tree was read above"),
            }
        }
        let mut entries: Vec<(&str, Entry<'_>)> = Vec::with_capacity(slots.0.len());
        for (name, slot) in slots.0 {
            entries.push(match slot {
                Slot::Leaf(entry) => (name, entry),
                Slot::Tree(digest) => (name, Entry::Directory(self.link(digest, depth + 1)?)),
                Slot::Shared(sources) => (name, Entry::Directory(self.directory(&sources, depth + 1)?)),
            });
        }
        Ok(self.blobs.push(|buffer| Writer::new(buffer).directory(&entries)))
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
        let result = if changed { self.blobs.push(|buffer| buffer.extend(cleaned.encode())) } else { digest };
        if let Some(clean) = &mut self.clean {
            clean.insert(digest, result);
        }
        Ok(result)
    }
}

impl<'p> Slots<'p> {
    /// Places what is in `directory`. Both sides are in order, so that together they take one pass: directories may have
    /// hundreds of thousands of names, and a place for each in the middle would be time without end.
    fn place_all(&mut self, directory: &'p Directory) {
        /// So many are placed one by one: thousands of packages bring a name or two each.
        const FEW: usize = 8;
        self.hide_all(directory);
        let entries = directory.entries.iter().filter(|(name, _)| !name.starts_with(WHITEOUT));
        if directory.entries.len() <= FEW {
            return entries.for_each(|(name, node)| self.place(name, node));
        }
        let mut new = Slots(Vec::with_capacity(directory.entries.len()));
        for (name, node) in entries {
            let slots = if self.find(name).is_ok() { &mut *self } else { &mut new };
            slots.place(name, node);
        }
        let is_behind = match (self.0.last(), new.0.first()) {
            (Some((last, _)), Some((first, _))) => last < first,
            _ => true,
        };
        self.0.append(&mut new.0);
        if !is_behind {
            // Of two sorted runs the standard library's stable sort makes one in a single pass.
            self.0.sort_by_key(|(name, _)| *name);
        }
    }

    /// Lets the whiteouts of a directory act. They speak of earlier placements only: the directory itself may bring the
    /// name anew.
    fn hide_all(&mut self, directory: &Directory) {
        if directory.entries.contains_key(OPAQUE) {
            return self.0.clear();
        }
        let whiteouts = (Bound::Included(WHITEOUT), Bound::Excluded(AFTER_WHITEOUTS));
        let whiteouts = directory.entries.range::<str, _>(whiteouts);
        let mut hidden = whiteouts.map(|(whiteout, _)| &whiteout[WHITEOUT.len()..]).peekable();
        if hidden.peek().is_some() {
            self.0.retain(|(name, _)| {
                while hidden.next_if(|hidden| hidden < name).is_some() {}
                hidden.peek() != Some(name)
            });
        }
    }

    fn place(&mut self, name: &'p str, node: &'p Node) {
        if name.starts_with(WHITEOUT) {
            return self.hide(name);
        }
        match node {
            Node::Directory { digest } => self.place_directory(name, Source::Tree(*digest)),
            leaf => *self.slot(name).1 = Slot::Leaf(leaf.into()),
        }
    }

    fn place_directory(&mut self, name: &'p str, source: Source<'p>) {
        match (self.slot(name), source) {
            // The same tree twice is once enough.
            ((true, Slot::Tree(earlier)), Source::Tree(digest)) if *earlier == digest => {}
            ((true, slot @ Slot::Tree(_)), source) => {
                let Slot::Tree(earlier) = *slot else { unreachable!("the pattern says so") };
                *slot = Slot::Shared(vec![Source::Tree(earlier), source]);
            }
            ((true, Slot::Shared(sources)), source) => sources.push(source),
            ((_, slot), Source::Tree(digest)) => *slot = Slot::Tree(digest),
            ((_, slot), below) => *slot = Slot::Shared(vec![below]),
        }
    }

    /// Returns the slot of that name, and whether it was there before.
    fn slot(&mut self, name: &'p str) -> (bool, &mut Slot<'p>) {
        let is_last = self.0.last().is_none_or(|(last, _)| *last < name);
        let found = if is_last { Err(self.0.len()) } else { self.find(name) };
        let (is_old, slot_idx) = match found {
            Ok(slot_idx) => (true, slot_idx),
            Err(slot_idx) => {
                self.0.insert(slot_idx, (name, Slot::Shared(Vec::new())));
                (false, slot_idx)
            }
        };
        (is_old, &mut self.0[slot_idx].1)
    }

    fn hide(&mut self, whiteout: &str) {
        if whiteout == OPAQUE {
            self.0.clear();
        } else if let Ok(slot_idx) = self.find(&whiteout[WHITEOUT.len()..]) {
            self.0.remove(slot_idx);
        }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (*other).cmp(name))
    }
}

fn is_path(path: &str) -> bool {
    path.split('/').all(|name| !matches!(name, "" | "." | "..") && !name.contains('\0'))
}
