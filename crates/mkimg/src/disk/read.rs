//! Reading a disk: its tables, checked against each other and against its size.

use std::collections::BTreeSet;
use std::io;

use layer::ReadAt;

use super::gpt::{self, Entry, Header};
use super::guid::Guid;
use super::mbr::{self, Mbr, PROTECTIVE, Record};

/// The most bytes that entries of a table are read to have: 1024 of the usual ones.
const MOST_ENTRIES_LEN: u64 = 1024 * gpt::ENTRY_LEN as u64;
/// A sector may have one of these sizes.
const SECTOR_SIZES: [u64; 2] = [512, 4096];

/// A disk cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes did not come.
    #[error("could not read {length} bytes of the disk at {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// How many.
        length: usize,
        /// Why.
        source: io::Error,
    },
    /// There is no table.
    #[error("this is not a disk with partitions: its first sector is none of a table")]
    NotDisk,
    /// A structure contradicts itself or another.
    #[error("{what}: {problem}")]
    Corrupt {
        /// Of what structure.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn corrupt<T>(what: &str, problem: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::Corrupt { what: what.to_owned(), problem: problem.into() })
}

/// Says whether there is the mark of a GUID partition table, for sectors of either size.
pub fn is_gpt(image: &dyn ReadAt) -> io::Result<bool> {
    for sector_size in SECTOR_SIZES {
        let mut mark = [0; gpt::MAGIC.len()];
        match image.read_exact_at(&mut mark, sector_size) {
            Ok(()) if mark == *gpt::MAGIC => return Ok(true),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => {}
        }
    }
    Ok(false)
}

/// The tables of a GUID partition table, which agree with each other.
pub(super) struct Gpt {
    pub(super) header: Header,
    /// What is used, by number.
    pub(super) entries: Vec<(u32, Entry)>,
    /// The sectors of both headers and of the entries behind the first and before the second.
    places: [std::ops::Range<u64>; 4],
}

/// A disk that is read. It trusts nothing that the image says.
pub struct Reader<R> {
    image: R,
    pub(super) sector_size: u64,
    pub(super) sectors: u64,
    pub(super) mbr: Mbr,
    pub(super) gpt: Option<Gpt>,
}

impl<R: ReadAt> Reader<R> {
    /// Opens a disk. Fails if its tables are none, are damaged, contradict each other, or have partitions that
    /// overlap or lie outside.
    pub fn open(image: R) -> Result<Reader<R>, ReadError> {
        let io = |offset, length| move |source| ReadError::Io { offset, length, source };
        let size = image.size().map_err(io(0, 0))?;
        let mut first = [0; mbr::LEN];
        if size < mbr::LEN as u64 {
            return Err(ReadError::NotDisk);
        }
        image.read_exact_at(&mut first, 0).map_err(io(0, mbr::LEN))?;
        let mbr = Mbr::decode(&first).ok_or(ReadError::NotDisk)?;
        let mut reader = Reader { image, sector_size: 512, sectors: size / 512, mbr, gpt: None };
        let found = SECTOR_SIZES.into_iter().find(|sector_size| {
            let mut mark = [0; gpt::MAGIC.len()];
            reader.read_at(*sector_size, &mut mark).is_ok() && mark == *gpt::MAGIC
        });
        let is_protected = reader.mbr.records.iter().any(|record| record.kind == PROTECTIVE);
        match found {
            Some(sector_size) => {
                (reader.sector_size, reader.sectors) = (sector_size, size / sector_size);
                reader.gpt = Some(reader.read_gpt()?);
                reader.check_hybrid(is_protected)?;
            }
            None if is_protected => return corrupt("the GPT", "there is none where the MBR says so"),
            None => reader.check_mbr()?,
        }
        Ok(reader)
    }

    /// Returns the first sector.
    pub fn mbr(&self) -> &Mbr {
        &self.mbr
    }

    /// Returns the header of the GUID partition table, if the disk has one.
    pub fn header(&self) -> Option<&Header> {
        self.gpt.as_ref().map(|gpt| &gpt.header)
    }

    /// Returns the partitions of the GUID partition table by number, in that order.
    pub fn entries(&self) -> &[(u32, Entry)] {
        self.gpt.as_ref().map_or(&[], |gpt| &gpt.entries)
    }

    /// Returns where the GUID partition table and its copy are, in bytes; nothing if the disk has none.
    pub fn table_ranges(&self) -> Vec<std::ops::Range<u64>> {
        let places = self.gpt.iter().flat_map(|gpt| &gpt.places);
        // All of them were seen to be on the disk.
        places.map(|place| place.start * self.sector_size..place.end * self.sector_size).collect()
    }

    /// Returns how many bytes a sector has.
    pub fn sector_size(&self) -> u64 {
        self.sector_size
    }

