//! Disks: what is on them, and where.

use std::borrow::Cow;
use std::collections::BTreeSet;

use mkimg::disk::{GPT_TYPES, Guid, MBR_TYPES, gpt_type, mbr_type};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::formats::{self, DiskFormats, Format};
use crate::reader::{FromText, Read, Reader, Wrong, table, words};
use crate::region::Address;
use crate::scalar::{ProjectPath, Size, TargetRef, Uuid};
use crate::value::{Kind, Value};
use crate::{Problem, Spanned, suggest};

table! {
    /// A disk with partitions. Leaves `NAME.raw`, which has holes where nothing is, the files of `formats`, and
    /// `NAME.map.txt`, a drawing of what lies where. What overlaps or does not fit is an error with such a drawing.
    pub struct DiskImage {
        /// The formats that it is written in, each by a step of its own. Without it, it is left as it is: `NAME.raw`.
        formats: Option<Spanned<DiskFormats>>,
        /// How the partitions are listed.
        table: PartitionTable = "gpt",
        /// The disk's GUID. Without it, one derived from the names of stack and target.
        guid: Option<Spanned<Uuid>>,
        /// The disk's number in an old table: `0x1234abcd`. Without it, one derived from the names of stack and target.
        signature: Option<Spanned<Address>>,
        /// The size of a sector: 512 or 4096.
        sector_size: Spanned<Address> = "512",
        /// The disk's size. Without it, that of the partitions and `slack`, rounded up.
        size: Option<Spanned<Size>>,
        /// What is added to the sizes of the partitions. There is as much as tables and gaps need anyway.
        slack: Option<Spanned<Size>>,
        /// What the disk's size is a multiple of, when it is not given.
        round: Option<Spanned<Size>>,
        /// What partitions begin at multiples of.
        align: Size = "1M",
        /// The first sector that a partition can have.
        first_lba: u32 = 0,
        /// What a BIOS starts: it goes into the first sector.
        boot_code: Option<Spanned<BootCode>>,
        /// What lies outside of partitions.
        blobs: Vec<Spanned<DiskBlob>>,
        /// Partitions that the old table has, too, for firmware that knows no other: at most three.
        hybrid: Vec<Spanned<HybridEntry>>,
        /// Where the entry that protects the rest is among these.
        protective: ProtectivePlace = "first",
        /// The partitions, in their order on the disk.
        partitions: Vec<Spanned<Partition>>,
        /// The most that the disk's file may have, that of the first of its formats. More fails the build. Directories have
        /// budgets where their file system is made.
        max_size: Option<Spanned<Size>>,
    }
}

words! {
    /// How partitions are listed.
    pub enum PartitionTable("partition table") {
        /// A GUID partition table: 128 partitions with names and GUIDs.
        Gpt = "gpt",
        /// The old table of the first sector: four partitions below 2 TiB.
        Mbr = "mbr" not "dos" not "msdos",
    }
}

words! {
    /// Where the protective entry of a hybrid table is.
    pub enum ProtectivePlace("place") {
        /// In front of the others.
        First = "first",
        /// Behind the others, for firmware that looks at the first entry only.
        Last = "last",
    }
}

table! {
    /// What a BIOS starts. One of `target` and `file` has it.
    pub struct BootCode {
        /// From a target.
        target: Option<Spanned<TargetRef>>,
        /// From a file of the project.
        file: Option<Spanned<ProjectPath>>,
        /// How many of its first bytes are taken: up to 446. Without it, all of it, or 440 of a whole sector.
        length: Option<Spanned<u32>>,
    }
}

table! {
    /// Bytes outside of partitions. One of `target` and `file` has them.
    pub struct DiskBlob {
        /// From a target.
        target: Option<Spanned<TargetRef>>,
        /// From a file of the project.
        file: Option<Spanned<ProjectPath>>,
        /// The offset of the first byte: `0x4400`, `17K`.
        at: Spanned<Address>,
    }
}

table! {
    /// A partition that the old table has, too.
    pub struct HybridEntry {
        /// The partition's number.
        partition: Spanned<u32>,
        /// Its type there: a name like `fat32`, or a number like `0x0c`.
        r#type: Spanned<MbrType>,
        /// Whether it is marked as the one to start from.
        bootable: bool = false,
    }
}

