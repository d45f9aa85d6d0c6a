//! What firmware starts: unified kernel images, boot loaders, signatures, and hash trees of what they start.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Spanned;
use crate::reader::{FromText, Wrong, table, words};
use crate::region::Address;
use crate::scalar::{Arch, EnvRef, Name, TargetRef, Uuid};
use crate::target::{ArchiveFile, FileEntry};

table! {
    /// A unified kernel image: a kernel with its initramfs and command line, behind a stub, as one program for firmware.
    /// Leaves `NAME.efi`, and `NAME.txt` with its sections and what systemd's stub will measure of them into PCR 11.
    ///
    /// Files are targets, or `{ file = "…" }` of the project.
    pub struct Uki {
        /// The program that starts the kernel: `linuxx64.efi.stub` or `linuxaa64.efi.stub` of the package
        /// `systemd-boot-efi`, as a target of kind `extract` takes it.
        stub: Spanned<ArchiveFile>,
        /// The kernel, one that firmware could start itself.
        kernel: Spanned<ArchiveFile>,
        /// Archives for the kernel to start from, in this order.
        initrds: Vec<Spanned<ArchiveFile>>,
        /// What the kernel is told.
        cmdline: Option<Spanned<String>>,
        /// A target of kind `verity`: the kernel is told its root's hash, as `roothash=`.
        root_hash: Option<Spanned<TargetRef>>,
        /// What the system says of itself: the text of an `os-release`, or a table with `file` or `target`.
        os_release: Option<Spanned<FileEntry>>,
        /// The kernel's release. Without it, what the kernel says.
        uname: Option<Spanned<String>>,
        /// A device tree.
        devicetree: Option<Spanned<ArchiveFile>>,
        /// A picture, in the format of Windows bitmaps.
        splash: Option<Spanned<ArchiveFile>>,
        /// Lines by which the image can be revoked, beside those of stub and kernel:
        /// `os.example,1,Example,os,1.0,https://example.org`. Without any, the one that systemd's `ukify` has for all images.
        sbat: Vec<Spanned<String>>,
    }
}

table! {
    /// A program for firmware, signed for Secure Boot: GRUB, systemd-boot, a kernel, a unified kernel image. Leaves
    /// `NAME.efi`. The same key makes the same bytes of the same program.
    ///
    /// What a key is used for is in the store like everything that a step reads, so it should be one for tests.
    pub struct Signed {
        /// The program.
        program: Spanned<ArchiveFile>,
        /// The key: RSA in PKCS #8 or PKCS #1, as PEM or DER, without a password.
        key: Spanned<ArchiveFile>,
        /// Its certificate: X.509 as PEM or DER.
        certificate: Spanned<ArchiveFile>,
        /// The certificates between that one and one that firmware trusts: of who certifies it, of who certifies that
        /// one, and so on. They become part of the signature.
        intermediates: Vec<Spanned<ArchiveFile>>,
    }
}

table! {
    /// The hash tree of an image, for dm-verity. Leaves `NAME.verity`, or `NAME.img`, which is the image with the tree
    /// behind it, and `NAME.roothash`.
    pub struct Verity {
        /// The image: a file system as a rule.
        image: Spanned<ArchiveFile>,
        /// Whether the tree comes behind a copy of the image.
        append: bool = false,
        /// The hash.
        hash: VerityHash = "sha256",
        /// The size of a block of the image: a power of two from 512.
        data_block_size: Spanned<u32> = 4096,
        /// The size of a block of the tree: a power of two from 512.
        hash_block_size: Spanned<u32> = 4096,
        /// What every hash begins with, in hexadecimal digits; at most 256 bytes. Without it, bytes derived from the
        /// names of stack and target.
        salt: Option<Spanned<HexBytes>>,
        /// The tree's UUID. Without it, one derived from the names of stack and target.
        uuid: Option<Spanned<Uuid>>,
    }
}

words! {
    /// A hash that trees are made of.
    pub enum VerityHash("hash") {
        /// SHA-256.
        Sha256 = "sha256" not "sha-256",
        /// SHA-512.
        Sha512 = "sha512" not "sha-512",
    }
}

table! {
    /// GRUB: one program with the modules that are listed. Leaves `BOOTX64.EFI` or `BOOTAA64.EFI`; for a BIOS `core.img`
    /// and `boot.img`, for a BIOS that starts a CD `eltorito.img`.
    ///
    /// The environment needs `grub-common` and what has the modules: `grub-efi-amd64-bin`, `grub-efi-arm64-bin:arm64`,
    /// `grub-pc-bin`.
    pub struct Grub {
        /// The environment that has `grub-mkimage` and the modules.
        env: Spanned<EnvRef>,
        /// The instruction set that it is for, which need not be that of the environment.
        arch: Spanned<Arch> = "amd64",
        /// What starts it.
        firmware: Spanned<GrubFirmware> = "efi",
        /// The modules, by name. What they need comes with them.
        modules: Vec<Spanned<String>>,
        /// What it does first: the text of a configuration, or a table with `file` or `target`.
        config: Option<Spanned<FileEntry>>,
        /// Where it looks for everything else.
        prefix: String = "/boot/grub",
        /// For a BIOS: the offset of `core.img` on its disk, the same as among the disk's `blobs`: `17K`. `boot.img` and
        /// `core.img` are told. Without it, both are as GRUB has them, for a core behind the first sector.
        at: Option<Spanned<Address>>,
        /// Lines by which it can be revoked, of which the package's own is the first one: without any, shim does not
        /// start it.
        sbat: Vec<Spanned<String>>,
    }
}

