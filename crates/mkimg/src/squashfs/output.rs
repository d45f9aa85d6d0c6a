//! What is written goes through here: small pieces become large ones, and the position is known.

use super::error::Error;
use super::format::SUPERBLOCK_LEN;
use crate::GapSink;

/// How much goes into the sink at once.
const BUFFER_LEN: usize = 1 << 20;

/// Appends to the image behind the superblock.
pub(super) struct Output<'a> {
    sink: &'a mut dyn GapSink,
    buffer: Vec<u8>,
    /// Where the buffer begins.
    start: u64,
}

impl<'a> Output<'a> {
    pub(super) fn new(sink: &'a mut dyn GapSink) -> Output<'a> {
        Output { sink, buffer: Vec::with_capacity(BUFFER_LEN), start: SUPERBLOCK_LEN as u64 }
    }

    pub(super) fn position(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.buffer.len() + bytes.len() > BUFFER_LEN {
            self.flush()?;
        }
        if bytes.len() < BUFFER_LEN {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.sink.data(self.start, bytes).map_err(|source| Error::Write { source })?;
        self.start += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.sink.data(self.start, &self.buffer).map_err(|source| Error::Write { source })?;
        self.start += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Fills the last block of `unit` bytes up with zeros, puts the superblock in front, and returns the image's size.
    pub(super) fn close(mut self, unit: u64, superblock: &[u8]) -> Result<u64, Error> {
        self.flush()?;
        let size = self.start.next_multiple_of(unit);
        let failed = |source| Error::Write { source };
        self.sink.zeros(self.start, size - self.start).map_err(failed)?;
        self.sink.fill_gap(0, superblock).map_err(failed)?;
        Ok(size)
    }
}
