//! What is known of an image's blocks, as a file.
//!
//! ```text
//! magic, three counts   of entries, of ranges, of bytes of notes: 32 bits each
//! entries               key, offset, checksum, length, start and length of the note, kind; sorted by key
//! ranges                two keys; sorted by the first
//! notes
//! SHA-256 of all that
//! ```
//!
//! It is searched as it is, so that opening it takes no longer than hashing it.

use std::cmp::Ordering;

use sha2::{Digest as _, Sha256};

use super::Key;
use crate::bytes::{get_u32, get_u64};

const MAGIC: &[u8; 8] = b"BWBLOCK1";
const HEAD_LEN: usize = 20;
const ENTRY_LEN: usize = Key::LEN + 8 + 8 + 4 + 4 + 4 + 1;
const RANGE_LEN: usize = 2 * Key::LEN;
const SUM_LEN: usize = 32;

/// Where a block lies in its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: u8,
    pub(super) offset: u64,
    pub(super) length: u32,
    /// Of the bytes there; see [`super::checksum`].
    pub(super) checksum: u64,
}

/// A table that is whole.
pub(super) struct Table {
    bytes: Vec<u8>,
    n_entries: usize,
    n_ranges: usize,
}

impl Table {
    /// Returns the table that `bytes` are, unless they are none or were damaged.
    pub(super) fn decode(bytes: Vec<u8>) -> Option<Table> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM_LEN)?)?;
        if body.len() < HEAD_LEN || !body.starts_with(MAGIC) || Sha256::digest(body)[..] != *sum {
            return None;
        }
        let [n_entries, n_ranges, notes] = [8, 12, 16].map(|at| get_u32(body, at) as usize);
        let length = n_entries
            .checked_mul(ENTRY_LEN)?
            .checked_add(n_ranges.checked_mul(RANGE_LEN)?)?
            .checked_add(notes)?
            .checked_add(HEAD_LEN)?;
        (length == body.len()).then_some(Table { bytes, n_entries, n_ranges })
    }

    /// Returns what is known of the block with these contents, and the note on it.
    pub(super) fn entry(&self, key: &Key) -> Option<(Entry, &[u8])> {
        let entries = &self.bytes[HEAD_LEN..][..self.n_entries * ENTRY_LEN];
        self.read_entry(search::<ENTRY_LEN>(entries, key)?)
    }

    fn read_entry(&self, found: &[u8]) -> Option<(Entry, &[u8])> {
        let entry = Entry {
            offset: get_u64(found, Key::LEN),
            checksum: get_u64(found, Key::LEN + 8),
            length: get_u32(found, Key::LEN + 16),
            kind: found[Key::LEN + 28],
        };
        let [start, length] = [20, 24].map(|at| get_u32(found, Key::LEN + at) as usize);
        let all = &self.bytes[HEAD_LEN + self.n_entries * ENTRY_LEN + self.n_ranges * RANGE_LEN..];
        let note = all[..all.len() - SUM_LEN].get(start..start.checked_add(length)?)?;
        Some((entry, note))
    }

    /// Returns what is noted for a range.
    pub(super) fn range(&self, key: &Key) -> Option<Key> {
        let start = HEAD_LEN + self.n_entries * ENTRY_LEN;
        let found = search::<RANGE_LEN>(&self.bytes[start..][..self.n_ranges * RANGE_LEN], key)?;
        Some(Key::from_value(&found[Key::LEN..]))
    }

    /// Returns all that is in it.
    #[cfg(test)]
    pub(super) fn all(&self) -> All<'_> {
        let entries = self.bytes[HEAD_LEN..].chunks(ENTRY_LEN).take(self.n_entries);
        let entries = entries.filter_map(|found| {
            let (entry, note) = self.read_entry(found)?;
            Some((Key::from_value(&found[..Key::LEN]), entry, note))
        });
        let ranges =
            self.bytes[HEAD_LEN + self.n_entries * ENTRY_LEN..].chunks(RANGE_LEN).take(self.n_ranges);
        let pair = |found: &[u8]| {
            let (range, contents) = found.split_at(Key::LEN);
            (Key::from_value(range), Key::from_value(contents))
        };
        (entries.collect(), ranges.map(pair).collect())
    }

    /// Returns the file of these entries, each with its note, and ranges. What is said twice is kept once.
    pub(super) fn encode(
        mut entries: Vec<(Key, Entry, &[u8])>,
        mut ranges: Vec<(Key, Key)>,
    ) -> Option<Vec<u8>> {
        entries.sort_by_key(|(key, ..)| *key);
        entries.dedup_by_key(|(key, ..)| *key);
        ranges.sort_unstable();
        ranges.dedup_by_key(|(range, _)| *range);
        let notes: usize = entries.iter().map(|(.., note)| note.len()).sum();
        let mut bytes = MAGIC.to_vec();
        for count in [entries.len(), ranges.len(), notes] {
            bytes.extend(u32::try_from(count).ok()?.to_le_bytes());
        }
        let mut start = 0_u32;
        for (key, entry, note) in &entries {
            bytes.extend(key.0);
            bytes.extend(entry.offset.to_le_bytes());
            bytes.extend(entry.checksum.to_le_bytes());
            // All notes together were seen to have less than 2^32 bytes.
            for number in [entry.length, start, note.len() as u32] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.push(entry.kind);
            start += note.len() as u32;
        }
        for (range, contents) in &ranges {
            bytes.extend(range.0);
            bytes.extend(contents.0);
        }
        entries.iter().for_each(|(.., note)| bytes.extend_from_slice(note));
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        Some(bytes)
    }
}

/// Returns the one of sorted records of `LEN` bytes that begins with `key`.
fn search<'r, const LEN: usize>(records: &'r [u8], key: &Key) -> Option<&'r [u8]> {
    let (mut first, mut end) = (0, records.len() / LEN);
    while first < end {
        let middle = first.midpoint(end);
        let record = &records[middle * LEN..][..LEN];
        match record[..Key::LEN].cmp(&key.0) {
            Ordering::Equal => return Some(record),
            Ordering::Less => first = middle + 1,
            Ordering::Greater => end = middle,
        }
    }
    None
}

/// The entries with their notes, and the contents of ranges.
#[cfg(test)]
pub(super) type All<'t> = (Vec<(Key, Entry, &'t [u8])>, Vec<(Key, Key)>);
