//! Writes EROFS file systems, and reads them back.
//!
//! [`Builder`] collects declarations, [`Builder::seal`] fixes the order of everything and the attributes that inodes
//! share, [`Image::write`] finds files with the same contents, compresses them on all processors and streams them.
//! Behind the data come the listings of directories, then the inodes with what fits beside them (ends of files, targets
//! of links, indexes of compressed data), then shared attributes; the superblock in the first block is left out as a
//! gap and filled last. The result depends on the options, the tree and the contents alone, not on the number of
//! threads.
//!
//! The format is what `Documentation/filesystems/erofs.rst` and `fs/erofs/erofs_fs.h` of Linux describe, with blocks of
//! 4096 bytes. Compressed files have compact indexes, and their physical clusters are filled: as much of a file goes
//! into one as fits. Linux mounts such images from 5.15 on, those with Zstandard from 6.10 on.
//!
//! [`Reader`] reads such images and those that `mkfs.erofs` makes by default with bounded memory, and refuses what
//! contradicts itself.

mod compressed;
mod cut;
mod data;
mod directory;
mod dump;
mod error;
mod image;
mod index;
mod inode;
pub(crate) mod layers;
mod metadata;
mod options;
mod pack;
mod place;
mod read;
mod superblock;
mod tree;
mod usage;
mod walk;
mod write;
mod xattr;

pub use dump::Digests;
pub use error::{Error, ReadError};
pub use image::Image;
pub use inode::{Content, Inode};
pub use layers::write_erofs;
pub use options::{ClusterSize, Compression, Level, Options};
pub use read::Reader;
pub use superblock::Superblock;
pub(crate) use superblock::is_erofs;
pub use tree::{Builder, Erofs};
pub use walk::{DirectoryEntry, Visit};

pub use crate::contents::{Contents, default_threads};
pub use crate::tree::{Metadata, Node, ROOT, Timestamp};
