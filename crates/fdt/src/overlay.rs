//! Overlays, applied: blobs that `dtc -@` makes of source with `/plugin/`, in the form that its documentation describes
//! (`dt-object-internal.txt`) and that Linux and U-Boot take.

use std::collections::BTreeMap;

use crate::suggest::nearest;
use crate::tree::{Node, PathError, Property, Tree, cell};

/// By label, the paths of nodes of a base; in an overlay, of its own.
const SYMBOLS: &str = "__symbols__";
/// By label of the base, where in the overlay its phandle belongs: `PATH:PROPERTY:OFFSET`.
const FIXUPS: &str = "__fixups__";
/// The overlay's nodes and properties again, with the offsets at which these have phandles of the overlay.
const LOCAL_FIXUPS: &str = "__local_fixups__";
/// What a fragment lays over its target.
const CONTENT: &str = "__overlay__";

/// The names under which a node keeps its own number.
const PHANDLES: [&str; 2] = ["phandle", "linux,phandle"];

/// An overlay that does not fit its base.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// No fragment: a tree of its own.
    #[error("it is not an overlay: no node of its root has `__overlay__`")]
    NoFragment,
    /// The base tells no labels.
    #[error("it refers to `&{label}`, and the tree below it tells no labels: it has no `__symbols__`")]
    NoSymbols {
        /// The label.
        label: String,
    },
    /// The base has no such label.
    #[error("it refers to `&{label}`, which the tree below it has not")]
    UnknownLabel {
        /// The label.
        label: String,
        /// One that may have been meant, or some that there are.
        help: String,
    },
    /// The label, or the path that a fragment names, leads nowhere.
    #[error("`{what}` leads nowhere in the tree below it")]
    Target {
        /// The label, or the fragment.
        what: String,
        /// Why not.
        source: PathError,
    },
    /// A fragment that does not say what it changes.
    #[error("its `{fragment}` says neither by `target` nor by `target-path` which node it changes")]
    NoTarget {
        /// The fragment.
        fragment: String,
    },
    /// What `dtc` does not make.
    #[error("its `{place}` is damaged")]
    Damaged {
        /// Where.
        place: String,
    },
    /// More nodes than there are numbers.
    #[error("there are no free phandles")]
    Full,
}

impl OverlayError {
    /// Returns what can be done about it.
    pub fn help(&self) -> Option<String> {
        match self {
            OverlayError::NoFragment => {
                Some("an overlay is source with `/plugin/;`, compiled by `dtc -@`".to_owned())
            }
            OverlayError::NoSymbols { .. } => Some("compile that tree by `dtc -@`, too".to_owned()),
            OverlayError::UnknownLabel { help, .. } => Some(help.clone()),
            OverlayError::Target { source, .. } => source.help(),
            _ => None,
        }
    }
}

/// By number, which child to take in each node on the way to the first node that has it.
type Numbers = BTreeMap<u32, Vec<usize>>;

impl Tree {
    /// Returns the paths of nodes by their labels, if the tree tells them in `/__symbols__`. What is no path is left out.
    pub fn symbols(&self) -> BTreeMap<String, String> {
        let Ok(symbols) = self.node(&format!("/{SYMBOLS}")) else { return BTreeMap::new() };
        let symbols = symbols.properties.iter().filter_map(|symbol| {
            let path = std::str::from_utf8(symbol.value.strip_suffix(&[0])?).ok()?;
            Some((symbol.name.clone(), path.to_owned()))
        });
        symbols.collect()
    }

    /// Returns the tree without `/__symbols__`.
    pub fn without_symbols(mut self) -> Tree {
        self.root.children.retain(|child| child.name != SYMBOLS);
        self
    }

