//! The GUID partition table: its headers and entries.

use super::guid::Guid;
use crate::bytes::{get_u32, get_u64, put_u32, put_u64};

/// The bytes of a header that mean something.
pub(super) const HEADER_LEN: usize = 92;
/// The bytes of an entry that mean something.
pub(super) const ENTRY_LEN: usize = 128;
pub(super) const MAGIC: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
const NAME_UNITS: usize = 36;

/// Returns the CRC-32 that headers have.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// A header (UEFI specification 5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The sector that it is in.
    pub own: u64,
    /// The sector of the other one.
    pub other: u64,
    /// The first sector that partitions can have.
    pub first_usable: u64,
    /// The last one.
    pub last_usable: u64,
    /// The disk's GUID.
    pub guid: Guid,
    /// The sector in which the entries begin.
    pub entries: u64,
    /// How many entries there are.
    pub n_entries: u32,
    /// How many bytes each has.
    pub entry_len: u32,
    /// The CRC-32 of all entries.
    pub entries_crc: u32,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        put_u32(&mut bytes, 8, REVISION);
        put_u32(&mut bytes, 12, HEADER_LEN as u32);
        for (at, sector) in
            [(24, self.own), (32, self.other), (40, self.first_usable), (48, self.last_usable)]
        {
            put_u64(&mut bytes, at, sector);
        }
        bytes[56..72].copy_from_slice(&self.guid.0);
        put_u64(&mut bytes, 72, self.entries);
        for (at, value) in [(80, self.n_entries), (84, self.entry_len), (88, self.entries_crc)] {
            put_u32(&mut bytes, at, value);
        }
        let sum = crc(&bytes);
        put_u32(&mut bytes, 16, sum);
        bytes
    }

    /// Reads the header in a sector. Fails with what is wrong with it.
    pub(super) fn decode(sector: &[u8]) -> Result<Header, &'static str> {
        let Some(bytes) = sector.get(..HEADER_LEN).filter(|bytes| bytes.starts_with(MAGIC)) else {
            return Err("it has no mark");
        };
        // A later revision may have a longer one.
        let header = usize::try_from(get_u32(bytes, 12)).ok().and_then(|length| sector.get(..length));
        let Some(header) = header.filter(|header| header.len() >= HEADER_LEN) else {
            return Err("it has an impossible length");
        };
        let mut summed = header.to_vec();
        put_u32(&mut summed, 16, 0);
        if crc(&summed) != get_u32(bytes, 16) {
            return Err("its checksum is wrong");
        }
        if get_u32(bytes, 8) >> 16 != REVISION >> 16 {
            return Err("it has a revision that is not known");
        }
        let mut guid = [0; 16];
        guid.copy_from_slice(&bytes[56..72]);
        Ok(Header {
            own: get_u64(bytes, 24),
            other: get_u64(bytes, 32),
            first_usable: get_u64(bytes, 40),
            last_usable: get_u64(bytes, 48),
            guid: Guid(guid),
            entries: get_u64(bytes, 72),
            n_entries: get_u32(bytes, 80),
            entry_len: get_u32(bytes, 84),
            entries_crc: get_u32(bytes, 88),
        })
    }
}

/// An entry (UEFI specification 5.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The type.
    pub kind: Guid,
    /// Its own GUID.
    pub guid: Guid,
    /// The first sector.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The attributes.
    pub attributes: u64,
    /// The name, which has at most 36 UTF-16 units.
    pub name: String,
}

impl Entry {
    pub(super) fn encode(&self, bytes: &mut [u8]) {
        bytes[..16].copy_from_slice(&self.kind.0);
        bytes[16..32].copy_from_slice(&self.guid.0);
        for (at, value) in [(32, self.first), (40, self.last), (48, self.attributes)] {
            put_u64(bytes, at, value);
        }
        for (unit, place) in self.name.encode_utf16().take(NAME_UNITS).zip(bytes[56..].chunks_exact_mut(2)) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
    }

    /// Reads an entry, or returns nothing if it is not used.
    pub(super) fn decode(bytes: &[u8]) -> Option<Entry> {
        let guid = |at: usize| {
            let mut guid = [0; 16];
            guid.copy_from_slice(&bytes[at..at + 16]);
            Guid(guid)
        };
        let kind = guid(0);
        if kind == Guid::NIL {
            return None;
        }
        let units = bytes[56..ENTRY_LEN].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
        Some(Entry {
            kind,
            guid: guid(16),
            first: get_u64(bytes, 32),
            last: get_u64(bytes, 40),
            attributes: get_u64(bytes, 48),
            name: String::from_utf16_lossy(&units),
        })
    }
}