table! {
    /// A partition. It is empty, or one of `target` and `file` has its contents, behind which it is zero.
    pub struct Partition {
        /// Its number. Without it, the lowest that no other has.
        number: Option<Spanned<u32>>,
        /// Its name, at most 36 UTF-16 units.
        name: Spanned<String> = "",
        /// Its type: a name like `esp` or `linux-root-amd64`, a GUID, or in an old table a number like `0x0c`.
        r#type: Spanned<PartitionType>,
        /// Its own GUID. Without it, one derived from the names of stack, target and partition.
        guid: Option<Spanned<Uuid>>,
        /// The bits that are set of its attributes: `required`, `no-block-io`, `legacy-boot`, `grow-file-system`,
        /// `read-only`, `hidden`, `no-automount`, or numbers from 0 to 63.
        attributes: Vec<Spanned<Attribute>>,
        /// What ChromeOS' way of choosing a partition to start goes by.
        chromeos: Option<Spanned<ChromeOs>>,
        /// Whether an old table marks it as the one to start from.
        bootable: bool = false,
        /// How large it is: a size, `min` for as large as its contents, or `grow` for what the others leave.
        size: Spanned<PartitionSize> = "min",
        /// The offset of its first byte. Without it, it lies behind the one before.
        at: Option<Spanned<Address>>,
        /// What its offset is a multiple of, if that is not the disk's `align`.
        align: Option<Spanned<Size>>,
        /// A target that has its contents.
        target: Option<Spanned<TargetRef>>,
        /// A file of the project that has its contents.
        file: Option<Spanned<ProjectPath>>,
        /// Whether it belongs to whoever runs the disk, so that `update` leaves it alone. One without contents does.
        state: bool = false,
    }
}

table! {
    /// What ChromeOS' way of choosing a partition to start goes by, which GRUB's `gptprio` also knows.
    pub struct ChromeOs {
        /// How far in front it is: up to 15; 0 is never started.
        priority: Spanned<u32>,
        /// How often it is tried: up to 15.
        tries: Spanned<u32> = 0,
        /// Whether it has started well.
        successful: bool = false,
    }
}

/// The type of a partition in an old table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MbrType(pub(crate) u8);

impl FromText for MbrType {
    fn from_text(text: &str) -> Result<MbrType, Wrong> {
        mbr_type(text).map(MbrType).ok_or_else(|| {
            let help = suggest::help(text, "types", MBR_TYPES.map(|(name, _)| name));
            let message = format!("`{}` is no type of an old table", text.escape_debug());
            Wrong::new(message, format!("write a number as in `0x0c`, or a name: {help}"))
        })
    }
}

impl JsonSchema for MbrType {
    fn schema_name() -> Cow<'static, str> {
        "MbrType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = MBR_TYPES.map(|(name, _)| name).join("`, `");
        json_schema!({
            "type": "string",
            "description": format!("A type of an old table: `{names}`, or a number like `0x0c`."),
        })
    }
}

/// The type of a partition: for a GUID partition table, an old one, or by a name that both know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionType {
    text: String,
    /// What a GUID partition table calls it.
    pub(crate) gpt: Option<Guid>,
    /// What an old table calls it.
    pub(crate) mbr: Option<u8>,
}

impl PartitionType {
    /// Returns it as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromText for PartitionType {
    fn from_text(text: &str) -> Result<PartitionType, Wrong> {
        let gpt = gpt_type(text).or_else(|| Guid::parse(text)).filter(|guid| *guid != Guid::NIL);
        let mbr = mbr_type(text);
        if gpt.is_none() && mbr.is_none() {
            let names =
                GPT_TYPES.iter().map(|(name, _)| *name).chain(MBR_TYPES.iter().map(|(name, _)| *name));
            let help = suggest::help(text, "types", names);
            let message = format!("unknown type of partition `{}`", text.escape_debug());
            return Err(Wrong::new(message, format!("write a GUID or a name: {help}")));
        }
        Ok(PartitionType { text: text.to_owned(), gpt, mbr })
    }
}

impl JsonSchema for PartitionType {
    fn schema_name() -> Cow<'static, str> {
        "PartitionType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = GPT_TYPES.map(|(name, _)| name).join("`, `");
        let old = MBR_TYPES.map(|(name, _)| name).join("`, `");
        json_schema!({
            "type": "string",
            "description": format!("A type of partition: `{names}`, or a GUID; in an old table `{old}`, or a number like `0x0c`."),
        })
    }
}

/// A bit of a partition's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute(pub(crate) u8);

/// UEFI specification 5.3.3; Discoverable Partitions Specification, "Partition Flags".
const ATTRIBUTES: [(&str, u8); 7] = [
    ("required", 0),
    ("no-block-io", 1),
    ("legacy-boot", 2),
    ("grow-file-system", 59),
    ("read-only", 60),
    ("hidden", 62),
    ("no-automount", 63),
];

