//! What is said of device trees.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A device tree: one that is there, or an empty one, with edits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceTreeSpec {
    /// Where the blob goes.
    pub output: String,
    /// Where its source goes, for people.
    pub source_output: String,
    /// The blob to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Whether what is wrong in the base counts. Else it is only told: it was so before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// Blobs that are laid over it, in this order, before anything is edited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overlays: Vec<String>,
    /// Whether the labels of the base, which edits may use, are left out of the result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_symbols: bool,
    /// What is changed, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<fdt::Edit>,
    /// Short names that references in edits may use for nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: fdt::Labels,
    /// The ramdisk that the tree tells the kernel of, once all is edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramdisk: Option<RamdiskSpec>,
}

/// Device tree source to compile.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceTreeSourcesSpec {
    /// What is compiled.
    pub sources: Vec<DeviceTreeSourceSpec>,
    /// The directories in which included files are looked for, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<String>,
}

/// A file of device tree source.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceTreeSourceSpec {
    /// The file.
    pub source: String,
    /// Where its blob goes, with all labels.
    pub output: String,
}

/// A ramdisk in memory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RamdiskSpec {
    /// The file, of which only the size matters.
    pub file: String,
    /// The address of its first byte.
    pub address: u64,
}
