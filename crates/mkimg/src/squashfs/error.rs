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
    /// Kernels would not read it.
    #[error(
        "xz cannot have a dictionary of {bytes} bytes: it needs 8192 to {block_size}, a power of two or three times one"
    )]
    Dictionary {
        /// What was asked for.
        bytes: u32,
        /// The size of a block.
        block_size: u32,
    },
    /// Something cannot be declared.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// Not a prefix that squashfs stores, or a name of the wrong length.
    #[error(
        "squashfs cannot store the extended attribute `{name}` of `{path}`: only `user.`, `trusted.` and `security.` ones"
    )]
    XattrName {
        /// Whose it is.
        path: String,
        /// The attribute.
        name: String,
    },
    /// Linux has values of up to 64 KiB.
    #[error("the extended attribute `{name}` of `{path}` has {length} bytes: the limit is 65536")]
    XattrSize {
        /// Whose it is.
        path: String,
        /// The attribute.
        name: String,
        /// The size of its value.
        length: usize,
    },
    /// Owners are numbered with 16 bits.
    #[error("the files belong to {n_owners} users and groups: squashfs has room for 65535")]
    TooManyOwners {
        /// How many.
        n_owners: usize,
    },
    /// A table is behind what 32 bits can say, or there are 2^32 of something.
    #[error("the tree is too large for squashfs")]
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
    #[error("could not compress a block")]
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
    /// It is not squashfs.
    #[error("this is not a squashfs image: it does not begin with `hsqs`")]
    NotSquashfs,
    /// It is squashfs of a kind that this reader does not know.
    #[error("this squashfs image is not supported: {what}")]
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

impl From<Refused> for Error {
    fn from(Refused(source): Refused) -> Error {
        Error::Write { source }
    }
}

impl ReadError {
    pub(super) fn corrupt(what: impl Into<String>, problem: impl Into<String>) -> ReadError {
        ReadError::Corrupt { what: what.into(), problem: problem.into() }
    }
}
