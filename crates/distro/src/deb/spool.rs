//! Keeps contents until their place in the layer is known: in memory while they are few, else in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use layer::ReadAt;

/// Contents up to this many bytes stay in memory.
const IN_MEMORY: usize = 32 << 20;

/// Bytes that are appended one after another, to be read at any offset later.
#[derive(Debug)]
pub(crate) struct Spool {
    /// Where the file is made when memory is used up. It is removed as soon as it is open.
    scratch: PathBuf,
    in_memory: usize,
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
    pub(crate) fn new(scratch: PathBuf) -> Spool {
        Spool::with_memory(scratch, IN_MEMORY)
    }

    fn with_memory(scratch: PathBuf, in_memory: usize) -> Spool {
        Spool { scratch, in_memory, place: Place::Memory(Vec::new()), length: 0 }
    }

    /// Returns how much was appended: the offset of what comes next.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Appends `bytes`.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        match &mut self.place {
            Place::File(file) => file.write_all(bytes),
            Place::Memory(memory) => {
                memory.extend_from_slice(bytes);
                if memory.len() > self.in_memory {
                    let mut file =
                        OpenOptions::new().read(true).write(true).create_new(true).open(&self.scratch)?;
                    fs::remove_file(&self.scratch)?;
                    file.write_all(memory)?;
                    self.place = Place::File(file);
                }
                Ok(())
            }
        }
    }

    /// Returns everything that was appended.
    pub(crate) fn into_source(self) -> Arc<dyn ReadAt> {
        match self.place {
            Place::Memory(memory) => Arc::new(memory),
            Place::File(file) => Arc::new(file),
        }
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
            for n in 0..20_u8 {
                spool.append(&vec![n; usize::from(n) * 100]).unwrap();
            }
            assert_eq!(spool.length(), 19_000);
            assert_eq!(matches!(spool.place, Place::File(_)), in_memory == 1000);
            let source = spool.into_source();
            let mut start = 0;
            for n in 0..20_u8 {
                let mut copy = vec![0; usize::from(n) * 100];
                source.read_exact_at(&mut copy, start).unwrap();
                assert!(copy.iter().all(|byte| *byte == n));
                start += copy.len() as u64;
            }
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        }
    }
}
