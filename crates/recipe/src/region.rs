//! The parts of a machine's memory: what lies where.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::reader::{FromText, Read, ReadFields, Reader, Wrong, table};
use crate::scalar::{Name, TargetRef};
use crate::value::{Table, Value};
use crate::{Problem, Spanned};

/// A part of a machine's memory. Exactly one of `linux`, `raw`, `elf`, `reserve` and `device` says what is there.
#[derive(Clone, Debug)]
pub struct Region {
    /// What is there.
    pub content: RegionContent,
    /// Where, and what else holds.
    pub rules: RegionRules,
}

/// What is in a region.
#[derive(Clone, Debug)]
pub enum RegionContent {
    /// A Linux kernel, whose header says how much memory it takes.
    Linux(Spanned<TargetRef>),
    /// The bytes of a file.
    Raw(Spanned<TargetRef>),
    /// A program, whose headers say where it lies.
    Elf(Spanned<TargetRef>),
    /// Memory into which nothing is loaded.
    Reserve(Address),
    /// A window in which a device answers.
    Device(Address),
}

impl RegionContent {
    /// Returns what is loaded, if something is.
    pub fn file(&self) -> Option<&Spanned<TargetRef>> {
        match self {
            RegionContent::Linux(file) | RegionContent::Raw(file) | RegionContent::Elf(file) => Some(file),
            RegionContent::Reserve(_) | RegionContent::Device(_) => None,
        }
    }
}

table! {
    /// Where a region is, and what must hold of it.
    pub struct RegionRules {
        /// Its address: `0x48000000`.
        at: Option<Spanned<Address>>,
        /// The region that it comes after.
        after: Option<Spanned<Name>>,
        /// The reserved region that it is a part of.
        inside: Option<Spanned<Name>>,
        /// Addresses that it must not leave, from the first up to, and without, the second:
        /// `["0x54000000", "0x58000000"]`.
        within: Option<Spanned<Bounds>>,
        /// A power of two that divides its address.
        align: Option<Spanned<Address>>,
        /// The most bytes that it may take.
        max: Option<Spanned<Address>>,
        /// Whether the first processor starts here.
        entry: bool = false,
        /// How far from its start; in an `elf`, from its entry point.
        entry_offset: Address = "0",
    }
}

const CONTENTS: [&str; 5] = ["linux", "raw", "elf", "reserve", "device"];

impl Read for Region {
    fn read(value: &Value, reader: &mut Reader) -> Option<Region> {
        let table = reader.table(value)?;
        let known: Vec<Cow<'static, str>> =
            CONTENTS.iter().map(|key| Cow::Borrowed(*key)).chain(RegionRules::known()).collect();
        reader.known_keys(table, &known);
        let content = RegionContent::read(value, table, reader);
        let rules = RegionRules::read_fields(value, table, reader);
        Some(Region { content: content?, rules: rules? })
    }
}

impl RegionContent {
    fn read(value: &Value, table: &Table, reader: &mut Reader) -> Option<RegionContent> {
        let entry = reader.exactly_one(&value.place, table, &CONTENTS)?;
        reader.inside(format!("`{}`", entry.key), |reader| match entry.key.as_str() {
            "linux" => Spanned::read(&entry.value, reader).map(RegionContent::Linux),
            "raw" => Spanned::read(&entry.value, reader).map(RegionContent::Raw),
            "elf" => Spanned::read(&entry.value, reader).map(RegionContent::Elf),
            "reserve" => Address::read(&entry.value, reader).map(RegionContent::Reserve),
            _ => Address::read(&entry.value, reader).map(RegionContent::Device),
        })
    }
}

impl JsonSchema for Region {
    fn schema_name() -> Cow<'static, str> {
        "Region".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = RegionRules::json_schema(generator);
        let (file, size) = (generator.subschema_for::<TargetRef>(), generator.subschema_for::<Address>());
        let object = schema.ensure_object();
        object.insert("description".to_owned(), "What lies where in memory: exactly one of `linux` (a kernel), `raw`, `elf` (a program), `reserve` and `device`, and its place.".into());
        if let Some(properties) =
            object.entry("properties").or_insert_with(|| serde_json::json!({})).as_object_mut()
        {
            for key in CONTENTS {
                let value = if matches!(key, "reserve" | "device") { &size } else { &file };
                properties.insert(key.to_owned(), value.clone().into());
            }
        }
        schema
    }
}

/// Two addresses: from the first up to, and without, the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first address.
    pub start: Address,
    /// The first that is beyond.
    pub end: Address,
}

impl Read for Bounds {
    fn read(value: &Value, reader: &mut Reader) -> Option<Bounds> {
        match Vec::<Address>::read(value, reader)?.as_slice() {
            [start, end] if start < end => Some(Bounds { start: *start, end: *end }),
            _ => {
                let problem = Problem::at(&value.place, "these are not a lower and a higher address");
                reader.problems.push(problem.help("write them as in `[\"0x54000000\", \"0x58000000\"]`"));
                None
            }
        }
    }
}

impl JsonSchema for Bounds {
    fn schema_name() -> Cow<'static, str> {
        "Bounds".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": generator.subschema_for::<Address>(),
            "minItems": 2,
            "maxItems": 2,
            "description": "Two addresses: from the first up to, and without, the second.",
        })
    }
}

/// An address or a size: `0x48000000`, `512M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(u64);

impl Address {
    /// Returns the number.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl FromText for Address {
    fn from_text(text: &str) -> Result<Address, Wrong> {
        vm::number::parse(text).map(Address).ok_or_else(|| {
            let message = format!("`{}` is neither an address nor a size", text.escape_debug());
            Wrong::new(message, "write it as in `0x48000000` or `512M`")
        })
    }
}

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(0x[0-9a-fA-F_]+|[0-9_]+)[KMG]?$",
            "description": "An address or a size: `0x48000000`, `512M`.",
        })
    }
}
