//! Keeps contents until their place in the layer is known: in memory while they are few, else in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Contents up to this many bytes stay in memory.
const IN_MEMORY: u64 = 32 << 20;

/// Bytes that are appended one after another and read at any offset.
#[derive(Debug)]
pub struct Spool {
    /// Where the file is made when memory is used up. It is removed as soon as it is open.
    scratch: PathBuf,
    in_memory: u64,
    place: Place,
    length: u64,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(File),
}

impl Spool {
    /// Returns an empty spool that makes the file `scratch` if it needs one.
    pub fn new(scratch: PathBuf) -> Spool {
        Spool::with_memory(scratch, IN_MEMORY)
    }

    fn with_memory(scratch: PathBuf, in_memory: u64) -> Spool {
        Spool { scratch, in_memory, place: Place::Memory(Vec::new()), length: 0 }
    }

    /// Appends all that `input` gives and returns where it begins and how long it is.
    pub fn append(&mut self, mut input: impl Read) -> io::Result<(u64, u64)> {
        let start = self.length;
        let mut buffer = vec![0; 128 << 10];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return Ok((start, self.length - start)),
                Ok(n) => self.write(&buffer[..n])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        match &mut self.place {
            Place::File(file) => file.write_all(bytes),
            Place::Memory(memory) => {
                memory.extend_from_slice(bytes);
                if self.length > self.in_memory {
                    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&self.scratch)?;
                    fs::remove_file(&self.scratch)?;
                    let mut file = file;
                    file.write_all(memory)?;
                    self.place = Place::File(file);
                }
                Ok(())
            }
        }
    }

    /// Returns a reader of the `length` bytes from `start`, which were appended before.
    pub fn read(&self, start: u64, length: u64) -> impl Read + '_ {
        Part { spool: self, position: start, left: length }
    }
}

struct Part<'a> {
    spool: &'a Spool,
    position: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let n = match &self.spool.place {
            Place::File(file) => file.read_at(&mut buffer[..wanted], self.position)?,
            Place::Memory(memory) => {
                let rest = usize::try_from(self.position).ok().and_then(|start| memory.get(start..)).unwrap_or_default();
                let n = rest.len().min(wanted);
                buffer[..n].copy_from_slice(&rest[..n]);
                n
            }
        };
        self.position += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_can_be_read_from_memory_and_file() {
        let scratch = tempfile::tempdir().unwrap();
        for in_memory in [10_000_000, 1000] {
            let mut spool = Spool::with_memory(scratch.path().join("scratch"), in_memory);
            let parts: Vec<Vec<u8>> = (0..20_u8).map(|n| vec![n; usize::from(n) * 1000]).collect();
            let places: Vec<_> = parts.iter().map(|part| spool.append(&part[..]).unwrap()).collect();
            assert_eq!(matches!(spool.place, Place::File(_)), in_memory == 1000);
            for (part, (start, length)) in parts.iter().zip(places).rev() {
                let mut copy = Vec::new();
                spool.read(start, length).read_to_end(&mut copy).unwrap();
                assert!(copy == *part);
            }
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        }
    }
}
