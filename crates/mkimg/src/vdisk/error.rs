//! Why a virtual disk could not be written or read.

use std::io;

/// A virtual disk could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What is to be on it could not be read.
    #[error("could not read {length} bytes of the disk's contents at {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// How many.
        length: usize,
        /// Why.
        source: io::Error,
    },
    /// What it is to lie over could not be read.
    #[error("could not read the disk below")]
    Below {
        /// Why.
        source: ReadError,
    },
    /// A compressor failed.
    #[error("could not compress a block")]
    Compress {
        /// What it said.
        source: io::Error,
    },
    /// The sink did not take it.
    #[error("could not write the virtual disk")]
    Write {
        /// Why.
        #[from]
        source: io::Error,
    },
    /// An option that the format does not have.
    #[error("{format} cannot have {what}")]
    Option {
        /// The format.
        format: &'static str,
        /// What was given.
        what: String,
        /// What there is.
        help: &'static str,
    },
    /// A disk that is too large for the format.
    #[error("{format} holds up to {most} bytes, and the disk has {size}")]
    TooLarge {
        /// The format.
        format: &'static str,
        /// The limit.
        most: u64,
        /// The disk's size.
        size: u64,
    },
    /// A disk of nothing.
    #[error("the disk has no bytes")]
    Empty,
}

impl WriteError {
    /// Returns what the reader can do about it, if we know.
    pub fn help(&self) -> Option<String> {
        match self {
            WriteError::Option { help, .. } => Some((*help).to_owned()),
            WriteError::TooLarge { format: "qcow2", .. } => Some("take larger clusters".to_owned()),
            WriteError::TooLarge { .. } => Some("`qcow2` holds more".to_owned()),
            _ => None,
        }
    }
}

/// A virtual disk could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes did not come.
    #[error("could not read {length} bytes at {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// How many.
        length: usize,
        /// Why.
        source: io::Error,
    },
    /// The file ends before something that it says is there.
    #[error("it is cut off: {what} would end at {end}, and the file has {size} bytes")]
    CutOff {
        /// What.
        what: &'static str,
        /// Where it would end.
        end: u64,
        /// How large the file is.
        size: u64,
    },
    /// It is of another format.
    #[error("it is not {format}")]
    Other {
        /// What it was said to be.
        format: &'static str,
    },
    /// It is of no format that we know.
    #[error("it is no virtual disk that is known")]
    Unknown,
    /// A structure contradicts itself or another.
    #[error("{what}: {problem}")]
    Corrupt {
        /// Of what structure.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Something that we do not read.
    #[error("it has {what}, which cannot be read")]
    Unsupported {
        /// What.
        what: String,
    },
    /// It is only what differs from another disk.
    #[error("it is what differs from `{name}`, which is not given")]
    NoBase {
        /// The other disk.
        name: String,
    },
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> io::Error {
        match error {
            // What the machine said is for others to judge.
            ReadError::Io { source, .. } => source,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

pub(super) fn corrupt<T>(what: &'static str, problem: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::Corrupt { what, problem: problem.into() })
}

pub(super) fn unsupported<T>(what: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::Unsupported { what: what.into() })
}
