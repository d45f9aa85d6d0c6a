//! A file system as text: what `inspect` shows and snapshots keep.

use std::fmt::Write;

use layer::ReadAt;

use super::error::ReadError;
use super::image::Run;
use super::read::{Data, Reader};
use super::walk::Visit;
use crate::sink::{HashSink, Sink};

impl<R: ReadAt> Reader<R> {
    /// Describes the whole file system: the boot sector, and a line for each path with a digest of the content.
    /// What is not shown is checked: a file system that [`Reader::check`] refuses has no description.
    pub fn dump(&self) -> Result<String, ReadError> {
        self.check()?;
        let boot = self.boot();
        let mut text = String::new();
        line(
            &mut text,
            format_args!(
                "fat{} `{}` id {:04X}-{:04X}, boot sector says `{}`",
                boot.kind.bits(),
                self.label()?.unwrap_or_default(),
                boot.volume_id >> 16,
                boot.volume_id & 0xffff,
                boot.label.escape_ascii(),
            ),
        );
        line(
            &mut text,
            format_args!(
                "{} sectors of {}, {} reserved, {} tables of {}, {} root entries",
                boot.sectors,
                boot.sector_size,
                boot.reserved,
                boot.tables,
                boot.sectors_per_table,
                boot.root_entries
            ),
        );
        line(
            &mut text,
            format_args!(
                "{} clusters of {}; media {:02x}, {} heads, {} sectors per track, {} hidden",
                boot.clusters,
                boot.cluster_len(),
                boot.media,
                boot.chs.heads,
                boot.chs.sectors,
                boot.hidden
            ),
        );
        self.walk(&mut |visit| {
            let described = self.describe(visit)?;
            line(&mut text, format_args!("{described}"));
            Ok(())
        })?;
        Ok(text)
    }

    fn describe(&self, visit: &Visit) -> Result<String, ReadError> {
        let kind = if visit.data.is_some() { "file" } else { "directory" };
        let mut text = format!("{} {kind} {} {}", visit.path.escape_debug(), visit.short, visit.modified);
        if visit.created != visit.modified {
            text += &format!(" created {}", visit.created);
        }
        let attributes =
            [("read-only", visit.is_read_only), ("hidden", visit.is_hidden), ("system", visit.is_system)];
        for (name, _) in attributes.into_iter().filter(|(_, is_set)| *is_set) {
            text += &format!(" {name}");
        }
        match &visit.data {
            None => text += &format!(" {}", visit.cluster),
            Some(data) => {
                text += &format!(" size {}", data.size());
                for Run { start, length } in &data.runs {
                    text += &format!(" {start}-{}", start + length - 1);
                }
                if data.size() > 0 {
                    text += &format!(" sha256 {}", self.digest(data)?);
                }
            }
        }
        Ok(text)
    }

    fn digest(&self, data: &Data) -> Result<String, ReadError> {
        let mut hash = HashSink::default();
        let mut buffer = vec![0; 1 << 16];
        let mut offset = 0;
        while offset < data.size() {
            let length = buffer.len().min(usize::try_from(data.size() - offset).unwrap_or(usize::MAX));
            self.read_data(data, offset, &mut buffer[..length])?;
            let took = hash.data(offset, &buffer[..length]);
            took.map_err(|source| ReadError::Io { offset, length, source })?;
            offset += length as u64;
        }
        Ok(hash.finish().0)
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string takes everything");
}
