//! What lies where on a disk.

use super::draw;
use super::layout::Part;

/// A part of a disk, in sectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// What of the disk it is.
    pub part: Part,
    /// The first sector.
    pub first: u64,
    /// How many there are.
    pub sectors: u64,
    /// What it is called.
    pub name: String,
    /// The number of a partition.
    pub number: Option<u32>,
    /// What is there.
    pub content: String,
}

impl Area {
    /// Returns the sector behind the last one.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.sectors)
    }
}

/// A partition in its place. In a [`Map`] they have the order in which they were declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The number.
    pub number: u32,
    /// The first sector.
    pub first: u64,
    /// How many there are.
    pub sectors: u64,
}

impl Placed {
    /// Returns the last sector, of a partition that is not empty.
    pub fn last(&self) -> u64 {
        self.first + self.sectors - 1
    }
}

/// What lies where: the tables, the partitions, and what is between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Bytes in a sector.
    pub sector_size: u64,
    /// How many sectors the disk has.
    pub sectors: u64,
    /// The partitions.
    pub partitions: Vec<Placed>,
    /// Everything, in the order of first sectors.
    pub areas: Vec<Area>,
}

impl Map {
    /// Returns the disk's size in bytes.
    pub fn size(&self) -> u64 {
        self.sectors.saturating_mul(self.sector_size)
    }

    /// Returns a drawing of the map: a table of at most 100 columns, with the gaps.
    pub fn draw(&self) -> String {
        draw::draw(self)
    }
}
