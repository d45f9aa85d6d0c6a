//! Sealing: the order of everything, the numbers of inodes and the table of owners.

use std::collections::BTreeSet;

use super::error::Error;
use super::options::Options;
use super::tree::Squashfs;
use super::xattr::Attribute;
use crate::tree::{Attributes, Content, Node, ROOT, Tree};

/// A file system whose names, numbers and owners are fixed. See [`super::Builder::seal`].
pub struct Image {
    pub(super) options: Options,
    pub(super) tree: Tree,
    pub(super) xattrs: Attributes<Attribute, Vec<Attribute>>,
    /// What is not a directory, in the order of the first path: so lie inodes.
    pub(super) leaves: Vec<Node>,
    /// Files, in the order in which their data lies.
    pub(super) files: Vec<Node>,
    /// Directories, each behind those in it: listings point at the inodes of what they list.
    pub(super) directories: Vec<Node>,
    /// The number of each node's inode, by handle. Leaves come first.
    pub(super) numbers: Vec<u32>,
    /// All owners, users and groups together, in order.
    pub(super) ids: Vec<u32>,
}

impl Image {
    pub(super) fn new(format: Squashfs, tree: Tree) -> Result<Image, Error> {
        let mut numbers = vec![0; tree.nodes.len()];
        let (leaves, directories) = visit(&tree);
        for (node, number) in leaves.iter().chain(&directories).zip(1..) {
            numbers[node.index()] = number;
        }
        // The root's parent gets a number that nobody has.
        u32::try_from(tree.nodes.len() + 1).map_err(|_| Error::TreeTooLarge)?;
        let owners = tree.nodes.iter().flat_map(|node| [node.metadata.uid, node.metadata.gid]);
        let ids: BTreeSet<u32> = owners.collect();
        if ids.len() > usize::from(u16::MAX) {
            return Err(Error::TooManyOwners { n_owners: ids.len() });
        }
        let is_file = |node: &&Node| matches!(tree.nodes[node.index()].content, Content::File { .. });
        let mut files: Vec<Node> = leaves.iter().filter(is_file).copied().collect();
        tree.by_layer(&mut files);
        let Squashfs { options, xattrs } = format;
        let ids = ids.into_iter().collect();
        Ok(Image { options, tree, xattrs, leaves, files, directories, numbers, ids })
    }

    /// Returns the number of a node's inode.
    pub(super) fn number(&self, node: Node) -> u32 {
        self.numbers[node.index()]
    }

    /// Returns the place of an owner in the table.
    pub(super) fn id_place(&self, id: u32) -> u16 {
        let place = self.ids.binary_search(&id).expect("the table has every owner");
        u16::try_from(place).expect("there are few enough owners")
    }

    /// Returns the size of a file.
    pub(super) fn size(&self, node: Node) -> Option<u64> {
        match self.tree.nodes[node.index()].content {
            Content::File { size } => Some(size),
            _ => None,
        }
    }
}

/// Walks the tree depth first, and returns leaves at their first name and directories after what is in them.
fn visit(tree: &Tree) -> (Vec<Node>, Vec<Node>) {
    let (mut leaves, mut directories) = (Vec::new(), Vec::new());
    let mut seen = vec![false; tree.nodes.len()];
    // Directories that are not done, and how many of their entries are.
    let mut pending = vec![(ROOT, 0)];
    while let Some((node, done)) = pending.pop() {
        let entries = &tree.directory(node).expect("only directories are pending").entries;
        let Some((_, child)) = entries.get(done) else {
            directories.push(node);
            continue;
        };
        pending.push((node, done + 1));
        if tree.directory(*child).is_some() {
            pending.push((*child, 0));
        } else if !std::mem::replace(&mut seen[child.index()], true) {
            leaves.push(*child);
        }
    }
    (leaves, directories)
}
