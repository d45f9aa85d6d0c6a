//! A tree of directories as one kind of readers sees it: what the entries are called, and in which order they are.

use super::SECTOR;
use super::name::{self, Identifier};
use crate::tree::{Content, Node, Text, Tree};

/// Which readers a tree is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Those of ISO 9660, with Rock Ridge or without.
    Primary,
    /// Those of Joliet, who see files and directories only.
    Joliet,
}

/// What a directory has.
pub(super) struct Entry {
    pub(super) identifier: Identifier,
    pub(super) name: Text,
    pub(super) node: Node,
}

/// Where a directory is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// Its first sector.
    pub(super) start: u32,
    /// How many sectors its records have.
    pub(super) sectors: u32,
    /// How many sectors follow them, with continuation areas.
    pub(super) areas: u32,
}

/// A tree of directories. Vectors are by the place of a directory among those of the declared tree.
pub(super) struct Hierarchy {
    pub(super) names: Names,
    pub(super) entries: Vec<Vec<Entry>>,
    pub(super) places: Vec<Place>,
    /// What the path table calls a directory; the root is a byte of zero.
    identifiers: Vec<Identifier>,
    /// Directories in the order of the path table: by level, then by the directory above, then by identifier.
    pub(super) order: Vec<usize>,
    /// The number of each directory's parent in that order, from 1.
    parents: Vec<u16>,
}

impl Hierarchy {
    /// Names everything. There are no more directories than 16 bits can number.
    pub(super) fn new(tree: &Tree, names: Names) -> Hierarchy {
        let n_directories = tree.directories.len();
        let mut hierarchy = Hierarchy {
            names,
            entries: Vec::with_capacity(n_directories),
            places: vec![Place::default(); n_directories],
            identifiers: vec![vec![0]; n_directories],
            order: Vec::with_capacity(n_directories),
            parents: vec![1; n_directories],
        };
        for directory in &tree.directories {
            hierarchy.entries.push(entries(tree, &directory.entries, names));
        }
        hierarchy.order.push(0);
        let mut done = 0;
        while let Some(directory) = hierarchy.order.get(done).copied() {
            done += 1;
            for entry in &hierarchy.entries[directory] {
                if let Content::Directory(place) = tree.nodes[entry.node.index()].content {
                    let place = place as usize;
                    hierarchy.order.push(place);
                    hierarchy.parents[place] = u16::try_from(done).expect("there are few enough directories");
                    hierarchy.identifiers[place].clone_from(&entry.identifier);
                }
            }
        }
        hierarchy
    }

    /// Returns how many bytes the path table has.
    pub(super) fn table_len(&self) -> usize {
        self.identifiers.iter().map(|identifier| 8 + identifier.len().next_multiple_of(2)).sum()
    }

    /// Returns the path table (ECMA-119 9.4), in one of the two orders of bytes.
    pub(super) fn table(&self, is_big_endian: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.table_len().next_multiple_of(SECTOR));
        for directory in &self.order {
            let identifier = &self.identifiers[*directory];
            let (start, parent) = (self.places[*directory].start, self.parents[*directory]);
            bytes.extend_from_slice(&[identifier.len() as u8, 0]);
            if is_big_endian {
                bytes.extend_from_slice(&start.to_be_bytes());
                bytes.extend_from_slice(&parent.to_be_bytes());
            } else {
                bytes.extend_from_slice(&start.to_le_bytes());
                bytes.extend_from_slice(&parent.to_le_bytes());
            }
            bytes.extend_from_slice(identifier);
            if identifier.len() % 2 == 1 {
                bytes.push(0);
            }
        }
        bytes
    }
}

/// Names the entries of a directory and sorts them by these names.
fn entries(tree: &Tree, declared: &[(Text, Node)], names: Names) -> Vec<Entry> {
    let content = |node: Node| tree.nodes[node.index()].content;
    let is_directory = |node: Node| matches!(content(node), Content::Directory(_));
    let is_seen = |node: Node| {
        names == Names::Primary || is_directory(node) || matches!(content(node), Content::File { .. })
    };
    let seen: Vec<(Text, Node)> = declared.iter().copied().filter(|(_, node)| is_seen(*node)).collect();
    let pairs = seen.iter().map(|(name, node)| (tree.text(*name), is_directory(*node)));
    let identifiers = match names {
        Names::Primary => name::primary(pairs),
        Names::Joliet => name::joliet(pairs.map(|(name, _)| name)),
    };
    let mut entries: Vec<Entry> = seen
        .into_iter()
        .zip(identifiers)
        .map(|((name, node), identifier)| Entry { identifier, name, node })
        .collect();
    match names {
        Names::Primary => {
            entries.sort_by(|a, b| name::order(&a.identifier).cmp(&name::order(&b.identifier)));
        }
        Names::Joliet => entries.sort_by(|a, b| a.identifier.cmp(&b.identifier)),
    }
    entries
}
