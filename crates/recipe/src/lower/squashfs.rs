//! What is asked of a squashfs, as `mkimg` is told it.

use mkimg::spec::{self, SquashfsSpec};

use crate::filesystem::{Squashfs, SquashfsCompression, SquashfsFragments};

/// Returns what is asked of a squashfs, whose levels and block sizes were checked.
pub(super) fn spec(
    squashfs: Option<&Squashfs>,
    output: String,
    epoch: u64,
    layers: Vec<String>,
) -> SquashfsSpec {
    let plain = SquashfsSpec { output, epoch, layers, ..SquashfsSpec::default() };
    let Some(squashfs) = squashfs else { return plain };
    SquashfsSpec {
        compression: match squashfs.compression {
            SquashfsCompression::Gzip => spec::SquashfsCompression::Gzip,
            SquashfsCompression::Lz4 => spec::SquashfsCompression::Lz4,
            SquashfsCompression::Lz4hc => spec::SquashfsCompression::Lz4hc,
            SquashfsCompression::Xz => spec::SquashfsCompression::Xz,
            SquashfsCompression::Zstd => spec::SquashfsCompression::Zstd,
        },
        level: squashfs.level.as_ref().and_then(|level| u8::try_from(level.value).ok()),
        block_size: squashfs.block_size.as_ref().and_then(|size| u32::try_from(size.bytes()).ok()),
        bcj: squashfs.bcj.iter().map(|filter| filter.value.as_str().to_owned()).collect(),
        fragments: match squashfs.fragments {
            SquashfsFragments::None => spec::SquashfsFragments::None,
            SquashfsFragments::Small => spec::SquashfsFragments::Small,
            SquashfsFragments::All => spec::SquashfsFragments::All,
        },
        ..plain
    }
}
