//! The boot sector, and the sector of FAT32 that counts what is free.

use super::error::ReadError;
use super::geometry::{ENTRY_LEN, Geometry, N_TABLES, usual_chs};
use super::options::{Chs, Kind, Options};
use crate::bytes::{get_u16, get_u32, put_u16, put_u32};

/// The bytes of the boot sector that mean something.
pub(super) const LEN: usize = 512;
/// What a boot sector says where there is no label.
pub(super) const NO_LABEL: &[u8; 11] = b"NO NAME    ";
/// Where FAT32 has what is free, and the copies of both sectors.
const INFO_SECTOR: u16 = 1;
const BACKUP_SECTOR: u16 = 6;
/// A fixed disk.
pub(super) const MEDIA: u8 = 0xf8;
/// The name that all readers know ("BS_OEMName").
const OEM_NAME: &[u8; 8] = b"MSWIN4.1";
/// Tells the BIOS that there is nothing to start here, and stops if it comes back: `int 0x18`, `hlt`, back to that.
const NO_BOOT_CODE: [u8; 5] = [0xcd, 0x18, 0xf4, 0xeb, 0xfd];

/// What the boot sector says ("Boot Sector and BPB Structure").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootSector {
    /// The kind, as the number of clusters makes it.
    pub kind: Kind,
    /// Bytes in a sector.
    pub sector_size: u32,
    /// Sectors in a cluster.
    pub sectors_per_cluster: u32,
    /// Sectors in front of the first table.
    pub reserved: u32,
    /// Copies of the table.
    pub tables: u32,
    /// Sectors in each table.
    pub sectors_per_table: u32,
    /// Entries of the root directory; none for FAT32.
    pub root_entries: u32,
    /// Sectors in all.
    pub sectors: u32,
    /// Clusters that can be used; the first has number 2.
    pub clusters: u32,
    /// The type of medium, which the first entry of the table repeats.
    pub media: u8,
    /// The geometry.
    pub chs: Chs,
    /// Sectors in front of the file system.
    pub hidden: u32,
    /// The first cluster of the root directory of FAT32.
    pub root_cluster: u32,
    /// The sector with what is free, of FAT32.
    pub info: u16,
    /// The sector with the copy of this one, of FAT32.
    pub backup: u16,
    /// The volume's number.
    pub volume_id: u32,
    /// The label, filled up with spaces.
    pub label: [u8; 11],
}

impl BootSector {
    pub(super) fn new(options: &Options, geometry: &Geometry) -> BootSector {
        let small = |sectors: u64| u32::try_from(sectors).expect("a geometry has at most 2^32 - 1 sectors");
        let is_32 = geometry.form.kind == Kind::Fat32;
        let mut label = *NO_LABEL;
        if let Some(text) = &options.label {
            label = padded(text);
        }
        BootSector {
            kind: geometry.form.kind,
            sector_size: options.sector_size,
            sectors_per_cluster: small(geometry.form.per_cluster),
            reserved: small(geometry.reserved),
            tables: small(N_TABLES),
            sectors_per_table: small(geometry.table),
            root_entries: small(geometry.root * geometry.sector_size / ENTRY_LEN),
            sectors: small(geometry.sectors),
            clusters: small(geometry.clusters),
            media: MEDIA,
            chs: options.chs.unwrap_or_else(|| usual_chs(geometry.sectors * geometry.sector_size / 512)),
            hidden: options.hidden_sectors,
            root_cluster: if is_32 { 2 } else { 0 },
            info: if is_32 { INFO_SECTOR } else { 0 },
            backup: if is_32 { BACKUP_SECTOR } else { 0 },
            volume_id: options.volume_id,
            label,
        }
    }

