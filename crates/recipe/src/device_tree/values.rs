//! What properties are set to.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Problem;
use crate::reader::{FromText, Read, Reader};
use crate::region::Address;
use crate::value::{Kind, Table, Value};

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
    /// Cells.
    Cells(Vec<u32>),
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

const PARTS: [&str; 4] = ["u32", "u64", "bytes", "phandle"];

impl Read for PropertyPart {
    fn read(value: &Value, reader: &mut Reader) -> Option<PropertyPart> {
        if let Some(text) = value.as_str() {
            return Some(PropertyPart::String(text.to_owned()));
        }
        match &value.kind {
            Kind::Integer(_) => u32::read(value, reader).map(|cell| PropertyPart::Cells(vec![cell])),
            Kind::Table(table) => PropertyPart::of_table(value, table, reader),
            _ => {
                reader.wrong_type(
                    value,
                    "a string, a number, or a table with `u32`, `u64`, `bytes` or `phandle`",
                );
                None
            }
        }
    }
}

/// A number, which may be written as an address or a size, and so with a knob in it.
struct Number(u64);

impl Read for Number {
    fn read(value: &Value, reader: &mut Reader) -> Option<Number> {
        if let Some(text) = value.as_str() {
            return match Address::from_text(text) {
                Ok(address) => Some(Number(address.number())),
                Err(wrong) => {
                    reader.report_wrong(wrong, &value.place);
                    None
                }
            };
        }
        // TOML has signed numbers only; what is negative stands for the upper half.
        i64::read(value, reader).map(|number| Number(number.cast_unsigned()))
    }
}

impl PropertyPart {
    fn of_table(value: &Value, table: &Table, reader: &mut Reader) -> Option<PropertyPart> {
        reader.known_keys(table, &PARTS.map(Cow::Borrowed));
        let entry = reader.exactly_one(&value.place, table, &PARTS)?;
        match entry.key.as_str() {
            "u32" => {
                let numbers = Vec::<Number>::read(&entry.value, reader)?;
                let mut cells = Vec::new();
                for Number(number) in numbers {
                    let Ok(cell) = u32::try_from(number) else {
                        let problem =
                            Problem::at(&entry.value.place, format!("{number:#x} does not fit into a cell"));
                        reader.problems.push(problem.help("`u64` makes two cells of a number"));
                        return None;
                    };
                    cells.push(cell);
                }
                Some(PropertyPart::Cells(cells))
            }
            "u64" => {
                let numbers = Vec::<Number>::read(&entry.value, reader)?;
                Some(PropertyPart::Numbers(numbers.into_iter().map(|number| number.0).collect()))
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
            "description": "A string, cells, `true` or `false`, or a list of strings, cells and tables with `u32`, `u64`, `bytes` or `phandle`.",
            "anyOf": [{ "type": "boolean" }, part, { "type": "array", "items": part }],
        })
    }
}
