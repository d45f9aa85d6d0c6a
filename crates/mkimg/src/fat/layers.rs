//! Makes FAT images of merged layers.

use std::collections::BTreeMap;

use layer::{Extent, NodeKind, Tree};

use super::error::Error;
use super::options::{Chs, Kind, Options, Size};
use super::tree::{Builder, Node, ROOT};
use crate::Sink;
use crate::files::Directory;
use crate::sink::SparseFile;
use crate::spec::FatSpec;

/// Writes the image that `spec` describes. What is lost on the way is told to `note`.
pub(crate) fn write(
    spec: &FatSpec,
    directory: &Directory<'_>,
    note: &mut dyn FnMut(String),
) -> Result<(), crate::Error> {
    let tree = directory.merge(&spec.layers)?;
    let options = options(spec, &tree)?;
    let output = directory.create(&spec.output)?;
    let mut sink = SparseFile::new(&output.file);
    let fat_error = |source| crate::Error::Fat { path: output.path.clone(), source };
    write_fat(&tree, options, &mut sink).map_err(fat_error)?;
    if let Some(lost) = lost(&tree) {
        note(lost);
    }
    sink.finish().map(drop).map_err(|source| output.error(source))
}

fn options(spec: &FatSpec, tree: &Tree) -> Result<Options, crate::Error> {
    let epoch = i64::try_from(spec.epoch).map_err(|_| crate::Error::Epoch { epoch: spec.epoch })?;
    let slack = || spec.slack.unwrap_or_else(|| tree.statistics().bytes / 4);
    let size = spec.size.map_or_else(|| Size::Fit { slack: slack() }, Size::Fixed);
    let mut options = Options::new(size, spec.volume_id, epoch);
    if let Some(bits) = spec.bits {
        options.kind = Some(Kind::from_bits(bits).ok_or(crate::Error::FatBits { bits })?);
    }
    options.sector_size = spec.sector_size.unwrap_or(options.sector_size);
    options.cluster_size = spec.cluster_size;
    options.label.clone_from(&spec.label);
    options.hidden_sectors = spec.hidden_sectors.unwrap_or(0);
    options.chs = spec.geometry.map(|(heads, sectors)| Chs { heads, sectors });
    Ok(options)
}

/// Returns what of the tree FAT does not keep, if there is anything.
fn lost(tree: &Tree) -> Option<String> {
    let is_plain = |mode: u32| matches!(mode, 0o755 | 0o644);
    let n_lost = tree
        .items()
        .filter(|item| {
            let metadata = &item.node.metadata;
            metadata.uid != 0
                || metadata.gid != 0
                || !is_plain(metadata.mode)
                || !metadata.xattrs.is_empty()
                || item.node.links > 1
        })
        .count();
    (n_lost > 0).then(|| {
        format!(
            "FAT keeps no owners, modes, attributes or hard links: {n_lost} of {} paths have such",
            tree.path_count()
        )
    })
}

/// Writes the file system that has everything in `tree`, but for owners, modes and extended attributes. A file with
/// several names is as many files.
pub fn write_fat(tree: &Tree, options: Options, sink: &mut dyn Sink) -> Result<(), Error> {
    let mut builder = Builder::new(options)?;
    let mut directories: BTreeMap<&[u8], Node> = BTreeMap::new();
    let mut extents: BTreeMap<Node, Extent> = BTreeMap::new();
    for item in tree.items() {
        let parent = match item.path.parent_bytes() {
            Some(parent) => directories[parent],
            None => ROOT,
        };
        let name = item.path.file_name();
        let mtime = item.node.metadata.mtime;
        match &item.node.kind {
            NodeKind::Directory => {
                directories.insert(item.path.as_bytes(), builder.directory(parent, name, mtime));
            }
            NodeKind::File(extent) => {
                extents.insert(builder.file(parent, name, mtime, extent.size), *extent);
            }
            NodeKind::Symlink { .. } => builder.unfit(parent, name, "symbolic links"),
            NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. } => {
                builder.unfit(parent, name, "devices");
            }
            NodeKind::Fifo => builder.unfit(parent, name, "named pipes"),
        }
    }
    let image = builder.seal()?;
    let mut read =
        |node: Node, offset: u64, buffer: &mut [u8]| tree.read_content_at(extents[&node], buffer, offset);
    image.write(&mut read, sink)
}
