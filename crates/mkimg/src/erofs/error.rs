//! Why an image cannot be made, and why one cannot be read.

use std::io;

use crate::output::Refused;
use crate::tree;

/// An image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No level of this compressor.
    #[error("{compressor} has no level {level}: there are 1 to {most}")]
    Level {
        /// The compressor.
        compressor: &'static str,
        /// What was asked for.
        level: u8,
        /// The highest level.
        most: u8,
    },
    /// Longer than the field, or with a NUL byte.
    #[error("the label `{label}` cannot be that of EROFS: it has room for 15 bytes, none of them NUL")]
    Label {
        /// The label.
        label: String,
    },
    /// Before 1970.
    #[error("a file system cannot have been made {seconds} seconds after 1970")]
    Epoch {
        /// When.
        seconds: i64,
    },
    /// Something cannot be declared.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// Not a name that EROFS stores.
    #[error(
        "EROFS cannot store the extended attribute `{name}` of `{path}`: only `user.`, `trusted.` and `security.` ones and \
         access control lists"
    )]
    XattrName {
        /// Whose it is.
        path: String,
        /// The attribute.
        name: String,
    },
    /// A value has 16 bits for its size.
    #[error("the extended attribute `{name}` of `{path}` has {length} bytes: the limit is 65535")]
    XattrSize {
        /// Whose it is.
        path: String,
        /// The attribute.
        name: String,
        /// The size of its value.
        length: usize,
    },
    /// All of them are counted with 16 bits.
    #[error("the extended attributes of `{path}` have {length} bytes: EROFS has room for 262148")]
    Xattrs {
        /// Whose they are.
        path: String,
        /// Their size.
        length: usize,
    },
    /// There are 2^32 of something.
    #[error("the tree is too large for EROFS: it has room for 16 TiB")]
    TreeTooLarge,
    /// The caller could not give a file's contents.
    #[error("could not read the contents of `{path}`")]
    Contents {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The compressor refused.
    #[error("could not compress a part of a file")]
    Compress {
        /// Why.
        #[source]
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

impl From<Refused> for Error {
    fn from(Refused(source): Refused) -> Error {
        Error::Write { source }
    }
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
    /// It is not EROFS.
    #[error("this is not an EROFS image: its superblock does not begin with the magic number")]
    NotErofs,
    /// It is EROFS of a kind that this reader does not know.
    #[error("this EROFS image is not supported: {what}")]
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
    /// A path leads nowhere.
    #[error("there is no `{path}` in the image")]
    NotFound {
        /// The path.
        path: String,
    },
    /// What was read could not be passed on.
    #[error("could not pass on what was read")]
    Write(#[source] io::Error),
}

impl ReadError {
    pub(super) fn corrupt(what: impl Into<String>, problem: impl Into<String>) -> ReadError {
        ReadError::Corrupt { what: what.into(), problem: problem.into() }
    }

    pub(super) fn unsupported(what: impl Into<String>) -> ReadError {
        ReadError::Unsupported { what: what.into() }
    }
}
