//! Formats of disks.

use serde::{Deserialize, Serialize};

/// A disk in another format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvertSpec {
    /// The disk.
    pub input: String,
    /// Its format. Without it, the one that it begins or ends as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<InputFormat>,
    /// Where the result goes: a file, or for Parallels a directory.
    pub output: String,
    /// The format that it is written in.
    pub format: FormatSpec,
}

/// The format of a disk that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputFormat {
    /// The disk itself.
    Raw,
    /// QEMU's.
    Qcow2,
    /// VirtualBox'.
    Vdi,
    /// VMware's.
    Vmdk,
    /// Microsoft's older one.
    Vhd,
    /// Microsoft's newer one.
    Vhdx,
    /// Parallels', the file with the data.
    Parallels,
    /// Google's archive.
    Gcp,
}

/// The format of a disk that is written, and what there is to say of it. UUIDs are written with hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum FormatSpec {
    /// The disk itself, with holes where it is zero.
    #[default]
    Raw,
    /// QEMU's.
    Qcow2 {
        /// The size of a cluster. Without it, 64 KiB.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster_size: Option<u64>,
        /// How clusters are compressed.
        #[serde(default)]
        compression: Qcow2Compression,
        /// How hard that tries. Without it, 9 for zlib and 3 for zstd.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<u32>,
        /// Whether every cluster has its place in the file from the start.
        #[serde(default)]
        preallocated: bool,
        /// The disk that it lies over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backing: Option<BackingSpec>,
    },
    /// VirtualBox'.
    Vdi {
        /// Whether every block has its place in the file from the start.
        #[serde(default)]
        fixed: bool,
        /// The image's UUID.
        uuid: String,
    },
    /// VMware's.
    Vmdk {
        /// What kind it is.
        #[serde(default)]
        variant: VmdkVariant,
        /// The controller that it is for.
        #[serde(default)]
        adapter: VmdkAdapter,
        /// What the number of its contents is made of.
        uuid: String,
    },
    /// Microsoft's older one.
    Vhd {
        /// Whether it is the whole disk with a footer.
        #[serde(default)]
        fixed: bool,
        /// The image's UUID.
        uuid: String,
        /// When it was made, in seconds since 1970.
        epoch: u64,
    },
    /// Microsoft's newer one.
    Vhdx {
        /// The size of a block. Without it, one that suits the disk's size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        block_size: Option<u64>,
        /// The disk's UUID.
        uuid: String,
    },
    /// Parallels': a directory.
    Parallels {
        /// The disk's UUID.
        uuid: String,
    },
    /// Google's archive.
    Gcp {
        /// When the disk was made, in seconds since 1970.
        epoch: u64,
    },
}

impl FormatSpec {
    /// Says whether it is the disk itself.
    pub fn is_raw(&self) -> bool {
        *self == FormatSpec::Raw
    }
}

/// The disk that a qcow2 lies over. What is the same there is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackingSpec {
    /// The disk, in any format that is read.
    pub file: String,
    /// What the qcow2 calls it: a path, relative to itself.
    pub name: String,
}

/// How clusters of a qcow2 are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Qcow2Compression {
    /// Not at all.
    #[default]
    None,
    /// Deflate, which every QEMU reads.
    Zlib,
    /// Zstandard, which QEMU reads from 5.1 on.
    Zstd,
}

/// A kind of VMDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmdkVariant {
    /// A disk to run.
    #[default]
    MonolithicSparse,
    /// A disk to import: compressed.
    StreamOptimized,
}

/// The controller that a VMDK is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VmdkAdapter {
    /// IDE, or SATA.
    #[default]
    Ide,
    /// An old SCSI controller.
    BusLogic,
    /// A SCSI controller.
    LsiLogic,
}

/// A qcow2 on which nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlankSpec {
    /// Where it goes.
    pub output: String,
    /// The disk's size in bytes.
    pub size: u64,
}

/// A qcow2 that is what another disk is, until somebody writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverSpec {
    /// Where it goes.
    pub output: String,
    /// The disk below.
    pub below: String,
    /// Its format.
    pub format: InputFormat,
    /// What the qcow2 calls it: an absolute path, or one relative to itself.
    pub name: String,
}