table! {
    /// The variables of a virtual machine's UEFI, with keys for Secure Boot: with a platform key in them it starts only
    /// programs that are signed by a key of `allowed`. Leaves `NAME.fd`.
    pub struct EfiVariables {
        /// Variables without keys to start from: `/usr/share/OVMF/OVMF_VARS_4M.fd` of Debian's package `ovmf`,
        /// `/usr/share/AAVMF/AAVMF_VARS.fd` of `qemu-efi-aarch64`.
        template: Spanned<ArchiveFile>,
        /// The certificate of the owner of the machine (PK).
        platform_key: Spanned<ArchiveFile>,
        /// The certificates of who may change what is allowed (KEK). Without any, the owner's.
        exchange_keys: Vec<Spanned<ArchiveFile>>,
        /// The certificates by whose keys programs may be signed (db).
        allowed: Vec<Spanned<ArchiveFile>>,
    }
}

words! {
    /// What starts a boot loader.
    pub enum GrubFirmware("firmware") {
        /// UEFI.
        Efi = "efi" not "uefi",
        /// A BIOS, from a disk.
        Bios = "bios" not "pc",
        /// A BIOS, from a CD.
        Eltorito = "eltorito" not "el-torito" not "cd",
    }
}

impl Uki {
    /// Returns every file of which it is made.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Spanned<ArchiveFile>> {
        [&self.stub, &self.kernel]
            .into_iter()
            .chain(&self.initrds)
            .chain(&self.devicetree)
            .chain(&self.splash)
    }
}

impl Signed {
    /// Returns every file of which it is made.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Spanned<ArchiveFile>> {
        [&self.program, &self.key, &self.certificate].into_iter().chain(&self.intermediates)
    }
}

impl EfiVariables {
    /// Returns every file of which it is made.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Spanned<ArchiveFile>> {
        [&self.template, &self.platform_key].into_iter().chain(&self.exchange_keys).chain(&self.allowed)
    }
}

impl Verity {
    /// Returns what it leaves, the main file first.
    pub(crate) fn leaves(&self, name: &Name) -> [String; 2] {
        let main = if self.append { format!("{name}.img") } else { format!("{name}.verity") };
        [main, format!("{name}.roothash")]
    }
}

/// Where GRUB's boot sector looks for the core unless it is told.
const BEHIND_FIRST_SECTOR: u64 = 512;

impl Grub {
    /// Returns the offset at which its boot sector looks for its core, if there is one.
    pub(crate) fn core_at(&self) -> Option<u64> {
        let is_bios = self.firmware.value == GrubFirmware::Bios;
        is_bios.then(|| self.at.as_ref().map_or(BEHIND_FIRST_SECTOR, |at| at.number()))
    }

    /// Returns what it leaves, the main file first. There is no GRUB for a BIOS of other machines; for these it says
    /// what there would be.
    pub(crate) fn leaves(&self) -> Vec<String> {
        let files: &[&str] = match (self.firmware.value, self.arch.value) {
            (GrubFirmware::Efi, Arch::Amd64) => &["BOOTX64.EFI"],
            (GrubFirmware::Efi, Arch::Arm64) => &["BOOTAA64.EFI"],
            (GrubFirmware::Efi, Arch::Riscv64) => &["BOOTRISCV64.EFI"],
            (GrubFirmware::Bios, _) => &["core.img", "boot.img"],
            (GrubFirmware::Eltorito, _) => &["eltorito.img"],
        };
        files.iter().map(|file| (*file).to_owned()).collect()
    }
}

/// Bytes in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HexBytes(String);

impl HexBytes {
    /// Returns the digits, in small letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As many bytes as a superblock of dm-verity has for its salt.
const LONGEST_SALT: usize = 256;

impl FromText for HexBytes {
    fn from_text(text: &str) -> Result<HexBytes, Wrong> {
        let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex && text.len() <= 2 * LONGEST_SALT {
            return Ok(HexBytes(text.to_ascii_lowercase()));
        }
        let message =
            format!("`{}` is not up to {LONGEST_SALT} bytes in hexadecimal digits", text.escape_debug());
        Err(Wrong::new(message, "write two digits for each byte: `00c0ffee`"))
    }
}

impl JsonSchema for HexBytes {
    fn schema_name() -> Cow<'static, str> {
        "HexBytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9a-fA-F]{2})*$",
            "description": "Bytes, two hexadecimal digits each.",
        })
    }
}
