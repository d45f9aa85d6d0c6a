//! The tree, and how its nodes are found.

use crate::name::MAX_NAME;
use crate::suggest::nearest;

/// A device tree with what its blob says beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Memory that must not be used (5.3).
    pub reservations: Vec<Region>,
    /// The physical id of the processor that boots: the `reg` of its node (5.2).
    pub boot_cpu: u32,
    /// The node `/`, whose name is empty.
    pub root: Node,
}

/// A range of physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it begins.
    pub address: u64,
    /// How many bytes it has.
    pub size: u64,
}

/// A node, its properties and the nodes in it, both in the order of the blob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name with the unit address, as in `uart@9000000` (2.2.1).
    pub name: String,
    /// Its properties.
    pub properties: Vec<Property>,
    /// The nodes in it.
    pub children: Vec<Node>,
}

/// A property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its bytes; what they mean, only the name says (2.2.4).
    pub value: Vec<u8>,
}

/// A path leads to no node, or not to one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not `/` or names with one `/` before each.
    #[error("`{path}` is not the path of a node: it has to be names with `/` before each")]
    Malformed {
        /// The path.
        path: String,
    },
    /// There is no such node.
    #[error("there is no node `{path}`")]
    Missing {
        /// The path.
        path: String,
        /// A path that may have been meant.
        nearest: Option<String>,
    },
    /// A name without unit address that several nodes have.
    #[error("`{path}` may be any of several nodes: {candidates}")]
    Ambiguous {
        /// The path up to that name.
        path: String,
        /// The nodes' names.
        candidates: String,
    },
}

impl PathError {
    /// Returns what can be done about it.
    pub fn help(&self) -> Option<String> {
        match self {
            PathError::Malformed { .. } => None,
            PathError::Missing { nearest, .. } => {
                nearest.as_ref().map(|nearest| format!("did you mean `{nearest}`?"))
            }
            PathError::Ambiguous { .. } => Some("add the unit address".to_owned()),
        }
    }
}

impl Tree {
    /// Returns the node at `path`. Unit addresses may be left out where that leaves one node (2.2.3).
    pub fn node(&self, path: &str) -> Result<&Node, PathError> {
        let mut node = &self.root;
        for index in self.locate(path)? {
            node = &node.children[index];
        }
        Ok(node)
    }

    /// Returns which child to take in each node on the way to `path`.
    pub(crate) fn locate(&self, path: &str) -> Result<Vec<usize>, PathError> {
        let mut node = &self.root;
        let mut indices = Vec::new();
        let mut known = String::new();
        for name in components(path)? {
            let Some(index) = node.child_index(name, &known)? else {
                let nearest = nearest(name, node.children.iter().map(|child| child.name.as_str()));
                let nearest = nearest.map(|nearest| format!("{known}/{nearest}"));
                return Err(PathError::Missing { path: path.to_owned(), nearest });
            };
            node = &node.children[index];
            indices.push(index);
            known = format!("{known}/{}", node.name);
        }
        Ok(indices)
    }
}

impl Node {
    /// Returns the bytes of the property `name`.
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        self.properties.iter().find(|property| property.name == name).map(|property| &property.value[..])
    }

    /// Returns the name without the unit address.
    pub fn base_name(&self) -> &str {
        self.name.split_once('@').map_or(&self.name, |(base, _)| base)
    }

    /// Returns what follows the `@` of the name.
    pub fn unit_address(&self) -> Option<&str> {
        self.name.split_once('@').map(|(_, unit)| unit)
    }

    /// Returns the number by which others refer to the node (2.3.3), under its old name too. What is not one
    /// cell, and the two numbers that are none, count as absent.
    pub fn phandle(&self) -> Option<u32> {
        let value = self.property("phandle").or_else(|| self.property("linux,phandle"))?;
        cell(value).filter(|phandle| ![0, u32::MAX].contains(phandle))
    }

    /// Returns the place of the child that is called `name`, or alone has it as its base name. `above` is the
    /// path of this node, for the error.
    pub(crate) fn child_index(&self, name: &str, above: &str) -> Result<Option<usize>, PathError> {
        if let Some(exact) = self.children.iter().position(|child| child.name == name) {
            return Ok(Some(exact));
        }
        let mut similar = self.children.iter().enumerate().filter(|(_, child)| child.base_name() == name);
        let first = similar.next();
        let Some((_, second)) = similar.next() else { return Ok(first.map(|(index, _)| index)) };
        let names = first.into_iter().map(|(_, child)| child).chain([second]);
        let names: Vec<String> = names.map(|child| format!("`{}`", child.name)).collect();
        let more = if similar.next().is_some() { ", …" } else { "" };
        let candidates = format!("{}{more}", names.join(", "));
        Err(PathError::Ambiguous { path: format!("{above}/{name}"), candidates })
    }

    /// Gives the property `name` this value: in its place, or behind the others.
    pub(crate) fn set(&mut self, name: &str, value: Vec<u8>) {
        match self.properties.iter_mut().find(|property| property.name == name) {
            Some(property) => property.value = value,
            None => self.properties.push(Property { name: name.to_owned(), value }),
        }
    }
}

/// Returns the number in a value of one cell.
pub(crate) fn cell(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// Returns the names in `path`, the topmost first; none for the root.
pub(crate) fn components(path: &str) -> Result<Vec<&str>, PathError> {
    let names: Vec<&str> = match path.strip_prefix('/') {
        Some("") => Vec::new(),
        Some(names) => names.split('/').collect(),
        None => vec![""],
    };
    // No node has such a name, and what suggests one takes as long as names are.
    if names.iter().any(|name| name.is_empty() || name.len() > MAX_NAME) {
        return Err(PathError::Malformed { path: path.to_owned() });
    }
    Ok(names)
}
