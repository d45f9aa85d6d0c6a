//! Streaming: from the layout to bytes, each once, at ascending offsets.

use std::io;

use super::SECTOR;
use super::directory::Encoded;
use super::error::Error;
use super::image::{Image, size};
use super::patch::{self, Patch};
use crate::Sink;
use crate::tree::Node;

/// How much goes into the sink at once.
const BUFFER_LEN: usize = 1 << 20;

/// Fills the buffer with the bytes at an offset of a file; fewer than that are an error.
pub type Contents<'a> = dyn FnMut(Node, u64, &mut [u8]) -> io::Result<()> + 'a;

/// Collects what follows one another, so that small files do not go into the sink one by one.
struct Stream<'a> {
    sink: &'a mut dyn Sink,
    /// Where the buffer goes.
    at: u64,
    buffer: Vec<u8>,
}

impl Stream<'_> {
    /// Appends `length` bytes that `fill` makes, in parts that it is told the offsets of.
    fn append(
        &mut self,
        length: u64,
        mut fill: impl FnMut(u64, &mut [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut done = 0;
        while done < length {
            if self.buffer.len() == BUFFER_LEN {
                self.flush()?;
            }
            let start = self.buffer.len();
            let part = (length - done).min((BUFFER_LEN - start) as u64) as usize;
            self.buffer.resize(start + part, 0);
            fill(done, &mut self.buffer[start..])?;
            done += part as u64;
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.append(bytes.len() as u64, |offset, part| {
            let start = offset as usize;
            part.copy_from_slice(&bytes[start..start + part.len()]);
            Ok(())
        })
    }

    /// Goes on at `offset`, with zeros up to there.
    fn pad_to(&mut self, offset: u64) -> Result<(), Error> {
        let missing = offset - (self.at + self.buffer.len() as u64);
        if missing < SECTOR as u64 {
            return self.append(missing, |_, part| {
                part.fill(0);
                Ok(())
            });
        }
        self.flush()?;
        self.sink.zeros(self.at, missing).map_err(|source| Error::Write { source })?;
        self.at += missing;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.buffer.is_empty() {
            self.sink.data(self.at, &self.buffer).map_err(|source| Error::Write { source })?;
            self.at += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl Image {
    /// Writes the image into `sink`. `contents` is asked for the data of files, in the order in which it is stored,
    /// and once more for images that machines start from if their checksum is to be in them.
    pub fn write(&self, contents: &mut Contents<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
        let patches = self.patches(contents)?;
        let sector = |sector: u32| u64::from(sector) * SECTOR as u64;
        let mut stream = Stream { sink, at: 0, buffer: Vec::with_capacity(BUFFER_LEN) };
        stream.push(&self.area)?;
        stream.pad_to(sector(super::SYSTEM_AREA))?;
        for part in &self.head {
            stream.push(part)?;
        }
        for hierarchy in &self.hierarchies {
            let listing = self.listing(hierarchy);
            for directory in &hierarchy.order {
                let Encoded { records, areas } = listing.encode(*directory);
                stream.push(&records)?;
                stream.push(&areas)?;
            }
        }
        stream.push(&self.catalog)?;
        for node in &self.order {
            stream.pad_to(sector(self.starts[node.index()]))?;
            let patch = patches.iter().find(|(patched, _)| patched == node).map(|(_, patch)| patch);
            stream.append(size(&self.tree, *node), |offset, part| {
                contents(*node, offset, part)
                    .map_err(|source| Error::Contents { path: self.path(*node), source })?;
                if let Some(patch) = patch {
                    patch.apply(offset, part);
                }
                Ok(())
            })?;
        }
        stream.pad_to(self.size() - self.end.len() as u64)?;
        stream.push(&self.end)?;
        stream.flush()
    }

    /// Returns what is replaced in which files.
    fn patches(&self, contents: &mut Contents<'_>) -> Result<Vec<(Node, Patch)>, Error> {
        let mut patches = Vec::new();
        for entry in &self.boot {
            if entry.grub2 || entry.info_table {
                let (node, size) = (entry.image, size(&self.tree, entry.image));
                let patch = patch::of(entry, self.starts[node.index()], size, contents)
                    .map_err(|source| Error::Contents { path: self.path(node), source })?;
                patches.push((node, patch));
            }
        }
        Ok(patches)
    }
}
