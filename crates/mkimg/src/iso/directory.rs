//! Directories as bytes: records that stay within sectors, and continuation areas behind them.

use super::SECTOR;
use super::date::short;
use super::hierarchy::{Hierarchy, Names, Place};
use super::record::{self, CONTINUED, DIRECTORY, Extent, MOST_EXTENT};
use super::susp::{self, Areas};
use crate::tree::{Content, Node, ROOT, Tree};

/// What is needed to write a directory. While nothing has a place yet, the sizes are right already.
pub(super) struct Listing<'a> {
    pub(super) tree: &'a Tree,
    pub(super) hierarchy: &'a Hierarchy,
    /// Where files are, by node.
    pub(super) starts: &'a [u32],
    /// By node.
    pub(super) serials: &'a [u32],
}

/// A directory as it is stored, both parts up to a whole sector.
pub(super) struct Encoded {
    pub(super) records: Vec<u8>,
    pub(super) areas: Vec<u8>,
}

/// Returns the extents of a file. One without content has an extent without bytes.
pub(super) fn extents(start: u32, size: u64) -> impl Iterator<Item = Extent> {
    let n_extents = size.div_ceil(MOST_EXTENT).max(1);
    (0..n_extents).map(move |index| {
        let before = index * MOST_EXTENT;
        // Sealing sees to it that the file lies where sectors have numbers.
        Extent {
            sector: start.wrapping_add((before / SECTOR as u64) as u32),
            size: (size - before).min(MOST_EXTENT) as u32,
        }
    })
}

impl Place {
    pub(super) fn extent(self) -> Extent {
        // A directory of 4 GiB would be one of an image that is too large.
        Extent { sector: self.start, size: self.sectors.wrapping_mul(SECTOR as u32) }
    }
}

impl Listing<'_> {
    /// Returns a directory, which is one by its place among all of them.
    pub(super) fn encode(&self, directory: usize) -> Encoded {
        let declared = &self.tree.directories[directory];
        let place = self.hierarchy.places[directory];
        let mut areas = Areas { start: place.start.wrapping_add(place.sectors), bytes: Vec::new() };
        let mut records = Vec::new();
        // Itself and the directory above have identifiers of one byte.
        for (identifier, node) in [(0, declared.node), (1, declared.parent)] {
            let is_root = identifier == 0 && node == ROOT;
            let system = self.system(node, None, is_root, &[identifier], &mut areas);
            let extent = self.place_of(node).extent();
            push(&mut records, &record::encode(&[identifier], extent, self.date(node), DIRECTORY, &system));
        }
        for entry in &self.hierarchy.entries[directory] {
            let name = self.tree.text(entry.name);
            let system = self.system(entry.node, Some(name), false, &entry.identifier, &mut areas);
            let date = self.date(entry.node);
            let mut add = |extent, flags| {
                push(&mut records, &record::encode(&entry.identifier, extent, date, flags, &system))
            };
            match self.tree.nodes[entry.node.index()].content {
                Content::Directory(_) => add(self.place_of(entry.node).extent(), DIRECTORY),
                Content::File { size } => {
                    let start = self.starts[entry.node.index()];
                    let mut extents = extents(start, size).peekable();
                    while let Some(extent) = extents.next() {
                        add(extent, if extents.peek().is_some() { CONTINUED } else { 0 });
                    }
                }
                _ => add(Extent { sector: 0, size: 0 }, 0),
            }
        }
        records.resize(records.len().next_multiple_of(SECTOR), 0);
        let mut areas = areas.bytes;
        areas.resize(areas.len().next_multiple_of(SECTOR), 0);
        Encoded { records, areas }
    }

    /// Returns the record of the root that a descriptor has.
    pub(super) fn root(&self) -> Vec<u8> {
        record::encode(&[0], self.hierarchy.places[0].extent(), self.date(ROOT), DIRECTORY, &[])
    }

    fn system(
        &self,
        node: Node,
        name: Option<&[u8]>,
        is_root: bool,
        identifier: &[u8],
        areas: &mut Areas,
    ) -> Vec<u8> {
        if self.hierarchy.names == Names::Joliet {
            return Vec::new();
        }
        let mut fields = susp::fields(self.tree, node, self.serials[node.index()], name);
        if is_root {
            fields.splice(0..0, susp::root_fields());
        }
        areas.divide(&fields, record::room(identifier))
    }

    fn place_of(&self, node: Node) -> Place {
        match self.tree.nodes[node.index()].content {
            Content::Directory(place) => self.hierarchy.places[place as usize],
            _ => Place::default(),
        }
    }

    fn date(&self, node: Node) -> [u8; 7] {
        short(self.tree.nodes[node.index()].metadata.mtime)
    }
}

/// Appends a record, in the next sector if it does not fit into this one (ECMA-119 6.8.1.1).
fn push(records: &mut Vec<u8>, record: &[u8]) {
    let used = records.len() % SECTOR;
    if used > 0 && used + record.len() > SECTOR {
        records.resize(records.len().next_multiple_of(SECTOR), 0);
    }
    records.extend_from_slice(record);
}
