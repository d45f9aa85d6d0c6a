//! What nodes and properties may be called (Devicetree Specification v0.4, 2.2.1 and 2.2.4.1), and how deep they lie.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use crate::tree::Node;

/// How long a name may be. The specification says 31, which symbols and fixups exceed in practice; without a
/// limit, a small blob could name every property by one long string.
pub(crate) const MAX_NAME: usize = 255;

/// How many nodes may lie inside each other; Linux stops at the same depth.
pub(crate) const MAX_DEPTH: usize = 64;

/// The bytes are no name for a node or a property.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not the name of a {kind}: {problem}")]
pub struct NameError {
    name: String,
    kind: &'static str,
    problem: &'static str,
}

/// What neither a blob nor a tree that becomes one may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A name that is none.
    #[error("there is a wrong name in `{node}`")]
    Name {
        /// The path of the node that has the property or the other node.
        node: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// A root with a name (2.2.1).
    #[error("the root is called `{name}`, but has no name")]
    Root {
        /// The name.
        name: String,
    },
    /// Two properties or two nodes of the same name in one node (2.2.1, 2.2.4).
    #[error("`{node}` has `{name}` twice")]
    Duplicate {
        /// The path of the node.
        node: String,
        /// The name.
        name: String,
    },
    /// More nodes inside each other than any machine has.
    #[error("there is a node in `{node}`, which is too deep: 64 may lie inside each other")]
    Depth {
        /// The path of the node.
        node: String,
    },
}

/// Returns `name` as text if a node other than the root may have it: a base name, and perhaps `@` and a unit
/// address, neither of them empty.
pub(crate) fn node_name(name: &[u8]) -> Result<&str, NameError> {
    let mut parts = name.split(|byte| *byte == b'@');
    let problem = match (parts.next(), parts.next(), parts.next()) {
        (_, _, Some(_)) => Some("it has more than one `@`"),
        (_, Some(b""), _) => Some("nothing follows its `@`"),
        (Some(base), unit, _) => problem(base).or_else(|| unit.and_then(problem)),
        (None, ..) => Some("it is empty"),
    };
    finish(name, "node", problem)
}

/// Returns `name` as text if a property may have it.
pub(crate) fn property_name(name: &[u8]) -> Result<&str, NameError> {
    finish(name, "property", problem(name))
}

/// Checks that no two properties and no two nodes in the last of `nodes` have the same name.
pub(crate) fn no_duplicates(nodes: &[impl Borrow<Node>]) -> Result<(), FormError> {
    let Some(node) = nodes.last().map(Borrow::borrow) else { return Ok(()) };
    let mut seen = BTreeSet::new();
    let twice = node.properties.iter().map(|property| &property.name).find(|name| !seen.insert(*name));
    seen.clear();
    match twice.or_else(|| node.children.iter().map(|child| &child.name).find(|name| !seen.insert(*name))) {
        Some(name) => Err(FormError::Duplicate { node: path(nodes), name: name.clone() }),
        None => Ok(()),
    }
}

/// Returns the path of the last of `nodes`, each of which is in the one before it.
pub(crate) fn path(nodes: &[impl Borrow<Node>]) -> String {
    let names: Vec<&str> = nodes.iter().skip(1).map(|node| node.borrow().name.as_str()).collect();
    format!("/{}", names.join("/"))
}

fn finish<'a>(
    name: &'a [u8],
    kind: &'static str,
    problem: Option<&'static str>,
) -> Result<&'a str, NameError> {
    let problem = if name.len() > MAX_NAME { Some("it is longer than 255 bytes") } else { problem };
    match (problem, std::str::from_utf8(name)) {
        (None, Ok(text)) => Ok(text),
        (problem, _) => {
            // A hostile name may be megabytes long; its beginning is enough to recognise it.
            let shown = name.get(..MAX_NAME).unwrap_or(name).escape_ascii().to_string();
            Err(NameError { name: shown, kind, problem: problem.unwrap_or("it is not text") })
        }
    }
}

fn problem(name: &[u8]) -> Option<&'static str> {
    // `dtc` also knows `*`, and `?` and `#` in the names of nodes.
    let is_known = |byte: &u8| byte.is_ascii_alphanumeric() || b",._+*#?-".contains(byte);
    if name.is_empty() {
        Some("it is empty")
    } else if !name.iter().all(is_known) {
        Some("it has other characters than letters, digits and `,._+*#?-`")
    } else {
        None
    }
}
