//! The memory of a guest that starts without firmware, as it is put together.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{BuildError, PAGE, ram};
use crate::bytes::is_zero;

/// What is at which address, a page each: its contents, or nothing for one of zeros.
pub(super) type Pages<'a> = BTreeMap<u64, Option<Cow<'a, [u8]>>>;

/// Memory into which things are put.
pub(super) struct Memory<'a> {
    size: u64,
    /// By its first address, what lies from there on: the first address behind it, and its name.
    taken: BTreeMap<u64, (u64, &'static str)>,
    pages: Pages<'a>,
}

impl<'a> Memory<'a> {
    /// Returns the memory of a guest with `size` bytes, with nothing in it.
    pub(super) fn new(size: u64) -> Memory<'a> {
        Memory { size, taken: BTreeMap::new(), pages: BTreeMap::new() }
    }

    /// Returns the first address behind the memory that lies in one piece below 4 GiB.
    pub(super) fn end(&self) -> u64 {
        ram(self.size)[0].1
    }

    /// Keeps memory for something, whatever is put there.
    ///
    /// # Errors
    ///
    /// When something else has it, or when there is no memory.
    pub(super) fn take(&mut self, what: &'static str, start: u64, size: u64) -> Result<(), BuildError> {
        let end = start.saturating_add(size);
        if end > self.end() {
            return Err(BuildError::NoMemory { what, start, end, memory: self.size });
        }
        if size == 0 {
            return Ok(());
        }
        let before = self.taken.range(..end).next_back();
        if let Some((other_start, (other_end, other))) = before
            && *other_end > start
        {
            return Err(BuildError::Overlap { what, other, at: start.max(*other_start) });
        }
        self.taken.insert(start, (end, what));
        Ok(())
    }

    /// Puts bytes somewhere, with zeros behind them until there are `size`. The memory has to be taken.
    pub(super) fn put(&mut self, start: u64, bytes: &'a [u8], size: u64) {
        let mut done = 0;
        while done < bytes.len() {
            let at = start + done as u64;
            let page = at - at % PAGE;
            let offset = (at - page) as usize;
            let n_bytes = (PAGE as usize - offset).min(bytes.len() - done);
            let piece = &bytes[done..done + n_bytes];
            if n_bytes as u64 == PAGE {
                self.pages.insert(page, (!is_zero(piece)).then_some(Cow::Borrowed(piece)));
            } else if !is_zero(piece) {
                let contents = self.pages.entry(page).or_default();
                let contents = contents.get_or_insert_with(|| Cow::Owned(vec![0; PAGE as usize]));
                contents.to_mut()[offset..offset + n_bytes].copy_from_slice(piece);
            } else {
                self.pages.entry(page).or_default();
            }
            done += n_bytes;
        }
        let mut page = (start + bytes.len() as u64).next_multiple_of(PAGE);
        while page < start + size {
            self.pages.entry(page).or_default();
            page += PAGE;
        }
    }

    /// Puts a table of ours somewhere.
    pub(super) fn put_own(&mut self, what: &'static str, start: u64, bytes: &[u8]) -> Result<(), BuildError> {
        self.take(what, start, bytes.len() as u64)?;
        for (number, piece) in bytes.chunks(PAGE as usize).enumerate() {
            let mut page = piece.to_vec();
            page.resize(PAGE as usize, 0);
            let contents = (!is_zero(&page)).then_some(Cow::Owned(page));
            self.pages.insert(start + number as u64 * PAGE, contents);
        }
        Ok(())
    }

    /// Returns all that was put there.
    pub(super) fn into_pages(self) -> Pages<'a> {
        self.pages
    }
}
