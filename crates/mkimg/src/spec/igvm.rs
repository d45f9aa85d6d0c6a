//! IGVM files.

use serde::{Deserialize, Serialize};

/// What is loaded into a guest before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgvmSpec {
    /// Where the file goes.
    pub output: String,
    /// Where the text goes that says what will be measured, and what lies where.
    pub text_output: String,
    /// What the guest starts.
    pub start: IgvmStart,
}

/// What a guest starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IgvmStart {
    /// Firmware.
    Firmware(IgvmFirmwareSpec),
    /// A kernel without firmware, on the platform `native`.
    Direct(IgvmDirectSpec),
}

/// Firmware, and the platforms that it is started on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgvmFirmwareSpec {
    /// Its image, which ends at 4 GiB.
    pub image: String,
    /// Whether it is started without isolation, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub native: bool,
    /// How it is started on SEV-SNP, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snp: Option<IgvmSnpSpec>,
    /// How it is started on TDX, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tdx: Option<IgvmTdxSpec>,
}

/// A guest of SEV-SNP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgvmSnpSpec {
    /// What its owner allows the host.
    pub policy: u64,
    /// How many processors it has.
    pub processors: u16,
    /// What CPUID says of family, model and stepping.
    pub signature: u32,
    /// The kernel whose hashes the firmware is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<IgvmHashedSpec>,
}

/// A kernel that is not in the file, but whose hashes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgvmHashedSpec {
    /// The kernel.
    pub kernel: String,
    /// Its initramfs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd: Option<String>,
    /// What it is told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cmdline: String,
}

/// A guest of TDX.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgvmTdxSpec {
    /// How many bytes of memory it has.
    pub memory: u64,
}

/// A kernel that starts without firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgvmDirectSpec {
    /// The kernel.
    pub kernel: String,
    /// Where it lies, if it does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat: Option<IgvmFlatSpec>,
    /// Its initramfs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd: Option<String>,
    /// What it is told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cmdline: String,
    /// How many bytes of memory the guest has.
    pub memory: u64,
}

/// Where a kernel lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgvmFlatSpec {
    /// Its address.
    pub address: u64,
    /// Where it is entered.
    pub entry: u64,
}
