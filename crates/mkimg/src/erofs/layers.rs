//! Makes EROFS images of merged layers.

use layer::Tree;

use super::data::Reuse;
use super::options::{ClusterSize, Compression, Options};
use super::tree::Builder;
use crate::contents::default_threads;
use crate::earlier::Earlier;
use crate::error::Error;
use crate::files::Directory;
use crate::filesystem::uuid;
use crate::sink::{GapSink, SparseFile};
use crate::spec::{ErofsCompression, ErofsSpec};
use crate::tree::{HardLinks, Timestamp};

/// Writes the image that `spec` describes, on all processors.
pub(crate) fn write(spec: &ErofsSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let tree = directory.merge(&spec.layers)?;
    let options = options(spec)?;
    directory.produce(&spec.output, |output| {
        let mut sink = SparseFile::new(&output.file);
        write_image(&tree, options, default_threads(), directory.earlier(), &mut sink)
            .map_err(|source| Error::Erofs { path: output.path.clone(), source })?;
        sink.finish().map_err(|source| output.error(source))?;
        directory.leave(&spec.output);
        Ok(())
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
    write_image(tree, options, n_threads, None, sink)
}

fn write_image(
    tree: &Tree,
    options: Options,
    n_threads: usize,
    earlier: Option<&Earlier>,
    sink: &mut dyn GapSink,
) -> Result<(), super::Error> {
    let reuse = earlier.map(|earlier| Reuse::new(earlier, &options));
    let mut builder = Builder::new(options)?;
    let mut contents = builder.declare(tree, HardLinks::Kept, Builder::set_xattrs)?;
    if let Some(earlier) = earlier {
        contents.identify(earlier);
    }
    builder.seal()?.write_reusing(&contents, n_threads, reuse.as_ref(), sink).map(drop)
}
