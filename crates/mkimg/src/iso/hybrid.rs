//! What is before the file system: boot code and tables of partitions, so that the image starts from any disk.
//!
//! UEFI specification 2.10, section 5, for the tables. All numbers are of sectors of 512 bytes.

use super::error::Error;
use super::patch::UNITS;
use super::{SECTOR, SYSTEM_AREA};
use crate::bytes::{put_u32, put_u64};
use crate::disk::{Guid, gpt_type};

/// A sector of a disk.
const UNIT: usize = 512;
/// What ISO 9660 leaves free.
const AREA_LEN: usize = SYSTEM_AREA as usize * SECTOR;
/// Where the old table begins, with the disk's number before it.
const SIGNATURE: usize = 440;
const RECORDS: usize = 446;
/// Where boot code has the address of what it loads: GRUB's `boot_hybrid` and isolinux' `isohdpfx` alike.
const PATCH: usize = 432;
/// GRUB's first unit is that of `cdboot`'s sector, which a disk does not need.
const GRUB2_OFFSET: u64 = 4;
const N_ENTRIES: usize = 128;
const ENTRY_LEN: usize = 128;
/// The units that the entries of a GUID partition table have.
const ENTRIES_UNITS: u64 = (N_ENTRIES * ENTRY_LEN / UNIT) as u64;
/// The units of the second copy, which is at the end: the entries and the header.
pub(super) const BACKUP_UNITS: u64 = ENTRIES_UNITS + 1;
/// A type that no system takes for its own, for the image as a whole.
const WHOLE: u8 = 0x17;
const EFI: u8 = 0xef;
const PROTECTIVE: u8 = 0xee;

/// Which numbers boot code finds in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MbrPatch {
    /// None.
    #[default]
    None,
    /// Where GRUB's core is: what `boot_hybrid.img` loads.
    Grub2,
    /// Where `isolinux.bin` is: what `isohdpfx.bin` and its like load.
    Isolinux,
}

/// Which table of partitions there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HybridTable {
    /// None: the code has the whole 32 KiB.
    None,
    /// The old one of the first sector: the image as a whole, and the images of UEFI.
    Mbr {
        /// The disk's number.
        signature: u32,
    },
    /// A GUID partition table with the images of UEFI.
    Gpt {
        /// The disk's GUID. Those of partitions differ from it in their last byte.
        guid: Guid,
    },
}

/// What is before the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hybrid {
    /// Boot code; nothing if BIOSes need not start it.
    pub code: Vec<u8>,
    /// What the code is told.
    pub patch: MbrPatch,
    /// The partitions.
    pub table: HybridTable,
}

/// Where things are that boot code and tables refer to.
pub(super) struct Places<'a> {
    /// The first sector of the image for BIOS.
    pub(super) bios: Option<u32>,
    /// The first sector and the size of each image for UEFI.
    pub(super) efi: &'a [(u32, u64)],
    /// How many sectors there are.
    pub(super) sectors: u32,
}

impl Hybrid {
    pub(super) fn check(&self) -> Result<(), Error> {
        let (limit, table) = match self.table {
            HybridTable::None => (AREA_LEN, "the file system"),
            // Loaders bring a sector whose end is left to the table.
            HybridTable::Mbr { .. } => (AREA_LEN, "the file system"),
            HybridTable::Gpt { .. } => (UNIT, "a GUID partition table"),
        };
        if self.code.len() > limit {
            return Err(Error::BootCode { size: self.code.len(), limit, table });
        }
        Ok(())
    }

    /// Returns how many units the end of the image needs.
    pub(super) fn units_at_end(&self) -> u64 {
        match self.table {
            HybridTable::None | HybridTable::Mbr { .. } => 0,
            HybridTable::Gpt { .. } => BACKUP_UNITS,
        }
    }

