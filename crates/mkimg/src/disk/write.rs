//! Streaming: from the plan to bytes, each once, at ascending offsets.

use std::fs::File;
use std::io;
use std::ops::Range;

use layer::ReadAt;

use super::gpt::{self, Entry, Header};
use super::layout::{Disk, GPT_ENTRIES, GPT_ENTRY_LEN, Identity, Protective, Table};
use super::map::Map;
use super::mbr::{Mbr, Record};
use crate::Sink;
use crate::vdisk::Contents;

/// How much goes into the sink at once.
const BUFFER_LEN: usize = 1 << 20;

/// A disk on which everything has its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub(super) disk: Disk,
    pub(super) map: Map,
}

/// Where the bytes of a partition or blob come from.
pub struct Source<'a> {
    /// The bytes.
    pub content: &'a dyn ReadAt,
    /// Where there are others than zeros: ranges in ascending order.
    pub data: Vec<Range<u64>>,
}

impl<'a> Source<'a> {
    /// Returns the source of the first `size` bytes, of which nobody knows which are zero.
    pub fn whole(content: &'a dyn ReadAt, size: u64) -> Source<'a> {
        Source { content, data: std::iter::once(0..size).collect() }
    }
}

/// A disk could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The contents of something could not be read.
    #[error("could not read the contents of {what}")]
    Contents {
        /// Of what.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The sink did not take them.
    #[error("could not write the disk")]
    Write {
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Something that is written at an offset.
enum Piece<'a> {
    Bytes(Vec<u8>),
    Source { what: &'a str, size: u64, source: &'a Source<'a> },
}

impl Piece<'_> {
    fn size(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Source { size, .. } => *size,
        }
    }
}

impl Plan {
    /// Returns what lies where.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Returns the disk as it will be. `boot_code` has the bytes that were declared; `blobs` are the contents of the
    /// blobs, `partitions` those of the partitions that have any, both in the order of their declarations.
    ///
    /// # Panics
    ///
    /// If these are not as many as were declared.
    pub fn view<'a>(
        &'a self,
        boot_code: &[u8],
        blobs: &'a [Source<'_>],
        partitions: &'a [Source<'_>],
    ) -> View<'a> {
        let (disk, map) = (&self.disk, &self.map);
        let with_content = || {
            disk.partitions
                .iter()
                .zip(&map.partitions)
                .filter_map(|(partition, placed)| Some((partition, placed, partition.content.as_ref()?.0)))
        };
        assert_eq!(boot_code.len() as u64, disk.boot_code, "there is the boot code that was declared");
        assert_eq!(blobs.len(), disk.blobs.len(), "every blob has a source");
        assert_eq!(partitions.len(), with_content().count(), "every partition with contents has a source");

        let mut pieces = vec![(0, Piece::Bytes(self.mbr(boot_code).encode().to_vec()))];
        if let Table::Gpt { guid, .. } = disk.table {
            self.push_gpt(guid, &mut pieces);
        }
        for (blob, source) in disk.blobs.iter().zip(blobs) {
            pieces.push((blob.at, Piece::Source { what: &blob.name, size: blob.size, source }));
        }
        for ((partition, placed, size), source) in with_content().zip(partitions) {
            let offset = placed.first * map.sector_size;
            pieces.push((offset, Piece::Source { what: &partition.name, size, source }));
        }
        pieces.sort_by_key(|(offset, _)| *offset);
        View { size: map.size(), pieces }
    }

    /// Writes the disk into `sink`, of the same things as [`Plan::view`].
    ///
    /// # Panics
    ///
    /// If these are not as many as were declared.
    pub fn write(
        &self,
        boot_code: &[u8],
        blobs: &[Source<'_>],
        partitions: &[Source<'_>],
        sink: &mut dyn Sink,
    ) -> Result<(), WriteError> {
        let view = self.view(boot_code, blobs, partitions);
        let written = |source| WriteError::Write { source };
        let mut buffer = vec![0; BUFFER_LEN];
        let mut end = 0;
        for (offset, piece) in &view.pieces {
            match piece {
                Piece::Bytes(bytes) => sink.data(*offset, bytes).map_err(written)?,
                Piece::Source { what, size, source } => {
                    copy(what, *size, source, *offset, &mut buffer, sink)?;
                }
            }
            end = offset + piece.size();
        }
        if end < view.size { sink.zeros(end, view.size - end).map_err(written) } else { Ok(()) }
    }

    fn mbr(&self, boot_code: &[u8]) -> Mbr {
        let mut mbr = Mbr { code: [0; 446], signature: 0, records: [Record::default(); 4] };
        mbr.code[..boot_code.len()].copy_from_slice(boot_code);
        let record = |number: u32, kind, is_bootable| {
            let placed = self.map.partitions.iter().find(|placed| placed.number == number);
            let in_32_bits = |sector: u64| u32::try_from(sector).ok();
            placed.and_then(|placed| {
                let (first, sectors) = (in_32_bits(placed.first)?, in_32_bits(placed.sectors)?);
                Some(Record { is_bootable, kind, first, sectors })
            })
        };
        match &self.disk.table {
            Table::Gpt { hybrid, .. } if hybrid.is_empty() => {
                mbr.records[0] = Record::protective(self.map.sectors);
            }
            Table::Gpt { hybrid, protective, .. } => {
                let mut records: Vec<Record> = hybrid
                    .iter()
                    .filter_map(|entry| record(entry.partition, entry.kind, entry.is_bootable))
                    .collect();
                // It covers the table alone: what lies behind is for the other entries to say.
                let first = records.iter().map(|record| record.first).min().unwrap_or(2);
                let cover = Record { sectors: first - 1, ..Record::protective(self.map.sectors) };
                let place = match protective {
                    Protective::First => 0,
                    Protective::Last => records.len(),
                };
                records.insert(place, cover);
                mbr.records.iter_mut().zip(records).for_each(|(place, record)| *place = record);
            }
            Table::Mbr { signature } => {
                mbr.signature = *signature;
                for (partition, placed) in self.disk.partitions.iter().zip(&self.map.partitions) {
                    if let Identity::Mbr { kind, is_bootable } = partition.identity
                        && let Some(record) = record(placed.number, kind, is_bootable)
                        && let Some(place) = mbr.records.get_mut(placed.number as usize - 1)
                    {
                        *place = record;
                    }
                }
            }
        }
        mbr
    }

    fn push_gpt<'a>(&'a self, guid: super::Guid, pieces: &mut Vec<(u64, Piece<'a>)>) {
        let (disk, map) = (&self.disk, &self.map);
        let mut entries = vec![0; (GPT_ENTRIES * GPT_ENTRY_LEN) as usize];
        for (partition, placed) in disk.partitions.iter().zip(&map.partitions) {
            if let Identity::Gpt { kind, guid, attributes } = partition.identity {
                let name = partition.name.clone();
                let entry = Entry { kind, guid, first: placed.first, last: placed.last(), attributes, name };
                let at = (placed.number - 1) as usize * gpt::ENTRY_LEN;
                entry.encode(&mut entries[at..at + gpt::ENTRY_LEN]);
            }
        }
        let (front, back) = disk.table_sectors();
        let last = map.sectors - 1;
        let primary = Header {
            own: 1,
            other: last,
            first_usable: front,
            last_usable: last - back,
            guid,
            entries: 2,
            n_entries: GPT_ENTRIES,
            entry_len: GPT_ENTRY_LEN,
            entries_crc: gpt::crc(&entries),
        };
        let copy = Header { own: last, other: 1, entries: last - disk.entry_sectors(), ..primary };
        for header in [primary, copy] {
            pieces.push((header.own * map.sector_size, Piece::Bytes(header.encode().to_vec())));
            pieces.push((header.entries * map.sector_size, Piece::Bytes(entries.clone())));
        }
    }
}

/// A disk as it will be: what is on it can be read at any place before it is written.
pub struct View<'a> {
    size: u64,
    /// What is not zero, by offset.
    pieces: Vec<(u64, Piece<'a>)>,
}

impl View<'_> {
    /// Returns the disk with the places of its data.
    pub fn contents(&self) -> Contents<'_> {
        let mut data = Vec::new();
        for (offset, piece) in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => data.push(*offset..offset + bytes.len() as u64),
                Piece::Source { size, source, .. } => {
                    let inside = source.data.iter().filter(|range| range.start < *size);
                    data.extend(inside.map(|range| offset + range.start..offset + range.end.min(*size)));
                }
            }
        }
        Contents::new(self, self.size, data)
    }
}

