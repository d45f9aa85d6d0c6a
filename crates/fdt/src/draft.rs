//! Edits, applied.
//!
//! References are settled last, so that an edit may refer to a node that a later one makes. Until then the cell
//! is 0, and the draft remembers where it is.

use std::collections::BTreeSet;

use crate::edit::{Edit, EditError, EditProblem, Labels, Part, Reference};
use crate::name::{MAX_DEPTH, node_name, path, property_name};
use crate::overlay::known_labels;
use crate::suggest::nearest;
use crate::tree::{Node, Tree, components};

/// The names under which a node keeps its own number: that of the specification, and an older one.
const PHANDLES: [&str; 2] = ["phandle", "linux,phandle"];

impl Tree {
    /// Returns the tree after all `edits`, applied in their order; `labels` are the names that references use. They stay
    /// with nodes that are renamed.
    ///
    /// Fails with the first edit that does not fit, then with the first reference that leads nowhere. Whether the
    /// result makes sense, [`check`](crate::check) says.
    pub fn edited(self, edits: &[Edit], labels: &Labels) -> Result<Tree, EditError> {
        let mut draft = Draft { tree: self, pending: Vec::new(), labels: labels.clone() };
        for edit in edits {
            draft.apply(edit).map_err(|source| EditError {
                doing: edit.to_string(),
                node: edit.node().into(),
                property: edit.property().map(Box::from),
                source,
            })?;
        }
        draft.settle()
    }
}

/// A tree with cells that are still to be filled.
struct Draft {
    tree: Tree,
    pending: Vec<Pending>,
    labels: Labels,
}

/// A cell that is to become a phandle.
struct Pending {
    /// Which child to take in each node on the way to the one that refers.
    node: Vec<usize>,
    property: String,
    offset: usize,
    reference: Reference,
}

impl Draft {
    fn apply(&mut self, edit: &Edit) -> Result<(), EditProblem> {
        match edit {
            Edit::SetProperty { node, property, value } => self.set(node, property, value),
            Edit::DeleteProperty { node, property } => self.delete_property(node, property),
            Edit::DeleteNode { node } => self.delete_node(node),
            Edit::RenameNode { node, name } => self.rename(node, name),
        }
    }

    fn set(&mut self, path: &str, property: &str, parts: &[Part]) -> Result<(), EditProblem> {
        property_name(property.as_bytes())?;
        let mut value = Vec::new();
        let mut references = Vec::new();
        for part in parts {
            match part {
                Part::U32(cells) => value.extend(cells.iter().flat_map(|cell| cell.to_be_bytes())),
                Part::U64(numbers) => value.extend(numbers.iter().flat_map(|number| number.to_be_bytes())),
                Part::String(string) if string.contains('\0') => return Err(EditProblem::Nul),
                Part::String(string) => value.extend(string.bytes().chain([0])),
                Part::Bytes(bytes) => value.extend_from_slice(bytes),
                Part::Phandle(_) if PHANDLES.contains(&property) => return Err(EditProblem::OwnPhandle),
                Part::Phandle(reference) => {
                    references.push((value.len(), reference.clone()));
                    value.extend([0; 4]);
                }
            }
        }
        let node = make(&mut self.tree, path)?;
        walk(&mut self.tree, &node).set(property, value);
        self.forget(&node, property);
        self.pending.extend(references.into_iter().map(|(offset, reference)| {
            let (node, property) = (node.clone(), property.to_owned());
            Pending { node, property, offset, reference }
        }));
        Ok(())
    }

    fn delete_property(&mut self, path: &str, property: &str) -> Result<(), EditProblem> {
        let indices = self.tree.locate(path)?;
        let node = walk(&mut self.tree, &indices);
        let names = || node.properties.iter().map(|property| property.name.as_str());
        let Some(index) = names().position(|name| name == property) else {
            let nearest = nearest(property, names()).map(str::to_owned);
            return Err(EditProblem::NoProperty { nearest });
        };
        node.properties.remove(index);
        self.forget(&indices, property);
        Ok(())
    }

    fn delete_node(&mut self, path: &str) -> Result<(), EditProblem> {
        let indices = self.tree.locate(path)?;
        let Some((last, above)) = indices.split_last() else { return Err(EditProblem::Root) };
        walk(&mut self.tree, above).children.remove(*last);
        self.pending.retain(|pending| !pending.node.starts_with(&indices));
        for pending in self.pending.iter_mut().filter(|pending| pending.node.starts_with(above)) {
            // The nodes behind it have moved up.
            if let Some(index) = pending.node.get_mut(above.len()).filter(|index| **index > *last) {
                *index -= 1;
            }
        }
        Ok(())
    }

