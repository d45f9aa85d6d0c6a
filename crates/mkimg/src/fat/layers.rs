//! Makes FAT images of merged layers.

use layer::Tree;

use super::error::Error;
use super::options::{Chs, Kind, Options, Size};
use super::tree::Builder;
use crate::Sink;
use crate::contents::Contents as _;
use crate::files::Directory;
use crate::sink::SparseFile;
use crate::spec::FatSpec;
use crate::tree::HardLinks;

/// Writes the image that `spec` describes. What is lost on the way is told to `note`.
pub(crate) fn write(
    spec: &FatSpec,
    directory: &Directory<'_>,
    note: &mut dyn FnMut(String),
) -> Result<(), crate::Error> {
    let tree = directory.merge(&spec.layers)?;
    let options = options(spec, &tree)?;
    directory.produce(&spec.output, |output| {
        let mut sink = SparseFile::new(&output.file);
        write_fat(&tree, options, &mut sink)
            .map_err(|source| crate::Error::Fat { path: output.path.clone(), source })?;
        sink.finish().map(drop).map_err(|source| output.error(source))
    })?;
    if let Some(lost) = lost(&tree) {
        note(lost);
    }
    Ok(())
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
    let contents = builder.declare(tree, HardLinks::Copied, |_, _, _| Ok::<_, Error>(()))?;
    builder.seal()?.write(&mut |node, offset, buffer| contents.read(node, offset, buffer), sink)
}
