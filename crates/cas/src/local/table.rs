//! What a bundle says, in a form that is searched as it is: nothing is decoded that nobody asks for.
//!
//! Two tables, of notes and of blobs; each is the number of rows, then the rows sorted by hash, then the texts
//! of all rows one after another. A row is the hash, the size, and where its text ends; the highest bit of that
//! says that there is a text. Numbers are 64 bits wide, little-endian.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::Digest;

const ROW: usize = 32 + 8 + 8;
const HAS_TEXT: u64 = 1 << 63;

/// Both tables.
pub(super) struct Tables {
    pub(super) notes: Table,
    pub(super) blobs: Table,
}

/// Texts by digest.
pub(super) struct Table {
    bytes: Arc<Vec<u8>>,
    rows: Range<usize>,
    texts: Range<usize>,
}

impl Tables {
    /// Returns the tables that [`write`] wrote, or `None` when these are others.
    pub(super) fn read(bytes: Vec<u8>) -> Option<Tables> {
        let bytes = Arc::new(bytes);
        let notes = Table::read(&bytes, 0)?;
        let blobs = Table::read(&bytes, notes.texts.end)?;
        (blobs.texts.end == bytes.len()).then_some(Tables { notes, blobs })
    }
}

impl Table {
    fn read(bytes: &Arc<Vec<u8>>, start: usize) -> Option<Table> {
        let n_rows = usize::try_from(number(bytes.get(start..start.checked_add(8)?)?)).ok()?;
        let rows = start + 8..n_rows.checked_mul(ROW)?.checked_add(start + 8)?;
        let mut table = Table { bytes: bytes.clone(), texts: rows.end..rows.end, rows };
        if table.rows.end > bytes.len() {
            return None;
        }
        let mut end = 0;
        for row in 0..n_rows {
            let next = table.end(row);
            if next < end || row > 0 && table.hash(row - 1) >= table.hash(row) {
                return None;
            }
            end = next;
        }
        table.texts.end = table.texts.start.checked_add(usize::try_from(end).ok()?)?;
        (table.texts.end <= bytes.len()).then_some(table)
    }

    /// Returns how many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len() / ROW
    }

    /// Returns the row of that digest.
    pub(super) fn find(&self, digest: &Digest) -> Option<usize> {
        let (mut first, mut end) = (0, self.len());
        while first < end {
            let middle = first + (end - first) / 2;
            match self.hash(middle).cmp(digest.hash()) {
                std::cmp::Ordering::Less => first = middle + 1,
                std::cmp::Ordering::Greater => end = middle,
                std::cmp::Ordering::Equal => return (self.key(middle) == *digest).then_some(middle),
            }
        }
        None
    }

    /// Returns the digest of a row.
    pub(super) fn key(&self, row: usize) -> Digest {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.hash(row));
        Digest::from_parts(hash, number(&self.row(row)[32..40]))
    }

    /// Returns the text of a row, if it has one.
    pub(super) fn text(&self, row: usize) -> Option<&[u8]> {
        if number(&self.row(row)[40..]) & HAS_TEXT == 0 {
            return None;
        }
        let start = if row == 0 { 0 } else { self.end(row - 1) };
        // All of them were seen to lie within the bytes.
        self.bytes[self.texts.clone()].get(start as usize..self.end(row) as usize)
    }

    fn row(&self, row: usize) -> &[u8] {
        &self.bytes[self.rows.clone()][row * ROW..(row + 1) * ROW]
    }

    fn hash(&self, row: usize) -> &[u8] {
        &self.row(row)[..32]
    }

    fn end(&self, row: usize) -> u64 {
        number(&self.row(row)[40..]) & !HAS_TEXT
    }
}

/// Writes both tables.
pub(super) fn write(
    notes: &BTreeMap<Digest, Option<Vec<u8>>>,
    blobs: &BTreeMap<Digest, Option<Vec<u8>>>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for rows in [notes, blobs] {
        bytes.extend_from_slice(&(rows.len() as u64).to_le_bytes());
        let mut end = 0;
        for (digest, text) in rows {
            end += text.as_ref().map_or(0, Vec::len) as u64;
            bytes.extend_from_slice(digest.hash());
            bytes.extend_from_slice(&digest.size().to_le_bytes());
            let has_text = if text.is_some() { HAS_TEXT } else { 0 };
            bytes.extend_from_slice(&(end | has_text).to_le_bytes());
        }
        for text in rows.values().flatten() {
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Rows = BTreeMap<Digest, Option<Vec<u8>>>;

    fn rows() -> impl Strategy<Value = Rows> {
        let text = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
        prop::collection::btree_map(any::<u32>().prop_map(|n| Digest::of(&n.to_le_bytes())), text, 0..40)
    }

    proptest! {
        #[test]
        fn what_was_written_is_found(notes in rows(), blobs in rows(), other in any::<u64>()) {
            let tables = Tables::read(write(&notes, &blobs)).unwrap();
            for (table, expected) in [(&tables.notes, &notes), (&tables.blobs, &blobs)] {
                prop_assert_eq!(table.len(), expected.len());
                for (digest, text) in expected {
                    let row = table.find(digest).unwrap();
                    prop_assert_eq!(table.text(row), text.as_deref());
                    let other_size = Digest::from_parts(*digest.hash(), digest.size() + 1);
                    prop_assert_eq!(table.find(&other_size), None);
                }
                prop_assert_eq!(table.find(&Digest::of(&other.to_le_bytes())), None);
            }
        }

        #[test]
        fn damaged_tables_are_refused_or_searched(
            notes in rows(), blobs in rows(), cut in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(), bits in 1_u8..,
        ) {
            let mut bytes = write(&notes, &blobs);
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
            for bytes in [bytes.clone(), bytes[..cut.index(bytes.len())].to_vec()] {
                let Some(tables) = Tables::read(bytes) else { continue };
                for row in 0..tables.blobs.len() {
                    tables.blobs.text(row);
                }
                for (digest, _) in notes.iter().chain(&blobs) {
                    tables.notes.find(digest).map(|row| tables.notes.text(row));
                    tables.blobs.find(digest);
                }
            }
        }
    }
}
