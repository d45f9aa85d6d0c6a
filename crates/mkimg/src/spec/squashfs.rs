//! What a squashfs image is asked to be.

use serde::{Deserialize, Serialize};

/// A squashfs image of merged layers. Every file has the time that its layer says; the root has the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SquashfsSpec {
    /// Where the image goes.
    pub output: String,
    /// When the file system was made, in seconds since 1970.
    pub epoch: u64,
    /// The layers, bottom first.
    pub layers: Vec<String>,
    /// What compresses blocks.
    #[serde(default)]
    pub compression: SquashfsCompression,
    /// How hard gzip (1 to 12) and zstd (1 to 22) try. Without it, 7 and 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// The size of a block in bytes: a power of two from 4096 to 1048576. Without it, 131072.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u32>,
    /// Filters for xz, by name; each is tried on each block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bcj: Vec<String>,
    /// How far back xz looks, in bytes. Without it, over the block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dictionary_size: Option<u32>,
    /// What becomes of the ends of files.
    #[serde(default)]
    pub fragments: SquashfsFragments,
    /// Whether there is a table for NFS. Without it, there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exportable: Option<bool>,
}

/// What compresses the blocks of a squashfs image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SquashfsCompression {
    /// Deflate, which every kernel reads.
    #[default]
    Gzip,
    /// LZ4.
    Lz4,
    /// LZ4 by an encoder that tries as hard as it can.
    Lz4hc,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

/// What becomes of the ends of files, which do not fill a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SquashfsFragments {
    /// They are blocks of their own.
    None,
    /// Files smaller than a block share blocks.
    #[default]
    Small,
    /// The ends of all files share blocks.
    All,
}
