//! Sealing: every file and directory gets its clusters, and every number of the file system is known.

use super::directory::{MOST_ENTRIES, entries};
use super::error::Error;
use super::geometry::{ENTRY_LEN, Form, Geometry, MOST_ROOT_ENTRIES, Misfit, Request};
use super::options::{Kind, Options, Size};
use super::tree::Tree;
use crate::tree::{Node, ROOT};

/// Clusters that follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Run {
    /// The first; 0 if there is none.
    pub(super) start: u32,
    pub(super) length: u32,
}

/// A file system whose layout is fixed.
pub struct Image {
    pub(super) options: Options,
    pub(super) tree: Tree,
    pub(super) geometry: Geometry,
    /// What has clusters, in their order.
    pub(super) order: Vec<Node>,
    /// By node.
    pub(super) runs: Vec<Run>,
    /// The first cluster that is free.
    pub(super) end: u32,
    size: u64,
}

impl Image {
    pub(super) fn new(options: Options, tree: Tree) -> Result<Image, Error> {
        let demand = Demand::new(&options, &tree)?;
        let (geometry, size) = demand.geometry()?;
        let is_32 = geometry.form.kind == Kind::Fat32;
        let cluster_len = geometry.cluster_len();

        // Directories first, so that who looks for a name reads a small part of the disk.
        let (directories, mut files): (Vec<Node>, Vec<Node>) = tree
            .in_order()
            .into_iter()
            .filter(|node| *node != ROOT || is_32)
            .partition(|node| tree.size(*node).is_none());
        tree.tree.by_layer(&mut files);
        let order: Vec<Node> = directories.into_iter().chain(files).collect();
        let mut runs = vec![Run::default(); tree.tree.nodes.len()];
        let mut end = 2;
        for node in &order {
            let length = demand.bytes[node.index()].div_ceil(cluster_len);
            let length = u32::try_from(length).expect("the sum of all clusters was seen to fit");
            if length > 0 {
                runs[node.index()] = Run { start: end, length };
                end += length;
            }
        }
        Ok(Image { options, tree, geometry, order, runs, end, size })
    }

    /// Returns the image's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the kind of file system that it became.
    pub fn kind(&self) -> Kind {
        self.geometry.form.kind
    }

    /// Returns how many bytes a cluster has.
    pub fn cluster_size(&self) -> u64 {
        self.geometry.cluster_len()
    }
}

/// What a tree takes.
struct Demand<'a> {
    options: &'a Options,
    tree: &'a Tree,
    /// By node: how many bytes of clusters it needs. A directory needs at least one.
    bytes: Vec<u64>,
    root_entries: u64,
}

impl<'a> Demand<'a> {
    fn new(options: &'a Options, tree: &'a Tree) -> Result<Demand<'a>, Error> {
        let mut bytes: Vec<u64> = Vec::with_capacity(tree.tree.nodes.len());
        for index in 0..tree.tree.nodes.len() {
            bytes.push(tree.size(Node::from_index(index as u32)).unwrap_or_default().into());
        }
        let mut root_entries = 0;
        for directory in &tree.tree.directories {
            let node = directory.node;
            // The label in the root, `.` and `..` elsewhere.
            let own = if node == ROOT { u64::from(options.label.is_some()) } else { 2 };
            let of_entries: u64 = directory.entries.iter().map(|(_, child)| entries(tree.name(*child))).sum();
            let n_entries = own + of_entries;
            if node == ROOT {
                root_entries = n_entries;
            } else if n_entries > MOST_ENTRIES {
                let path = tree.tree.path(node);
                return Err(Error::DirectoryTooLarge { path, entries: n_entries, limit: MOST_ENTRIES });
            }
            bytes[node.index()] = (n_entries * ENTRY_LEN).max(1);
        }
        Ok(Demand { options, tree, bytes, root_entries })
    }

    /// Returns how many clusters everything takes, and `slack` bytes more.
    fn clusters(&self, form: Form, slack: u64) -> u64 {
        let cluster_len = form.per_cluster * u64::from(self.options.sector_size);
        let first = usize::from(form.kind != Kind::Fat32);
        let used: u64 = self.bytes[first..].iter().map(|bytes| bytes.div_ceil(cluster_len)).sum();
        used + slack.div_ceil(cluster_len)
    }

    /// Returns the division for the size that was asked for, and that size.
    fn geometry(&self) -> Result<(Geometry, u64), Error> {
        let sector_size = u64::from(self.options.sector_size);
        let request = Request { options: self.options, root_entries: self.root_entries };
        let (geometry, size) = match self.options.size {
            Size::Fit { slack } => {
                let geometry = request.smallest(|form| self.clusters(form, slack));
                let geometry = geometry.ok_or_else(|| Error::NoSize { what: self.what() })?;
                let size = geometry.sectors * sector_size;
                (geometry, size)
            }
            Size::Fixed(size) => {
                let geometry = request.choose(size / sector_size).map_err(|misfit| match misfit {
                    Misfit::TooSmall => Error::TooSmall { size, what: self.what() },
                    Misfit::TooLarge => Error::TooLarge { size, what: self.what() },
                })?;
                let missing = self.clusters(geometry.form, 0).saturating_sub(geometry.clusters);
                if missing > 0 {
                    let short_by = missing * geometry.cluster_len();
                    return Err(Error::DoesNotFit { size, short_by, largest: self.tree.tree.largest() });
                }
                (geometry, size)
            }
        };
        let limit = match geometry.form.kind {
            Kind::Fat12 | Kind::Fat16 => MOST_ROOT_ENTRIES,
            Kind::Fat32 => MOST_ENTRIES,
        };
        if self.root_entries > limit {
            return Err(Error::DirectoryTooLarge { path: "/".to_owned(), entries: self.root_entries, limit });
        }
        Ok((geometry, size))
    }

    /// Returns the words for what was asked for.
    fn what(&self) -> String {
        let name = match self.options.kind {
            Some(kind) => format!("FAT{}", kind.bits()),
            None => "a FAT file system".to_owned(),
        };
        match self.options.cluster_size {
            Some(size) => format!("{name} with clusters of {size} bytes"),
            None => name,
        }
    }
}
