//! Lays layers on each other, with the semantics of OCI images.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::entry::{Entry, Kind, Metadata};
use crate::path::EntryPath;
use crate::reader::{Located, ReadError};
use crate::tree::{Extent, Layer, Node, NodeId, NodeKind, Tree, below};

/// The tree could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A layer could not be read.
    #[error("could not read layer `{layer}`")]
    Layer {
        /// The layer's name.
        layer: String,
        /// What is wrong with it.
        source: ReadError,
    },
    /// Lower layers have something else where a path of this layer needs a directory.
    #[error(
        "`{path}` of layer `{layer}` lies below `{parent}`, which is {what} in a layer below; \
         a layer that wants a directory there must say so"
    )]
    Parent {
        /// The path.
        path: EntryPath,
        /// What is above it.
        parent: EntryPath,
        /// What that is.
        what: &'static str,
        /// The layer's name.
        layer: String,
    },
    /// More than 2^32 hard links.
    #[error("`{path}` has too many hard links")]
    Links {
        /// The first path.
        path: EntryPath,
    },
}

/// A tree that layers are still being laid on. Inodes that lost their last path stay until it is sealed.
#[derive(Default)]
pub(crate) struct Merge {
    nodes: Vec<Node>,
    paths: BTreeMap<EntryPath, NodeId>,
}

impl Merge {
    pub(crate) fn apply(&mut self, layer_idx: usize, layer: &Layer) -> Result<(), TreeError> {
        let layer_error = |source| TreeError::Layer { layer: layer.name().to_owned(), source };
        let reader = layer.entries().map_err(layer_error)?;
        let entries: Vec<Located> = reader.collect::<Result<_, _>>().map_err(layer_error)?;
        // Whiteouts are about lower layers only, wherever they stand in their own.
        for located in &entries {
            match located.entry.kind {
                Kind::Whiteout => self.remove(&located.entry.path),
                Kind::OpaqueDirectory => self.remove_below(&located.entry.path),
                _ => {}
            }
        }
        for located in entries {
            let extent = Extent { layer: layer_idx, offset: located.offset, size: located.entry.size() };
            self.place(located.entry, extent, layer)?;
        }
        Ok(())
    }

    fn remove(&mut self, path: &EntryPath) {
        if let Some(id) = self.paths.remove(path)
            && self.nodes[id.0].kind == NodeKind::Directory
        {
            self.remove_below(path);
        }
    }

    fn remove_below(&mut self, path: &EntryPath) {
        let (start, end) = below(path);
        let range = (Bound::Excluded(&start[..]), Bound::Excluded(&end[..]));
        let paths: Vec<EntryPath> =
            self.paths.range::<[u8], _>(range).map(|(path, _)| path.clone()).collect();
        for path in paths {
            self.paths.remove(&path);
        }
    }

    fn place(&mut self, entry: Entry, extent: Extent, layer: &Layer) -> Result<(), TreeError> {
        let kind = match entry.kind {
            Kind::Directory => NodeKind::Directory,
            Kind::File { .. } => NodeKind::File(extent),
            Kind::Symlink { target } => NodeKind::Symlink { target },
            Kind::CharDevice { major, minor } => NodeKind::CharDevice { major, minor },
            Kind::BlockDevice { major, minor } => NodeKind::BlockDevice { major, minor },
            Kind::Fifo => NodeKind::Fifo,
            Kind::HardLink { target } => {
                self.imply_parents(&entry.path, layer)?;
                let id =
                    *self.paths.get(&target).expect("the reader has seen the target earlier in this layer");
                self.remove(&entry.path);
                self.paths.insert(entry.path, id);
                return Ok(());
            }
            Kind::Whiteout | Kind::OpaqueDirectory => return Ok(()),
        };
        self.imply_parents(&entry.path, layer)?;
        let existing = self.paths.get(&entry.path).copied();
        if let (Some(id), NodeKind::Directory) = (existing, &kind)
            && self.nodes[id.0].kind == NodeKind::Directory
        {
            self.nodes[id.0].metadata = entry.metadata;
            return Ok(());
        }
        if existing.is_some() {
            self.remove(&entry.path);
        }
        let id = self.add(entry.metadata, kind);
        self.paths.insert(entry.path, id);
        Ok(())
    }

    fn add(&mut self, metadata: Metadata, kind: NodeKind) -> NodeId {
        self.nodes.push(Node { metadata, kind, links: 0 });
        NodeId(self.nodes.len() - 1)
    }

    fn imply_parents(&mut self, path: &EntryPath, layer: &Layer) -> Result<(), TreeError> {
        let mut missing = Vec::new();
        for ancestor in path.ancestors().rev() {
            let Some(id) = self.paths.get(ancestor) else {
                missing.push(EntryPath::new(ancestor).expect("what is above a path is a path"));
                continue;
            };
            let what = match self.nodes[id.0].kind {
                NodeKind::Directory => break,
                NodeKind::File(_) => "a file",
                NodeKind::Symlink { .. } => "a symbolic link",
                NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. } => "a device",
                NodeKind::Fifo => "a named pipe",
            };
            let parent = EntryPath::new(ancestor).expect("what is above a path is a path");
            return Err(TreeError::Parent {
                path: path.clone(),
                parent,
                what,
                layer: layer.name().to_owned(),
            });
        }
        for path in missing {
            let id = self.add(Metadata::with_mode(0o755), NodeKind::Directory);
            self.paths.insert(path, id);
        }
        Ok(())
    }

    /// Numbers the inodes that are left in the order of their first paths, and counts their links.
    pub(crate) fn seal(self, layers: Vec<Layer>) -> Result<Tree, TreeError> {
        let Merge { nodes, mut paths } = self;
        let mut old_nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
        let mut new_ids: Vec<Option<NodeId>> = vec![None; old_nodes.len()];
        let mut tree = Tree { layers, nodes: Vec::new(), firsts: Vec::new(), paths: BTreeMap::new() };
        for (path, id) in &mut paths {
            let old = id.0;
            if let Some(node) = old_nodes[old].take() {
                new_ids[old] = Some(NodeId(tree.nodes.len()));
                tree.nodes.push(node);
                tree.firsts.push(path.clone());
            }
            *id = new_ids[old].expect("the inode was numbered at its first path");
            let links = &mut tree.nodes[id.0].links;
            *links = links.checked_add(1).ok_or_else(|| TreeError::Links { path: path.clone() })?;
        }
        tree.paths = paths;
        Ok(tree)
    }
}
