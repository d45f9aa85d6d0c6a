//! What a run leaves for the next ones.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::Key;
use super::table::{Entry, Table};

/// What was noted so far.
#[derive(Default)]
pub(super) struct New {
    entries: Vec<(Key, Entry, Range<usize>)>,
    notes: Vec<u8>,
    pub(super) ranges: Vec<(Key, Key)>,
}

impl New {
    pub(super) fn note(&mut self, key: Key, entry: Entry, note: &[u8]) {
        let start = self.notes.len();
        self.notes.extend_from_slice(note);
        self.entries.push((key, entry, start..self.notes.len()));
    }
}

/// Writes the table into `directory`, and beside it of which output it is.
pub(super) fn save(directory: &Path, output: &str, new: New) -> io::Result<()> {
    let New { entries, notes, ranges } = new;
    if entries.is_empty() && ranges.is_empty() {
        return Ok(());
    }
    let entries = entries.into_iter().map(|(key, entry, note)| (key, entry, &notes[note])).collect();
    let Some(table) = Table::encode(entries, ranges) else { return Ok(()) };
    fs::write(directory.join("table"), table)?;
    // Without its end it is not looked at: this comes last.
    fs::write(directory.join("of"), output.strip_prefix("out/").unwrap_or(output))
}