impl ReadAt for View<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let length =
            usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..length];
        buffer.fill(0);
        let end = offset + length as u64;
        let first = self.pieces.partition_point(|(start, piece)| start + piece.size() <= offset);
        for (start, piece) in self.pieces[first..].iter().take_while(|(start, _)| *start < end) {
            let (from, to) = (offset.max(*start), end.min(start + piece.size()));
            let part = &mut buffer[(from - offset) as usize..(to - offset) as usize];
            match piece {
                Piece::Bytes(bytes) => {
                    part.copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
                }
                Piece::Source { source, .. } => source.content.read_exact_at(part, from - start)?,
            }
        }
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn file(&self, offset: u64, length: u64) -> Option<(&File, u64)> {
        let place = self.pieces.partition_point(|(start, piece)| start + piece.size() <= offset);
        let (start, piece) = self.pieces.get(place)?;
        let Piece::Source { size, source, .. } = piece else { return None };
        let within = offset.checked_sub(*start)?;
        if within.checked_add(length)? > *size { None } else { source.content.file(within, length) }
    }
}

/// Copies the data of a source to `start` of the sink.
fn copy(
    what: &str,
    size: u64,
    source: &Source<'_>,
    start: u64,
    buffer: &mut [u8],
    sink: &mut dyn Sink,
) -> Result<(), WriteError> {
    for range in &source.data {
        let mut at = range.start;
        let end = range.end.min(size);
        if at < end
            && let Some((file, place)) = source.content.file(at, end - at)
        {
            let copied = sink.copy(start + at, file, place, end - at);
            copied.map_err(|source| WriteError::Write { source })?;
            continue;
        }
        while at < end {
            let length = (end - at).min(buffer.len() as u64) as usize;
            let part = &mut buffer[..length];
            source
                .content
                .read_exact_at(part, at)
                .map_err(|source| WriteError::Contents { what: format!("`{what}`"), source })?;
            sink.data(start + at, part).map_err(|source| WriteError::Write { source })?;
            at += length as u64;
        }
    }
    Ok(())
}
