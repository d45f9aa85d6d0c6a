//! What layers are once they are merged: one tree, whose contents stay where they are.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use crate::builder::Part;
use crate::entry::{Entry, Kind, Metadata};
use crate::merge::{Merge, TreeError};
use crate::path::EntryPath;
use crate::read_at::ReadAt;
use crate::reader::{Located, ReadError, Reader};
use crate::writer::{WriteError, Writer};

/// A canonical layer that can be read.
#[derive(Clone)]
pub struct Layer {
    name: String,
    source: Arc<dyn ReadAt>,
}

impl Layer {
    /// Returns the layer in `source`; messages call it `name`.
    pub fn new(name: impl Into<String>, source: Arc<dyn ReadAt>) -> Layer {
        Layer { name: name.into(), source }
    }

    /// Opens the layer in the file at `path`.
    pub fn open(path: &Path) -> io::Result<Layer> {
        Ok(Layer::new(path.display().to_string(), Arc::new(File::open(path)?)))
    }

    /// Returns what messages call the layer.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the entries of this layer alone.
    pub fn entries(&self) -> Result<Reader<'_>, ReadError> {
        Reader::new(self.source.as_ref())
    }

    /// Returns a reader of an entry's contents, which should be read in large pieces.
    pub fn open_content(&self, located: &Located) -> ContentReader<'_> {
        let (offset, left) = (located.offset, located.entry.size());
        ContentReader { part: Part { source: self.source.as_ref(), offset, left } }
    }
}

/// Where the contents of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Which of the tree's layers has it.
    pub layer: usize,
    /// Offset in that layer.
    pub offset: u64,
    /// Bytes of content.
    pub size: u64,
}

/// What an inode of a tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file with these contents.
    File(Extent),
    /// A symbolic link.
    Symlink {
        /// Where it points, as it is.
        target: Vec<u8>,
    },
    /// A character device.
    CharDevice {
        /// Major number, below 4096.
        major: u32,
        /// Minor number, below 2^20.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number, below 4096.
        major: u32,
        /// Minor number, below 2^20.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// An inode of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Owner, mode, time and extended attributes.
    pub metadata: Metadata,
    /// What it is.
    pub kind: NodeKind,
    /// How many paths lead here: 1, or more for a file with hard links. (Unlike `st_nlink`, 1 for a directory.)
    pub links: u32,
}

/// Names an inode of one tree: 0, 1, … in the order of their first paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

impl NodeId {
    /// Returns the number of the inode, below [`Tree::node_count`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// One path of a tree.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    /// The path.
    pub path: &'a EntryPath,
    /// The inode's name.
    pub id: NodeId,
    /// The inode.
    pub node: &'a Node,
    /// The first path in order that leads to the inode: `path` itself unless this is a further hard link.
    pub first: &'a EntryPath,
}

impl Item<'_> {
    /// Says whether an earlier path leads to the same inode.
    pub fn is_further_link(&self) -> bool {
        self.path != self.first
    }
}

/// The path leads to nothing in the tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Nothing is there.
    #[error("`{path}` is not in the tree")]
    Missing {
        /// The path after its symbolic links were followed.
        path: String,
    },
    /// Something that is not a directory has something below it.
    #[error("`{path}` is not a directory")]
    NotDirectory {
        /// The path after its symbolic links were followed.
        path: String,
    },
    /// More than 40 symbolic links.
    #[error("`{path}` has too many levels of symbolic links")]
    Loop {
        /// The path as it was asked for.
        path: String,
    },
}

/// What is in a tree, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Directories without the root.
    pub directories: u64,
    /// Regular files, each once.
    pub files: u64,
    /// Further names of regular files.
    pub hard_links: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Devices and pipes.
    pub specials: u64,
    /// Bytes of contents, each file once.
    pub bytes: u64,
}

/// Layers merged in order, as in OCI: whiteouts remove what lower layers have, a directory on a directory
/// merges and brings its metadata, anything else replaces what is there.
///
/// A symbolic link of a lower layer is never followed. A directory that no layer declares but that has
/// something in it belongs to root, has mode 755 and the time 0. The root itself has no entry.
/// Contents stay in the layers until they are read.
pub struct Tree {
    pub(crate) layers: Vec<Layer>,
    pub(crate) nodes: Vec<Node>,
    /// The first path of each inode.
    pub(crate) firsts: Vec<EntryPath>,
    pub(crate) paths: BTreeMap<EntryPath, NodeId>,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<&str> = self.layers.iter().map(Layer::name).collect();
        write!(f, "Tree of {} paths from {layers:?}", self.paths.len())
    }
}

impl Tree {
    /// Reads the layers' metadata and merges them, the lowest first.
    pub fn merge(layers: Vec<Layer>) -> Result<Tree, TreeError> {
        let mut merge = Merge::default();
        for (layer_idx, layer) in layers.iter().enumerate() {
            merge.apply(layer_idx, layer)?;
        }
        merge.seal(layers)
    }

    /// Opens the layers' files and merges them, the lowest first.
    pub fn open(layers: &[impl AsRef<Path>]) -> Result<Tree, TreeError> {
        let open = |path: &Path| {
            Layer::open(path).map_err(|source| TreeError::Layer {
                layer: path.display().to_string(),
                source: ReadError::Io { offset: 0, source },
            })
        };
        Tree::merge(layers.iter().map(|path| open(path.as_ref())).collect::<Result<_, _>>()?)
    }

