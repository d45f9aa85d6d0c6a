//! Writes FAT12, FAT16 and FAT32 file systems, and reads them back.
//!
//! [`Builder`] collects declarations, [`Builder::seal`] fixes the layout, [`Image::write`] streams it. Directories
//! come first, then files in the order of their paths, each in clusters that follow one another. The result depends
//! on the options, the tree and the contents alone.
//!
//! The format is described by Microsoft's "FAT32 File System Specification" 1.03, which comments cite; sizes of
//! clusters and the choice among the three kinds are those of `mkfs.fat`. Names have a long form in UTF-16 unless
//! they are a short one in capitals; the case bits of Windows NT are not used, since firmware does not know them.
//!
//! [`Reader`] walks such images and those of other tools, strictly: it refuses what contradicts itself.

mod boot;
mod check;
mod directory;
mod dump;
mod error;
mod geometry;
mod image;
mod layers;
mod name;
mod options;
mod read;
mod time;
mod tree;
mod usage;
mod walk;
mod write;

pub use boot::BootSector;
pub use error::{Error, ReadError, Reason, Unfit};
pub use image::Image;
pub(crate) use layers::write;
pub use layers::write_fat;
pub use options::{Chs, Kind, Options, Size};
pub use read::{Data, Reader};
pub use time::DosTime;
pub use tree::{Builder, Fat};
pub use walk::Visit;
pub use write::Contents;

pub use crate::tree::{Metadata, Node, ROOT, Timestamp};