    /// Returns the tree with the fragments of `overlay` laid over it, in their order. Phandles of the overlay are moved
    /// behind those of the tree, except that nodes of the tree keep theirs. Labels of the overlay become labels of the
    /// result.
    pub fn overlaid(mut self, mut overlay: Tree) -> Result<Tree, OverlayError> {
        if fragments(&overlay.root).next().is_none() {
            return Err(OverlayError::NoFragment);
        }
        let take = |overlay: &mut Tree, name: &str| {
            let place = overlay.root.children.iter().position(|child| child.name == name);
            place.map(|place| overlay.root.children.remove(place))
        };
        let [fixups, local, symbols] = [FIXUPS, LOCAL_FIXUPS, SYMBOLS].map(|name| take(&mut overlay, name));
        let delta = highest(&self.root);
        move_phandles(&mut overlay.root, delta)?;
        if let Some(local) = &local {
            each_local(local, &mut overlay.root, "", &mut |phandle| phandle.checked_add(delta))?;
        }
        if let Some(fixups) = fixups {
            self.resolve(&fixups, &mut overlay)?;
        }
        // What the overlay calls nodes of the tree by numbers of its own has to follow theirs.
        let mut same = BTreeMap::new();
        let mut numbers = Numbers::new();
        each_node(&self.root, &mut Vec::new(), &mut |place, node| number(place, node, &mut numbers));
        for (fragment, content) in fragments(&overlay.root) {
            // An earlier fragment may yet make the target of a later one.
            if let Ok(target) = self.target_of(fragment, &numbers) {
                common(content, walk(&mut self.root, &target), &mut same);
            }
        }
        if let (Some(local), false) = (&local, same.is_empty()) {
            let mut keep = |phandle: u32| Some(same.get(&phandle).copied().unwrap_or(phandle));
            each_local(local, &mut overlay.root, "", &mut keep)?;
        }
        let mut targets = BTreeMap::new();
        for (fragment, content) in fragments(&overlay.root) {
            let target = self.target_of(fragment, &numbers)?;
            merge(content, walk(&mut self.root, &target), &mut target.clone(), &mut numbers);
            targets.insert(fragment.name.as_str(), self.path_to(&target));
        }
        let mut labels = Vec::new();
        for symbol in symbols.into_iter().flat_map(|symbols| symbols.properties) {
            let path = symbol.value.strip_suffix(&[0]).and_then(|path| std::str::from_utf8(path).ok());
            let Some(path) = path.and_then(|path| path.strip_prefix('/')) else {
                return Err(OverlayError::Damaged { place: format!("/{SYMBOLS}/{}", symbol.name) });
            };
            let within = path.split_once('/').and_then(|(fragment, rest)| {
                let rest =
                    rest.strip_prefix(CONTENT).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
                Some((fragment, rest))
            });
            // A fragment itself and what lies dormant in one can have labels, too, and is nowhere in the tree.
            let Some((fragment, rest)) = within else { continue };
            let Some(target) = targets.get(fragment) else {
                return Err(OverlayError::Damaged { place: format!("/{SYMBOLS}/{}", symbol.name) });
            };
            let target = target.trim_end_matches('/');
            let path =
                if rest.is_empty() && target.is_empty() { "/".to_owned() } else { format!("{target}{rest}") };
            labels.push(Property {
                name: symbol.name,
                value: path.into_bytes().into_iter().chain([0]).collect(),
            });
        }
        if !labels.is_empty() {
            set_all(child(&mut self.root, SYMBOLS), labels);
        }
        Ok(self)
    }

    /// Puts the phandles of this tree's nodes where the overlay wants them.
    fn resolve(&mut self, fixups: &Node, overlay: &mut Tree) -> Result<(), OverlayError> {
        let symbols = self.symbols();
        // No number in the overlay becomes higher by what is put there.
        let mut last = highest(&self.root).max(highest(&overlay.root));
        for fixup in &fixups.properties {
            let label = &fixup.name;
            let Some(path) = symbols.get(label) else {
                return Err(match symbols.is_empty() {
                    true => OverlayError::NoSymbols { label: label.clone() },
                    false => OverlayError::UnknownLabel {
                        label: label.clone(),
                        help: known_labels(label, symbols.keys()),
                    },
                });
            };
            let node = self
                .locate(path)
                .map_err(|source| OverlayError::Target { what: format!("&{label}"), source })?;
            let phandle = match walk(&mut self.root, &node).phandle() {
                Some(phandle) => phandle,
                None => {
                    last = last.checked_add(1).filter(|free| *free != u32::MAX).ok_or(OverlayError::Full)?;
                    walk(&mut self.root, &node).set("phandle", last.to_be_bytes().into());
                    last
                }
            };
            let damaged = || OverlayError::Damaged { place: format!("/{FIXUPS}/{label}") };
            let places = fixup.value.strip_suffix(&[0]).and_then(|text| std::str::from_utf8(text).ok());
            for place in places.ok_or_else(damaged)?.split('\0') {
                let mut parts = place.split(':');
                let (Some(path), Some(property), Some(offset), None) =
                    (parts.next(), parts.next(), parts.next(), parts.next())
                else {
                    return Err(damaged());
                };
                let node = overlay.locate(path).map_err(|_| damaged())?;
                let offset = offset.parse().map_err(|_| damaged())?;
                let node = walk(&mut overlay.root, &node);
                *cell_at(node, property, offset).ok_or_else(damaged)? = phandle.to_be_bytes();
            }
        }
        Ok(())
    }