    /// Returns every path in the order of its bytes: directories come before what is in them.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = Item<'_>> {
        self.paths.iter().map(|(path, id)| self.item(path, *id))
    }

    /// Returns every path below the directory `above`, in the order of their bytes.
    pub fn items_below<'a>(
        &'a self,
        above: &EntryPath,
    ) -> impl DoubleEndedIterator<Item = Item<'a>> + use<'a> {
        let (start, end) = below(above);
        let range = (Bound::Excluded(&start[..]), Bound::Excluded(&end[..]));
        self.paths.range::<[u8], _>(range).map(|(path, id)| self.item(path, *id))
    }

    /// Returns what is at `path`, which is not followed if it is a symbolic link.
    pub fn get(&self, path: &[u8]) -> Option<Item<'_>> {
        self.paths.get_key_value(path).map(|(path, id)| self.item(path, *id))
    }

    /// Returns the inode.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Returns the number of inodes, without the root.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the number of paths, without the root.
    pub fn path_count(&self) -> usize {
        self.paths.len()
    }

    /// Returns the layers that the tree was merged from.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    fn item<'a>(&'a self, path: &'a EntryPath, id: NodeId) -> Item<'a> {
        Item { path, id, node: &self.nodes[id.0], first: &self.firsts[id.0] }
    }

    /// Returns what is at `path` when this tree is the root directory: symbolic links are followed, inside the tree.
    ///
    /// The path may be absolute and have `.` and `..` components. The root itself is [`ResolveError::Missing`].
    pub fn resolve(&self, path: &[u8]) -> Result<Item<'_>, ResolveError> {
        let show = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let components = |path: &[u8]| -> Vec<Vec<u8>> {
            path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect()
        };
        let mut todo = components(path);
        let mut here: Vec<u8> = Vec::new();
        let mut n_links = 0;
        while let Some(component) = todo.pop() {
            match &component[..] {
                b"" | b"." => continue,
                b".." => {
                    here.truncate(here.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let parent = here.len();
            if parent > 0 {
                here.push(b'/');
            }
            here.extend_from_slice(&component);
            let item = self.get(&here).ok_or_else(|| ResolveError::Missing { path: show(&here) })?;
            match &item.node.kind {
                NodeKind::Symlink { target } => {
                    n_links += 1;
                    if n_links > 40 {
                        return Err(ResolveError::Loop { path: show(path) });
                    }
                    here.truncate(if target.first() == Some(&b'/') { 0 } else { parent });
                    todo.extend(components(target));
                }
                NodeKind::Directory => {}
                _ if todo.is_empty() => {}
                _ => return Err(ResolveError::NotDirectory { path: show(&here) }),
            }
        }
        self.get(&here).ok_or_else(|| ResolveError::Missing { path: show(path) })
    }

    /// Returns a reader of a file's contents, which should be read in large pieces.
    pub fn open_content(&self, extent: Extent) -> ContentReader<'_> {
        let source = self.layers[extent.layer].source.as_ref();
        ContentReader { part: Part { source, offset: extent.offset, left: extent.size } }
    }

    /// Fills `buffer` with a file's contents from `offset`; the end of the file before that is an error.
    pub fn read_content_at(&self, extent: Extent, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > extent.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.layers[extent.layer].source.read_exact_at(buffer, extent.offset + offset)
    }

    /// Returns all of a file's contents.
    pub fn read_content(&self, extent: Extent) -> io::Result<Vec<u8>> {
        let size = usize::try_from(extent.size)
            .map_err(|_| io::Error::new(io::ErrorKind::OutOfMemory, "the file does not fit in memory"))?;
        let mut bytes = vec![0; size];
        self.read_content_at(extent, &mut bytes, 0)?;
        Ok(bytes)
    }

    /// Counts what is in the tree.
    pub fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        for node in &self.nodes {
            match node.kind {
                NodeKind::Directory => statistics.directories += 1,
                NodeKind::File(extent) => {
                    statistics.files += 1;
                    statistics.hard_links += u64::from(node.links) - 1;
                    statistics.bytes += extent.size;
                }
                NodeKind::Symlink { .. } => statistics.symlinks += 1,
                NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. } | NodeKind::Fifo => {
                    statistics.specials += 1;
                }
            }
        }
        statistics
    }
}

/// Reads the contents of one file of a tree.
pub struct ContentReader<'a> {
    part: Part<'a>,
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.part.read(buffer)?;
        if n == 0 && !buffer.is_empty() && self.part.left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(n)
    }
}

/// Returns what all paths below `above` lie between.
pub(crate) fn below(above: &EntryPath) -> (Vec<u8>, Vec<u8>) {
    ([above.as_bytes(), b"/"].concat(), [above.as_bytes(), b"0"].concat())
}

/// Writes the whole tree as one canonical layer, and returns the sink.
pub fn write_layer<W: Write>(tree: &Tree, sink: W) -> Result<W, WriteError> {
    let mut writer = Writer::new(sink);
    for item in tree.items() {
        let mut entry =
            Entry { path: item.path.clone(), metadata: item.node.metadata.clone(), kind: Kind::Directory };
        entry.kind = match &item.node.kind {
            _ if item.is_further_link() => Kind::HardLink { target: item.first.clone() },
            NodeKind::File(extent) => {
                entry.kind = Kind::File { size: extent.size };
                writer.append_file(&entry, tree.open_content(*extent))?;
                continue;
            }
            NodeKind::Directory => Kind::Directory,
            NodeKind::Symlink { target } => Kind::Symlink { target: target.clone() },
            NodeKind::CharDevice { major, minor } => Kind::CharDevice { major: *major, minor: *minor },
            NodeKind::BlockDevice { major, minor } => Kind::BlockDevice { major: *major, minor: *minor },
            NodeKind::Fifo => Kind::Fifo,
        };
        writer.append(&entry)?;
    }
    writer.finish()
}
