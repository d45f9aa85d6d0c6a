//! Why an image cannot be made, and why one cannot be read.

use std::fmt;
use std::io;

use crate::tree;

/// An image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A text of the volume descriptor is too long or has other signs.
    #[error("`{text}` cannot be the {what}: it has at most {limit} bytes of printable ASCII{}", at_least(*.least))]
    Label {
        /// What it is for.
        what: &'static str,
        /// The text.
        text: String,
        /// How few bytes it can have.
        least: usize,
        /// How many bytes it can have.
        limit: usize,
    },
    /// The UUID of an ISO is a time.
    #[error("`{text}` cannot be the UUID of an ISO: that is a time of 16 digits, YYYYMMDDhhmmsscc")]
    Uuid {
        /// The text.
        text: String,
    },
    /// Something cannot be declared.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// Kernels take the number apart in another way.
    #[error("`{path}` cannot be device {major}:{minor} on an ISO: with major 0, minors are below 256")]
    Device {
        /// The device.
        path: String,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// Path tables number directories with 16 bits.
    #[error("there are {count} directories: an ISO has room for 65535")]
    TooManyDirectories {
        /// How many.
        count: usize,
    },
    /// Sectors are numbered with 32 bits.
    #[error("{size} bytes are too large for an ISO: the limit is {limit}")]
    TooLarge {
        /// The size.
        size: u64,
        /// The largest size.
        limit: u64,
    },
    /// Nothing, or no file, is where a machine should start.
    #[error("the boot image `{path}` is {what}")]
    BootImage {
        /// The path.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A boot image lacks the place that is to be filled.
    #[error("the boot image `{path}` has {size} bytes: {what} needs {least} of them")]
    BootImageTooSmall {
        /// The path.
        path: String,
        /// Its size.
        size: u64,
        /// How many it would need.
        least: u64,
        /// What needs them.
        what: &'static str,
    },
    /// A catalog is one sector here.
    #[error("there are {count} boot entries: the limit is {limit}")]
    TooManyBootEntries {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The code would lie where the tables are.
    #[error("the boot code has {size} bytes, and {limit} of them are free beside {table}")]
    BootCode {
        /// Its size.
        size: usize,
        /// The largest size.
        limit: usize,
        /// What else is there.
        table: &'static str,
    },
    /// The code of the first sector loads the boot image of BIOSes, and there is none.
    #[error("the boot code is to be told where the boot image for BIOS is, and there is none")]
    NothingToPatch,
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

fn at_least(least: usize) -> &'static str {
    if least > 0 { ", and one at least" } else { "" }
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
    /// It is not ISO 9660.
    #[error("this is not an ISO 9660 file system: there is no primary volume descriptor at 32768")]
    NotIso,
    /// It is one of a kind that this reader does not know.
    #[error("this ISO 9660 file system has {what}, which is not supported")]
    Unsupported {
        /// What is not supported.
        what: String,
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
