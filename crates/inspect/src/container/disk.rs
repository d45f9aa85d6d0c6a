//! Disks: their partitions, by name or number. Virtual disks are looked through.

use std::fs::File;
use std::io;
use std::sync::Arc;

use mkimg::{Sink, SparseFile, disk, vdisk};

use super::{Container, Opened, damaged};
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::facts::{Fact, Region, Value};
use crate::format::Format;
use crate::source::{Limits, Source, Stream, Window};

/// What the header of a virtual disk says.
pub(crate) fn virtual_facts(reader: &vdisk::Reader<'_>) -> Vec<Fact> {
    let mut facts = vec![Fact::new("virtual size", Value::Size(reader.size()))];
    let said = reader.describe();
    if !said.is_empty() {
        facts.push(Fact::new("headers", Value::List(said)));
    }
    facts
}

/// Takes a disk until more than [`Limits::unpacked`] bytes of it are written, or it is 64 times as large. What is zero
/// and stays a hole does not count.
struct Limited<'a> {
    sink: SparseFile<'a>,
    most: u64,
    end: u64,
    is_too_much: bool,
}

impl Limited<'_> {
    fn check(&mut self, is_fine: bool) -> io::Result<()> {
        self.is_too_much |= !is_fine;
        if is_fine { Ok(()) } else { Err(io::ErrorKind::FileTooLarge.into()) }
    }

    fn check_inside(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let is_inside = offset.checked_add(length).is_some_and(|end| end <= self.end);
        self.check(is_inside)
    }
}

impl Sink for Limited<'_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_inside(offset, bytes.len() as u64)?;
        self.sink.data(offset, bytes)?;
        // It is too much by one such piece at most.
        self.check(self.sink.n_written() <= self.most)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.check_inside(offset, len)?;
        self.sink.zeros(offset, len)
    }
}

/// Unpacks a disk for Google's cloud into a temporary file with holes.
pub(crate) fn gcp(name: &str, source: &Source, limits: Limits) -> Result<Source, Error> {
    let failed = |source| Error::Spool { what: name.to_owned(), source };
    let file = tempfile::tempfile().map_err(failed)?;
    let end = limits.unpacked.saturating_mul(64);
    let mut sink = Limited { sink: SparseFile::new(&file), most: limits.unpacked, end, is_too_much: false };
    let input = io::BufReader::new(Stream::new(source, 0));
    let unpacked = vdisk::gcp::unpack(input, &mut sink);
    if sink.is_too_much {
        let problem =
            format!("has a disk of more than {end} bytes, or with more than {} in it", limits.unpacked);
        return Err(Error::Limit { what: name.to_owned(), problem });
    }
    let size = unpacked.map_err(|error| match error {
        vdisk::gcp::UnpackError::Write { source } => failed(source),
        other @ vdisk::gcp::UnpackError::Read(_) => damaged(name, Format::Gcp, other),
    })?;
    sink.sink.finish().map_err(failed)?;
    file.set_len(size).map_err(failed)?;
    Ok(Arc::new(file) as Arc<File>)
}

struct Disk {
    source: Source,
    partitions: Vec<Entry>,
}

/// Reads the tables of a disk.
pub(super) fn open(name: &str, source: &Source) -> Result<Opened, Error> {
    let reader =
        disk::Reader::open(Arc::clone(source)).map_err(|error| damaged(name, Format::Disk, error))?;
    let sector = reader.sector_size();
    let mut facts = vec![
        Fact::new("table", if reader.header().is_some() { "GPT" } else { "MBR" }),
        Fact::new("sector size", Value::Size(sector)),
        Fact::new("sectors", Value::Number(reader.sectors())),
    ];
    let mut regions = Vec::new();
    let mut partitions = Vec::new();
    if let Some(header) = reader.header() {
        facts.push(Fact::new("guid", header.guid.to_string()));
        regions.push(Region::new("MBR", 0..sector));
        // A header and its entries need not be neighbours, nor in that order.
        for (what, ranges) in ["GPT", "copy of the GPT"].iter().zip(reader.table_ranges().chunks_exact(2)) {
            let start = ranges[0].start.min(ranges[1].start);
            regions.push(Region::new(*what, start..ranges[0].end.max(ranges[1].end)));
        }
        if header.other + 1 != reader.sectors() {
            let at = format!("at {:#x}, not at the end of the disk", header.other * sector);
            facts.push(Fact::new("copy of the GPT", at));
        }
        let hybrid = reader.mbr().records.iter().filter(|record| record.kind != 0 && record.kind != 0xee);
        let hybrid: Vec<String> = hybrid
            .map(|record| format!("type {:02x}, sectors {}-{}", record.kind, record.first, record.end() - 1))
            .collect();
        if !hybrid.is_empty() {
            facts.push(Fact::new("hybrid entries", Value::List(hybrid)));
        }
        for (number, entry) in reader.entries() {
            // A name may be missing, be one of several, or not be fit for a path.
            let is_name = !entry.name.is_empty()
                && !entry.name.contains('/')
                && reader.entries().iter().filter(|(_, other)| other.name == entry.name).count() == 1;
            let path = if is_name { entry.name.clone() } else { number.to_string() };
            let range = entry.first * sector..(entry.last + 1) * sector;
            let mut partition = partition(&path, range, *number);
            let kind = disk::gpt_name(entry.kind).map_or_else(|| entry.kind.to_string(), str::to_owned);
            partition.details.push(("type", kind));
            partition.details.push(("guid", entry.guid.to_string()));
            let bits: Vec<String> = (0..64)
                .filter(|bit| entry.attributes >> bit & 1 == 1)
                .map(|bit: u32| bit.to_string())
                .collect();
            if !bits.is_empty() {
                partition.details.push(("attributes", bits.join(",")));
            }
            partitions.push(partition);
        }
    } else {
        facts.push(Fact::new("signature", format!("{:08x}", reader.mbr().signature)));
        regions.push(Region::new("MBR", 0..sector));
        for (number, record) in (1..).zip(&reader.mbr().records).filter(|(_, record)| record.kind != 0) {
            let range = u64::from(record.first) * sector..record.end() * sector;
            let mut partition = partition(&number.to_string(), range, number);
            partition.details.push(("type", format!("{:02x}", record.kind)));
            if record.is_bootable {
                partition.details.push(("attributes", "bootable".to_owned()));
            }
            partitions.push(partition);
        }
    }
    for partition in &partitions {
        regions.extend(partition.range.clone().map(|range| Region::new(partition.shown(), range)));
    }
    regions.sort_by_key(|region| region.range.start);
    let container = Disk { source: Arc::clone(source), partitions };
    Ok(Opened { facts, regions, ..Opened::with(Format::Disk, container) })
}

