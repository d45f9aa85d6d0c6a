//! Writes squashfs file systems, and reads them back.
//!
//! [`Builder`] collects declarations, [`Builder::seal`] fixes names, numbers and owners, [`Image::write`] finds files
//! with the same contents, compresses blocks on all processors and streams them. What cannot be known before, the
//! compressed sizes, is in tables behind the data; the superblock at the front is left out as a gap and filled last.
//! The result depends on the options, the tree and the contents alone, not on the number of threads.
//!
//! The format is version 4.0, as `Documentation/filesystems/squashfs.rst` of Linux and `squashfs_fs.h` of
//! squashfs-tools have it. Two kinds of blocks hold everything: data blocks, whose sizes stand in inodes and in the
//! fragment table, and metadata blocks of 8 KiB, which carry their size themselves.
//!
//! [`Reader`] reads such images and those of `mksquashfs` with bounded memory, and refuses what contradicts itself.

mod bcj;
mod bytes;
mod directory;
mod dump;
mod error;
mod file;
mod format;
mod image;
mod inode;
pub(crate) mod layers;
mod options;
mod pack;
mod plan;
mod read;
mod reuse;
mod table;
mod tree;
mod unpack;
mod usage;
mod walk;
mod write;
mod xattr;

pub use dump::Digests;
pub use error::{Error, ReadError};
pub use file::{File, Paused, StoredSize};
pub use format::Superblock;
pub use image::Image;
pub use inode::{Content, Inode};
pub use layers::write_squashfs;
pub use options::{Bcj, BlockSize, Compression, Dictionary, Fragments, Level, Options};
pub use read::Reader;
pub use tree::{Builder, Squashfs};
pub use walk::{DirectoryEntry, Visit};

pub use crate::contents::{Contents, default_threads};
pub use crate::tree::{Metadata, Node, ROOT, Timestamp};
