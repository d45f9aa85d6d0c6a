//! Changes of a tree as data, and what may be wrong with them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::NameError;
use crate::tree::PathError;

/// The paths of nodes by short names that references may use.
pub type Labels = BTreeMap<String, String>;

/// One change. Paths are those of the tree after the changes before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Edit {
    /// Gives a property a value: in its place, or behind the node's other properties. Nodes on the way that do
    /// not exist are made.
    SetProperty {
        /// The path of the node.
        node: String,
        /// The name of the property.
        property: String,
        /// The value: the parts one after the other, without padding. No parts are an empty value.
        value: Vec<Part>,
    },
    /// Removes a property, which has to exist.
    DeleteProperty {
        /// The path of the node.
        node: String,
        /// The name of the property.
        property: String,
    },
    /// Removes a node, which has to exist, with all in it.
    DeleteNode {
        /// Its path.
        node: String,
    },
    /// Gives a node, which has to exist, another name in the same place.
    RenameNode {
        /// Its path.
        node: String,
        /// The new name, with the unit address.
        name: String,
    },
}

/// A part of a property's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Cells.
    U32(Vec<u32>),
    /// Numbers of two cells each, the upper one first.
    U64(Vec<u64>),
    /// A string without NUL, which gets one at its end.
    String(String),
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// A cell with the phandle of a node. Nodes that have none get the lowest free number, in the order in
    /// which they are first referred to.
    Phandle(Reference),
}

/// Says which node is meant. It has to exist after the last edit, where it is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// The node that has this label.
    Label(String),
    /// The node at this path.
    Path(String),
}

impl Edit {
    /// Returns the path of the node that it changes.
    pub fn node(&self) -> &str {
        match self {
            Edit::SetProperty { node, .. }
            | Edit::DeleteProperty { node, .. }
            | Edit::DeleteNode { node }
            | Edit::RenameNode { node, .. } => node,
        }
    }

    /// Returns the name of the property that it changes, if it changes one.
    pub fn property(&self) -> Option<&str> {
        match self {
            Edit::SetProperty { property, .. } | Edit::DeleteProperty { property, .. } => Some(property),
            Edit::DeleteNode { .. } | Edit::RenameNode { .. } => None,
        }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edit::SetProperty { node, property, .. } => write!(f, "set `{property}` of `{node}`"),
            Edit::DeleteProperty { node, property } => write!(f, "delete `{property}` of `{node}`"),
            Edit::DeleteNode { node } => write!(f, "delete `{node}`"),
            Edit::RenameNode { node, name } => write!(f, "rename `{node}` to `{name}`"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Label(label) => write!(f, "&{label}"),
            Reference::Path(path) => write!(f, "&{{{path}}}"),
        }
    }
}

/// An edit that does not fit the tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not {doing}")]
pub struct EditError {
    /// What would have been done: with the path of the node, and the name of the property.
    pub doing: String,
    /// The path of the node, as the edit has it.
    pub node: Box<str>,
    /// The name of the property, if it was about one.
    pub property: Option<Box<str>>,
    /// Why it was not.
    pub source: EditProblem,
}

/// Why an edit does not fit the tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditProblem {
    /// No node, or several.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A name that nothing may have.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The node has no such property.
    #[error("the node has no such property")]
    NoProperty {
        /// A name that may have been meant.
        nearest: Option<String>,
    },
    /// No such label.
    #[error("there is no label `{label}`")]
    UnknownLabel {
        /// The label.
        label: String,
        /// The label, or the path of a node, that may have been meant; or which labels there are.
        help: Option<String>,
    },
    /// The name belongs to another node.
    #[error("a node of that name is there already")]
    Exists,
    /// The root always exists and has no name.
    #[error("the root stays what it is")]
    Root,
    /// A string that would become several.
    #[error("a string has a NUL byte in it")]
    Nul,
    /// A phandle that refers.
    #[error("a node's own phandle is a number and no reference")]
    OwnPhandle,
    /// More nodes inside each other than can be written.
    #[error("64 nodes may lie inside each other")]
    Depth,
}

impl EditError {
    /// Returns what can be done about it.
    pub fn help(&self) -> Option<String> {
        match &self.source {
            EditProblem::Path(error) => error.help(),
            EditProblem::NoProperty { nearest: Some(nearest) } => Some(format!("did you mean `{nearest}`?")),
            EditProblem::UnknownLabel { help, .. } => help.clone(),
            _ => None,
        }
    }
}
