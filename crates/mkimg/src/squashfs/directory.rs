//! Listings of directories: runs of names whose inodes are near each other.

use super::bytes::{Fields, Put};
use super::error::Error;
use super::format::{METADATA_LEN, split_reference};

/// How many names a run has at most.
const RUN_LEN: u32 = 256;
const HEADER_LEN: usize = 12;
/// What a directory's size is larger than its listing: room for `.` and `..`, which are not stored.
pub(super) const DOTS: u32 = 3;

/// A name to list.
pub(super) struct Listed<'a> {
    pub(super) name: &'a [u8],
    /// The reference to its inode.
    pub(super) reference: u64,
    /// The number of its inode.
    pub(super) number: u32,
    /// The basic type of its inode.
    pub(super) kind: u16,
}

/// A run of a listing that is the first in its metadata block: who looks for a later name starts there.
pub(super) struct Mark {
    /// Where in the listing.
    pub(super) offset: u32,
    /// The first name of the run.
    pub(super) name: Vec<u8>,
}

/// Returns the listing of `entries`, which ascend by name, that goes to the place `start` of the table, with its marks.
pub(super) fn encode<'a>(
    entries: impl Iterator<Item = Result<Listed<'a>, Error>>,
    start: u64,
) -> Result<(Vec<u8>, Vec<Mark>), Error> {
    let mut bytes = Vec::new();
    let mut marks: Vec<Mark> = Vec::new();
    let block_of = |place: usize| (start + place as u64) / METADATA_LEN as u64;
    // The run that is open: where its header is, the block of its inodes, the number it counts from, its length.
    let mut run: Option<(usize, u64, u32, u32)> = None;
    for entry in entries {
        let entry = entry?;
        let (block, place) = split_reference(entry.reference);
        let distance = |base: u32| i16::try_from(i64::from(entry.number) - i64::from(base)).ok();
        let fitting = run.filter(|(header, of_block, base, count)| {
            *of_block == block
                && *count < RUN_LEN
                && distance(*base).is_some()
                && block_of(*header) == block_of(bytes.len())
        });
        let (header, _, base, count) = match fitting {
            Some(run) => run,
            None => {
                let header = bytes.len();
                // In the block in which the directory starts nothing has to be found.
                let last = marks.last().map_or(0, |mark| mark.offset as usize);
                if block_of(header) > block_of(last) {
                    let offset = u32::try_from(header).map_err(|_| Error::TreeTooLarge)?;
                    marks.push(Mark { offset, name: entry.name.to_vec() });
                }
                bytes.put_u32(0);
                bytes.put_u32(u32::try_from(block).map_err(|_| Error::TreeTooLarge)?);
                bytes.put_u32(entry.number);
                (header, block, entry.number, 0)
            }
        };
        // The header says one less than there are.
        bytes[header..header + 4].copy_from_slice(&count.to_le_bytes());
        run = Some((header, block, base, count + 1));
        bytes.put_u16(place as u16);
        bytes.extend_from_slice(&distance(base).expect("the run was chosen for it").to_le_bytes());
        bytes.put_u16(entry.kind);
        bytes.put_u16(entry.name.len() as u16 - 1);
        bytes.extend_from_slice(entry.name);
    }
    Ok((bytes, marks))
}

/// A name that was read, with the reference, the number and the type of its inode.
pub(super) struct Found {
    pub(super) name: Vec<u8>,
    pub(super) reference: u64,
    pub(super) number: u32,
    pub(super) kind: u16,
}

/// Reads a whole listing of `length` bytes, which `fill` gives one after another: no more of them are taken than make
/// sense. Says with `corrupt` what is wrong with it.
pub(super) fn decode<E>(
    length: u32,
    mut fill: impl FnMut(&mut [u8]) -> Result<(), E>,
    corrupt: impl Fn(&str) -> E,
) -> Result<Vec<Found>, E> {
    let mut found: Vec<Found> = Vec::new();
    let mut left = length as usize;
    let mut take = |left: &mut usize, buffer: &mut [u8]| {
        *left = left.checked_sub(buffer.len()).ok_or_else(|| corrupt("it ends in the middle"))?;
        fill(buffer)
    };
    let fits = "what is read is long enough";
    while left > 0 {
        let mut header = [0; HEADER_LEN];
        take(&mut left, &mut header)?;
        let mut header = Fields(&header);
        let [count, block, base] = [(); 3].map(|()| header.u32().expect(fits));
        if count >= RUN_LEN {
            return Err(corrupt("a run has more than 256 names"));
        }
        for _ in 0..=count {
            let mut entry = [0; 8];
            take(&mut left, &mut entry)?;
            let mut entry = Fields(&entry);
            let [place, distance, kind, length] = [(); 4].map(|()| entry.u16().expect(fits));
            let mut name = vec![0; usize::from(length) + 1];
            if name.len() > 255 {
                return Err(corrupt("a name is longer than 255 bytes"));
            }
            take(&mut left, &mut name)?;
            if matches!(&name[..], b"." | b"..") || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
                return Err(corrupt("it has a name that no file can have"));
            }
            if found.last().is_some_and(|last| last.name >= name) {
                return Err(corrupt("its names are not in order"));
            }
            let number = base.checked_add_signed(distance.cast_signed().into());
            let number = number.ok_or_else(|| corrupt("the number of an inode is negative"))?;
            let reference = u64::from(block) << 16 | u64::from(place);
            found.push(Found { name, reference, number, kind });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_not_read_ahead() {
        let mut n_read = 0;
        let zeros = |buffer: &mut [u8]| {
            n_read += buffer.len();
            Ok(())
        };
        let said = decode(u32::MAX, zeros, str::to_owned).err();
        assert_eq!(said.as_deref(), Some("it has a name that no file can have"));
        assert!(n_read < 100, "{n_read}");
    }
}
