//! What is known of an object beside what is in it.

use std::ops::Range;

use serde::Serialize;

/// A value that an object's headers say, or that was worked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Words.
    Text(String),
    /// A number.
    Number(u64),
    /// A number of bytes.
    Size(u64),
    /// A place in memory.
    Address(u64),
    /// Several of the kind.
    List(Vec<String>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

/// A value and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is of: lower case, with spaces.
    pub name: &'static str,
    /// The value.
    pub value: Value,
}

impl Fact {
    /// Returns a fact.
    pub(crate) fn new(name: &'static str, value: impl Into<Value>) -> Fact {
        Fact { name, value: value.into() }
    }
}

/// A part of an object's bytes, for a map of where what lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// What is there.
    pub name: String,
    /// From which byte to which.
    pub range: Range<u64>,
}

impl Region {
    /// Returns a region.
    pub(crate) fn new(name: impl Into<String>, range: Range<u64>) -> Region {
        Region { name: name.into(), range }
    }
}

/// Returns bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns 16 bytes as a UUID is written.
pub(crate) fn uuid(bytes: &[u8; 16]) -> String {
    let digits = hex(bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
