//! Declaring: directories and files with their sizes, before anything has a place.

use std::collections::BTreeMap;

use super::error::{Error, Reason, Unfit};
use super::image::Image;
use super::name::{self, Name};
use super::options::Options;
use super::time::DosTime;
use crate::largest::Largest;

/// A handle of something declared. Handles count up from [`ROOT`] in the order of declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(u32);

/// The root directory, which is always there.
pub const ROOT: Node = Node(0);

impl Node {
    /// Returns the handle's place in a table of all handles: 0 for the root.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    pub(super) fn from_index(index: u32) -> Node {
        Node(index)
    }
}

/// What was declared.
pub(super) struct Declared {
    pub(super) parent: Node,
    name: Vec<u8>,
    pub(super) modified: DosTime,
    pub(super) content: Content,
}

pub(super) enum Content {
    Directory {
        /// What is in it, in the order of names once the tree is sealed.
        children: Vec<Node>,
    },
    File {
        size: u32,
    },
}

/// Collects what will be in a file system.
///
/// The image depends on the tree alone, not on the order in which it was declared. What FAT cannot have is noted,
/// and [`Builder::seal`] refuses all of it at once.
pub struct Builder {
    options: Options,
    nodes: Vec<Declared>,
    unfit: Vec<Unfit>,
}

impl Builder {
    /// Returns the builder of an empty file system.
    pub fn new(options: Options) -> Result<Builder, Error> {
        options.check()?;
        let modified = DosTime::from_unix(options.epoch);
        let content = Content::Directory { children: Vec::new() };
        let root = Declared { parent: ROOT, name: Vec::new(), modified, content };
        Ok(Builder { options, nodes: vec![root], unfit: Vec::new() })
    }

    /// Declares a directory in `parent`, which is one; `mtime` is in seconds since 1970.
    pub fn directory(&mut self, parent: Node, name: &[u8], mtime: i64) -> Node {
        self.insert(parent, name, mtime, Content::Directory { children: Vec::new() })
    }

    /// Declares a file of `size` bytes in the directory `parent`.
    pub fn file(&mut self, parent: Node, name: &[u8], mtime: i64, size: u64) -> Node {
        let fits = u32::try_from(size);
        if fits.is_err() {
            self.refuse(parent, name, Reason::TooLarge { size });
        }
        self.insert(parent, name, mtime, Content::File { size: fits.unwrap_or(0) })
    }

    /// Notes that there is something in the directory `parent` that FAT has not; `what` is the word for several.
    pub fn unfit(&mut self, parent: Node, name: &[u8], what: &'static str) {
        self.refuse(parent, name, Reason::Kind { what });
    }

    fn refuse(&mut self, parent: Node, name: &[u8], reason: Reason) {
        let path = path_in(&self.nodes, parent, name);
        self.unfit.push(Unfit { path, reason });
    }

    /// # Panics
    ///
    /// If `parent` is not a directory.
    fn insert(&mut self, parent: Node, name: &[u8], mtime: i64, content: Content) -> Node {
        let node = Node(u32::try_from(self.nodes.len()).expect("names of 2^32 nodes are more than memory"));
        match &mut self.nodes[parent.index()].content {
            Content::Directory { children } => children.push(node),
            Content::File { .. } => panic!("something is declared in a file"),
        }
        let modified = DosTime::from_unix(mtime);
        self.nodes.push(Declared { parent, name: name.to_vec(), modified, content });
        node
    }

    /// Fixes the layout. Fails with everything that FAT has not, or because it does not fit.
    pub fn seal(mut self) -> Result<Image, Error> {
        let mut names = BTreeMap::new();
        for idx in 0..self.nodes.len() {
            let Content::Directory { children } = &mut self.nodes[idx].content else { continue };
            let mut children = std::mem::take(children);
            children.sort_by(|a, b| self.nodes[a.index()].name.cmp(&self.nodes[b.index()].name));
            self.name_children(&children, &mut names);
            self.nodes[idx].content = Content::Directory { children };
        }
        if !self.unfit.is_empty() {
            self.unfit.sort_by(|a, b| a.path.cmp(&b.path));
            return Err(Error::Unfit(self.unfit));
        }
        let names = names.into_values().collect();
        Image::new(self.options, Tree { nodes: self.nodes, names })
    }

    /// Gives names to the children of one directory, and notes those that cannot be.
    fn name_children(&mut self, children: &[Node], names: &mut BTreeMap<Node, Name>) {
        let mut seen: BTreeMap<Vec<u16>, Node> = BTreeMap::new();
        let (mut kept, mut units) = (Vec::new(), Vec::new());
        for child in children {
            let reason = match name::units(&self.nodes[child.index()].name) {
                Ok(found) => match seen.insert(name::folded(&found), *child) {
                    None => {
                        kept.push(*child);
                        units.push(found);
                        continue;
                    }
                    Some(other) => Reason::Clash { other: path(&self.nodes, other) },
                },
                Err(reason) => reason,
            };
            self.unfit.push(Unfit { path: path(&self.nodes, *child), reason });
        }
        names.extend(kept.into_iter().zip(name::assign(&units)));
    }
}

/// A tree in which everything has a name.
pub(super) struct Tree {
    pub(super) nodes: Vec<Declared>,
    /// By node, without the root.
    names: Vec<Name>,
}

impl Tree {
    pub(super) fn name(&self, node: Node) -> &Name {
        // The root has no name, and all others have one once the tree is sealed.
        &self.names[node.index() - 1]
    }

    /// Returns all nodes in the order of their paths, each directory before what is in it.
    pub(super) fn in_order(&self) -> Vec<Node> {
        let mut ordered = Vec::with_capacity(self.nodes.len());
        let mut pending = vec![ROOT];
        while let Some(node) = pending.pop() {
            ordered.push(node);
            if let Content::Directory { children } = &self.nodes[node.index()].content {
                pending.extend(children.iter().rev());
            }
        }
        ordered
    }

    pub(super) fn path(&self, node: Node) -> String {
        path(&self.nodes, node)
    }

    pub(super) fn largest(&self) -> Largest {
        let files = self.nodes.iter().zip(0..).filter_map(|(declared, index)| match declared.content {
            Content::File { size } => Some((size.into(), index)),
            Content::Directory { .. } => None,
        });
        Largest::of(files, |index| self.path(Node::from_index(index)))
    }
}

fn path_in(nodes: &[Declared], parent: Node, name: &[u8]) -> String {
    let mut parts = vec![name];
    let mut node = parent;
    while node != ROOT {
        let declared = &nodes[node.index()];
        parts.push(&declared.name);
        node = declared.parent;
    }
    parts.iter().rev().map(|part| format!("/{}", String::from_utf8_lossy(part))).collect()
}

fn path(nodes: &[Declared], node: Node) -> String {
    if node == ROOT {
        return "/".to_owned();
    }
    let declared = &nodes[node.index()];
    path_in(nodes, declared.parent, &declared.name)
}
