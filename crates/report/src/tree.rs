//! Files by their directories, each with what it takes.

use std::collections::BTreeMap;

/// A directory, a file, or something of an image that is neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name in the one above.
    pub(crate) name: String,
    /// How many bytes it takes, with everything in it.
    pub(crate) bytes: u64,
    /// Whether it is no file and no directory: what describes files, what is free.
    pub(crate) is_rest: bool,
    /// What is in it, the largest first.
    pub(crate) children: Vec<usize>,
    /// The one above; the root is above itself.
    pub(crate) parent: usize,
}

/// Nodes, the root first, each after the one above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree(pub(crate) Vec<Node>);

impl Tree {
    /// Returns the tree of paths and what is at each. Paths are relative; some may be neither files nor directories.
    pub(crate) fn of<'p>(files: impl Iterator<Item = (&'p str, u64, bool)>) -> Tree {
        let mut nodes = vec![node("", 0, false)];
        let mut known: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for (path, bytes, is_rest) in files {
            let mut at = 0;
            nodes[0].bytes = nodes[0].bytes.saturating_add(bytes);
            for name in path.split('/').filter(|name| !name.is_empty()) {
                at = match known.get(&(at, name)) {
                    Some(found) => *found,
                    None => {
                        nodes.push(node(name, at, false));
                        let new = nodes.len() - 1;
                        known.insert((at, name), new);
                        nodes[at].children.push(new);
                        new
                    }
                };
                nodes[at].bytes = nodes[at].bytes.saturating_add(bytes);
            }
            nodes[at].is_rest |= is_rest;
        }
        let mut tree = Tree(nodes);
        for at in 0..tree.0.len() {
            let mut children = std::mem::take(&mut tree.0[at].children);
            children.sort_by(|a, b| {
                let (a, b) = (&tree.0[*a], &tree.0[*b]);
                b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name))
            });
            tree.0[at].children = children;
        }
        tree
    }

    /// Returns the path of a node with a slash in front.
    pub(crate) fn path(&self, at: usize) -> String {
        let mut names = Vec::new();
        let mut at = at;
        while at != 0 {
            names.push(self.0[at].name.as_str());
            at = self.0[at].parent;
        }
        names.reverse();
        format!("/{}", names.join("/"))
    }

    /// Returns the tree without what is too small to be seen: of every directory at most `most` children have a node of
    /// their own, and none that has less than `least` bytes. The others are one.
    pub(crate) fn pruned(&self, most: usize, least: u64) -> Tree {
        let mut nodes = vec![Node { children: Vec::new(), ..self.0[0].clone() }];
        let mut pending = vec![(0, 0)];
        while let Some((from, to)) = pending.pop() {
            let (mut small, mut n_small) = (0_u64, 0);
            for (idx, child) in self.0[from].children.iter().enumerate() {
                let child_node = &self.0[*child];
                if idx >= most || child_node.bytes < least.max(1) {
                    small = small.saturating_add(child_node.bytes);
                    n_small += 1;
                    continue;
                }
                nodes.push(Node { children: Vec::new(), parent: to, ..child_node.clone() });
                let new = nodes.len() - 1;
                nodes[to].children.push(new);
                pending.push((*child, new));
            }
            if small > 0 {
                let name = if n_small == 1 { "1 more".to_owned() } else { format!("{n_small} more") };
                nodes.push(Node { bytes: small, is_rest: true, ..node(&name, to, true) });
                let new = nodes.len() - 1;
                // It is often larger than the last of the others.
                let place = nodes[to].children.iter().position(|child| nodes[*child].bytes < small);
                let place = place.unwrap_or(nodes[to].children.len());
                nodes[to].children.insert(place, new);
            }
        }
        Tree(nodes)
    }
}

fn node(name: &str, parent: usize, is_rest: bool) -> Node {
    Node { name: name.to_owned(), bytes: 0, is_rest, children: Vec::new(), parent }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let files = [
            ("usr/lib/a", 50, false),
            ("usr/lib/b", 70, false),
            ("usr/bin/c", 30, false),
            ("metadata", 9, true),
        ];
        Tree::of(files.into_iter())
    }

    #[test]
    fn directories_have_what_is_in_them_and_the_largest_come_first() {
        let tree = tree();
        assert_eq!(tree.0[0].bytes, 159);
        let names: Vec<(&str, u64)> = tree.0[0]
            .children
            .iter()
            .map(|child| (tree.0[*child].name.as_str(), tree.0[*child].bytes))
            .collect();
        assert_eq!(names, [("usr", 150), ("metadata", 9)]);
        let b = tree.0.iter().position(|node| node.name == "b").unwrap();
        assert_eq!(tree.path(b), "/usr/lib/b");
        assert_eq!(tree.0[tree.0[b].parent].children[0], b);
    }

    #[test]
    fn what_is_small_is_one() {
        let pruned = tree().pruned(1, 40);
        let names: Vec<(&str, u64)> = pruned.0.iter().map(|node| (node.name.as_str(), node.bytes)).collect();
        assert_eq!(
            names,
            [("", 159), ("usr", 150), ("1 more", 9), ("lib", 120), ("1 more", 30), ("b", 70), ("1 more", 50)]
        );
    }
}
