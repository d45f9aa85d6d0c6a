//! FAT images, and disks with partitions.

use serde::{Deserialize, Serialize};

use super::FormatSpec;

/// A FAT image of merged layers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FatSpec {
    /// Where the image goes.
    pub output: String,
    /// When the label was given, in seconds since 1970.
    pub epoch: u64,
    /// The layers, bottom first.
    pub layers: Vec<String>,
    /// The image's size in bytes. Without it, room for the files and for `slack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Free space in bytes when there is no `size`. Without it, a quarter of what the files hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<u64>,
    /// The volume's number.
    pub volume_id: u32,
    /// The label, at most 11 characters, in capitals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The kind: 12, 16 or 32. Without it, the one that is usual for the size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// Bytes in a sector. Without it, 512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector_size: Option<u32>,
    /// Bytes in a cluster. Without it, as many as are usual for the size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_size: Option<u32>,
    /// How many sectors there are in front of the file system on its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_sectors: Option<u32>,
    /// Heads, and sectors per track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<(u16, u16)>,
}

/// A disk with partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskSpec {
    /// Where the image goes.
    pub output: String,
    /// The format that it is written in.
    #[serde(default, skip_serializing_if = "FormatSpec::is_raw")]
    pub format: FormatSpec,
    /// Where the drawing of what lies where goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_output: Option<String>,
    /// Bytes in a sector: 512, the default, or 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector_size: Option<u32>,
    /// The disk's size in bytes. Without it, that of the partitions and `slack`, rounded up to `round`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What is added to the sizes of the partitions, in bytes. There is as much as the tables need anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<u64>,
    /// The disk's size is a multiple of this, when it is not given. Without it, of 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<u64>,
    /// Partitions begin at multiples of this. Without it, of 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<u64>,
    /// The first sector that a partition can have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_lba: Option<u64>,
    /// How the partitions are listed.
    pub table: TableSpec,
    /// What a BIOS starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_code: Option<BootCodeSpec>,
    /// What lies outside of partitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<BlobSpec>,
    /// The partitions, in their order on the disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<PartitionSpec>,
}

/// How partitions are listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TableSpec {
    /// A GUID partition table, and its copy at the end.
    Gpt {
        /// The disk's GUID.
        guid: String,
        /// Partitions that the old table has, too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hybrid: Vec<HybridSpec>,
        /// Where the old table has the entry that keeps old programs away from the rest.
        #[serde(default, skip_serializing_if = "is_first")]
        protective: ProtectiveSpec,
    },
    /// The old table in the first sector.
    Mbr {
        /// The disk's number.
        signature: u32,
    },
}

fn is_first(protective: &ProtectiveSpec) -> bool {
    *protective == ProtectiveSpec::First
}

/// Where the protective entry is among those of a hybrid table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProtectiveSpec {
    /// In front of the others.
    #[default]
    First,
    /// Behind the others.
    Last,
}

/// A partition that the old table has, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HybridSpec {
    /// The partition's number.
    pub partition: u32,
    /// Its type there.
    pub r#type: u8,
    /// Whether it is marked as the one to start from.
    #[serde(default)]
    pub bootable: bool,
}

/// What a BIOS starts: the first bytes of the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootCodeSpec {
    /// The file.
    pub file: String,
    /// How much of it is taken: up to 440 bytes, the default, or 446 over the disk's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
}

/// Bytes at a place outside of partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobSpec {
    /// What messages call it.
    pub name: String,
    /// The file.
    pub file: String,
    /// The offset of its first byte.
    pub at: u64,
}

/// How large a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionSizeSpec {
    /// So many bytes, in whole sectors.
    Bytes(u64),
    /// As large as its contents.
    Min,
    /// As large as what the others leave.
    Grow,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionSpec {
    /// Its number. Without it, the lowest that no other has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// Its name, which only a GUID partition table has.
    pub name: String,
    /// Its type: a GUID, or in an old table a number from `0x01` to `0xff`.
    pub r#type: String,
    /// Its own GUID, which only a GUID partition table has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    /// The bits that are set of its attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<u8>,
    /// Whether an old table marks it as the one to start from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bootable: bool,
    /// How large it is.
    pub size: PartitionSizeSpec,
    /// The offset of its first byte. Without it, behind the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// It begins at a multiple of this, if that is not the disk's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<u64>,
    /// The file with its contents; the rest is zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}
