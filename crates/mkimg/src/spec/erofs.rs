//! What an EROFS image is asked to be.

use serde::{Deserialize, Serialize};

/// An EROFS image of merged layers. Every file has the time that its layer says; the root has the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErofsSpec {
    /// Where the image goes.
    pub output: String,
    /// When the file system was made, in seconds since 1970.
    pub epoch: u64,
    /// The file system's UUID.
    pub uuid: String,
    /// The layers, bottom first.
    pub layers: Vec<String>,
    /// At most 15 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What compresses files.
    #[serde(default)]
    pub compression: ErofsCompression,
    /// How hard lz4hc (1 to 12) and zstd (1 to 22) try. Without it, 9 and 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// The size of a cluster in bytes: a power of two from 4096 to 1048576. Without it, 65536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_size: Option<u32>,
}

/// What compresses the files of an EROFS image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErofsCompression {
    /// Nothing.
    None,
    /// LZ4.
    #[default]
    Lz4,
    /// LZ4 by an encoder that spends more time.
    Lz4hc,
    /// Zstandard, which Linux reads from 6.10 on.
    Zstd,
}

impl ErofsCompression {
    pub(crate) fn name(self) -> &'static str {
        match self {
            ErofsCompression::None => "none",
            ErofsCompression::Lz4 => "lz4",
            ErofsCompression::Lz4hc => "lz4hc",
            ErofsCompression::Zstd => "zstd",
        }
    }
}
