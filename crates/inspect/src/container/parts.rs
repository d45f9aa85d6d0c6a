//! Parts of a file that have names: sections of programs, what is in a kernel.

use std::sync::Arc;

use super::Container;
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::source::{Source, Window};

/// Parts of some bytes.
pub(super) struct Parts {
    pub(super) source: Source,
    pub(super) entries: Vec<Entry>,
}

impl Parts {
    /// Adds a part that is a range of the bytes.
    pub(super) fn add(&mut self, name: &str, range: std::ops::Range<u64>) -> &mut Entry {
        let size = range.end.saturating_sub(range.start);
        let mut entry = Entry::new(name, EntryKind::Section, size, Place::Range(0, range.clone()));
        entry.range = Some(range);
        self.entries.push(entry);
        let last = self.entries.len() - 1;
        &mut self.entries[last]
    }

    /// Adds a part that was worked out.
    pub(super) fn add_bytes(&mut self, name: &str, bytes: Vec<u8>) {
        let (size, place) = (bytes.len() as u64, Place::Bytes(Arc::new(bytes)));
        self.entries.push(Entry::new(name, EntryKind::Section, size, place));
    }
}

impl Container for Parts {
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        self.entries.iter().try_for_each(|entry| visit(entry.clone()))
    }

    fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error> {
        Ok(self.entries.iter().find(|entry| entry.path == path).cloned())
    }

    fn open(&self, entry: &Entry) -> Result<Source, Error> {
        Ok(match &entry.place {
            Place::Range(_, range) => Window::of(&self.source, range.start, range.end - range.start),
            Place::Bytes(bytes) => Arc::clone(bytes) as Source,
            _ => Arc::new(Vec::new()),
        })
    }
}
