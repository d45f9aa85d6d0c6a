//! What is asked of an EROFS, as `mkimg` is told it.

use mkimg::spec::{self, ErofsSpec};

use crate::filesystem::{Erofs, ErofsCompression};

/// Completes what is asked of an EROFS, whose levels and cluster sizes were checked.
pub(super) fn spec(erofs: Option<&Erofs>, plain: ErofsSpec) -> ErofsSpec {
    let Some(erofs) = erofs else { return plain };
    ErofsSpec {
        compression: match erofs.compression {
            ErofsCompression::None => spec::ErofsCompression::None,
            ErofsCompression::Lz4 => spec::ErofsCompression::Lz4,
            ErofsCompression::Lz4hc => spec::ErofsCompression::Lz4hc,
            ErofsCompression::Zstd => spec::ErofsCompression::Zstd,
        },
        level: erofs.level.as_ref().and_then(|level| u8::try_from(level.value).ok()),
        cluster_size: erofs.cluster_size.as_ref().and_then(|size| u32::try_from(size.bytes()).ok()),
        ..plain
    }
}
