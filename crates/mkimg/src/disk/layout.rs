//! What a disk is declared to be. All offsets and sizes are in bytes.

use super::guid::Guid;

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Bytes in a sector: 512 or 4096.
    pub sector_size: u64,
    /// How large it is.
    pub size: Size,
    /// Partitions begin at multiples of this.
    pub align: u64,
    /// The first sector that a partition can have, if the table leaves it.
    pub first_lba: u64,
    /// How the partitions are listed.
    pub table: Table,
    /// How many bytes of boot code there are in the first sector.
    pub boot_code: u64,
    /// What lies outside of partitions.
    pub blobs: Vec<Blob>,
    /// The partitions, in their order on the disk.
    pub partitions: Vec<Partition>,
}

/// How large a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Exactly so many bytes.
    Fixed(u64),
    /// As the partitions are together, and `slack`, rounded up. It is larger if tables, gaps and blobs demand it.
    Fit {
        /// What is added.
        slack: u64,
        /// The size is a multiple of this.
        round: u64,
    },
}

/// How the partitions of a disk are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    /// A GUID partition table of 128 entries, and its copy at the end.
    Gpt {
        /// The disk's GUID.
        guid: Guid,
        /// Partitions that the old table has, too, in the order of their entries there.
        hybrid: Vec<Hybrid>,
        /// Where in a hybrid table the protective entry is.
        protective: Protective,
    },
    /// The old table: up to four partitions below 2^32 sectors.
    Mbr {
        /// The disk's number.
        signature: u32,
    },
}

/// Where the protective entry of a hybrid table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protective {
    /// In front of the others.
    First,
    /// Behind the others, for firmware that looks at the first entry only.
    Last,
}

/// A partition that the old table has, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hybrid {
    /// The number of the partition.
    pub partition: u32,
    /// Its type there.
    pub kind: u8,
    /// Whether it is marked as the one to start from.
    pub is_bootable: bool,
}

/// Bytes outside of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What messages call it.
    pub name: String,
    /// Where it begins.
    pub at: u64,
    /// How large it is.
    pub size: u64,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number; without it, the lowest that no other has.
    pub number: Option<u32>,
    /// Its name, up to 36 UTF-16 units.
    pub name: String,
    /// What the table says of it.
    pub identity: Identity,
    /// How large it is.
    pub size: PartitionSize,
    /// Where it begins; without it, behind the one before.
    pub at: Option<u64>,
    /// It begins at a multiple of this, if that is not the disk's.
    pub align: Option<u64>,
    /// How many bytes are in it, and what messages call them; without it, none.
    pub content: Option<(u64, String)>,
}

/// What a table says of a partition beside its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// In a GUID partition table.
    Gpt {
        /// The type.
        kind: Guid,
        /// Its own GUID.
        guid: Guid,
        /// The attributes.
        attributes: u64,
    },
    /// In an old table.
    Mbr {
        /// The type.
        kind: u8,
        /// Whether it is marked as the one to start from.
        is_bootable: bool,
    },
}

/// How large a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionSize {
    /// So many bytes, in whole sectors.
    Fixed(u64),
    /// As large as its contents.
    Min,
    /// As large as what the others leave, at least as its contents.
    Grow,
}

/// A part of a disk, as it is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The disk itself.
    Disk,
    /// One of its tables.
    Table,
    /// The partition of that index.
    Partition(usize),
    /// The blob of that index.
    Blob(usize),
}

/// Sectors of the entries of a GUID partition table.
pub(super) const GPT_ENTRIES: u32 = 128;
pub(super) const GPT_ENTRY_LEN: u32 = 128;
/// Entries of the old table.
pub(super) const MBR_ENTRIES: u32 = 4;

impl Disk {
    /// Returns how many sectors the entries of a GUID partition table have.
    pub(super) fn entry_sectors(&self) -> u64 {
        u64::from(GPT_ENTRIES * GPT_ENTRY_LEN).div_ceil(self.sector_size)
    }

    /// Returns how many sectors the tables have at the start and at the end of the disk.
    pub(super) fn table_sectors(&self) -> (u64, u64) {
        match self.table {
            Table::Gpt { .. } => (2 + self.entry_sectors(), self.entry_sectors() + 1),
            Table::Mbr { .. } => (1, 0),
        }
    }

    /// Returns how many partitions there can be.
    pub(super) fn most_partitions(&self) -> u32 {
        match self.table {
            Table::Gpt { .. } => GPT_ENTRIES,
            Table::Mbr { .. } => MBR_ENTRIES,
        }
    }
}