impl Read for Attribute {
    fn read(value: &Value, reader: &mut Reader) -> Option<Attribute> {
        let kind = if let Kind::Knob { value, .. } = &value.kind { value } else { &value.kind };
        let (shown, bit) = match kind {
            Kind::Integer(number) => {
                (number.to_string(), u8::try_from(*number).ok().filter(|number| *number < 64))
            }
            Kind::String(text) => {
                (text.clone(), ATTRIBUTES.iter().find(|(name, _)| name == text).map(|(_, bit)| *bit))
            }
            _ => {
                reader.wrong_type(value, "the name or the number of a bit");
                return None;
            }
        };
        if bit.is_none() {
            let help = suggest::help(&shown, "attributes", ATTRIBUTES.map(|(name, _)| name));
            reader.problems.push(
                Problem::at(&value.place, format!("unknown attribute `{}`", shown.escape_debug()))
                    .help(format!("write the number of a bit, 0 to 63, or a name: {help}")),
            );
        }
        bit.map(Attribute)
    }
}

impl JsonSchema for Attribute {
    fn schema_name() -> Cow<'static, str> {
        "Attribute".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A bit of a partition's attributes, by name or number.",
            "anyOf": [
                { "enum": ATTRIBUTES.map(|(name, _)| name) },
                { "type": "integer", "minimum": 0, "maximum": 63 },
            ],
        })
    }
}

/// The size of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionSize {
    /// As large as its contents.
    Min,
    /// As large as what the others leave.
    Grow,
    /// This size.
    Fixed(Size),
}

impl FromText for PartitionSize {
    fn from_text(text: &str) -> Result<PartitionSize, Wrong> {
        match text {
            "min" => Ok(PartitionSize::Min),
            "grow" => Ok(PartitionSize::Grow),
            _ => Size::from_text(text).map(PartitionSize::Fixed).map_err(|wrong| Wrong {
                help: Some("write `min`, `grow`, or a whole number and a unit, as in `512M`".to_owned()),
                ..wrong
            }),
        }
    }
}

impl JsonSchema for PartitionSize {
    fn schema_name() -> Cow<'static, str> {
        "PartitionSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(min|grow|[0-9]+[KMGT](iB)?)$",
            "description": "A size with a binary unit, `min` for that of the contents, or `grow` for what the others leave.",
        })
    }
}

/// A thing on a disk whose bytes come from one of two places.
pub(crate) struct Bytes<'a> {
    pub(crate) target: Option<&'a Spanned<TargetRef>>,
    pub(crate) file: Option<&'a Spanned<ProjectPath>>,
}

impl DiskImage {
    /// Returns the number of each partition: its own, or the lowest that no other has.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        let own = |partition: &Spanned<Partition>| partition.number.as_ref().map(|number| number.value);
        let given: BTreeSet<u32> = self.partitions.iter().filter_map(own).collect();
        let mut free = (1..).filter(|number| !given.contains(number));
        self.partitions.iter().map(|partition| own(partition).or_else(|| free.next()).unwrap_or(0)).collect()
    }

    /// Returns the numbers of the partitions that belong to whoever runs the disk: nobody else puts anything there, or
    /// not for long.
    pub fn state(&self) -> BTreeSet<u32> {
        let partitions = self.partitions.iter().zip(self.numbers());
        let is_state =
            |partition: &Partition| partition.state || partition.target.is_none() && partition.file.is_none();
        partitions.filter(|(partition, _)| is_state(partition)).map(|(_, number)| number).collect()
    }

    /// Returns the formats that it is written in, the main one first.
    pub(crate) fn written(&self) -> Vec<Format<'_>> {
        formats::of_disk(&self.formats)
    }

    /// Returns everything that a step reads: the boot code, the blobs, the partitions, what a format lies over.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = Bytes<'_>> {
        let code = self.boot_code.iter().map(|code| (&code.target, &code.file));
        let blobs = self.blobs.iter().map(|blob| (&blob.target, &blob.file));
        let partitions = self.partitions.iter().map(|partition| (&partition.target, &partition.file));
        let backing = self.formats.iter().filter_map(|formats| formats.backing());
        let backing = backing.map(|backing| (&backing.target, &backing.file));
        code.chain(blobs)
            .chain(partitions)
            .chain(backing)
            .map(|(target, file)| Bytes { target: target.as_ref(), file: file.as_ref() })
    }
}
