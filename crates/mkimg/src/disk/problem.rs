//! Why a disk cannot be as it is declared.

use std::fmt;

use super::guid::Guid;
use super::layout::Part;
use super::size::{exact, human};

/// A reason why a disk cannot be as it is declared. Partitions are called as in `partition 1 \`EFI System\``.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Problem {
    /// Not a size that sectors have.
    #[error("a sector cannot have {size} bytes")]
    SectorSize { size: u64 },
    /// A disk's size, or a place on it, that is not in whole sectors.
    #[error("{what} is {bytes} bytes, which are no whole sectors of {sector_size}")]
    NotSectors { what: String, bytes: u64, sector_size: u64 },
    /// An alignment that is none.
    #[error("{what} cannot be aligned to {align} bytes")]
    Align { what: String, align: u64 },
    /// A place that is not a multiple of what was asked for.
    #[error("{what} begins at {at}, which is not a multiple of {align}")]
    Unaligned { what: String, at: u64, align: u64 },
    /// More than the table has entries.
    #[error("there are {count} partitions, and the table has {limit} entries")]
    TooMany { count: usize, limit: u32 },
    /// A number that the table does not have.
    #[error("{what} cannot have that number: the table has {limit}")]
    Number { what: String, limit: u32 },
    /// Two partitions of one number.
    #[error("{first} and {second} have the same number")]
    SameNumber { first: String, second: String },
    /// Two partitions, or the disk and a partition, of one GUID.
    #[error("{first} and {second} have the same GUID {guid}")]
    SameGuid { first: String, second: String, guid: Guid },
    /// A GUID of zeros.
    #[error("{what} has a GUID or a type of zeros only, which means that there is nothing")]
    NoGuid { what: String },
    /// A name that does not fit into its field.
    #[error("{what} has a name of {units} UTF-16 units: the limit is 36")]
    LongName { what: String, units: usize },
    /// A partition that another kind of table lists.
    #[error("{what} is not declared for the table that the disk has")]
    OtherTable { what: String },
    /// Nothing says how large it is.
    #[error("{what} has no size: there is nothing in it")]
    Empty { what: String },
    /// Contents that are larger than the partition.
    #[error(
        "{what} has {}, and {content} has {}: {} are missing",
        exact(*.size), exact(*.needed), exact(.needed - .size)
    )]
    TooSmall { what: String, content: String, size: u64, needed: u64 },
    /// A disk that is too small for what is on it.
    #[error(
        "the disk has {}, and all that is on it needs {}: {} are missing",
        exact(*.size), exact(*.needed), exact(.needed - .size)
    )]
    DiskTooSmall { size: u64, needed: u64, largest: Vec<(String, u64)> },
    /// Two things in one place.
    #[error("{first} and {second} overlap by {}", exact(*.bytes))]
    Overlap { first: String, second: String, bytes: u64, free_from: u64 },
    /// Two partitions that take the rest.
    #[error("{first} and {second} cannot both take what the others leave")]
    Grow { first: String, second: String },
    /// More boot code than there is room.
    #[error("the boot code has {length} bytes: the limit is {limit}")]
    BootCode { length: u64, limit: u64 },
    /// A hybrid table for what there is not.
    #[error("the hybrid table names partition {number}, which there is not")]
    HybridUnknown { number: u32 },
    /// A hybrid table that names one twice, or more than fit beside the protective entry.
    #[error("the hybrid table cannot have {count} partitions: it has room for three different ones")]
    HybridTooMany { count: usize },
    /// What numbers of 32 bits cannot say.
    #[error("{what} reaches past the 2^32 sectors that an old table can say")]
    Beyond { what: String },
}

impl Problem {
    /// Returns what the reader can do about it, if we know.
    pub fn help(&self) -> Option<String> {
        match self {
            Problem::SectorSize { .. } => Some("sectors have 512 or 4096".to_owned()),
            Problem::Align { .. } => Some("take a multiple of the size of a sector".to_owned()),
            Problem::Empty { .. } => Some("give it a size or something that is in it".to_owned()),
            Problem::TooSmall { .. } => Some(
                "give it that much more, or no size at all: it is then as large as what is in it".to_owned(),
            ),
            Problem::DiskTooSmall { largest, .. } => {
                let largest: Vec<String> =
                    largest.iter().map(|(what, size)| format!("{what} with {}", human(*size))).collect();
                Some(format!("the largest parts: {}", largest.join(", ")))
            }
            Problem::Overlap { second, free_from, .. } => {
                Some(format!("{second} can begin at {free_from}, or behind it wherever there is room"))
            }
            Problem::HybridTooMany { .. } => Some("the fourth entry is the protective one".to_owned()),
            _ => None,
        }
    }
}

/// Everything that is wrong with a disk, and its drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Which parts of the disk each of them is about.
    pub about: Vec<Vec<Part>>,
    /// What lies where, as far as it could be found out.
    pub drawing: String,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => writeln!(f, "the disk has a problem")?,
            count => writeln!(f, "the disk has {count} problems")?,
        }
        for problem in &self.problems {
            writeln!(f, "- {problem}")?;
            if let Some(help) = problem.help() {
                writeln!(f, "  help: {help}")?;
            }
        }
        f.write_str(self.drawing.trim_end())
    }
}

impl std::error::Error for Problems {}
