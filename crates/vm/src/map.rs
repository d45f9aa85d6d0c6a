//! The address map of a machine: what lies where, checked as a whole. Nothing here reads a file.
//!
//! [`resolve`] places the regions by their rules (`place`) and finds every reason why they cannot lie so
//! (`check`). The map, right or wrong, is drawn by `draw`.

mod arrangement;
mod board;
mod check;
mod draw;
mod place;
mod problem;
#[cfg(test)]
mod tests;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

pub use board::{Board, Window};
pub use problem::{Problem, Problems, Spot};

use crate::number;
use crate::spec::{AddressRange, Content, Region};

/// How much memory something takes, and what it demands of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How many bytes.
    pub size: u64,
    /// The address must be this far behind a multiple of `multiple`.
    pub offset: u64,
    /// A power of two.
    pub multiple: u64,
    /// The one address at which it can lie, if it does not leave the choice.
    pub address: Option<u64>,
    /// Bytes from the start to where a processor starts in it; `None` where there is nothing to execute.
    pub entry: Option<u64>,
}

impl Extent {
    /// Returns the extent of a file of `size` bytes that can lie anywhere and starts with its first byte.
    pub fn bytes(size: u64) -> Extent {
        Extent { size, offset: 0, multiple: 1, address: None, entry: Some(0) }
    }

    /// Returns the extent of what has its size in `content`; a file counts as empty.
    pub fn declared(content: &Content) -> Extent {
        let size = match content {
            Content::Reserved(size) | Content::Device(size) => *size,
            Content::Raw(_) | Content::LinuxImage(_) | Content::Elf(_) => 0,
        };
        Extent { entry: None, ..Extent::bytes(size) }
    }

    /// Returns the extent of the same size that lies `offset` bytes behind a multiple of `multiple`.
    #[must_use]
    pub fn aligned(self, multiple: u64, offset: u64) -> Extent {
        Extent { multiple, offset, ..self }
    }
}

/// A region whose size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured<'a> {
    /// The region.
    pub region: &'a Region,
    /// What it takes.
    pub extent: Extent,
}

/// What lies where: no two regions overlap but the nested, and each lies in memory that there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Map {
    /// The RAM of the board, lowest first.
    pub memory: Vec<AddressRange>,
    /// Where the first processor starts, if a region says so.
    pub entry: Option<Start>,
    /// The regions that are in no other, lowest first.
    pub regions: Vec<Placed>,
}

/// Where the first processor starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Start {
    /// The region.
    pub region: String,
    /// The address.
    #[serde(serialize_with = "number::serialize")]
    pub address: u64,
}

/// A region at its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub range: AddressRange,
    /// What is there.
    pub content: Content,
    /// The regions inside, lowest first.
    pub regions: Vec<Placed>,
}

/// Written with start, end and size, so that no reader needs to calculate.
impl Serialize for Placed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Placed", 6)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("start", &number::hex(self.range.start))?;
        fields.serialize_field("end", &number::hex(self.range.end))?;
        fields.serialize_field("size", &number::hex(self.range.size()))?;
        fields.serialize_field("content", &self.content)?;
        fields.serialize_field("regions", &self.regions)?;
        fields.end()
    }
}

impl Map {
    /// Returns all regions, each before those inside it, lowest first.
    pub fn all(&self) -> Vec<&Placed> {
        fn collect<'a>(regions: &'a [Placed], into: &mut Vec<&'a Placed>) {
            for region in regions {
                into.push(region);
                collect(&region.regions, into);
            }
        }
        let mut all = Vec::new();
        collect(&self.regions, &mut all);
        all
    }

    /// Returns the region of this name.
    pub fn find(&self, name: &str) -> Option<&Placed> {
        self.all().into_iter().find(|region| region.name == name)
    }

    /// Returns a drawing of the map: a table of at most 100 columns, with the gaps. Ends are exclusive.
    pub fn draw(&self) -> String {
        draw::draw(self)
    }

    /// Returns the map as JSON for other programs, addresses as texts like `0x40000000`.
    pub fn to_json(&self) -> String {
        // Serialization fails for maps with keys that are no strings, and for writers; here is neither.
        let mut text = serde_json::to_string_pretty(self).expect("a map is plain data");
        text.push('\n');
        text
    }
}

/// Places the regions on the board, or returns every problem that is found, with a drawing of what could be
/// placed.
pub fn resolve(board: &Board, regions: &[Measured<'_>]) -> Result<Map, Problems> {
    let mut problems = Vec::new();
    let arrangement = place::place(board, regions, &mut problems);
    check::check(board, &arrangement, &mut problems);
    let map = arrangement.to_map(board);
    if problems.is_empty() { Ok(map) } else { Err(Problems::new(problems, &map, regions)) }
}
