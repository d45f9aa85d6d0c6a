//! Makes squashfs images of merged layers.

use layer::Tree;

use super::options::{Bcj, BlockSize, Compression, Dictionary, Fragments, Options};
use super::reuse::Reuse;
use super::tree::Builder;
use crate::contents::default_threads;
use crate::earlier::Earlier;
use crate::error::Error;
use crate::files::Directory;
use crate::sink::{GapSink, SparseFile};
use crate::spec::{SquashfsCompression, SquashfsFragments, SquashfsSpec};
use crate::tree::HardLinks;

/// Writes the image that `spec` describes, on all processors.
pub(crate) fn write(spec: &SquashfsSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let tree = directory.merge(&spec.layers)?;
    let options = options(spec)?;
    directory.produce(&spec.output, |output| {
        let mut sink = SparseFile::new(&output.file);
        write_image(&tree, options, default_threads(), directory.earlier(), &mut sink)
            .map_err(|source| Error::Squashfs { path: output.path.clone(), source })?;
        sink.finish().map_err(|source| output.error(source))?;
        directory.leave(&spec.output);
        Ok(())
    })
}

fn options(spec: &SquashfsSpec) -> Result<Options, Error> {
    let epoch = u32::try_from(spec.epoch).map_err(|_| Error::Epoch { epoch: spec.epoch })?;
    let failed = |source| Error::Squashfs { path: spec.output.clone().into(), source };
    let refused = |option| Error::CompressionOption {
        format: "squashfs",
        option,
        compression: compression_name(spec.compression),
    };
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
/// belongs to root, has mode 755 and the file system's time.
pub fn write_squashfs(
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
