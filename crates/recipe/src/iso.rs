//! What ISO 9660 has besides files: what machines start from, and what people read of it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Spanned;
use crate::disk::Bytes;
use crate::reader::{FromText, Wrong, table, words};
use crate::region::Address;
use crate::scalar::{GuestPath, ProjectPath, TargetRef};

table! {
    /// What ISO 9660 has besides. The `label` of the file system is its volume id.
    pub struct Iso {
        /// Who publishes it.
        publisher: Option<Spanned<String>>,
        /// Who made it.
        preparer: Option<Spanned<String>>,
        /// What it is for.
        application: Option<Spanned<String>>,
        /// The system that can use the first sectors. Without it, `LINUX`.
        system: Option<Spanned<String>>,
        /// The set of volumes that it is one of.
        volume_set: Option<Spanned<String>>,
        /// Its UUID, which is a time: `2024-01-31-12-00-00-00`. Without it, the stack's `epoch`.
        uuid: Option<Spanned<IsoUuid>>,
        /// Whether there is a second tree of names for Windows.
        joliet: bool = true,
        /// What a BIOS starts.
        bios: Option<Spanned<IsoBios>>,
        /// What UEFI starts.
        efi: Option<Spanned<IsoEfi>>,
        /// What makes a disk of it that machines start from.
        hybrid: Option<Spanned<IsoHybrid>>,
    }
}

table! {
    /// What a BIOS starts from an optical disk. One of `target`, `file` and `path` has it.
    pub struct IsoBios {
        /// From a target. It is on the image and in no directory.
        target: Option<Spanned<TargetRef>>,
        /// From a file of the project. It is on the image and in no directory.
        file: Option<Spanned<ProjectPath>>,
        /// A file of the image itself.
        path: Option<Spanned<GuestPath>>,
        /// Which loader it is. It is told where it is.
        loader: IsoLoader = "grub",
        /// How many units of 512 bytes are loaded.
        load_units: Option<Spanned<u32>>,
    }
}

words! {
    /// A loader, which finds in itself where on the medium it is.
    pub enum IsoLoader("loader") {
        /// GRUB: what `grub-mkimage -O i386-pc-eltorito` makes.
        Grub = "grub" not "grub2",
        /// isolinux.
        Isolinux = "isolinux" not "syslinux",
        /// Another one, which is told nothing.
        Other = "other" not "none",
    }
}

table! {
    /// What UEFI starts: a FAT file system with `EFI/BOOT`. One of `target`, `file` and `path` has it.
    pub struct IsoEfi {
        /// From a target. It is on the image and in no directory.
        target: Option<Spanned<TargetRef>>,
        /// From a file of the project. It is on the image and in no directory.
        file: Option<Spanned<ProjectPath>>,
        /// A file of the image itself.
        path: Option<Spanned<GuestPath>>,
    }
}

table! {
    /// What is before the file system, so that the image starts from any disk. Boot code is from a `target` or a `file`,
    /// if BIOSes are to start it: GRUB's `boot_hybrid.img`, isolinux' `isohdpfx.bin`.
    pub struct IsoHybrid {
        /// Boot code from a target.
        target: Option<Spanned<TargetRef>>,
        /// Boot code from a file of the project.
        file: Option<Spanned<ProjectPath>>,
        /// How what UEFI starts is listed as a partition.
        table: Spanned<IsoTable> = "gpt",
        /// The disk's number in an old table: `0x1234abcd`. Without it, one derived from the names of stack and target.
        signature: Option<Spanned<Address>>,
    }
}

words! {
    /// A table of partitions on an ISO.
    pub enum IsoTable("partition table") {
        /// A GUID partition table.
        Gpt = "gpt",
        /// The old table of the first sector, in which the whole image is a partition, too.
        Mbr = "mbr" not "dos" not "msdos",
        /// None: boot code can have 32 KiB.
        None = "none",
    }
}

/// Where an image is that a machine starts.
pub(crate) struct StartsFrom<'a> {
    pub(crate) bytes: Bytes<'a>,
    pub(crate) path: Option<&'a Spanned<GuestPath>>,
}

impl IsoBios {
    pub(crate) fn starts_from(&self) -> StartsFrom<'_> {
        let bytes = Bytes { target: self.target.as_ref(), file: self.file.as_ref() };
        StartsFrom { bytes, path: self.path.as_ref() }
    }
}

impl IsoEfi {
    pub(crate) fn starts_from(&self) -> StartsFrom<'_> {
        let bytes = Bytes { target: self.target.as_ref(), file: self.file.as_ref() };
        StartsFrom { bytes, path: self.path.as_ref() }
    }
}

impl Iso {
    /// Returns everything that comes from targets and files of the project.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = Bytes<'_>> {
        let code = self.hybrid.iter();
        let code = code.map(|code| Bytes { target: code.target.as_ref(), file: code.file.as_ref() });
        let bios = self.bios.iter().map(|bios| bios.starts_from().bytes);
        bios.chain(self.efi.iter().map(|efi| efi.starts_from().bytes)).chain(code)
    }
}

/// The UUID of an ISO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsoUuid(String);

impl IsoUuid {
    /// Returns it as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for IsoUuid {
    fn from_text(text: &str) -> Result<IsoUuid, Wrong> {
        match mkimg::iso::Uuid::parse(text) {
            Some(_) => Ok(IsoUuid(text.to_owned())),
            None => Err(Wrong::new(
                format!("`{}` is not the UUID of an ISO", text.escape_debug()),
                "it is a time: year, month, day, hour, minute, second and hundredths, as in `2024-01-31-12-00-00-00`",
            )),
        }
    }
}

impl JsonSchema for IsoUuid {
    fn schema_name() -> Cow<'static, str> {
        "IsoUuid".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]{4}(-?[0-9]{2}){6}$",
            "description": "The UUID of an ISO, which is a time: `2024-01-31-12-00-00-00`.",
        })
    }
}