    /// Returns where the node is that a fragment changes.
    fn target_of(&self, fragment: &Node, numbers: &Numbers) -> Result<Vec<usize>, OverlayError> {
        let what = || format!("/{}", fragment.name);
        if let Some(phandle) = fragment.property("target").and_then(cell) {
            let found = numbers.get(&phandle).cloned();
            return found.ok_or_else(|| OverlayError::Damaged { place: format!("{}/target", what()) });
        }
        let path = fragment.property("target-path").and_then(|path| path.strip_suffix(&[0]));
        let path = path.and_then(|path| std::str::from_utf8(path).ok());
        let path = path.ok_or_else(|| OverlayError::NoTarget { fragment: fragment.name.clone() })?;
        self.locate(path).map_err(|source| OverlayError::Target { what: what(), source })
    }

    fn path_to(&self, indices: &[usize]) -> String {
        let mut node = &self.root;
        let mut path = String::new();
        for index in indices {
            node = &node.children[*index];
            path = format!("{path}/{}", node.name);
        }
        path
    }
}

/// Says which label was probably meant, or which there are.
pub(crate) fn known_labels<'a>(label: &str, known: impl Iterator<Item = &'a String> + Clone) -> String {
    /// So many can be looked over.
    const SHOWN: usize = 12;
    if let Some(nearest) = nearest(label, known.clone().map(String::as_str)) {
        return format!("did you mean `{nearest}`?");
    }
    let n_known = known.clone().count();
    let list: Vec<String> = known.take(SHOWN).map(|known| format!("`{known}`")).collect();
    let more = if n_known > SHOWN { ", …" } else { "" };
    format!("known labels: {}{more}", list.join(", "))
}

/// Returns the highest number that a node has.
fn highest(node: &Node) -> u32 {
    let below = node.children.iter().map(highest).max().unwrap_or(0);
    node.phandle().unwrap_or(0).max(below)
}

fn move_phandles(node: &mut Node, delta: u32) -> Result<(), OverlayError> {
    for property in &mut node.properties {
        if PHANDLES.contains(&property.name.as_str())
            && let Some(phandle) = cell(&property.value)
        {
            let moved = phandle.checked_add(delta).filter(|moved| *moved != u32::MAX);
            property.value = moved.ok_or(OverlayError::Full)?.to_be_bytes().into();
        }
    }
    node.children.iter_mut().try_for_each(|child| move_phandles(child, delta))
}

/// Changes every phandle of the overlay at the places that `local` lists, which mirrors `node`.
fn each_local(
    local: &Node,
    node: &mut Node,
    place: &str,
    change: &mut impl FnMut(u32) -> Option<u32>,
) -> Result<(), OverlayError> {
    let place = &format!("{place}/{}", local.name);
    for offsets in &local.properties {
        let damaged = || OverlayError::Damaged { place: format!("{place}/{}", offsets.name) };
        for offset in offsets.value.chunks(4) {
            let offset = cell(offset).ok_or_else(damaged)?;
            let bytes = cell_at(node, &offsets.name, offset as usize).ok_or_else(damaged)?;
            *bytes = change(u32::from_be_bytes(*bytes)).ok_or(OverlayError::Full)?.to_be_bytes();
        }
    }
    for (child, index) in shared(local, node) {
        let Some(index) = index else {
            return Err(OverlayError::Damaged { place: format!("{place}/{}", child.name) });
        };
        each_local(child, &mut node.children[index], place, change)?;
    }
    Ok(())
}

