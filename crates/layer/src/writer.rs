//! Writes the canonical form of a layer.

use std::io::{self, Read, Write};

use crate::entry::Entry;
use crate::header::{self, BLOCK};
use crate::path::EntryPath;
use crate::sequence::{Sequence, SequenceError};

/// The layer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The entry is wrong, or not the next one.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// The contents could not be read.
    #[error("could not read the contents of `{path}`")]
    Content {
        /// The file.
        path: EntryPath,
        /// What reading said.
        source: io::Error,
    },
    /// The contents end early or go on after their declared size.
    #[error("the contents of `{path}` are not {declared} bytes as declared, but {}{found}", if found > declared { "at least " } else { "" })]
    Size {
        /// The file.
        path: EntryPath,
        /// The size in the entry.
        declared: u64,
        /// What was read.
        found: u64,
    },
    /// The sink refused.
    #[error("could not write `{path}` to the layer")]
    Sink {
        /// The entry.
        path: EntryPath,
        /// What writing said.
        source: io::Error,
    },
    /// The sink refused the end of the layer.
    #[error("could not write the end of the layer")]
    End {
        /// What writing said.
        source: io::Error,
    },
}

/// Writes entries, which come in order, as a canonical layer.
pub struct Writer<W: Write> {
    sink: W,
    sequence: Sequence,
    buffer: Vec<u8>,
}

/// Contents are copied in pieces of this size.
const COPY: usize = 256 * 1024;

impl<W: Write> Writer<W> {
    /// Returns a writer to `sink`, which gets large and small writes: give it a buffer if small ones are dear.
    pub fn new(sink: W) -> Writer<W> {
        Writer { sink, sequence: Sequence::default(), buffer: Vec::new() }
    }

    /// Writes an entry that has no contents of its own: anything but a file, or an empty file.
    pub fn append(&mut self, entry: &Entry) -> Result<(), WriteError> {
        self.append_file(entry, io::empty())
    }

    /// Writes an entry whose contents are all that `content` gives.
    ///
    /// Entries come in the order of their stored paths. The contents must be as long as the entry says; after
    /// an error the layer is of no use.
    pub fn append_file(&mut self, entry: &Entry, mut content: impl Read) -> Result<(), WriteError> {
        let stored = self.sequence.accept(entry)?;
        let sink_error = |source| WriteError::Sink { path: stored.clone(), source };
        self.sink.write_all(&header::encode(entry, &stored)).map_err(sink_error)?;

        let declared = entry.size();
        let mut left = declared;
        self.buffer.resize(COPY, 0);
        while left > 0 {
            let wanted = left.min(COPY as u64) as usize;
            match content.read(&mut self.buffer[..wanted]) {
                Ok(0) => return Err(WriteError::Size { path: stored, declared, found: declared - left }),
                Ok(n) => {
                    self.sink.write_all(&self.buffer[..n]).map_err(sink_error)?;
                    left -= n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(WriteError::Content { path: stored, source }),
            }
        }
        if at_end(&mut content).map_err(|source| WriteError::Content { path: stored.clone(), source })? {
            let padding = (BLOCK - (declared % BLOCK as u64) as usize) % BLOCK;
            return self.sink.write_all(&[0; BLOCK][..padding]).map_err(sink_error);
        }
        Err(WriteError::Size { path: stored, declared, found: declared.saturating_add(1) })
    }

    /// Writes the end of the layer and returns the sink.
    pub fn finish(mut self) -> Result<W, WriteError> {
        let end = self.sink.write_all(&[0; 2 * BLOCK]).and_then(|()| self.sink.flush());
        end.map_err(|source| WriteError::End { source })?;
        Ok(self.sink)
    }
}

fn at_end(content: &mut impl Read) -> io::Result<bool> {
    loop {
        match content.read(&mut [0]) {
            Ok(n) => return Ok(n == 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
