//! Properties and children by their names. Every node may ask for those of another one that has thousands of them, so
//! that looking through all of these each time takes minutes for a blob of a megabyte.

use std::collections::BTreeMap;

use crate::tree::{Node, cell, components};

/// The properties and children of the nodes that were added. A node is told by where it is in memory, as the tree stays
/// as it is.
#[derive(Default)]
pub(super) struct Index<'a> {
    properties: BTreeMap<(*const Node, &'a str), &'a [u8]>,
    /// The child of a name, or the only one of a base name; nothing for a base name of several.
    children: BTreeMap<(*const Node, &'a str), Option<&'a Node>>,
}

impl<'a> Index<'a> {
    /// Adds what is in a node.
    pub(super) fn add(&mut self, node: &'a Node) {
        let key = std::ptr::from_ref(node);
        for property in &node.properties {
            self.properties.entry((key, &property.name)).or_insert(&property.value);
        }
        for child in &node.children {
            let known = self.children.entry((key, child.base_name()));
            known.and_modify(|only| *only = None).or_insert(Some(child));
        }
        // A whole name comes before base names; backwards, so that the first of several holds.
        for child in node.children.iter().rev() {
            self.children.insert((key, &child.name), Some(child));
        }
    }

    /// Returns the bytes of a property of a node that was added.
    pub(super) fn property(&self, node: &Node, name: &str) -> Option<&'a [u8]> {
        self.properties.get(&(std::ptr::from_ref(node), name)).copied()
    }

    /// Returns the number in a property of one cell, `default` if there is none, nothing if it is not one cell.
    pub(super) fn cells(&self, node: &Node, name: &str, default: u32) -> Option<u64> {
        self.property(node, name).map_or(Some(default), cell).map(u64::from)
    }

    /// Says whether a path from `root` leads to a node, as [`Tree::node`](crate::Tree::node) does.
    pub(super) fn has_node(&self, root: &'a Node, path: &str) -> bool {
        let child = |node: &'a Node, name: &&str| {
            self.children.get(&(std::ptr::from_ref(node), *name)).copied().flatten()
        };
        components(path).is_ok_and(|names| names.iter().try_fold(root, child).is_some())
    }
}
