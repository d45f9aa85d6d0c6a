//! What is written front to back goes through here: small pieces become large ones, and the position is known.

use std::io;

use crate::GapSink;
use crate::earlier::Origin;

/// How much goes into the sink at once.
const BUFFER_LEN: usize = 1 << 20;

/// The sink did not take what was written.
pub(crate) struct Refused(pub(crate) io::Error);

/// Appends to an image, behind what is left out at its front until all else is there.
pub(crate) struct Output<'a> {
    sink: &'a mut dyn GapSink,
    buffer: Vec<u8>,
    /// Where the buffer begins.
    start: u64,
}

impl<'a> Output<'a> {
    /// Returns an output whose first byte is at `start` of the sink.
    pub(crate) fn new(sink: &'a mut dyn GapSink, start: u64) -> Output<'a> {
        Output { sink, buffer: Vec::with_capacity(BUFFER_LEN), start }
    }

    pub(crate) fn position(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if self.buffer.len() + bytes.len() > BUFFER_LEN {
            self.flush()?;
        }
        if bytes.len() < BUFFER_LEN {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.sink.data(self.start, bytes).map_err(Refused)?;
        self.start += bytes.len() as u64;
        Ok(())
    }

    /// As [`Output::append`], of bytes that an earlier image has, too, if it is known where.
    pub(crate) fn append_found(&mut self, bytes: &[u8], origin: Option<&Origin>) -> Result<(), Refused> {
        let Some(Origin { image, offset, .. }) = origin else { return self.append(bytes) };
        self.flush()?;
        let length = bytes.len() as u64;
        self.sink.copy(self.start, image, *offset, length).map_err(Refused)?;
        self.start += length;
        Ok(())
    }

    /// Appends zeros until the position is `end`, which is not behind it.
    pub(crate) fn fill_to(&mut self, end: u64) -> Result<(), Refused> {
        let length = end - self.position();
        match usize::try_from(length) {
            Ok(length) if length <= BUFFER_LEN - self.buffer.len() => {
                self.buffer.resize(self.buffer.len() + length, 0);
            }
            _ => {
                self.flush()?;
                self.sink.zeros(self.start, length).map_err(Refused)?;
                self.start = end;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Refused> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.sink.data(self.start, &self.buffer).map_err(Refused)?;
        self.start += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Fills the last block of `unit` bytes up with zeros, puts `bytes` where they were left out, and returns the
    /// image's size.
    pub(crate) fn close(mut self, unit: u64, (offset, bytes): (u64, &[u8])) -> Result<u64, Refused> {
        self.flush()?;
        let size = self.start.next_multiple_of(unit);
        self.sink.zeros(self.start, size - self.start).map_err(Refused)?;
        self.sink.fill_gap(offset, bytes).map_err(Refused)?;
        Ok(size)
    }
}