    pub(super) fn encode(&self) -> [u8; LEN] {
        let low = |value: u32| u16::try_from(value).expect("a field of 16 bits was checked to suffice");
        let mut bytes = [0; LEN];
        // A jump over what follows.
        let code: u8 = if self.kind == Kind::Fat32 { 90 } else { 62 };
        bytes[..3].copy_from_slice(&[0xeb, code - 2, 0x90]);
        bytes[3..11].copy_from_slice(OEM_NAME);
        put_u16(&mut bytes, 11, low(self.sector_size));
        bytes[13] = u8::try_from(self.sectors_per_cluster).expect("a cluster has at most 128 sectors");
        put_u16(&mut bytes, 14, low(self.reserved));
        bytes[16] = u8::try_from(self.tables).expect("there are two tables");
        put_u16(&mut bytes, 17, low(self.root_entries));
        bytes[21] = self.media;
        put_u16(&mut bytes, 24, self.chs.sectors);
        put_u16(&mut bytes, 26, self.chs.heads);
        put_u32(&mut bytes, 28, self.hidden);
        match u16::try_from(self.sectors) {
            Ok(sectors) if self.kind != Kind::Fat32 => put_u16(&mut bytes, 19, sectors),
            _ => put_u32(&mut bytes, 32, self.sectors),
        }
        let extended = if self.kind == Kind::Fat32 {
            put_u32(&mut bytes, 36, self.sectors_per_table);
            put_u32(&mut bytes, 44, self.root_cluster);
            put_u16(&mut bytes, 48, self.info);
            put_u16(&mut bytes, 50, self.backup);
            64
        } else {
            put_u16(&mut bytes, 22, low(self.sectors_per_table));
            36
        };
        // The first fixed disk, and the mark of the three fields that follow.
        bytes[extended] = 0x80;
        bytes[extended + 2] = 0x29;
        put_u32(&mut bytes, extended + 3, self.volume_id);
        bytes[extended + 7..extended + 18].copy_from_slice(&self.label);
        let name = format!("FAT{:<5}", self.kind.bits());
        bytes[extended + 18..extended + 26].copy_from_slice(name.as_bytes());
        let code = usize::from(code);
        bytes[code..code + NO_BOOT_CODE.len()].copy_from_slice(&NO_BOOT_CODE);
        bytes[510..].copy_from_slice(&[0x55, 0xaa]);
        bytes
    }

