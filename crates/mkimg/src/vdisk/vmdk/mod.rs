//! VMware's VMDK, in one file (VMware, "Virtual Disk Format 5.0"). Numbers are little-endian.
//!
//! `monolithicSparse`: a header, a description as text, two copies of the tables, and grains of 64 KiB in the order of
//! the disk. `streamOptimized`: each grain is compressed behind a marker, tables follow what they list, and what a
//! header cannot say before is in a footer: such a file can be written and read from its beginning to its end.

mod read;
mod write;

pub(super) use read::read;
pub use write::write;
pub(crate) use write::write_reusing;

pub(super) const MAGIC: &[u8] = b"KDMV";

/// How a VMDK is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What kind it is.
    pub variant: Variant,
    /// The controller that the disk is for.
    pub adapter: Adapter,
    /// The name of the file, which its description repeats.
    pub name: String,
    /// What the number of its contents is made of.
    pub uuid: [u8; 16],
}

/// A kind of VMDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Variant {
    /// A disk to run.
    #[default]
    MonolithicSparse,
    /// A disk to import: compressed.
    StreamOptimized,
}

/// The controller that a disk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Adapter {
    /// IDE, or SATA.
    #[default]
    Ide,
    /// An old SCSI controller.
    BusLogic,
    /// A SCSI controller.
    LsiLogic,
}

impl Adapter {
    /// Returns what a description calls it.
    pub fn name(self) -> &'static str {
        match self {
            Adapter::Ide => "ide",
            Adapter::BusLogic => "buslogic",
            Adapter::LsiLogic => "lsilogic",
        }
    }
}

/// Numbers that both sides need.
mod format {
    pub(super) const HEADER_LEN: usize = 512;
    /// Flags of the header.
    pub(super) const NEW_LINES: u32 = 1;
    pub(super) const TWO_TABLES: u32 = 1 << 1;
    pub(super) const ZERO_GRAINS: u32 = 1 << 2;
    pub(super) const COMPRESSED: u32 = 1 << 16;
    pub(super) const MARKERS: u32 = 1 << 17;
    /// What newline characters became if somebody copied the file as text.
    pub(super) const NEW_LINE_CHARACTERS: &[u8] = b"\n \r\n";
    pub(super) const DEFLATE: u16 = 1;
    /// In sectors.
    pub(super) const GRAIN: u64 = 128;
    pub(super) const PER_TABLE: u64 = 512;
    /// A table has so many sectors.
    pub(super) const TABLE: u64 = 4;
    /// The table of tables is where the footer says.
    pub(super) const AT_END: u64 = u64::MAX;
    pub(super) const MARKER_LEN: usize = 12;
}
