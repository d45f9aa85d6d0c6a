//! Sealing: the order of everything, and which attributes are shared.

use super::error::Error;
use super::options::Options;
use super::tree::Erofs;
use super::xattr::Attribute;
use super::xattr::Shared;
use crate::tree::{Attributes, Content, Node, ROOT, Tree};

/// A file system whose names, order and attributes are fixed. See [`super::Builder::seal`].
pub struct Image {
    pub(super) options: Options,
    pub(super) tree: Tree,
    /// Everything in the order of the first path, directories before what is in them.
    pub(super) order: Vec<Node>,
    /// Files, in the order in which their blocks lie.
    pub(super) files: Vec<Node>,
    /// The place of each node in that order, by handle.
    pub(super) places: Vec<u32>,
    pub(super) shared: Shared,
    /// What is beside inodes, by the number of the set of attributes.
    bodies: Vec<Vec<u8>>,
}

impl Image {
    pub(super) fn new(format: Erofs, tree: Tree) -> Result<Image, Error> {
        let Erofs { options, xattrs } = format;
        let order = visit(&tree);
        let mut places = vec![0; tree.nodes.len()];
        for (node, place) in order.iter().zip(0..) {
            places[node.index()] = place;
        }
        let is_file = |node: &&Node| matches!(tree.nodes[node.index()].content, Content::File { .. });
        let mut files: Vec<Node> = order.iter().filter(is_file).copied().collect();
        tree.by_layer(&mut files);
        let (shared, bodies) = share(&xattrs, &tree)?;
        Ok(Image { options, tree, order, files, places, shared, bodies })
    }

    /// Returns the number by which 32-bit programs know an inode.
    pub(super) fn number(&self, node: Node) -> u32 {
        self.places[node.index()] + 1
    }

    /// Returns the attributes of an inode as they are stored beside it.
    pub(super) fn body(&self, node: Node) -> &[u8] {
        match self.tree.nodes[node.index()].attributes.checked_sub(1) {
            Some(place) => &self.bodies[place as usize],
            None => &[],
        }
    }

    /// Returns the size of a file.
    pub(super) fn size(&self, node: Node) -> Option<u64> {
        match self.tree.nodes[node.index()].content {
            Content::File { size } => Some(size),
            _ => None,
        }
    }
}

type Bodies = Vec<Vec<u8>>;

fn share(xattrs: &Attributes<Attribute, Vec<Attribute>>, tree: &Tree) -> Result<(Shared, Bodies), Error> {
    let mut n_inodes = vec![0; xattrs.sets().len()];
    for place in tree.nodes.iter().filter_map(|node| node.attributes.checked_sub(1)) {
        n_inodes[place as usize] += 1;
    }
    let shared = Shared::new(xattrs.sets().iter().zip(n_inodes))?;
    let bodies = xattrs.sets().iter().map(|set| shared.body(set)).collect();
    Ok((shared, bodies))
}

/// Walks the tree depth first, and returns everything at its first name.
fn visit(tree: &Tree) -> Vec<Node> {
    let mut order = vec![ROOT];
    let mut seen = vec![false; tree.nodes.len()];
    // Directories that are not done, and how many of their entries are.
    let mut pending = vec![(ROOT, 0)];
    while let Some((node, done)) = pending.pop() {
        let entries = &tree.directory(node).expect("only directories are pending").entries;
        let Some((_, child)) = entries.get(done) else { continue };
        pending.push((node, done + 1));
        if !std::mem::replace(&mut seen[child.index()], true) {
            order.push(*child);
            if tree.directory(*child).is_some() {
                pending.push((*child, 0));
            }
        }
    }
    order
}