/// Returns four bytes of a property.
fn cell_at<'a>(node: &'a mut Node, property: &str, offset: usize) -> Option<&'a mut [u8; 4]> {
    let property = node.properties.iter_mut().find(|other| other.name == property)?;
    property.value.get_mut(offset..)?.first_chunk_mut()
}

/// Collects the numbers of nodes that both trees number, from those of the overlay to those of the base.
fn common(content: &Node, target: &Node, same: &mut BTreeMap<u32, u32>) {
    if let (Some(from), Some(to)) = (content.phandle(), target.phandle()) {
        same.insert(from, to);
    }
    for (child, index) in shared(content, target) {
        if let Some(index) = index {
            common(child, &target.children[index], same);
        }
    }
}

/// Lays a node's properties and children over another node at `place`, which keeps its number. Numbers that it gets become
/// known.
fn merge(content: &Node, target: &mut Node, place: &mut Vec<usize>, numbers: &mut Numbers) {
    let is_numbered = target.phandle().is_some();
    let is_kept = |property: &&Property| is_numbered && PHANDLES.contains(&property.name.as_str());
    set_all(target, content.properties.iter().filter(|property| !is_kept(property)).cloned().collect());
    number(place, target, numbers);
    for (node, index) in shared(content, target) {
        let index = index.unwrap_or_else(|| {
            target.children.push(Node { name: node.name.clone(), ..Node::default() });
            target.children.len() - 1
        });
        place.push(index);
        merge(node, &mut target.children[index], place, numbers);
        place.pop();
    }
}

/// Notes the number of the node at `place`, if it has one that no other has.
fn number(place: &[usize], node: &Node, numbers: &mut Numbers) {
    if let Some(phandle) = node.phandle() {
        numbers.entry(phandle).or_insert_with(|| place.to_vec());
    }
}

/// So many are looked for one by one; of more, both nodes may have thousands.
const FEW: usize = 8;

/// Gives a node these properties, each in its place or behind the others.
fn set_all(node: &mut Node, properties: Vec<Property>) {
    if properties.len() <= FEW {
        return properties.into_iter().for_each(|property| node.set(&property.name, property.value));
    }
    let own = node.properties.iter().enumerate().rev();
    let mut places: BTreeMap<String, usize> =
        own.map(|(place, property)| (property.name.clone(), place)).collect();
    for property in properties {
        match places.get(&property.name) {
            Some(place) => node.properties[*place].value = property.value,
            None => {
                places.insert(property.name.clone(), node.properties.len());
                node.properties.push(property);
            }
        }
    }
}

/// Returns the children of `of`, each with the place of that with the same name in `node`, if there is one.
fn shared<'a>(of: &'a Node, node: &Node) -> Vec<(&'a Node, Option<usize>)> {
    let find = |name: &str| node.children.iter().position(|child| child.name == name);
    if of.children.len() <= FEW {
        return of.children.iter().map(|child| (child, find(&child.name))).collect();
    }
    let places: BTreeMap<&str, usize> =
        node.children.iter().enumerate().rev().map(|(place, child)| (child.name.as_str(), place)).collect();
    of.children.iter().map(|child| (child, places.get(child.name.as_str()).copied())).collect()
}

/// Returns the fragments, each with what it lays over its target.
fn fragments(root: &Node) -> impl Iterator<Item = (&Node, &Node)> {
    let content = |fragment: &Node| fragment.children.iter().position(|child| child.name == CONTENT);
    root.children.iter().filter_map(move |fragment| Some((fragment, &fragment.children[content(fragment)?])))
}

/// Returns the child of that name, which is made if there is none.
fn child<'a>(node: &'a mut Node, name: &str) -> &'a mut Node {
    let index = node.children.iter().position(|child| child.name == name).unwrap_or_else(|| {
        node.children.push(Node { name: name.to_owned(), ..Node::default() });
        node.children.len() - 1
    });
    &mut node.children[index]
}

fn walk<'a>(root: &'a mut Node, indices: &[usize]) -> &'a mut Node {
    indices.iter().fold(root, |node, index| &mut node.children[*index])
}

fn each_node(node: &Node, indices: &mut Vec<usize>, visit: &mut impl FnMut(&[usize], &Node)) {
    visit(indices, node);
    for (index, child) in node.children.iter().enumerate() {
        indices.push(index);
        each_node(child, indices, visit);
        indices.pop();
    }
}
