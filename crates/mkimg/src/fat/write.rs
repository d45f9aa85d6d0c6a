//! Streaming: from the layout to bytes, each once, at ascending offsets.

use std::io;

use super::boot::{BootSector, Info, padded};
use super::directory::{ARCHIVE, DIRECTORY, Entry, LABEL, append};
use super::error::Error;
use super::geometry::{ENTRY_LEN, N_TABLES};
use super::image::{Image, Run};
use super::options::Kind;
use super::time::DosTime;
use crate::Sink;
use crate::tree::{Node, ROOT};

/// How much goes into the sink at once.
const BUFFER_LEN: usize = 1 << 20;

/// Fills the buffer with the bytes at an offset of a file; fewer than that are an error.
pub type Contents<'a> = dyn FnMut(Node, u64, &mut [u8]) -> io::Result<()> + 'a;

impl Image {
    /// Writes the image into `sink`. `contents` is asked for the data of files, in the order in which it is stored:
    /// it has to fill the buffer with what is in the file from the offset on.
    pub fn write(&self, contents: &mut Contents<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
        let written = |source| Error::Write { source };
        self.write_reserved(sink).map_err(written)?;
        let geometry = &self.geometry;
        for table in 0..N_TABLES {
            let start = (geometry.reserved + table * geometry.table) * geometry.sector_size;
            self.write_table(start, sink).map_err(written)?;
        }
        if geometry.form.kind != Kind::Fat32 {
            let start = (geometry.reserved + N_TABLES * geometry.table) * geometry.sector_size;
            let mut root = self.directory(ROOT);
            root.resize((geometry.root * geometry.sector_size) as usize, 0);
            sink.data(start, &root).map_err(written)?;
        }
        let mut buffer = vec![0; BUFFER_LEN];
        for node in &self.order {
            let Run { start, length } = self.runs[node.index()];
            if length == 0 {
                continue;
            }
            let offset = geometry.cluster_offset(start.into());
            let end = offset + u64::from(length) * geometry.cluster_len();
            let filled = match self.tree.size(*node) {
                None => {
                    let bytes = self.directory(*node);
                    sink.data(offset, &bytes).map_err(written)?;
                    bytes.len() as u64
                }
                Some(size) => {
                    self.write_file(*node, size.into(), offset, &mut buffer, contents, sink)?;
                    u64::from(size)
                }
            };
            if offset + filled < end {
                sink.zeros(offset + filled, end - offset - filled).map_err(written)?;
            }
        }
        let end = geometry.cluster_offset(self.end.into());
        sink.zeros(end, self.size() - end).map_err(written)
    }

    fn write_reserved(&self, sink: &mut dyn Sink) -> io::Result<()> {
        let boot = BootSector::new(&self.options, &self.geometry);
        let sector_size = self.geometry.sector_size;
        sink.data(0, &boot.encode())?;
        if boot.kind == Kind::Fat32 {
            let free = boot.clusters + 2 - self.end;
            // All ones: that nobody knows.
            let next = if free > 0 { self.end } else { u32::MAX };
            let info = Info { free, next }.encode();
            let backup = u64::from(boot.backup) * sector_size;
            let info_offset = u64::from(boot.info) * sector_size;
            sink.data(info_offset, &info)?;
            sink.data(backup, &boot.encode())?;
            sink.data(backup + info_offset, &info)?;
        }
        Ok(())
    }

    fn write_table(&self, start: u64, sink: &mut dyn Sink) -> io::Result<()> {
        let mut table =
            Table { kind: self.geometry.form.kind, bytes: Vec::with_capacity(BUFFER_LEN), half: None };
        let mut at = start;
        let end_mark = 0x0fff_ffff;
        table.push(0x0fff_ff00 | u32::from(super::boot::MEDIA));
        table.push(end_mark);
        for run in self.order.iter().map(|node| self.runs[node.index()]) {
            for next in run.start + 1..run.start + run.length {
                table.push(next);
                // Tables of 12 bits are far smaller than that, so no entry is cut in two.
                if table.bytes.len() >= BUFFER_LEN {
                    sink.data(at, &table.bytes)?;
                    at += table.bytes.len() as u64;
                    table.bytes.clear();
                }
            }
            if run.length > 0 {
                table.push(end_mark);
            }
        }
        table.finish();
        sink.data(at, &table.bytes)?;
        at += table.bytes.len() as u64;
        let end = start + self.geometry.table * self.geometry.sector_size;
        if at < end { sink.zeros(at, end - at) } else { Ok(()) }
    }

    /// Returns the entries of a directory.
    fn directory(&self, directory: Node) -> Vec<u8> {
        let Some(declared) = self.tree.tree.directory(directory) else { return Vec::new() };
        let modified = self.tree.modified(directory);
        let mut bytes = Vec::new();
        if directory == ROOT {
            if let Some(label) = &self.options.label {
                let epoch = DosTime::from_unix(self.options.epoch);
                append(&mut bytes, &[], &Entry::new(padded(label), LABEL, epoch, 0, 0));
            }
        } else {
            // The root is cluster 0 to its children, wherever it is.
            let parent = if declared.parent == ROOT { 0 } else { self.runs[declared.parent.index()].start };
            for (name, cluster) in
                [(b".          ", self.runs[directory.index()].start), (b"..         ", parent)]
            {
                append(&mut bytes, &[], &Entry::new(*name, DIRECTORY, modified, cluster, 0));
            }
        }
        for (_, child) in &declared.entries {
            let (attributes, size) = match self.tree.size(*child) {
                None => (DIRECTORY, 0),
                Some(size) => (ARCHIVE, size),
            };
            let name = self.tree.name(*child);
            let cluster = self.runs[child.index()].start;
            append(
                &mut bytes,
                &name.long,
                &Entry::new(name.short, attributes, self.tree.modified(*child), cluster, size),
            );
        }
        debug_assert!((bytes.len() as u64).is_multiple_of(ENTRY_LEN));
        bytes
    }

    fn write_file(
        &self,
        node: Node,
        size: u64,
        offset: u64,
        buffer: &mut [u8],
        contents: &mut Contents<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        let mut done = 0;
        while done < size {
            let length = (size - done).min(buffer.len() as u64) as usize;
            let part = &mut buffer[..length];
            contents(node, done, part)
                .map_err(|source| Error::Contents { path: self.tree.tree.path(node), source })?;
            sink.data(offset + done, part).map_err(|source| Error::Write { source })?;
            done += length as u64;
        }
        Ok(())
    }
}

/// Collects entries of the table.
struct Table {
    kind: Kind,
    bytes: Vec<u8>,
    /// An entry of 12 bits that waits for its neighbour.
    half: Option<u32>,
}

impl Table {
    fn push(&mut self, value: u32) {
        match self.kind {
            Kind::Fat32 => self.bytes.extend_from_slice(&value.to_le_bytes()),
            Kind::Fat16 => self.bytes.extend_from_slice(&value.to_le_bytes()[..2]),
            Kind::Fat12 => match self.half.take() {
                None => self.half = Some(value & 0xfff),
                Some(first) => {
                    let pair = first | (value & 0xfff) << 12;
                    self.bytes.extend_from_slice(&pair.to_le_bytes()[..3]);
                }
            },
        }
    }

    fn finish(&mut self) {
        if let Some(last) = self.half.take() {
            self.bytes.extend_from_slice(&last.to_le_bytes()[..2]);
        }
    }
}
