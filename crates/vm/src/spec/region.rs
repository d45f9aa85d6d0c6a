//! What lies where in a machine's memory, as the machine's owner says it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::number;

/// A part of the machine's addresses: what is there, and where that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name, unlike that of any other region.
    pub name: String,
    /// What is there.
    pub content: Content,
    /// Where it starts.
    #[serde(default, skip_serializing_if = "Place::is_free")]
    pub place: Place,
    /// The reserved region that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
    /// Addresses that it must not leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<AddressRange>,
    /// A power of two that divides its address.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number::optional")]
    pub align: Option<u64>,
    /// The most bytes that it may take.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number::optional")]
    pub max: Option<u64>,
    /// Whether, and where in it, the first processor starts. At most one region has this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
    /// Where people find what is said of it, as in `bootwright.toml:12`, for those who are told of problems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

impl Region {
    /// Returns a region with nothing said but what it is, and where.
    pub fn new(name: &str, content: Content, place: Place) -> Region {
        Region {
            name: name.to_owned(),
            content,
            place,
            inside: None,
            within: None,
            align: None,
            max: None,
            entry: None,
            declared: None,
        }
    }
}

/// What is in a region. Files are loaded before the first processor starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// The bytes of this file.
    Raw(String),
    /// A Linux kernel: an arm64 or RISC-V `Image` or an x86 `bzImage`. Its header says how much memory it
    /// takes, which is more than the file, and how it must be aligned.
    LinuxImage(String),
    /// An ELF file. Its program headers say where it lies and how much memory it takes.
    Elf(String),
    /// Memory of this size into which nothing is loaded: a guest's, or a heap.
    Reserved(#[serde(with = "number")] u64),
    /// A window of this size in which a device answers.
    Device(#[serde(with = "number")] u64),
}

impl Content {
    /// Returns the file that is loaded, if one is.
    pub fn file(&self) -> Option<&str> {
        match self {
            Content::Raw(file) | Content::LinuxImage(file) | Content::Elf(file) => Some(file),
            Content::Reserved(_) | Content::Device(_) => None,
        }
    }

    pub(super) fn file_mut(&mut self) -> Option<&mut String> {
        match self {
            Content::Raw(file) | Content::LinuxImage(file) | Content::Elf(file) => Some(file),
            Content::Reserved(_) | Content::Device(_) => None,
        }
    }

    /// Returns the word for it in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Content::Raw(_) => "raw",
            Content::LinuxImage(_) => "linux-image",
            Content::Elf(_) => "elf",
            Content::Reserved(_) => "reserved",
            Content::Device(_) => "device",
        }
    }
}

/// Where a region starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// At this address.
    At(#[serde(with = "number")] u64),
    /// At the first address behind the region of this name that its alignment allows.
    After(String),
    /// At the lowest address, of its parent or else of RAM, at which it overlaps nothing; an ELF file where
    /// its program headers say.
    #[default]
    Free,
}

impl Place {
    fn is_free(&self) -> bool {
        *self == Place::Free
    }
}

/// Where the first processor starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Bytes from the start of the region; in an ELF file, from its entry point.
    #[serde(default, with = "number")]
    pub offset: u64,
}

/// Addresses from `start` up to, and without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressRange {
    /// The first address.
    #[serde(with = "number")]
    pub start: u64,
    /// The first address that no longer belongs to it.
    #[serde(with = "number")]
    pub end: u64,
}

impl AddressRange {
    /// Returns the range of `size` bytes from `start`, cut off where addresses end.
    pub fn new(start: u64, size: u64) -> AddressRange {
        AddressRange { start, end: start.saturating_add(size) }
    }

    /// Returns how many bytes it has; none if it ends before it starts.
    pub fn size(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Returns whether `address` belongs to it.
    pub fn has(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// Returns whether all of `other` belongs to it.
    pub fn contains(&self, other: &AddressRange) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Returns the addresses that belong to both, if there are any.
    pub fn intersection(&self, other: &AddressRange) -> Option<AddressRange> {
        let both = AddressRange { start: self.start.max(other.start), end: self.end.min(other.end) };
        (both.start < both.end).then_some(both)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", number::hex(self.start), number::hex(self.end))
    }
}
