//! Disks: partitions listed in a GUID partition table (GPT) or in the old one of the first sector (MBR).
//!
//! A [`Disk`] is declared, [`resolve`] places its partitions and finds everything that is wrong with that at once,
//! and [`Plan::write`] streams it, with holes where nothing is. What lies where is a [`Map`], which can be drawn:
//! the same kind of map as a machine's addresses, of sectors.
//!
//! The formats are those of the UEFI specification 2.10, section 5. [`Reader`] reads such disks and those of other
//! tools, strictly: it refuses what contradicts itself.

mod check;
mod draw;
mod dump;
mod gpt;
mod guid;
mod layout;
mod make;
mod map;
mod mbr;
mod place;
mod problem;
mod read;
mod size;
mod types;
mod write;

pub use gpt::{Entry, Header};
pub use guid::Guid;
pub use layout::{Blob, Disk, Hybrid, Identity, Part, Partition, PartitionSize, Protective, Size, Table};
pub(crate) use make::write;
pub use map::{Area, Map, Placed};
pub use mbr::{Mbr, Record};
pub use place::resolve;
pub use problem::{Problem, Problems};
pub use read::{ReadError, Reader, is_gpt};
pub use types::{GPT_TYPES, MBR_TYPES, gpt_name, gpt_type, mbr_type};
pub use write::{Plan, Source, View, WriteError};
