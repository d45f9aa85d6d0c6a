//! Why an image cannot be made, and why one cannot be read.

use std::io;

use crate::largest::Largest;
use crate::tree;

/// An image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More than 16 bytes, or a NUL byte.
    #[error("the label `{label}` has more than 16 bytes or a NUL byte")]
    Label {
        /// The label.
        label: String,
    },
    /// More than half of the file system.
    #[error("{percent} % of reserved blocks are too many: the limit is 50 %")]
    Reserved {
        /// What was asked for.
        percent: u8,
    },
    /// The superblock's times are not negative.
    #[error("the file system cannot have been made {seconds} seconds after 1970")]
    Epoch {
        /// What was asked for.
        seconds: i64,
    },
    /// Too small for the kernel or larger than `mke2fs` allows.
    #[error("a journal cannot have {blocks} blocks: it needs 1024 to 10240000")]
    JournalSize {
        /// What was asked for.
        blocks: u32,
    },
    /// The descriptors of all groups would not fit into one group.
    #[error("{size} bytes are too large for blocks of {block_size} bytes: the limit is {limit}")]
    SizeTooLarge {
        /// What was asked for or needed.
        size: u64,
        /// The block size.
        block_size: u32,
        /// The largest size.
        limit: u64,
    },
    /// Something cannot be declared.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// Ranges of data that are out of order, overlap or pass the end.
    #[error("the ranges of data of `{path}` overlap, are not in order or pass its end")]
    Ranges {
        /// The file.
        path: String,
    },
    /// Not a prefix that ext4 stores, or a name of the wrong length.
    #[error("ext4 cannot store the extended attribute `{name}` of `{path}`")]
    XattrName {
        /// Whose it is.
        path: String,
        /// The attribute.
        name: String,
    },
    /// One block has to hold them all, except a few bytes.
    #[error(
        "the extended attributes of `{path}` do not fit into a block: `{name}` with {length} bytes is one too many"
    )]
    XattrsTooLarge {
        /// Whose they are.
        path: String,
        /// The first that does not fit.
        name: String,
        /// The length of its value.
        length: usize,
    },
    /// Not what `setfacl` would store.
    #[error("the extended attribute `{name}` of `{path}` is not a POSIX ACL")]
    Acl {
        /// Whose it is.
        path: String,
        /// The attribute.
        name: String,
    },
    /// Only huge directories with small blocks.
    #[error("the directory `{path}` has too many names for blocks of {block_size} bytes")]
    DirectoryTooLarge {
        /// The directory.
        path: String,
        /// The block size.
        block_size: u32,
    },
    /// Inodes are numbered with 32 bits, and a group holds only so many.
    #[error("{needed} inodes are needed and there can be only {available}")]
    TooFewInodes {
        /// How many.
        needed: u64,
        /// What the size or the options allow.
        available: u64,
    },
    /// The contents are too large for the size.
    #[error("the contents do not fit into {size} bytes: {short_by} bytes more are needed{largest}")]
    DoesNotFit {
        /// The fixed size.
        size: u64,
        /// By how much it is too small: an image this much larger is large enough.
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
    /// It is not ext4.
    #[error("this is not an ext4 image: there is no superblock at 1024")]
    NotExt4,
    /// It is ext4 of a kind that this reader does not know.
    #[error("this ext4 image has {what}, which is not supported")]
    Unsupported {
        /// The feature.
        what: String,
    },
    /// A checksum is wrong.
    #[error("the checksum of {what} is wrong")]
    Checksum {
        /// Of what structure.
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
}

impl ReadError {
    pub(super) fn corrupt(what: impl Into<String>, problem: impl Into<String>) -> ReadError {
        ReadError::Corrupt { what: what.into(), problem: problem.into() }
    }

    pub(super) fn checksum(what: impl Into<String>) -> ReadError {
        ReadError::Checksum { what: what.into() }
    }

    pub(super) fn unsupported(what: impl Into<String>) -> ReadError {
        ReadError::Unsupported { what: what.into() }
    }
}
