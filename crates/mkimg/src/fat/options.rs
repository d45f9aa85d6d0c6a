//! What a caller decides about a file system before anything is in it.

use super::error::Error;

/// The width of the numbers in the table that a FAT file system is named for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// 12 bits: up to 4084 clusters.
    Fat12,
    /// 16 bits: 4085 to 65524 clusters.
    Fat16,
    /// 32 bits, of which 28 count: 65525 clusters and more.
    Fat32,
}

impl Kind {
    /// Returns the kind of `bits` bits.
    pub fn from_bits(bits: u32) -> Option<Kind> {
        [Kind::Fat12, Kind::Fat16, Kind::Fat32].into_iter().find(|kind| kind.bits() == bits)
    }

    /// Returns how many bits an entry of the table has.
    pub const fn bits(self) -> u32 {
        match self {
            Kind::Fat12 => 12,
            Kind::Fat16 => 16,
            Kind::Fat32 => 32,
        }
    }

    /// Returns the fewest and the most clusters that make a file system of this kind: readers tell kinds apart by
    /// nothing else ("FAT Type Determination").
    pub(super) const fn clusters(self) -> (u64, u64) {
        match self {
            Kind::Fat12 => (1, 4084),
            Kind::Fat16 => (4085, 65_524),
            Kind::Fat32 => (65_525, 0x0fff_fff5),
        }
    }

    /// Returns how many bytes the table of so many clusters has, the two entries before them included.
    pub(super) const fn table_len(self, clusters: u64) -> u64 {
        ((clusters + 2) * self.bits() as u64).div_ceil(8)
    }
}

/// How large the image becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Exactly this many bytes. What does not make a whole sector stays zero at the end.
    Fixed(u64),
    /// As small as the contents allow, with clusters for `slack` bytes more.
    Fit {
        /// How much can be written into the new file system.
        slack: u64,
    },
}

/// The geometry that programs of the BIOS's time reckon with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chs {
    /// Heads: at least 1.
    pub heads: u16,
    /// Sectors per track: at least 1.
    pub sectors: u16,
}

/// Everything about the file system that its contents do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The image's size.
    pub size: Size,
    /// The kind; without it, the one that `mkfs.fat` takes for the size.
    pub kind: Option<Kind>,
    /// Bytes in a sector: 512, 1024, 2048 or 4096.
    pub sector_size: u32,
    /// Bytes in a cluster: a power of two, one sector to 64 KiB. Without it, as many as `mkfs.fat` takes.
    pub cluster_size: Option<u32>,
    /// The volume's number.
    pub volume_id: u32,
    /// Up to 11 characters: capitals, digits, spaces and those signs that short names may have.
    pub label: Option<String>,
    /// When the label was given, in seconds since 1970.
    pub epoch: i64,
    /// How many sectors there are before the file system on its disk.
    pub hidden_sectors: u32,
    /// The geometry; without it, the usual one for the size.
    pub chs: Option<Chs>,
}

/// The largest cluster that everybody reads is half of this; Windows NT and Linux take this, too.
const MOST_CLUSTER_SIZE: u32 = 64 << 10;

impl Options {
    /// Returns the options of an ordinary file system: 512-byte sectors, and the rest chosen by its size.
    pub fn new(size: Size, volume_id: u32, epoch: i64) -> Options {
        Options {
            size,
            kind: None,
            sector_size: 512,
            cluster_size: None,
            volume_id,
            label: None,
            epoch,
            hidden_sectors: 0,
            chs: None,
        }
    }

    /// Checks what can be said before there are contents.
    pub(super) fn check(&self) -> Result<(), Error> {
        if ![512, 1024, 2048, 4096].contains(&self.sector_size) {
            return Err(Error::SectorSize { size: self.sector_size });
        }
        if let Some(size) = self.cluster_size
            && !(size.is_power_of_two() && (self.sector_size..=MOST_CLUSTER_SIZE).contains(&size))
        {
            return Err(Error::ClusterSize { size, sector_size: self.sector_size });
        }
        if let Some(label) = &self.label {
            let fits = !label.trim().is_empty()
                && label.len() <= 11
                && !label.starts_with(' ')
                && label.bytes().all(|byte| byte == b' ' || super::name::is_short(byte));
            if !fits {
                return Err(Error::Label { label: label.clone() });
            }
        }
        if let Some(chs) = self.chs
            && (chs.heads == 0 || chs.sectors == 0)
        {
            return Err(Error::Geometry { heads: chs.heads, sectors: chs.sectors });
        }
        Ok(())
    }
}
