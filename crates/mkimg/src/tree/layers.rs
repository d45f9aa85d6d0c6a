//! Declares what is in merged layers.

use std::collections::BTreeMap;
use std::io;

use layer::{Extent, NodeId, NodeKind};

use super::{Builder, Error, Metadata, Node, ROOT, Timestamp};
use crate::contents::Placed;
use crate::earlier::{Earlier, Place, Source};

/// Extended attributes by their full names.
pub(crate) type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Where the contents of files are in the layers.
pub(crate) struct Contents<'a> {
    tree: &'a layer::Tree,
    /// By handle; what is no file has none.
    extents: Vec<Option<Extent>>,
    /// The layers as inputs with known digests, if they are any.
    sources: Vec<Option<Source>>,
}

impl Contents<'_> {
    /// Takes note of what is known of the layers.
    pub(crate) fn identify(&mut self, earlier: &Earlier) {
        self.sources = self.tree.layers().iter().map(|layer| earlier.source(layer.name())).collect();
    }

    fn extent(&self, node: Node) -> Extent {
        self.extents.get(node.index()).copied().flatten().expect("only files have contents")
    }
}

impl crate::contents::Contents for Contents<'_> {
    fn read(&self, node: Node, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.tree.read_content_at(self.extent(node), buffer, offset)
    }
}

impl Placed for Contents<'_> {
    fn place(&self, node: Node, offset: u64) -> Option<Place> {
        let extent = self.extent(node);
        let source = self.sources.get(extent.layer).copied().flatten()?;
        Some(Place { source, offset: extent.offset + offset })
    }
}

/// What becomes of a file that has several names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HardLinks {
    /// One inode has them all.
    Kept,
    /// The format has no such thing: there are as many files.
    Copied,
}

impl<F> Builder<F> {
    /// Declares everything in `tree`. `set_xattrs` is told the attributes of what has some.
    pub(crate) fn declare<'a, E: From<Error>>(
        &mut self,
        tree: &'a layer::Tree,
        hard_links: HardLinks,
        set_xattrs: impl Fn(&mut Builder<F>, Node, &Xattrs) -> Result<(), E>,
    ) -> Result<Contents<'a>, E> {
        let mut directories: BTreeMap<&[u8], Node> = BTreeMap::new();
        let mut nodes: BTreeMap<NodeId, Node> = BTreeMap::new();
        let mut extents = Vec::new();
        for item in tree.items() {
            let parent = match item.path.parent_bytes() {
                Some(parent) => directories[parent],
                None => ROOT,
            };
            let name = item.path.file_name();
            if item.is_further_link() && hard_links == HardLinks::Kept {
                self.link(parent, name, nodes[&item.id])?;
                continue;
            }
            let metadata = &item.node.metadata;
            let inode = Metadata {
                mode: u16::try_from(metadata.mode).expect("a tree's modes have twelve bits"),
                uid: metadata.uid,
                gid: metadata.gid,
                mtime: Timestamp::saturating(metadata.mtime),
            };
            let mut extent = None;
            let node = match &item.node.kind {
                NodeKind::Directory => {
                    let node = self.directory(parent, name, inode)?;
                    directories.insert(item.path.as_bytes(), node);
                    node
                }
                NodeKind::File(contents) => {
                    extent = Some(*contents);
                    let node = self.file(parent, name, inode, contents.size)?;
                    self.tree.nodes[node.index()].layer = u32::try_from(contents.layer).unwrap_or(u32::MAX);
                    node
                }
                NodeKind::Symlink { target } => self.symlink(parent, name, inode, target)?,
                NodeKind::CharDevice { major, minor } => {
                    self.char_device(parent, name, inode, (*major, *minor))?
                }
                NodeKind::BlockDevice { major, minor } => {
                    self.block_device(parent, name, inode, (*major, *minor))?
                }
                NodeKind::Fifo => self.fifo(parent, name, inode)?,
            };
            if extent.is_some() {
                extents.resize(node.index(), None);
                extents.push(extent);
            }
            if !metadata.xattrs.is_empty() {
                set_xattrs(self, node, &metadata.xattrs)?;
            }
            if item.node.links > 1 {
                nodes.insert(item.id, node);
            }
        }
        Ok(Contents { tree, extents, sources: Vec::new() })
    }
}
