//! Directory records: one for each extent of what a directory has (ECMA-119 9.1).

use super::bytes::{get_both_u16, get_both_u32, put_both_u16, put_both_u32};
use super::date::decode_short;

/// What a record has besides its identifier and the system's own fields.
pub(super) const HEAD_LEN: usize = 33;
/// The longest record, which has an even length.
const MOST: usize = 254;
/// `File Flags`: it is a directory.
pub(super) const DIRECTORY: u8 = 2;
/// `File Flags`: another record goes on with the file.
pub(super) const CONTINUED: u8 = 0x80;
/// The largest extent of a file that is not its last: whole sectors that 32 bits can count.
pub(super) const MOST_EXTENT: u64 = 0xffff_f800;

/// A part of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// The first sector.
    pub sector: u32,
    /// How many bytes there are.
    pub size: u32,
}

/// Returns how many bytes the system's fields can have in a record with this identifier.
pub(super) fn room(identifier: &[u8]) -> usize {
    MOST - padded(HEAD_LEN + identifier.len())
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(2)
}

/// Returns a record. The identifier leaves [`room`] for the system's fields.
pub(super) fn encode(identifier: &[u8], extent: Extent, date: [u8; 7], flags: u8, system: &[u8]) -> Vec<u8> {
    let start = padded(HEAD_LEN + identifier.len());
    let mut bytes = vec![0; padded(start + system.len())];
    debug_assert!(bytes.len() <= MOST);
    bytes[0] = bytes.len() as u8;
    put_both_u32(&mut bytes, 2, extent.sector);
    put_both_u32(&mut bytes, 10, extent.size);
    bytes[18..25].copy_from_slice(&date);
    bytes[25] = flags;
    // The only volume of a set.
    put_both_u16(&mut bytes, 28, 1);
    bytes[32] = identifier.len() as u8;
    bytes[HEAD_LEN..HEAD_LEN + identifier.len()].copy_from_slice(identifier);
    bytes[start..start + system.len()].copy_from_slice(system);
    bytes
}

/// A record that was read.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) extent: Extent,
    /// Seconds since 1970.
    pub(super) time: i64,
    pub(super) flags: u8,
    pub(super) identifier: Vec<u8>,
    pub(super) system: Vec<u8>,
}

impl Record {
    /// Reads the record that `bytes` begins with, and returns its length, too.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Record, usize), &'static str> {
        let length = usize::from(bytes.first().copied().unwrap_or(0));
        let Some(bytes) = bytes.get(..length).filter(|bytes| bytes.len() > HEAD_LEN) else {
            return Err("a record has an impossible length");
        };
        let (Some(sector), Some(size), Some(_)) =
            (get_both_u32(bytes, 2), get_both_u32(bytes, 10), get_both_u16(bytes, 28))
        else {
            return Err("the two forms of a number in a record differ");
        };
        if bytes[26] != 0 || bytes[27] != 0 {
            return Err("a file is interleaved");
        }
        let mut date = [0; 7];
        date.copy_from_slice(&bytes[18..25]);
        let time = decode_short(&date).ok_or("a record has an impossible date")?;
        let end = HEAD_LEN + usize::from(bytes[32]);
        let Some(identifier) = bytes.get(HEAD_LEN..end).filter(|identifier| !identifier.is_empty()) else {
            return Err("an identifier does not fit into its record");
        };
        let system = bytes.get(padded(end)..).unwrap_or_default().to_vec();
        // What is before the data of an extent and belongs to it; nobody has it.
        let sector = sector.checked_add(bytes[1].into()).ok_or("an extent is outside of the image")?;
        let extent = Extent { sector, size };
        Ok((Record { extent, time, flags: bytes[25], identifier: identifier.to_vec(), system }, length))
    }

    pub(super) fn is_directory(&self) -> bool {
        self.flags & DIRECTORY != 0
    }
}
