//! What can be wrong with a map, in words.

use std::collections::BTreeMap;
use std::fmt;

use super::{Map, Measured};
use crate::number::{hex, human_room, human_size};
use crate::spec::AddressRange;

/// Everything that is wrong with a map. Displayed with the drawing of what could be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The problems, in the order in which they were found.
    pub problems: Vec<Problem>,
    /// What [`super::Map::draw`] draws of the map as far as it could be made.
    pub drawing: String,
    /// Where people find what is said of a region, by its name, as far as that is known.
    pub declared: BTreeMap<String, String>,
}

impl Problems {
    /// Returns the problems of a map as far as it could be made of `regions`.
    pub(crate) fn new(problems: Vec<Problem>, map: &Map, regions: &[Measured<'_>]) -> Problems {
        let declared = regions
            .iter()
            .filter_map(|Measured { region, .. }| Some((region.name.clone(), region.declared.clone()?)));
        Problems { problems, drawing: map.draw(), declared: declared.collect() }
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.problems.len() == 1 { "" } else { "s" };
        // The drawing comes first: where little is shown of a log, it is the end.
        write!(f, "the address map of the machine has {} problem{s}", self.problems.len())?;
        write!(f, "\n{}", self.drawing.trim_end())?;
        for problem in &self.problems {
            write!(f, "\n- {problem}")?;
            for region in problem.regions() {
                if let Some(declared) = self.declared.get(region) {
                    write!(f, "\n  {declared}: `{region}`")?;
                }
            }
            if let Some(help) = problem.help() {
                write!(f, "\n  help: {help}")?;
            }
        }
        Ok(())
    }
}

/// A region that a problem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub range: AddressRange,
    /// How many bytes it takes, even where addresses end before.
    pub size: u64,
    /// What is there, and why there.
    pub origin: String,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` at {} ({}, {})", self.name, self.range, human_size(self.size), self.origin)
    }
}

/// One thing that is wrong with a map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each names its fields")]
pub enum Problem {
    /// A name that drawings and other programs cannot show.
    #[error("`{}` is not a name for a region", .name.escape_debug())]
    Name { name: String },
    /// Two regions of one name.
    #[error("there are two regions `{name}`")]
    SameName { name: String },
    /// A name of no region.
    #[error("`{region}` is placed {relation} `{}`, which is no region", .name.escape_debug())]
    Unknown { region: String, relation: &'static str, name: String, help: String },
    /// A parent that is not reserved memory.
    #[error("`{region}` cannot lie inside `{parent}`, which is {content} and not reserved memory")]
    Parent { region: String, parent: String, content: &'static str },
    /// Parents of parents of parents.
    #[error("`{region}` is nested deeper than {most} regions")]
    Deep { region: String, most: usize },
    /// Regions whose places depend on each other.
    #[error("the places of `{}` depend on each other", .regions.join("` → `"))]
    Cycle { regions: Vec<String> },
    /// Nothing to place.
    #[error("`{region}` takes no memory: {origin} is empty")]
    Empty { region: String, origin: String },
    /// An alignment that is none.
    #[error("`{region}` cannot be aligned to {:#x}, which is not a power of two", .align)]
    Align { region: String, align: u64 },
    /// An address that does not suit.
    #[error("{spot} is not aligned: {why}")]
    Unaligned { spot: Spot, why: String, nearest: Option<u64> },
    /// Larger than its own limit.
    #[error(
        "`{region}` takes {}, {} more than its limit of {} ({origin})",
        human_size(*.size), human_size(*.size - *.max), human_size(*.max)
    )]
    Max { region: String, size: u64, max: u64, origin: String },
    /// No place for it.
    #[error("there is no room for `{region}` ({}, {origin}) in {place}", human_size(*.size))]
    NoRoom { region: String, size: u64, origin: String, place: String, largest: u64 },
    /// An ELF file in the wrong place.
    #[error("`{region}` cannot be placed {place}: {origin} is linked to lie at {}", hex(*.address))]
    Linked { region: String, place: String, origin: String, address: u64 },
    /// Two regions at one address.
    #[error("{lower} and {upper} overlap by {}", human_size(.both.size()))]
    Overlap { lower: Spot, upper: Spot, both: AddressRange, help: String },
    /// Not in RAM at all.
    #[error("{spot} does not start in RAM, which is {memory}")]
    OutsideMemory { spot: Spot, memory: String, help: Option<String> },
    /// More than there is.
    #[error("{spot} reaches past the end of RAM at {}: {} are missing", hex(*.end), human_size(*.missing))]
    PastMemory { spot: Spot, end: u64, missing: u64, help: Option<String> },
    /// Larger than its parent.
    #[error(
        "{spot} is too big for `{parent}`, which has only {}: {} are missing",
        human_size(*.parent_size), human_size(*.missing)
    )]
    TooBigForParent { spot: Spot, parent: String, parent_size: u64, missing: u64 },
    /// Not in its parent.
    #[error("{spot} is not inside {parent}: {} of it are outside", human_size(*.outside))]
    OutsideParent { spot: Spot, parent: Spot, outside: u64 },
    /// Not where it may be.
    #[error("{spot} leaves the addresses {within} that it is confined to")]
    OutsideWithin { spot: Spot, within: AddressRange },
    /// A device where memory is.
    #[error("{spot} is a device, but there is RAM at {memory}")]
    DeviceInMemory { spot: Spot, memory: AddressRange },
    /// A device where nothing is.
    #[error("{spot} is a device, but the board has none there")]
    NoDevice { spot: Spot, nearest: String },
    /// Two starts.
    #[error("the first processor cannot start in both `{first}` and `{second}`")]
    Entries { first: String, second: String },
    /// A start in nothing.
    #[error("the first processor cannot start in `{region}`: {why}")]
    Entry { region: String, why: String, help: Option<&'static str> },
    /// Something that this machine cannot have.
    #[error("{what}")]
    Machine { what: String, help: Option<&'static str> },
}

impl Problem {
    /// Returns the regions that it is about.
    pub fn regions(&self) -> Vec<&str> {
        match self {
            Problem::Name { name } | Problem::SameName { name } => vec![name],
            Problem::Unknown { region, .. }
            | Problem::Deep { region, .. }
            | Problem::Empty { region, .. }
            | Problem::Align { region, .. }
            | Problem::Max { region, .. }
            | Problem::NoRoom { region, .. }
            | Problem::Linked { region, .. }
            | Problem::Entry { region, .. } => vec![region],
            Problem::Parent { region, parent, .. } => vec![region, parent],
            // The first stands at the end once more.
            Problem::Cycle { regions } => regions.iter().skip(1).map(String::as_str).collect(),
            Problem::Unaligned { spot, .. }
            | Problem::OutsideMemory { spot, .. }
            | Problem::PastMemory { spot, .. }
            | Problem::OutsideWithin { spot, .. }
            | Problem::DeviceInMemory { spot, .. }
            | Problem::NoDevice { spot, .. } => vec![&spot.name],
            Problem::Overlap { lower, upper, .. } => vec![&lower.name, &upper.name],
            Problem::TooBigForParent { spot, parent, .. } => vec![&spot.name, parent],
            Problem::OutsideParent { spot, parent, .. } => vec![&spot.name, &parent.name],
            Problem::Entries { first, second } => vec![first, second],
            Problem::Machine { .. } => Vec::new(),
        }
    }

    /// Returns what the reader can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Problem::Name { .. } => Some("names have 1 to 32 letters, digits, `-`, `_` or `.`".to_owned()),
            Problem::Unknown { help, .. } | Problem::Overlap { help, .. } => Some(help.clone()),
            Problem::Cycle { .. } => Some("give one of them an address".to_owned()),
            Problem::Unaligned { nearest: Some(nearest), .. } => {
                Some(format!("the next suitable address is {}", hex(*nearest)))
            }
            Problem::NoRoom { size, largest, .. } if largest < size => Some(format!(
                "the largest gap there is {}: {} are missing",
                human_room(*largest),
                human_size(size - largest)
            )),
            Problem::NoRoom { largest, .. } => {
                Some(format!("the largest gap there is {}, but no address in it suits", human_room(*largest)))
            }
            Problem::Linked { .. } => Some("leave its place out, or link it to lie elsewhere".to_owned()),
            Problem::PastMemory { help, .. } => help.clone(),
            Problem::TooBigForParent { parent, .. } => Some(format!("reserve more memory for `{parent}`")),
            Problem::NoDevice { nearest, .. } => Some(nearest.clone()),
            Problem::OutsideMemory { help, .. } => help.clone(),
            Problem::Entry { help, .. } | Problem::Machine { help, .. } => help.map(str::to_owned),
            Problem::SameName { .. }
            | Problem::Parent { .. }
            | Problem::Deep { .. }
            | Problem::Empty { .. }
            | Problem::Align { .. }
            | Problem::Unaligned { .. }
            | Problem::Max { .. }
            | Problem::OutsideParent { .. }
            | Problem::OutsideWithin { .. }
            | Problem::DeviceInMemory { .. }
            | Problem::Entries { .. } => None,
        }
    }
}