fn partition(path: &str, range: std::ops::Range<u64>, number: u32) -> Entry {
    let size = range.end - range.start;
    let mut entry = Entry::new(path, EntryKind::Partition, size, Place::Range(0, range.clone()));
    entry.range = Some(range);
    entry.details.push(("number", number.to_string()));
    entry
}

impl Container for Disk {
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        self.partitions.iter().try_for_each(|partition| visit(partition.clone()))
    }

    /// A partition has its name, in capitals or not, and its number.
    fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error> {
        let number = std::str::from_utf8(path).unwrap_or_default();
        let is_number = |entry: &&Entry| entry.details.first().is_some_and(|(_, own)| own == number);
        let mut all = self.partitions.iter();
        let found = all.clone().find(|entry| entry.path == path);
        let found = found.or_else(|| all.clone().find(|entry| entry.path.eq_ignore_ascii_case(path)));
        Ok(found.or_else(|| all.find(is_number)).cloned())
    }

    fn open(&self, entry: &Entry) -> Result<Source, Error> {
        let range = entry.range.clone().unwrap_or_default();
        Ok(Window::of(&self.source, range.start, range.end - range.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc(bytes: &[u8]) -> [u8; 4] {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    }

    fn header(own: u64, other: u64, entries: u64) -> Vec<u8> {
        let mut bytes = [&b"EFI PART"[..], &[0, 0, 1, 0, 92, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        bytes.extend([own, other, 259, 299].map(u64::to_le_bytes).concat());
        bytes.extend([7; 16]);
        bytes.extend(entries.to_le_bytes());
        bytes.extend([1024_u32, 128].map(u32::to_le_bytes).concat());
        bytes.extend(crc(&[0; 1024 * 128]));
        let sum = crc(&bytes);
        bytes[16..20].copy_from_slice(&sum);
        bytes
    }

    #[test]
    fn what_counts_is_what_is_written() {
        let file = tempfile::tempfile().unwrap();
        let mut sink = Limited { sink: SparseFile::new(&file), most: 9000, end: 1 << 20, is_too_much: false };
        let mut bytes = [0; 8192];
        (bytes[0], bytes[4000]) = (1, 1);
        // Aligned, both bytes are in one block of the file, and else in two, of which one begins before.
        sink.data(0, &bytes).unwrap();
        assert_eq!(sink.sink.n_written(), 4096);
        sink.data(8192 + 2048, &bytes).unwrap_err();
        assert!(sink.is_too_much);
        assert_eq!(sink.sink.n_written(), 4096 + 2048 + 4096);
    }

    #[test]
    fn a_copy_may_lie_before_its_entries() {
        let mut bytes = vec![0; 700 * 512];
        bytes[446..462].copy_from_slice(&[0, 0, 2, 0, 0xee, 255, 255, 255, 1, 0, 0, 0, 255, 255, 255, 255]);
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        bytes[512..512 + 92].copy_from_slice(&header(1, 2, 3));
        bytes[1024..1024 + 92].copy_from_slice(&header(2, 1, 300));
        let opened = open("x", &(Arc::new(bytes) as Source)).unwrap();
        let ranges: Vec<_> = opened.regions.iter().map(|region| region.range.clone()).collect();
        assert_eq!(ranges, [0..512, 512..259 * 512, 1024..556 * 512]);
    }
}
