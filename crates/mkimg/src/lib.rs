//! Writes what machines boot from: layers, initramfs archives, file systems, disks in every format.
//!
//! Every writer has three phases. *Declare*: names, sizes, owners. *Seal*: the whole layout and every metadata
//! byte are now fixed. *Stream*: contents go into a [`Sink`], each byte once. Sizes, UUIDs and times are
//! options; there is no clock, randomness or environment, so the same declarations are always the same bytes.

mod accounts;
mod budget;
mod bytes;
mod compress;
mod contents;
pub mod cpio;
mod device_tree;
pub mod disk;
mod dump;
mod duplicates;
mod earlier;
pub mod efi_variables;
pub mod erofs;
mod error;
pub mod ext4;
mod extract;
pub mod fat;
mod files;
mod filesystem;
mod glob;
mod grub;
pub mod igvm;
pub mod iso;
mod largest;
mod lz4;
pub mod modules;
mod output;
mod overlay;
mod packit;
pub mod pe;
mod pipeline;
mod run;
pub mod sign;
mod sink;
mod spans;
pub mod spec;
pub mod squashfs;
pub mod tree;
pub mod uki;
mod unpack;
pub mod update;
pub mod usage;
pub mod vdisk;
pub mod verity;
mod xz;

pub use accounts::Error as AccountsError;
pub use budget::BudgetError;
pub use compress::{Compressor, Gzip};
pub use dump::dump;
pub use error::{Error, ExtractProblem};
pub use filesystem::write_ext4;
pub use grub::GrubError;
pub use largest::Largest;
pub use lz4::{Decoder as Lz4Decoder, Lz4};
pub use run::{read_spec, run};
pub use sink::{CountingSink, GapSink, HashSink, MemorySink, Sink, SparseFile};
pub use xz::xz_decoder;
