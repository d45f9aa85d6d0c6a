//! A step's log: what it prints goes into a file, of too much only the beginning and the end.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;

/// How much of a log is kept at most: this from its beginning …
pub(crate) const HEAD: u64 = 8 << 20;
/// … and this from its end.
pub(crate) const TAIL: u64 = 8 << 20;

/// Writes a log.
pub(crate) struct LogWriter {
    file: File,
    head: u64,
    tail: u64,
    /// How many bytes came.
    n_bytes: u64,
    /// The first failure to write; the step is not held up by it.
    error: Option<io::Error>,
}

impl LogWriter {
    /// Writes to `file`, which is empty and open for reading too. Keeps `head` and `tail` bytes of what is
    /// longer than both.
    pub(crate) fn new(file: File, head: u64, tail: u64) -> LogWriter {
        LogWriter { file, head, tail, n_bytes: 0, error: None }
    }

    /// Copies everything that comes from `source`, until nobody can write to it any more.
    pub(crate) fn copy(&mut self, source: OwnedFd) -> io::Result<()> {
        let mut source = File::from(source);
        let mut buffer = vec![0; 64 << 10];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n_bytes) => self.write(&buffer[..n_bytes]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds to the log.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // After the head, the file is a ring of the size of the tail.
            let (position, room) = if self.n_bytes < self.head {
                (self.n_bytes, self.head - self.n_bytes)
            } else {
                let in_ring = (self.n_bytes - self.head) % self.tail;
                (self.head + in_ring, self.tail - in_ring)
            };
            let n_bytes = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            if self.error.is_none() {
                let start_of_ring = self.n_bytes >= self.head && position == self.head;
                let sought =
                    if start_of_ring { self.file.seek(SeekFrom::Start(position)).map(drop) } else { Ok(()) };
                self.error = sought.and_then(|()| self.file.write_all(&bytes[..n_bytes])).err();
            }
            self.n_bytes += n_bytes as u64;
            bytes = &bytes[n_bytes..];
        }
    }

    /// Returns whether the last of what was written has `text` in it. To be asked when nothing more is written.
    pub(crate) fn ends_about(&mut self, text: &str) -> io::Result<bool> {
        const LAST: u64 = 64 << 10;
        let len = self.file.seek(SeekFrom::End(0))?;
        self.file.seek(SeekFrom::Start(len.saturating_sub(LAST)))?;
        let mut last = Vec::new();
        (&self.file).take(LAST).read_to_end(&mut last)?;
        Ok(last.windows(text.len()).any(|part| part == text.as_bytes()))
    }

    /// Puts the file in order. `message`, if not empty, becomes its last line.
    ///
    /// Fails when something could not be written, now or before.
    pub(crate) fn finish(mut self, message: &str) -> io::Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let n_cut = self.n_bytes.saturating_sub(self.head + self.tail);
        if n_cut > 0 {
            let mut ring = Vec::with_capacity(self.tail as usize);
            self.file.seek(SeekFrom::Start(self.head))?;
            (&self.file).take(self.tail).read_to_end(&mut ring)?;
            let start = ((self.n_bytes - self.head) % self.tail) as usize;
            self.file.seek(SeekFrom::Start(self.head))?;
            self.file.set_len(self.head)?;
            write!(self.file, "\n[{n_cut} bytes of output left out here]\n")?;
            self.file.write_all(&ring[start..])?;
            self.file.write_all(&ring[..start])?;
        }
        if !message.is_empty() {
            self.file.seek(SeekFrom::End(0))?;
            writeln!(self.file, "\n[{message}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[&str], message: &str, expected: &str) {
        let mut file = tempfile::tempfile().unwrap();
        let mut log = LogWriter::new(file.try_clone().unwrap(), 4, 6);
        for piece in pieces {
            log.write(piece.as_bytes());
        }
        log.finish(message).unwrap();
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }

    #[test]
    fn what_it_ends_about() {
        let mut log = LogWriter::new(tempfile::tempfile().unwrap(), 100, 100);
        assert!(!log.ends_about("full").unwrap());
        log.write(b"the disk is full\n");
        assert!(log.ends_about("full").unwrap() && !log.ends_about("fuller").unwrap());
    }

    #[test]
    fn beginning_and_end_are_kept() {
        check(&[], "", "");
        check(&["abc", "def"], "", "abcdef");
        check(&["abcdefghij"], "", "abcdefghij");
        check(&["abcdefghijk"], "", "abcd\n[1 bytes of output left out here]\nfghijk");
        check(&["abcd", "efghij", "klmnop", "qr"], "", "abcd\n[8 bytes of output left out here]\nmnopqr");
        check(
            &["a", "bcdefghijklmnopqrstuvwxyz0123456789"],
            "",
            "abcd\n[26 bytes of output left out here]\n456789",
        );
        check(&["abc"], "killed", "abc\n[killed]\n");
    }
}
