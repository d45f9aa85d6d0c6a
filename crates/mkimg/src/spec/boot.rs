//! Programs for firmware: unified kernel images, signatures; and hash trees of what they start.

use serde::{Deserialize, Serialize};

/// A unified kernel image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UkiSpec {
    /// Where the image goes.
    pub output: String,
    /// Where the text goes that says what is in it, and what will be measured.
    pub text_output: String,
    /// The program that starts the kernel.
    pub stub: String,
    /// The kernel.
    pub linux: String,
    /// Archives for the kernel to start from, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initrds: Vec<String>,
    /// What the kernel is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<UkiText>,
    /// A file with the hash of a root file system, which the kernel is told as `roothash=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_hash: Option<String>,
    /// What the system says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_release: Option<UkiText>,
    /// The kernel's release. Without it, what the kernel says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uname: Option<String>,
    /// A device tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devicetree: Option<String>,
    /// A picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splash: Option<String>,
    /// Lines by which the image can be revoked. Without any, the one that `ukify` has for all images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sbat: Vec<String>,
}

/// A text that a unified kernel image has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UkiText {
    /// This one.
    Text(String),
    /// What is in this file.
    File(String),
}

/// A signature of a program.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignSpec {
    /// Where the signed program goes.
    pub output: String,
    /// The program.
    pub input: String,
    /// The key: RSA in PKCS #8 or PKCS #1, as PEM or DER.
    pub key: String,
    /// Its certificate: X.509 as PEM or DER.
    pub certificate: String,
    /// The certificates of who certifies that, of who certifies that one, and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intermediates: Vec<String>,
}

/// The hash tree of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VeritySpec {
    /// The image.
    pub input: String,
    /// Where the image goes with its tree behind it, or the tree alone if `appended` is not set.
    pub output: String,
    /// Whether the image is in front of the tree.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub appended: bool,
    /// Where the root's hash goes, in hexadecimal digits.
    pub root_hash_output: String,
    /// The hash.
    #[serde(default)]
    pub hash: VerityHash,
    /// The size of a block of the image. Without it, 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_block_size: Option<u32>,
    /// The size of a block of the tree. Without it, 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_block_size: Option<u32>,
    /// What every hash begins with, in hexadecimal digits; at most 256 bytes.
    pub salt: String,
    /// The tree's UUID.
    pub uuid: String,
}

/// A hash that trees are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerityHash {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// GRUB as one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrubSpec {
    /// Where it goes; for a BIOS, where the boot sector goes that starts it.
    pub outputs: Vec<String>,
    /// What it is for.
    pub format: GrubFormat,
    /// Its modules, by name.
    pub modules: Vec<String>,
    /// A configuration that it begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Where it looks for everything else.
    pub prefix: String,
    /// A file with lines by which it can be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbat: Option<String>,
    /// For a BIOS: the offset on its disk at which it will lie, in bytes. Without it, nothing is told where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

/// What GRUB is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrubFormat {
    /// UEFI on 64-bit x86.
    #[serde(rename = "x86_64-efi")]
    X86_64Efi,
    /// UEFI on 64-bit Arm.
    #[serde(rename = "arm64-efi")]
    Arm64Efi,
    /// UEFI on 64-bit RISC-V.
    #[serde(rename = "riscv64-efi")]
    Riscv64Efi,
    /// A BIOS that starts a disk.
    #[serde(rename = "i386-pc")]
    I386Pc,
    /// A BIOS that starts a CD.
    #[serde(rename = "i386-pc-eltorito")]
    I386PcEltorito,
}

/// The variables of a firmware, with keys for Secure Boot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfiVariablesSpec {
    /// Where they go.
    pub output: String,
    /// Variables to start from, which have none of these keys: `OVMF_VARS_4M.fd`.
    pub template: String,
    /// The certificate of the owner of the machine (PK).
    pub platform_key: String,
    /// The certificates of who may change `allowed` (KEK).
    pub exchange_keys: Vec<String>,
    /// The certificates by whose keys programs may be signed (db).
    pub allowed: Vec<String>,
    /// Who says so, as a UUID.
    pub owner: String,
}
