//! A disk as text: what `inspect` shows and snapshots keep.

use std::fmt::Write;

use layer::ReadAt;
use sha2::{Digest, Sha256};

use super::mbr::{self, PROTECTIVE};
use super::read::{ReadError, Reader};
use super::types::gpt_name;

/// In what pieces contents are hashed.
const PIECE: u64 = 1 << 20;

impl<R: ReadAt> Reader<R> {
    /// Describes the disk: its tables, a line for each partition with a digest of what is in it, and one for each
    /// gap that has something in it.
    ///
    /// A digest is the SHA-256 of those mebibytes that are not all zero, each after its offset, so that what is
    /// empty takes no time to hash.
    pub fn dump(&self) -> Result<String, ReadError> {
        let mut text = String::new();
        let kind = if self.gpt.is_some() { "gpt" } else { "mbr" };
        let signature = format!("signature {:08x}", self.mbr.signature);
        let of = format!("{} sectors of {}", self.sectors, self.sector_size);
        match &self.gpt {
            Some(gpt) => {
                let header = &gpt.header;
                line(
                    &mut text,
                    format_args!(
                        "{kind} {} {of}, {}-{} for partitions, {} entries",
                        header.guid, header.first_usable, header.last_usable, header.n_entries
                    ),
                );
            }
            None => line(&mut text, format_args!("{kind} {signature} {of}")),
        }
        // An old table has the disk's number behind the code, which was shown.
        let code = &self.mbr.code[..if self.gpt.is_some() { self.mbr.code.len() } else { mbr::SIGNATURE }];
        if code.iter().any(|byte| *byte != 0) {
            line(&mut text, format_args!("boot code sha256 {}", hex(Sha256::digest(code))));
        }
        // What partitions and tables leave, as first sectors and ends.
        let mut taken: Vec<(u64, u64)> = vec![(0, 1)];
        for (number, record) in (1..).zip(&self.mbr.records).filter(|(_, record)| record.kind != 0) {
            let mark = if record.is_bootable { " bootable" } else { "" };
            let what = if self.gpt.is_some() { "mbr entry" } else { "partition" };
            let mut described = format!(
                "{what} {number}: type {:02x} {}-{}{mark}",
                record.kind,
                record.first,
                record.end().saturating_sub(1)
            );
            if self.gpt.is_none() && record.kind != PROTECTIVE {
                described += &self.contents(record.first.into(), record.end())?;
                taken.push((record.first.into(), record.end()));
            }
            line(&mut text, format_args!("{described}"));
        }
        if let Some(gpt) = &self.gpt {
            let entries_len = u64::from(gpt.header.n_entries) * u64::from(gpt.header.entry_len);
            let entries_sectors = entries_len.div_ceil(self.sector_size);
            taken.push((1, 2));
            taken.push((gpt.header.entries, gpt.header.entries + entries_sectors));
            taken.push((gpt.header.other.saturating_sub(entries_sectors), gpt.header.other + 1));
            for (number, entry) in &gpt.entries {
                let name = gpt_name(entry.kind).map_or(String::new(), |name| format!(" ({name})"));
                let attributes: Vec<String> = (0..64)
                    .filter(|bit| entry.attributes >> bit & 1 == 1)
                    .map(|bit: u32| bit.to_string())
                    .collect();
                let attributes = if attributes.is_empty() {
                    String::new()
                } else {
                    format!(" attributes {}", attributes.join(","))
                };
                line(
                    &mut text,
                    format_args!(
                        "partition {number} `{}`: type {}{name} guid {} {}-{}{attributes}{}",
                        entry.name.escape_debug(),
                        entry.kind,
                        entry.guid,
                        entry.first,
                        entry.last,
                        self.contents(entry.first, entry.last + 1)?
                    ),
                );
                taken.push((entry.first, entry.last + 1));
            }
        }
        self.dump_gaps(taken, &mut text)?;
        Ok(text)
    }

    fn dump_gaps(&self, mut taken: Vec<(u64, u64)>, text: &mut String) -> Result<(), ReadError> {
        taken.sort_unstable();
        taken.push((self.sectors, self.sectors));
        let mut cursor = 0;
        for (first, end) in taken {
            if first > cursor {
                let contents = self.contents(cursor, first)?;
                if !contents.is_empty() {
                    line(text, format_args!("gap {cursor}-{}:{contents}", first - 1));
                }
            }
            cursor = cursor.max(end);
        }
        Ok(())
    }

    /// Returns the digest of what is in the sectors from `first` up to `end`, or nothing if they are zero.
    fn contents(&self, first: u64, end: u64) -> Result<String, ReadError> {
        let start = first * self.sector_size;
        let size = end * self.sector_size - start;
        let mut hash = Sha256::new();
        let mut is_zero = true;
        let mut buffer = vec![0; PIECE as usize];
        let mut at = 0;
        while at < size {
            let piece = &mut buffer[..PIECE.min(size - at) as usize];
            self.read_at(start + at, piece)?;
            if piece.iter().any(|byte| *byte != 0) {
                is_zero = false;
                hash.update(at.to_le_bytes());
                hash.update(piece);
            }
            at += PIECE;
        }
        Ok(if is_zero { String::new() } else { format!(" sha256 {}", hex(hash.finalize())) })
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string takes everything");
}

fn hex(hash: impl AsRef<[u8]>) -> String {
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
