//! Why an image cannot be made, and why one cannot be read.

use std::fmt;
use std::io;

use crate::largest::Largest;
use crate::tree;

/// An image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a size that sectors have.
    #[error("a sector cannot have {size} bytes: it has 512, 1024, 2048 or 4096")]
    SectorSize {
        /// What was asked for.
        size: u32,
    },
    /// Not a size that clusters have.
    #[error("a cluster cannot have {size} bytes: it has a power of two, {sector_size} to 65536")]
    ClusterSize {
        /// What was asked for.
        size: u32,
        /// The size of a sector.
        sector_size: u32,
    },
    /// Not what a label can be.
    #[error("`{label}` cannot be a label: it has 1 to 11 capitals, digits, spaces and signs, no space first")]
    Label {
        /// The label.
        label: String,
    },
    /// A geometry without heads or sectors.
    #[error("{heads} heads with {sectors} sectors per track are no geometry")]
    Geometry {
        /// The heads.
        heads: u16,
        /// The sectors per track.
        sectors: u16,
    },
    /// Something cannot be declared.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// What a tree has and FAT has not.
    #[error("{}", list(.0))]
    Unfit(Vec<Unfit>),
    /// The names need more than the format's 65536 entries, or what the root of FAT12 and FAT16 may have.
    #[error("the names in `{path}` need {entries} entries of a directory: the limit is {limit}")]
    DirectoryTooLarge {
        /// The directory.
        path: String,
        /// What its names need.
        entries: u64,
        /// The most that there can be.
        limit: u64,
    },
    /// Too small for any file system, or for the kind.
    #[error("{size} bytes are too small for {what}")]
    TooSmall {
        /// The size.
        size: u64,
        /// What was wanted.
        what: String,
    },
    /// Too large for the kind, or for sectors that are counted with 32 bits.
    #[error("{size} bytes are too large for {what}")]
    TooLarge {
        /// The size.
        size: u64,
        /// What was wanted.
        what: String,
    },
    /// No size at all suits the contents.
    #[error("no size suits {what} with these contents")]
    NoSize {
        /// What was wanted.
        what: String,
    },
    /// The contents are too large for the size.
    #[error("the contents do not fit into {size} bytes: {short_by} bytes more are needed{largest}")]
    DoesNotFit {
        /// The fixed size.
        size: u64,
        /// How much larger the clusters that are free would have to be.
        short_by: u64,
        /// The files that take the most.
        largest: Largest,
    },
    /// The caller could not give a file's contents.
    #[error("could not read the contents of `{path}`")]
    Contents {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The sink did not take them.
    #[error("could not write the image")]
    Write {
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Returns what the reader of the message can do about it, if we know.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::TooSmall { .. } => Some("take a larger size, smaller clusters or another kind".to_owned()),
            Error::TooLarge { .. } => Some("take larger clusters or another kind".to_owned()),
            Error::Unfit(_) => Some("take them out, or take a file system of another type".to_owned()),
            _ => None,
        }
    }
}

/// Something that cannot be in a FAT file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Where it is.
    pub path: String,
    /// Why it cannot be.
    pub reason: Reason,
}

/// Why something cannot be in a FAT file system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Long names are Unicode.
    #[error("its name is not UTF-8")]
    NotUtf8,
    /// A character that names cannot have.
    #[error("FAT has no `{}` in names", .char.escape_debug())]
    Character {
        /// The first such character.
        char: char,
    },
    /// What Windows leaves out at the ends of names.
    #[error("its name ends with a space or a dot")]
    Edge,
    /// Empty or too long.
    #[error("its name has {units} UTF-16 units: the limit is 255")]
    Length {
        /// How long it is.
        units: usize,
    },
    /// Names are the same to FAT if they differ in case only.
    #[error("to FAT its name is the same as that of `{other}`")]
    Clash {
        /// Where that is.
        other: String,
    },
    /// Sizes have 32 bits.
    #[error("it has {size} bytes: the limit is 4294967295")]
    TooLarge {
        /// Its size.
        size: u64,
    },
    /// Links, devices, pipes.
    #[error("FAT has no {what}")]
    Kind {
        /// What it is, in the plural.
        what: &'static str,
    },
}

/// How many of them are shown.
const MOST_SHOWN: usize = 20;

fn list(unfit: &[Unfit]) -> String {
    let mut text = match unfit.len() {
        1 => "a path cannot be in a FAT file system".to_owned(),
        n => format!("{n} paths cannot be in a FAT file system"),
    };
    for Unfit { path, reason } in unfit.iter().take(MOST_SHOWN) {
        text += &format!("\n  `{path}`: {reason}");
    }
    if unfit.len() > MOST_SHOWN {
        text += &format!("\n  … and {} more", unfit.len() - MOST_SHOWN);
    }
    text
}

/// An image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes did not come.
    #[error("could not read {length} bytes of the image at {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// How many.
        length: usize,
        /// Why.
        source: io::Error,
    },
    /// It is not FAT.
    #[error("this is not a FAT file system: {problem}")]
    NotFat {
        /// What its boot sector lacks.
        problem: &'static str,
    },
    /// A structure contradicts itself or another.
    #[error("{what}: {problem}")]
    Corrupt {
        /// Of what structure.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ReadError {
    pub(super) fn corrupt(what: impl fmt::Display, problem: impl Into<String>) -> ReadError {
        ReadError::Corrupt { what: what.to_string(), problem: problem.into() }
    }
}
