//! The old table of partitions, in the first sector.

use crate::bytes::{get_u32, put_u32};

/// The bytes of the first sector that mean something.
pub(super) const LEN: usize = 512;
/// Where the disk's number is.
pub(super) const SIGNATURE: usize = 440;
const RECORDS: usize = 446;
const RECORD_LEN: usize = 16;
/// The type of the entry that keeps old programs away.
pub(super) const PROTECTIVE: u8 = 0xee;

/// An entry of the old table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// Whether it is marked as the one to start from.
    pub is_bootable: bool,
    /// The type; an entry of type 0 is none.
    pub kind: u8,
    /// The first sector.
    pub first: u32,
    /// How many there are.
    pub sectors: u32,
}

/// The first sector of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mbr {
    /// The boot code, with what is behind it up to the entries.
    pub code: [u8; RECORDS],
    /// The disk's number, which may lie in the boot code.
    pub signature: u32,
    /// The four entries.
    pub records: [Record; 4],
}

/// Cylinder, head and sector of the usual 255 heads and 63 sectors, as entries have them.
fn chs(lba: u64) -> [u8; 3] {
    let (cylinder, head, sector) = (lba / (255 * 63), lba / 63 % 255, lba % 63 + 1);
    if cylinder > 1023 {
        // What all agree on for what this cannot say.
        return [0xfe, 0xff, 0xff];
    }
    [head as u8, (sector | cylinder >> 8 << 6) as u8, cylinder as u8]
}

impl Record {
    /// Returns the entry that covers all sectors from 1 to the end of a disk (UEFI specification 5.2.3).
    pub(super) fn protective(disk_sectors: u64) -> Record {
        let sectors = u32::try_from(disk_sectors - 1).unwrap_or(u32::MAX);
        Record { is_bootable: false, kind: PROTECTIVE, first: 1, sectors }
    }

    /// Returns the sector behind the last one.
    pub fn end(&self) -> u64 {
        u64::from(self.first) + u64::from(self.sectors)
    }

    fn encode(&self, bytes: &mut [u8]) {
        if self.kind == 0 {
            return;
        }
        bytes[0] = if self.is_bootable { 0x80 } else { 0 };
        bytes[1..4].copy_from_slice(&chs(self.first.into()));
        bytes[4] = self.kind;
        let last = chs(self.end() - 1);
        // The specification of UEFI wants ones for an end that this cannot say.
        let is_beyond = self.kind == PROTECTIVE && last == [0xfe, 0xff, 0xff];
        bytes[5..8].copy_from_slice(&if is_beyond { [0xff; 3] } else { last });
        put_u32(bytes, 8, self.first);
        put_u32(bytes, 12, self.sectors);
    }

    fn decode(bytes: &[u8]) -> Option<Record> {
        let is_bootable = match bytes[0] {
            0 => false,
            0x80 => true,
            _ => return None,
        };
        Some(Record { is_bootable, kind: bytes[4], first: get_u32(bytes, 8), sectors: get_u32(bytes, 12) })
    }
}

impl Mbr {
    pub(super) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..RECORDS].copy_from_slice(&self.code);
        let is_covered = self.code[SIGNATURE..].iter().any(|byte| *byte != 0);
        if !is_covered {
            put_u32(&mut bytes, SIGNATURE, self.signature);
        }
        for (record, at) in self.records.iter().zip((RECORDS..).step_by(RECORD_LEN)) {
            record.encode(&mut bytes[at..at + RECORD_LEN]);
        }
        bytes[510..].copy_from_slice(&[0x55, 0xaa]);
        bytes
    }

    /// Reads a first sector, or returns nothing if it is none.
    pub(super) fn decode(bytes: &[u8; LEN]) -> Option<Mbr> {
        if bytes[510..] != [0x55, 0xaa] {
            return None;
        }
        let mut code = [0; RECORDS];
        code.copy_from_slice(&bytes[..RECORDS]);
        let mut records = [Record::default(); 4];
        for (record, at) in records.iter_mut().zip((RECORDS..).step_by(RECORD_LEN)) {
            *record = Record::decode(&bytes[at..at + RECORD_LEN])?;
        }
        Some(Mbr { code, signature: get_u32(bytes, SIGNATURE), records })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_old_words() {
        assert_eq!(chs(1), [0, 2, 0]);
        assert_eq!(chs(2047), [32, 32, 0]);
        assert_eq!(chs(2048), [32, 33, 0]);
        assert_eq!(chs(75_775), [0xb6, 0x32, 4]);
        assert_eq!(chs(1024 * 255 * 63 - 1), [254, 255, 255]);
        assert_eq!(chs(u64::MAX), [254, 255, 255]);
    }
}