    /// Returns the sectors before the file system, and what is at the end of the image.
    pub(super) fn encode(&self, places: &Places<'_>) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let mut area = vec![0; AREA_LEN];
        area[..self.code.len()].copy_from_slice(&self.code);
        let bios = || places.bios.map(|sector| u64::from(sector) * UNITS).ok_or(Error::NothingToPatch);
        match self.patch {
            MbrPatch::None => {}
            MbrPatch::Grub2 => put_u64(&mut area, PATCH, bios()? + GRUB2_OFFSET),
            // It has 32 bits, and its images are at the front.
            MbrPatch::Isolinux => put_u32(&mut area, PATCH, u32::try_from(bios()?).unwrap_or(u32::MAX)),
        }
        let units = u64::from(places.sectors) * UNITS;
        let partitions = places.efi.iter().map(|(sector, size)| {
            let first = u64::from(*sector) * UNITS;
            (first, first + size.div_ceil(UNIT as u64))
        });
        let partitions: Vec<(u64, u64)> = partitions.collect();
        match self.table {
            HybridTable::None => Ok((area, Vec::new())),
            HybridTable::Mbr { signature } => {
                put_u32(&mut area, SIGNATURE, signature);
                area[SIGNATURE + 4..UNIT].fill(0);
                let whole = Record { is_bootable: true, kind: WHOLE, first: 0, end: units };
                let others = partitions.iter().map(|(first, end)| Record {
                    is_bootable: false,
                    kind: EFI,
                    first: *first,
                    end: *end,
                });
                put_records(&mut area, std::iter::once(whole).chain(others));
                Ok((area, Vec::new()))
            }
            HybridTable::Gpt { guid } => {
                area[SIGNATURE..UNIT].fill(0);
                let protective = Record { is_bootable: false, kind: PROTECTIVE, first: 1, end: units };
                // Some BIOSes start no disk without an entry that is marked, and UEFI wants the mark not to be at
                // its own.
                let marked = Record { is_bootable: true, kind: 0, first: 0, end: 1 };
                put_records(&mut area, [protective, marked].into_iter());
                let entries = encode_entries(guid, &partitions);
                let (header, backup) =
                    (Header { guid, units, own: 1 }, Header { guid, units, own: units - 1 });
                area[UNIT..2 * UNIT].copy_from_slice(&header.encode(&entries));
                area[2 * UNIT..2 * UNIT + entries.len()].copy_from_slice(&entries);
                let end = [&entries[..], &backup.encode(&entries)].concat();
                Ok((area, end))
            }
        }
    }
}

/// An entry of the old table.
struct Record {
    is_bootable: bool,
    kind: u8,
    first: u64,
    end: u64,
}

fn put_records(area: &mut [u8], records: impl Iterator<Item = Record>) {
    // There are at most four; images of UEFI beyond that are not found here.
    for (record, bytes) in records.zip(area[RECORDS..RECORDS + 64].chunks_exact_mut(16)) {
        bytes[0] = if record.is_bootable { 0x80 } else { 0 };
        // Cylinders, heads and sectors are of another time. These values say that they do not say it.
        bytes[1..4].copy_from_slice(if record.first == 0 { &[0, 1, 0] } else { &[0xfe, 0xff, 0xff] });
        bytes[4] = record.kind;
        bytes[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
        if record.kind == PROTECTIVE {
            bytes[1..4].copy_from_slice(&[0, 2, 0]);
            bytes[5..8].copy_from_slice(&[0xff; 3]);
        }
        put_u32(bytes, 8, u32::try_from(record.first).unwrap_or(u32::MAX));
        put_u32(bytes, 12, u32::try_from(record.end - record.first).unwrap_or(u32::MAX));
    }
    area[510..512].copy_from_slice(&[0x55, 0xaa]);
}

fn encode_entries(disk: Guid, partitions: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; N_ENTRIES * ENTRY_LEN];
    let kind = gpt_type("esp").expect("there is a type of this name");
    let slots = bytes.chunks_exact_mut(ENTRY_LEN);
    for ((index, (first, end)), entry) in (1_u8..).zip(partitions).zip(slots) {
        let mut guid = disk.0;
        guid[15] ^= index;
        entry[..16].copy_from_slice(&kind.0);
        entry[16..32].copy_from_slice(&guid);
        put_u64(entry, 32, *first);
        put_u64(entry, 40, end - 1);
        for (unit, place) in "EFI System".encode_utf16().zip(entry[56..].chunks_exact_mut(2)) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
    }
    bytes
}

struct Header {
    guid: Guid,
    /// How many units the disk has.
    units: u64,
    /// Which unit this copy is in.
    own: u64,
}

impl Header {
    fn encode(&self, entries: &[u8]) -> [u8; UNIT] {
        let last = self.units - 1;
        let is_first = self.own == 1;
        let start = if is_first { 2 } else { self.own - ENTRIES_UNITS };
        let mut bytes = [0; UNIT];
        bytes[..8].copy_from_slice(b"EFI PART");
        put_u32(&mut bytes, 8, 0x0001_0000);
        put_u32(&mut bytes, 12, 92);
        put_u64(&mut bytes, 24, self.own);
        put_u64(&mut bytes, 32, if is_first { last } else { 1 });
        put_u64(&mut bytes, 40, (AREA_LEN / UNIT) as u64);
        put_u64(&mut bytes, 48, self.units - BACKUP_UNITS - 1);
        bytes[56..72].copy_from_slice(&self.guid.0);
        put_u64(&mut bytes, 72, start);
        put_u32(&mut bytes, 80, N_ENTRIES as u32);
        put_u32(&mut bytes, 84, ENTRY_LEN as u32);
        put_u32(&mut bytes, 88, crc32fast::hash(entries));
        let checksum = crc32fast::hash(&bytes[..92]);
        put_u32(&mut bytes, 16, checksum);
        bytes
    }
}
