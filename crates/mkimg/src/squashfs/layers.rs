//! Makes squashfs images of merged layers.

use std::collections::BTreeMap;
use std::io;

use layer::{Extent, NodeId, NodeKind, Tree};

use super::options::{Bcj, BlockSize, Compression, Dictionary, Fragments, Options};
use super::tree::{Builder, Metadata, Node, ROOT};
use super::write::default_threads;
use crate::error::Error;
use crate::files::Directory;
use crate::sink::{GapSink, SparseFile};
use crate::spec::{SquashfsCompression, SquashfsFragments, SquashfsSpec};

/// Writes the image that `spec` describes, on all processors.
pub(crate) fn write(spec: &SquashfsSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let tree = directory.merge(&spec.layers)?;
    let options = options(spec)?;
    let output = directory.create(&spec.output)?;
    let mut sink = SparseFile::new(&output.file);
    write_squashfs(&tree, options, default_threads(), &mut sink)
        .map_err(|source| Error::Squashfs { path: output.path.clone(), source })?;
    sink.finish().map(drop).map_err(|source| output.error(source))
}

fn options(spec: &SquashfsSpec) -> Result<Options, Error> {
    let epoch = u32::try_from(spec.epoch).map_err(|_| Error::Epoch { epoch: spec.epoch })?;
    let failed = |source| Error::Squashfs { path: spec.output.clone().into(), source };
    let refused = |option| Error::SquashfsOption { option, compression: compression_name(spec.compression) };
    if spec.compression != SquashfsCompression::Xz {
        if !spec.bcj.is_empty() {
            return Err(refused("bcj"));
        }
        if spec.dictionary_size.is_some() {
            return Err(refused("dictionary_size"));
        }
    }
    let compression = match spec.compression {
        SquashfsCompression::Gzip => Compression::gzip(spec.level).map_err(failed)?,
        SquashfsCompression::Zstd => Compression::zstd(spec.level).map_err(failed)?,
        _ if spec.level.is_some() => return Err(refused("level")),
        SquashfsCompression::Lz4 => Compression::Lz4 { high: false },
        SquashfsCompression::Lz4hc => Compression::Lz4 { high: true },
        SquashfsCompression::Xz => {
            let filter =
                |name: &String| Bcj::from_name(name).ok_or_else(|| Error::Bcj { name: name.clone() });
            Compression::Xz {
                filters: spec.bcj.iter().map(filter).collect::<Result<_, _>>()?,
                dictionary: spec.dictionary_size.map_or(Dictionary::Block, Dictionary::Bytes),
            }
        }
    };
    let mut options = Options::new(compression, epoch);
    if let Some(size) = spec.block_size {
        options.block_size = BlockSize::from_bytes(size).ok_or(Error::SquashfsBlockSize { size })?;
    }
    options.fragments = match spec.fragments {
        SquashfsFragments::None => Fragments::None,
        SquashfsFragments::Small => Fragments::Small,
        SquashfsFragments::All => Fragments::All,
    };
    options.exportable = spec.exportable.unwrap_or(true);
    Ok(options)
}

fn compression_name(compression: SquashfsCompression) -> &'static str {
    match compression {
        SquashfsCompression::Gzip => "gzip",
        SquashfsCompression::Lz4 => "lz4",
        SquashfsCompression::Lz4hc => "lz4hc",
        SquashfsCompression::Xz => "xz",
        SquashfsCompression::Zstd => "zstd",
    }
}

/// Writes the file system that has everything in `tree`, on `n_threads` threads, which do not change it. The root
/// belongs to root, has mode 755 and the file system's time. Times before 1970 become 1970, and those after 2106 the
/// last second that there is.
pub fn write_squashfs(
    tree: &Tree,
    options: Options,
    n_threads: usize,
    sink: &mut dyn GapSink,
) -> Result<(), super::Error> {
    let mut builder = Builder::new(options)?;
    let mut directories: BTreeMap<&[u8], Node> = BTreeMap::new();
    let mut nodes: BTreeMap<NodeId, Node> = BTreeMap::new();
    // By handle; what is no file has none.
    let mut extents: Vec<Option<Extent>> = vec![None];
    for item in tree.items() {
        let parent = match item.path.parent_bytes() {
            Some(parent) => directories[parent],
            None => ROOT,
        };
        let name = item.path.file_name();
        if item.is_further_link() {
            builder.link(parent, name, nodes[&item.id])?;
            continue;
        }
        let metadata = &item.node.metadata;
        let mtime = metadata.mtime.clamp(0, u32::MAX.into());
        let inode = Metadata {
            mode: u16::try_from(metadata.mode).expect("a tree's modes have twelve bits"),
            uid: metadata.uid,
            gid: metadata.gid,
            mtime: u32::try_from(mtime).expect("it was brought into the range"),
        };
        let mut extent = None;
        let node = match &item.node.kind {
            NodeKind::Directory => {
                let node = builder.directory(parent, name, inode)?;
                directories.insert(item.path.as_bytes(), node);
                node
            }
            NodeKind::File(contents) => {
                extent = Some(*contents);
                builder.file(parent, name, inode, contents.size)?
            }
            NodeKind::Symlink { target } => builder.symlink(parent, name, inode, target)?,
            NodeKind::CharDevice { major, minor } => {
                builder.char_device(parent, name, inode, (*major, *minor))?
            }
            NodeKind::BlockDevice { major, minor } => {
                builder.block_device(parent, name, inode, (*major, *minor))?
            }
            NodeKind::Fifo => builder.fifo(parent, name, inode)?,
        };
        extents.push(extent);
        if !metadata.xattrs.is_empty() {
            builder.set_xattrs(node, &metadata.xattrs)?;
        }
        if item.node.links > 1 {
            nodes.insert(item.id, node);
        }
    }
    let image = builder.seal()?;
    let read = |node: Node, offset: u64, buffer: &mut [u8]| -> io::Result<()> {
        let extent = extents[node.index()].expect("only files have contents");
        tree.read_content_at(extent, buffer, offset)
    };
    image.write(&read, n_threads, sink).map(drop)
}