    /// Reads a boot sector. What it says of places is inside of `size` bytes afterwards.
    pub(super) fn decode(bytes: &[u8; LEN], size: u64) -> Result<BootSector, ReadError> {
        let not_fat = |problem| Err(ReadError::NotFat { problem });
        if bytes[510..] != [0x55, 0xaa] || !matches!(bytes[..3], [0xeb, _, 0x90] | [0xe9, _, _]) {
            return not_fat("it has no boot sector");
        }
        let sector_size = u32::from(get_u16(bytes, 11));
        let sectors_per_cluster = u32::from(bytes[13]);
        if ![512, 1024, 2048, 4096].contains(&sector_size) || !sectors_per_cluster.is_power_of_two() {
            return not_fat("its sectors or clusters have no possible size");
        }
        let reserved = u32::from(get_u16(bytes, 14));
        let tables = u32::from(bytes[16]);
        if reserved == 0 || !(1..=2).contains(&tables) {
            return not_fat("it has no possible tables");
        }
        let corrupt = |problem: &str| Err(ReadError::corrupt("the boot sector", problem));
        let root_entries = u32::from(get_u16(bytes, 17));
        let sectors = match get_u16(bytes, 19) {
            0 => get_u32(bytes, 32),
            sectors => sectors.into(),
        };
        let (is_32, sectors_per_table) = match get_u16(bytes, 22) {
            0 => (true, get_u32(bytes, 36)),
            sectors => (false, u32::from(sectors)),
        };
        if u64::from(sectors) * u64::from(sector_size) > size {
            return corrupt("the file system is larger than the image");
        }
        let root_len = u64::from(root_entries) * ENTRY_LEN;
        if !root_len.is_multiple_of(sector_size.into()) || is_32 != (root_entries == 0) {
            return corrupt("its root directory has no possible size");
        }
        let front = u64::from(reserved)
            + u64::from(tables) * u64::from(sectors_per_table)
            + root_len / u64::from(sector_size);
        let Some(left) = u64::from(sectors).checked_sub(front) else {
            return corrupt("its parts are larger than the file system");
        };
        let clusters = left / u64::from(sectors_per_cluster);
        let kinds = [Kind::Fat12, Kind::Fat16, Kind::Fat32].into_iter();
        let kind = kinds.clone().find(|kind| clusters <= kind.clusters().1);
        let Some(kind) = kind.filter(|kind| (*kind == Kind::Fat32) == is_32 && clusters > 0) else {
            return corrupt("it does not have the number of clusters that its kind demands");
        };
        let table_len = u64::from(sectors_per_table) * u64::from(sector_size);
        if kind.table_len(clusters) > table_len {
            return corrupt("its tables are too small for its clusters");
        }
        let clusters = u32::try_from(clusters).expect("no kind has more than 2^28 clusters");
        let root_cluster = if is_32 { get_u32(bytes, 44) } else { 0 };
        if is_32 && !(2..clusters + 2).contains(&root_cluster) {
            return corrupt("its root directory is outside");
        }
        let (info, backup) = if is_32 { (get_u16(bytes, 48), get_u16(bytes, 50)) } else { (0, 0) };
        if u32::from(info) >= reserved || u32::from(backup) >= reserved {
            return corrupt("its second sector or its copy is outside");
        }
        let extended = if is_32 { 64 } else { 36 };
        let (mut volume_id, mut label) = (0, *NO_LABEL);
        if bytes[extended + 2] == 0x29 {
            volume_id = get_u32(bytes, extended + 3);
            label.copy_from_slice(&bytes[extended + 7..extended + 18]);
        }
        Ok(BootSector {
            kind,
            sector_size,
            sectors_per_cluster,
            reserved,
            tables,
            sectors_per_table,
            root_entries,
            sectors,
            clusters,
            media: bytes[21],
            chs: Chs { sectors: get_u16(bytes, 24), heads: get_u16(bytes, 26) },
            hidden: get_u32(bytes, 28),
            root_cluster,
            info,
            backup,
            volume_id,
            label,
        })
    }

    /// Returns how many bytes a cluster has.
    pub fn cluster_len(&self) -> u64 {
        u64::from(self.sectors_per_cluster) * u64::from(self.sector_size)
    }

    /// Returns the offset of table number `table`.
    pub(super) fn table_offset(&self, table: u32) -> u64 {
        let sector = u64::from(self.reserved) + u64::from(table) * u64::from(self.sectors_per_table);
        sector * u64::from(self.sector_size)
    }

    /// Returns the offset of a cluster, which must not be below 2.
    pub(super) fn cluster_offset(&self, cluster: u32) -> u64 {
        let data = self.table_offset(self.tables) + u64::from(self.root_entries) * ENTRY_LEN;
        data + u64::from(cluster - 2) * self.cluster_len()
    }
}

/// Returns a label as it is stored.
pub(super) fn padded(label: &str) -> [u8; 11] {
    let mut padded = [b' '; 11];
    padded[..label.len()].copy_from_slice(label.as_bytes());
    padded
}

/// What FAT32 says of what is free ("FAT32 FSInfo Sector Structure").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Info {
    /// How many clusters are free.
    pub(super) free: u32,
    /// Where to look for one first.
    pub(super) next: u32,
}

const INFO_MARKS: [(usize, u32); 3] = [(0, 0x4161_5252), (484, 0x6141_7272), (508, 0xaa55_0000)];

impl Info {
    pub(super) fn encode(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        for (at, mark) in INFO_MARKS {
            put_u32(&mut bytes, at, mark);
        }
        put_u32(&mut bytes, 488, self.free);
        put_u32(&mut bytes, 492, self.next);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; LEN]) -> Option<Info> {
        let is_marked = INFO_MARKS.iter().all(|(at, mark)| get_u32(bytes, *at) == *mark);
        is_marked.then(|| Info { free: get_u32(bytes, 488), next: get_u32(bytes, 492) })
    }
}