    fn rename(&mut self, path: &str, name: &str) -> Result<(), EditProblem> {
        let name = node_name(name.as_bytes())?;
        let indices = self.tree.locate(path)?;
        let Some((last, above)) = indices.split_last() else { return Err(EditProblem::Root) };
        let siblings = &walk(&mut self.tree, above).children;
        if siblings.iter().enumerate().any(|(index, sibling)| index != *last && sibling.name == name) {
            return Err(EditProblem::Exists);
        }
        let name = name.to_owned();
        let old = path_of(&self.tree, &indices);
        walk(&mut self.tree, &indices).name = name;
        let new = path_of(&self.tree, &indices);
        for path in self.labels.values_mut() {
            if let Some(rest) = path.strip_prefix(&old)
                && (rest.is_empty() || rest.starts_with('/'))
            {
                *path = format!("{new}{rest}");
            }
        }
        Ok(())
    }

    /// Drops the references in a property that is replaced or deleted.
    fn forget(&mut self, node: &[usize], property: &str) {
        self.pending.retain(|pending| pending.node != node || pending.property != property);
    }

    /// Fills the cells that are left.
    fn settle(mut self) -> Result<Tree, EditError> {
        let mut used = BTreeSet::new();
        each_node(&self.tree.root, "", &mut |_, node| used.extend(node.phandle()));
        let mut free = (1..u32::MAX).filter(|phandle| !used.contains(phandle));
        for Pending { node, property, offset, reference } in self.pending {
            let target = match target(&self.tree, &reference, &self.labels) {
                Ok(indices) => walk(&mut self.tree, &indices),
                Err(source) => {
                    let node = path_of(&self.tree, &node);
                    let doing = format!("let `{property}` of `{node}` refer to `{reference}`");
                    return Err(EditError {
                        doing,
                        node: node.into(),
                        property: Some(property.into()),
                        source,
                    });
                }
            };
            let phandle = target.phandle().unwrap_or_else(|| {
                let phandle = free.next().expect("a tree in memory has fewer nodes than there are numbers");
                target.set("phandle", phandle.to_be_bytes().into());
                phandle
            });
            let properties = &mut walk(&mut self.tree, &node).properties;
            let waiting = properties.iter_mut().find(|waiting| waiting.name == property);
            let value = &mut waiting.expect("the draft forgets the properties that are gone").value;
            value[offset..offset + 4].copy_from_slice(&phandle.to_be_bytes());
        }
        Ok(self.tree)
    }
}

/// Returns where the node that `reference` means is.
fn target(tree: &Tree, reference: &Reference, labels: &Labels) -> Result<Vec<usize>, EditProblem> {
    let label = match reference {
        Reference::Path(path) => return Ok(tree.locate(path)?),
        Reference::Label(label) => label,
    };
    if let Some(path) = labels.get(label) {
        return Ok(tree.locate(path)?);
    }
    // Somebody may have taken a node's name for its label.
    let mut similar = None;
    each_node(&tree.root, "", &mut |path, node| {
        if similar.is_none() && !path.is_empty() && nearest(label, [node.base_name()]).is_some() {
            similar = Some(path.to_owned());
        }
    });
    let is_slip = nearest(label, labels.keys().map(String::as_str)).is_some();
    let help = match similar.filter(|_| !is_slip) {
        Some(path) => Some(format!("did you mean `{path}`?")),
        None if labels.is_empty() => None,
        None => Some(known_labels(label, labels.keys())),
    };
    Err(EditProblem::UnknownLabel { label: label.clone(), help })
}

/// Returns where the node at `path` is. What is missing is made.
fn make(tree: &mut Tree, path: &str) -> Result<Vec<usize>, EditProblem> {
    let names = components(path)?;
    if names.len() >= MAX_DEPTH {
        return Err(EditProblem::Depth);
    }
    let mut indices = Vec::new();
    for name in names {
        let above = path_of(tree, &indices);
        let node = walk(tree, &indices);
        indices.push(match node.child_index(name, above.trim_end_matches('/'))? {
            Some(index) => index,
            None => {
                let name = node_name(name.as_bytes())?.to_owned();
                node.children.push(Node { name, ..Node::default() });
                node.children.len() - 1
            }
        });
    }
    Ok(indices)
}

/// Returns the node to which `indices` lead.
fn walk<'a>(tree: &'a mut Tree, indices: &[usize]) -> &'a mut Node {
    indices.iter().fold(&mut tree.root, |node, index| &mut node.children[*index])
}

/// Returns the path of the node to which `indices` lead.
fn path_of(tree: &Tree, indices: &[usize]) -> String {
    let mut nodes = vec![&tree.root];
    for index in indices {
        nodes.push(&nodes[nodes.len() - 1].children[*index]);
    }
    path(&nodes)
}

/// Calls `visit` with every node and its path, in which the root's is empty, a node before those in it.
fn each_node(node: &Node, path: &str, visit: &mut impl FnMut(&str, &Node)) {
    visit(path, node);
    for child in &node.children {
        each_node(child, &format!("{path}/{}", child.name), visit);
    }
}
