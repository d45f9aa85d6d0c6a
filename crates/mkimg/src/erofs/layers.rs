//! Makes EROFS images of merged layers.

use layer::Tree;

use super::options::{ClusterSize, Compression, Options};
use super::tree::Builder;
use crate::contents::default_threads;
use crate::error::Error;
use crate::files::Directory;
use crate::filesystem::uuid;
use crate::sink::{GapSink, SparseFile};
use crate::spec::{ErofsCompression, ErofsSpec};
use crate::tree::{HardLinks, Node, Timestamp};

/// Writes the image that `spec` describes, on all processors.
pub(crate) fn write(spec: &ErofsSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let tree = directory.merge(&spec.layers)?;
    let options = options(spec)?;
    directory.produce(&spec.output, |output| {
        let mut sink = SparseFile::new(&output.file);
        write_erofs(&tree, options, default_threads(), &mut sink)
            .map_err(|source| Error::Erofs { path: output.path.clone(), source })?;
        sink.finish().map(drop).map_err(|source| output.error(source))
    })
}

fn options(spec: &ErofsSpec) -> Result<Options, Error> {
    let seconds = i64::try_from(spec.epoch).map_err(|_| Error::Epoch { epoch: spec.epoch })?;
    let epoch = Timestamp::new(seconds, 0).ok_or(Error::Epoch { epoch: spec.epoch })?;
    let failed = |source| Error::Erofs { path: spec.output.clone().into(), source };
    let refused =
        |option| Error::CompressionOption { format: "EROFS", option, compression: spec.compression.name() };
    if spec.level.is_some() && matches!(spec.compression, ErofsCompression::None | ErofsCompression::Lz4) {
        return Err(refused("level"));
    }
    if spec.cluster_size.is_some() && spec.compression == ErofsCompression::None {
        return Err(refused("cluster_size"));
    }
    let compression = match spec.compression {
        ErofsCompression::None => Compression::None,
        ErofsCompression::Lz4 => Compression::Lz4,
        ErofsCompression::Lz4hc => Compression::lz4hc(spec.level).map_err(failed)?,
        ErofsCompression::Zstd => Compression::zstd(spec.level).map_err(failed)?,
    };
    let mut options = Options::new(compression, uuid(&spec.uuid)?, epoch);
    if let Some(size) = spec.cluster_size {
        options.cluster_size = ClusterSize::from_bytes(size).ok_or(Error::ErofsClusterSize { size })?;
    }
    options.label = spec.label.clone().unwrap_or_default().into_bytes();
    Ok(options)
}

/// Writes the file system that has everything in `tree`, on `n_threads` threads, which do not change it. The root
/// belongs to root, has mode 755 and the file system's time.
pub fn write_erofs(
    tree: &Tree,
    options: Options,
    n_threads: usize,
    sink: &mut dyn GapSink,
) -> Result<(), super::Error> {
    let mut builder = Builder::new(options)?;
    let contents = builder.declare(tree, HardLinks::Kept, Builder::set_xattrs)?;
    let read = |node: Node, offset: u64, buffer: &mut [u8]| contents.read(node, offset, buffer);
    builder.seal()?.write(&read, n_threads, sink).map(drop)
}
