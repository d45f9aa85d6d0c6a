//! Writes ext4 file systems, and reads them back.
//!
//! [`Builder`] collects declarations, [`Builder::seal`] fixes the layout, [`Image::write`] streams it. Contents are
//! asked for while the image is streamed, so memory holds only what the tree and the layout need. The result depends
//! on the options, the tree and the contents alone.
//!
//! The format is described by the Linux kernel documentation, `Documentation/filesystems/ext4`; comments cite its
//! sections. The images have 256-byte inodes and the features `has_journal` (optional), `ext_attr`, `resize_inode`
//! (optional), `dir_index`, `filetype`, `extent`, `64bit`, `flex_bg`, `sparse_super`, `large_file`, `huge_file`,
//! `dir_nlink`, `extra_isize`, `metadata_csum`, and `large_dir` if a directory needs it. They grow while mounted
//! through reserved group descriptors, and beyond those because kernels switch to `meta_bg` on their own.
//!
//! [`Reader`] walks such images and those of `mke2fs`, strictly: it refuses what contradicts itself.

mod allocation;
mod bytes;
mod check;
mod checksum;
mod directory;
mod dump;
mod error;
mod extent;
mod geometry;
mod group;
mod hash;
mod image;
mod inode;
mod journal;
mod options;
mod read;
mod sizing;
mod superblock;
mod tree;
mod usage;
mod walk;
mod write;
mod xattr;

pub use error::{Error, ReadError};
pub use extent::Extent;
pub use group::GroupDescriptor;
pub use image::Image;
pub use inode::Inode;
pub use options::{BlockSize, Growth, Inodes, Journal, OnError, Options, Size};
pub use read::{Data, Mapped, Reader};
pub use superblock::Superblock;
pub use tree::{Builder, Ext4};
pub use walk::{DirectoryEntry, Visit};
pub use write::Contents;

pub use crate::tree::{Metadata, Node, ROOT, Timestamp};
