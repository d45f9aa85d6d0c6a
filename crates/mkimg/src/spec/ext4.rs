//! What an ext4 image has.

use serde::{Deserialize, Serialize};

/// An ext4 image of merged layers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ext4Spec {
    /// Where the image goes.
    pub output: String,
    /// When the file system was made, in seconds since 1970.
    pub epoch: u64,
    /// The layers, bottom first.
    pub layers: Vec<String>,
    /// The image's size in bytes. Without it, room for the files and for `slack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Free space in bytes when there is no `size`. Without it, a quarter of what the files hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<u64>,
    /// The label, at most 16 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The file system's UUID.
    pub uuid: String,
    /// The seed of directory hashes, written as a UUID.
    pub hash_seed: String,
    /// The size of a block: 1024, 2048 or 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u32>,
    /// At least this many inodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u32>,
    /// The size of the journal in bytes, or 0 for none. Without it, one that fits the size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<u64>,
    /// Up to how many bytes it can grow while it is mounted, or 0 for no room set aside. Without it, 1024 times its
    /// size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grow_to: Option<u64>,
    /// How much only root may fill, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_percent: Option<u8>,
    /// What a kernel does on damage.
    #[serde(default, skip_serializing_if = "OnErrorSpec::is_continue")]
    pub on_error: OnErrorSpec,
}

/// What a kernel does when it finds a file system damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnErrorSpec {
    /// It carries on.
    #[default]
    Continue,
    /// It mounts it again, only to be read.
    RemountReadOnly,
    /// It panics.
    Panic,
}

impl OnErrorSpec {
    fn is_continue(&self) -> bool {
        *self == OnErrorSpec::Continue
    }
}
