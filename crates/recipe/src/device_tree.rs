//! Device trees: where they come from and what is changed in them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::reader::{FromText, Read, Reader, Wrong, table};
use crate::scalar::{MachineRef, Name, TargetRef};
use crate::value::{Kind, Table, Value};
use crate::{Problem, Spanned};

table! {
    /// A device tree. Leaves `NAME.dtb`, and `NAME.dts` for people.
    ///
    /// It starts as the one that QEMU makes of a machine of this project, as another one, or as nothing. What comes of
    /// the changes is checked: lengths of `reg` and `interrupts`, references, unit addresses, strings.
    pub struct Dtb {
        /// A machine, of which QEMU says what its devices are. Its images are not looked at.
        machine: Option<Spanned<MachineRef>>,
        /// A device tree as a target leaves it.
        base: Option<Spanned<TargetRef>>,
        /// Short names for nodes, by which `{ phandle = "gic" }` refers to them: `{ gic = "/intc@8000000" }`.
        labels: BTreeMap<Name, Spanned<NodePath>>,
        /// Nodes that are removed, with all in them.
        delete: Vec<Spanned<NodePath>>,
        /// Properties by node and name: a string, a number or a list of numbers, which are cells, `true` for one that
        /// is only there, `false` for one that is removed; in lists also `{ u64 = [0x40000000] }`,
        /// `{ bytes = "00ff" }` and `{ phandle = "gic" }`. Nodes that are missing are made.
        nodes: BTreeMap<NodePath, Spanned<BTreeMap<PropertyName, Spanned<PropertyValue>>>>,
        /// A region of the machine that uses the tree, with an address of its own: the initramfs, of which
        /// `/chosen` tells where it begins and ends.
        initrd: Option<Spanned<RegionRef>>,
    }
}

table! {
    /// A region of a machine.
    pub struct RegionRef {
        /// The machine.
        machine: Spanned<MachineRef>,
        /// The region of it.
        region: Spanned<Name>,
    }
}

/// The path of a node: `/cpus/cpu@0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodePath(String);

impl NodePath {
    /// Returns it as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for NodePath {
    fn from_text(text: &str) -> Result<NodePath, Wrong> {
        if text.starts_with('/') && !text.contains(char::is_whitespace) {
            return Ok(NodePath(text.to_owned()));
        }
        let message = format!("`{}` is no path of a node", text.escape_debug());
        Err(Wrong::new(message, "it begins with a slash, as in `/cpus/cpu@0`"))
    }
}

impl JsonSchema for NodePath {
    fn schema_name() -> Cow<'static, str> {
        "NodePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^/", "description": "The path of a node: `/cpus/cpu@0`." })
    }
}

/// The name of a property: `linux,initrd-start`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PropertyName(String);

impl PropertyName {
    /// Returns it as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for PropertyName {
    fn from_text(text: &str) -> Result<PropertyName, Wrong> {
        // Devicetree Specification v0.4, 2.2.4.1; Linux has longer ones.
        let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b",._+?#-".contains(&byte));
        if is_name && !text.is_empty() {
            return Ok(PropertyName(text.to_owned()));
        }
        let message = format!("`{}` cannot be the name of a property", text.escape_debug());
        Err(Wrong::new(message, "it has letters, digits and `,._+?#-`"))
    }
}

impl JsonSchema for PropertyName {
    fn schema_name() -> Cow<'static, str> {
        "PropertyName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "The name of a property." })
    }
}

/// What a property is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyValue {
    /// It is removed.
    Removed,
    /// These parts, one after the other; none make one that is only there.
    Parts(Vec<PropertyPart>),
}

/// A part of a property's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyPart {
    /// A string.
    String(String),
    /// A cell.
    Cell(u32),
    /// Numbers of two cells each.
    Numbers(Vec<u64>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// The phandle of the node of that label or path.
    Phandle(String),
}

impl Read for PropertyValue {
    fn read(value: &Value, reader: &mut Reader) -> Option<PropertyValue> {
        match &value.kind {
            Kind::Boolean(false) => Some(PropertyValue::Removed),
            Kind::Boolean(true) => Some(PropertyValue::Parts(Vec::new())),
            Kind::Array(values) => {
                let parts: Vec<_> = values.iter().map(|value| PropertyPart::read(value, reader)).collect();
                parts.into_iter().collect::<Option<Vec<_>>>().map(PropertyValue::Parts)
            }
            _ => PropertyPart::read(value, reader).map(|part| PropertyValue::Parts(vec![part])),
        }
    }
}

const PARTS: [&str; 3] = ["u64", "bytes", "phandle"];

impl Read for PropertyPart {
    fn read(value: &Value, reader: &mut Reader) -> Option<PropertyPart> {
        if let Some(text) = value.as_str() {
            return Some(PropertyPart::String(text.to_owned()));
        }
        match &value.kind {
            Kind::Integer(_) => u32::read(value, reader).map(PropertyPart::Cell),
            Kind::Table(table) => PropertyPart::of_table(value, table, reader),
            _ => {
                reader.wrong_type(value, "a string, a number, or a table with `u64`, `bytes` or `phandle`");
                None
            }
        }
    }
}

impl PropertyPart {
    fn of_table(value: &Value, table: &Table, reader: &mut Reader) -> Option<PropertyPart> {
        reader.known_keys(table, &PARTS.map(Cow::Borrowed));
        let entry = reader.exactly_one(&value.place, table, &PARTS)?;
        match entry.key.as_str() {
            "u64" => {
                let numbers = Vec::<i64>::read(&entry.value, reader)?;
                // TOML has signed numbers only; what is negative stands for the upper half.
                Some(PropertyPart::Numbers(numbers.into_iter().map(i64::cast_unsigned).collect()))
            }
            "bytes" => {
                let text = String::read(&entry.value, reader)?;
                let digits: Vec<u32> =
                    text.chars().filter(|c| *c != ' ').map_while(|c| c.to_digit(16)).collect();
                let n_digits = text.chars().filter(|c| *c != ' ').count();
                if digits.len() != n_digits || !n_digits.is_multiple_of(2) {
                    let problem = Problem::at(&entry.value.place, "bytes are pairs of hexadecimal digits");
                    reader.problems.push(problem.help("write them as in `\"00 ff 10\"`"));
                    return None;
                }
                Some(PropertyPart::Bytes(
                    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect(),
                ))
            }
            _ => String::read(&entry.value, reader).map(PropertyPart::Phandle),
        }
    }
}

impl JsonSchema for PropertyValue {
    fn schema_name() -> Cow<'static, str> {
        "PropertyValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let part = serde_json::json!({ "type": ["string", "integer", "object"] });
        json_schema!({
            "description": "A string, cells, `true` or `false`, or a list of strings, cells and tables with `u64`, `bytes` or `phandle`.",
            "anyOf": [{ "type": "boolean" }, part, { "type": "array", "items": part }],
        })
    }
}
