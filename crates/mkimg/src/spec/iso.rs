//! ISO 9660 images.

use serde::{Deserialize, Serialize};

/// An ISO 9660 image of merged layers, from which machines may start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsoSpec {
    /// Where the image goes.
    pub output: String,
    /// When it was made, in seconds since 1970.
    pub epoch: u64,
    /// The layers, bottom first.
    pub layers: Vec<String>,
    /// The name of the volume: 1 to 32 characters.
    pub volume_id: String,
    /// The UUID: a time of 16 digits, YYYYMMDDhhmmsscc. Without it, the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The system that can use the first sectors. Without it, `LINUX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The set of volumes that it is one of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_set: Option<String>,
    /// Who publishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparer: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// Whether there is a Joliet tree for Windows. Without it, there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joliet: Option<bool>,
    /// What machines start from, in the order of the catalog.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<IsoBootSpec>,
    /// What is before the file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hybrid: Option<IsoHybridSpec>,
}

/// An image that machines start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsoBootSpec {
    /// The firmware that it is for.
    pub platform: IsoPlatformSpec,
    /// Where it is.
    pub image: IsoImageSpec,
    /// How many units of 512 bytes are loaded. Without it, 4 for BIOS and all for UEFI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_units: Option<u16>,
    /// Whether bytes 8 to 63 become the boot information table.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub info_table: bool,
    /// Whether bytes 2548 to 2555 become what GRUB's `cdboot` looks for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grub2: bool,
}

/// A firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsoPlatformSpec {
    /// BIOS of a PC.
    Bios,
    /// UEFI.
    Efi,
}

/// Where an image is that machines start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsoImageSpec {
    /// In the layers, at this path.
    Path(String),
    /// A file, which will be on the image and in no directory.
    File(String),
}

/// What is before the file system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsoHybridSpec {
    /// A file with boot code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the code is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<IsoPatchSpec>,
    /// The partitions. Without it, there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<IsoTableSpec>,
}

/// Which loader the boot code belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsoPatchSpec {
    /// GRUB's `boot_hybrid.img`.
    Grub2,
    /// isolinux' `isohdpfx.bin`.
    Isolinux,
}

/// A table of partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsoTableSpec {
    /// The old one of the first sector.
    Mbr {
        /// The disk's number.
        signature: u32,
    },
    /// A GUID partition table.
    Gpt {
        /// The disk's GUID.
        guid: String,
    },
}
