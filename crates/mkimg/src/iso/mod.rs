//! Writes ISO 9660 file systems that machines start from, and reads them back.
//!
//! [`Builder`] collects declarations, [`Builder::seal`] fixes the layout and every byte that is not a file's content,
//! [`Image::write`] streams it, each byte once. The result depends on the options, the tree and the contents alone.
//!
//! The format is ECMA-119 (3rd edition) at interchange level 3: files of 4 GiB and more have several extents. Names,
//! owners, modes, times, links and devices are in Rock Ridge fields (SUSP 1.12, RRIP 1.12); names that readers
//! without it see have 31 characters at most, and a Joliet tree (ISO/IEC 10646 names) is optional. Directories may be
//! nested deeper than eight levels, and paths may be longer than 255 characters: ECMA-119 says no, all readers say
//! yes, and moving such directories elsewhere, as RRIP can, has surprised more people than it has helped.
//!
//! El Torito ("Bootable CD-ROM Format", 1.0) starts machines from optical disks, by BIOS and UEFI; a boot record and
//! a table of partitions in the 32 KiB that ISO 9660 leaves free ([`Hybrid`]) start them from the same bytes on any
//! other disk.
//!
//! [`Reader`] walks such images and those of other tools, strictly: it refuses what contradicts itself.

mod bytes;
mod check;
mod date;
mod directory;
mod dump;
mod eltorito;
mod error;
mod hierarchy;
mod hybrid;
mod image;
mod layers;
mod name;
mod options;
mod patch;
mod read;
mod record;
mod rock;
mod susp;
mod tree;
mod usage;
mod volume;
mod walk;
mod write;

pub use eltorito::{BootEntry, Platform, StartEntry};
pub use error::{Error, ReadError};
pub use hybrid::{Hybrid, HybridTable, MbrPatch};
pub use image::Image;
pub(crate) use layers::write;
pub use layers::{BootImage, BootSource, write_iso};
pub use options::{Labels, Options, Uuid};
pub use read::{Reader, View};
pub use record::Extent;
pub use tree::{Builder, Iso};
pub use walk::{Content, Entry, Visit};
pub use write::Contents;

pub use crate::tree::{Metadata, Node, ROOT, Timestamp};

/// The size of a sector.
pub(super) const SECTOR: usize = 2048;
/// The sectors before the descriptors, which ISO 9660 leaves to others (ECMA-119 6.2.1).
pub(super) const SYSTEM_AREA: u32 = 16;
