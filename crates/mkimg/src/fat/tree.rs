//! Declaring: what FAT has not is found when the tree is sealed, all of it at once, and everything gets a short name.

use std::collections::BTreeMap;

use super::error::{Error, Reason, Unfit};
use super::image::Image;
use super::name::{self, Name};
use super::options::Options;
use super::time::DosTime;
use crate::tree::{self, Content, Limits, Metadata, Node, Timestamp};

/// What a tree is to become.
pub struct Fat {
    options: Options,
}

/// Collects what will be in a file system, which keeps no owners and modes.
pub type Builder = tree::Builder<Fat>;

impl Builder {
    /// Returns the builder of an empty file system.
    pub fn new(options: Options) -> Result<Builder, Error> {
        options.check()?;
        let epoch = Timestamp::saturating(options.epoch);
        let (name, target) = (usize::from(u16::MAX), usize::from(u16::MAX));
        let limits = Limits { name, target, file: u64::MAX, links: 1, reserved: None };
        Ok(tree::Builder::start(Fat { options }, limits, epoch))
    }

    /// Fixes the layout. Fails with everything that FAT has not, or because it does not fit.
    pub fn seal(self) -> Result<Image, Error> {
        let (format, tree) = self.finish()?;
        let mut unfit = Vec::new();
        let mut names = BTreeMap::new();
        for directory in &tree.directories {
            name_entries(&tree, directory, &mut names, &mut unfit);
        }
        if !unfit.is_empty() {
            unfit.sort_by(|a, b| a.path.cmp(&b.path));
            return Err(Error::Unfit(unfit));
        }
        let names = names.into_values().collect();
        Image::new(format.options, Tree { tree, names })
    }
}

/// Gives names to what is in one directory, and notes what cannot be.
fn name_entries(
    tree: &tree::Tree,
    directory: &tree::Directory,
    names: &mut BTreeMap<Node, Name>,
    unfit: &mut Vec<Unfit>,
) {
    let mut seen: BTreeMap<Vec<u16>, &[u8]> = BTreeMap::new();
    let (mut kept, mut units) = (Vec::new(), Vec::new());
    for (name, child) in &directory.entries {
        let name = tree.text(*name);
        let path_of = |name: &[u8]| tree.path_in(directory.node, name);
        let reason = match refusal(tree.nodes[child.index()].content) {
            Some(reason) => reason,
            None => match name::units(name) {
                Ok(found) => match seen.insert(name::folded(&found), name) {
                    None => {
                        kept.push(*child);
                        units.push(found);
                        continue;
                    }
                    Some(other) => Reason::Clash { other: path_of(other) },
                },
                Err(reason) => reason,
            },
        };
        unfit.push(Unfit { path: path_of(name), reason });
    }
    names.extend(kept.into_iter().zip(name::assign(&units)));
}

/// Says why FAT cannot have something, whatever its name is.
fn refusal(content: Content) -> Option<Reason> {
    let what = match content {
        Content::Directory(_) => return None,
        Content::File { size } if u32::try_from(size).is_ok() => return None,
        Content::File { size } => return Some(Reason::TooLarge { size }),
        Content::Symlink(_) => "symbolic links",
        Content::CharDevice { .. } | Content::BlockDevice { .. } => "devices",
        Content::Fifo => "named pipes",
        Content::Socket => "sockets",
    };
    Some(Reason::Kind { what })
}

/// A tree in which everything has a name and is something that FAT has.
pub(super) struct Tree {
    pub(super) tree: tree::Tree,
    /// By node, without the root.
    names: Vec<Name>,
}

impl Tree {
    pub(super) fn name(&self, node: Node) -> &Name {
        // The root has no name, and all others have one once the tree is sealed.
        &self.names[node.index() - 1]
    }

    /// Returns the size of a file; a directory has none.
    pub(super) fn size(&self, node: Node) -> Option<u32> {
        match self.tree.nodes[node.index()].content {
            Content::File { size } => Some(u32::try_from(size).expect("larger files were refused")),
            _ => None,
        }
    }

    pub(super) fn modified(&self, node: Node) -> DosTime {
        let Metadata { mtime, .. } = self.tree.nodes[node.index()].metadata;
        DosTime::from_unix(mtime.seconds())
    }

    /// Returns all nodes in the order of their paths, each directory before what is in it.
    pub(super) fn in_order(&self) -> Vec<Node> {
        let mut ordered = Vec::with_capacity(self.tree.nodes.len());
        let mut pending = vec![tree::ROOT];
        while let Some(node) = pending.pop() {
            ordered.push(node);
            if let Some(directory) = self.tree.directory(node) {
                pending.extend(directory.entries.iter().rev().map(|(_, child)| child));
            }
        }
        ordered
    }
}