    /// Returns how many sectors there are.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Fills the buffer with what is at an offset of the disk.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let length = buffer.len();
        self.image.read_exact_at(buffer, offset).map_err(|source| ReadError::Io { offset, length, source })
    }

    fn read_header(&self, sector: u64, what: &str) -> Result<Header, ReadError> {
        let mut bytes = vec![0; self.sector_size as usize];
        // The sector is one of the disk's.
        self.read_at(sector * self.sector_size, &mut bytes)?;
        let header = Header::decode(&bytes).or_else(|problem| corrupt(what, problem))?;
        let entries_len = u64::from(header.n_entries) * u64::from(header.entry_len);
        let is_possible = header.entry_len.is_power_of_two()
            && header.entry_len as usize >= gpt::ENTRY_LEN
            && (1..=MOST_ENTRIES_LEN).contains(&entries_len);
        if !is_possible {
            return corrupt(what, "its entries have no possible size");
        }
        let is_inside = header
            .entries
            .checked_add(entries_len.div_ceil(self.sector_size))
            .is_some_and(|end| header.entries >= 2 && end <= self.sectors);
        // A disk can be too small for any partition: then the first sector for them comes right after the last.
        if header.own != sector || !is_inside || header.first_usable > header.last_usable.saturating_add(1) {
            return corrupt(what, "it says that something is where it cannot be");
        }
        Ok(header)
    }

    fn read_entries(&self, header: &Header, what: &str) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; header.n_entries as usize * header.entry_len as usize];
        self.read_at(header.entries * self.sector_size, &mut bytes)?;
        if gpt::crc(&bytes) != header.entries_crc {
            return corrupt(what, "the checksum of its entries is wrong");
        }
        Ok(bytes)
    }

    fn read_gpt(&self) -> Result<Gpt, ReadError> {
        let (what, of_copy) = ("the GPT", "the copy of the GPT");
        let header = self.read_header(1, what)?;
        // A disk that was made larger has it where it was, which every firmware and kernel takes.
        let last = header.other;
        if last <= 1 || last >= self.sectors {
            return corrupt(what, "its copy is not on the disk");
        }
        let entries = self.read_entries(&header, what)?;
        let copy = self.read_header(last, of_copy)?;
        let expected = Header { own: last, other: 1, entries: copy.entries, ..header };
        if copy != expected || self.read_entries(&copy, of_copy)? != entries {
            return corrupt(of_copy, "it differs from the first");
        }
        let entries_sectors = (entries.len() as u64).div_ceil(self.sector_size);
        // Both were seen to end inside of the disk.
        if header.first_usable < header.entries + entries_sectors || header.last_usable >= copy.entries {
            return corrupt(what, "partitions could lie in the tables");
        }
        let numbered = (1..).zip(entries.chunks_exact(header.entry_len as usize));
        let entries: Vec<(u32, Entry)> =
            numbered.filter_map(|(number, bytes)| Some((number, Entry::decode(bytes)?))).collect();
        let mut guids = BTreeSet::from([header.guid]);
        for (number, entry) in &entries {
            let what = format!("partition {number}");
            let is_inside = header.first_usable <= entry.first
                && entry.first <= entry.last
                && entry.last <= header.last_usable;
            if !is_inside {
                return corrupt(&what, "it lies outside of the sectors for partitions");
            }
            if entry.guid == Guid::NIL || !guids.insert(entry.guid) {
                return corrupt(&what, "it has no GUID, or that of another");
            }
        }
        apart(entries.iter().map(|(number, entry)| (*number, entry.first, entry.last)).collect())?;
        let places = [
            1..2,
            header.entries..header.entries + entries_sectors,
            copy.entries..copy.entries + entries_sectors,
            last..last + 1,
        ];
        Ok(Gpt { header, entries, places })
    }

    /// Checks that the old table leaves the partitions alone, or has them as they are.
    fn check_hybrid(&self, is_protected: bool) -> Result<(), ReadError> {
        let what = "the MBR";
        if !is_protected {
            return corrupt(what, "nothing in it protects the GPT");
        }
        let used = || self.mbr.records.iter().filter(|record| record.kind != 0);
        for record in used() {
            let is_partition = || {
                self.entries().iter().any(|(_, entry)| {
                    u64::from(record.first) == entry.first && record.end() == entry.last + 1
                })
            };
            if record.kind == PROTECTIVE {
                if record.first != 1 || record.sectors == 0 {
                    return corrupt(what, "its protective entry does not begin behind it");
                }
            } else if !is_partition() {
                return corrupt(what, "it has an entry that is no partition of the GPT");
            }
        }
        let is_hybrid = used().any(|record| record.kind != PROTECTIVE);
        let whole = Record::protective(self.header().map_or(self.sectors, |header| header.other + 1));
        let covers = |record: &Record| record.sectors >= whole.sectors;
        if !is_hybrid && !used().any(covers) {
            return corrupt(what, "its protective entry does not cover the disk");
        }
        Ok(())
    }

    fn check_mbr(&self) -> Result<(), ReadError> {
        let mut ranges = Vec::new();
        for (number, record) in (1..).zip(&self.mbr.records).filter(|(_, record)| record.kind != 0) {
            if record.first == 0 || record.sectors == 0 || record.end() > self.sectors {
                return corrupt(&format!("partition {number}"), "it lies outside of the disk");
            }
            ranges.push((number, record.first.into(), record.end() - 1));
        }
        if ranges.is_empty() {
            return Err(ReadError::NotDisk);
        }
        apart(ranges)
    }
}

/// Checks that no two partitions, each a number with its first and last sector, overlap.
fn apart(mut ranges: Vec<(u32, u64, u64)>) -> Result<(), ReadError> {
    ranges.sort_by_key(|(_, first, _)| *first);
    for pair in ranges.windows(2) {
        let ((number, _, last), (other, first, _)) = (pair[0], pair[1]);
        if first <= last {
            return corrupt(&format!("partition {other}"), format!("it overlaps partition {number}"));
        }
    }
    Ok(())
}
