//! Finds what is wrong with a disk, as it is declared and as its parts lie.

use std::collections::{BTreeMap, BTreeSet};

use super::guid::Guid;
use super::layout::{Disk, Identity, Part, Partition, PartitionSize, Size, Table};
use super::map::{Area, Map};
use super::place::{Placer, TABLE_COPY};
use super::problem::Problem;
use super::size::human;

/// The most UTF-16 units of a name.
const MOST_UNITS: usize = 36;
/// How much boot code there can be: what is behind it is the disk's number, and then the first entry.
const MOST_BOOT_CODE: u64 = 446;
/// Where the disk's number is, which an old table needs.
const SIGNATURE: u64 = 440;
/// Entries of the old table beside the protective one.
const MOST_HYBRID: usize = 3;
/// How many parts are named when a disk is too small.
const MOST_NAMED: usize = 5;
/// The end of what is counted with 32 bits.
const MBR_END: u64 = 1 << 32;

/// Returns what messages call a partition.
fn called(partition: &Partition, number: u32) -> String {
    if partition.name.is_empty() {
        format!("partition {number}")
    } else {
        format!("partition {number} `{}`", partition.name.escape_debug())
    }
}

/// Looks a disk over.
pub(super) struct Checker<'a> {
    pub(super) disk: &'a Disk,
    /// The number of each partition.
    pub(super) numbers: &'a [u32],
    /// What is wrong, and which parts that is about.
    pub(super) found: Vec<(Problem, Vec<Part>)>,
}

impl<'a> Checker<'a> {
    fn report(&mut self, part: Part, problem: Problem) {
        self.found.push((problem, vec![part]));
    }

    fn report_two(&mut self, parts: [Part; 2], problem: Problem) {
        self.found.push((problem, parts.to_vec()));
    }

    /// Returns each partition with what messages call it.
    fn called(&self) -> Vec<(&'a Partition, String)> {
        let partitions = self.disk.partitions.iter().zip(self.numbers);
        partitions.map(|(partition, number)| (partition, called(partition, *number))).collect()
    }

    /// Reports what is wrong wherever things lie.
    pub(super) fn declarations(&mut self) {
        let disk = self.disk;
        if let Size::Fixed(bytes) = disk.size {
            self.in_sectors(Part::Disk, "the disk's size", bytes);
        }
        if let Size::Fit { round, .. } = disk.size {
            self.alignment(Part::Disk, "the disk's size", round);
        }
        self.alignment(Part::Disk, "the disk", disk.align);
        let limit = match disk.table {
            Table::Gpt { .. } => MOST_BOOT_CODE,
            Table::Mbr { .. } => SIGNATURE,
        };
        if disk.boot_code > limit {
            self.report(Part::Disk, Problem::BootCode { length: disk.boot_code, limit });
        }
        for (idx, blob) in disk.blobs.iter().enumerate() {
            if blob.size == 0 {
                self.report(Part::Blob(idx), Problem::Empty { what: format!("`{}`", blob.name) });
            }
        }
        self.partitions();
        self.hybrid();
    }

    fn in_sectors(&mut self, part: Part, what: &str, bytes: u64) {
        let sector_size = self.disk.sector_size;
        if !bytes.is_multiple_of(sector_size) {
            self.report(part, Problem::NotSectors { what: what.to_owned(), bytes, sector_size });
        }
    }

    fn alignment(&mut self, part: Part, what: &str, align: u64) {
        if align == 0 || !align.is_multiple_of(self.disk.sector_size) {
            self.report(part, Problem::Align { what: what.to_owned(), align });
        }
    }

    fn partitions(&mut self) {
        let disk = self.disk;
        let mut guids: BTreeMap<Guid, (Part, String)> = BTreeMap::new();
        let mut numbers: BTreeMap<u32, (Part, String)> = BTreeMap::new();
        let mut grown: Option<(Part, String)> = None;
        let limit = disk.most_partitions();
        if disk.partitions.len() > limit as usize {
            self.report(Part::Disk, Problem::TooMany { count: disk.partitions.len(), limit });
        }
        if let Table::Gpt { guid, .. } = disk.table {
            guids.insert(guid, (Part::Disk, "the disk".to_owned()));
            if guid == Guid::NIL {
                self.report(Part::Disk, Problem::NoGuid { what: "the disk".to_owned() });
            }
        }
        let called = self.called().into_iter().zip(self.numbers.to_vec());
        for (idx, ((partition, what), number)) in called.enumerate() {
            let part = Part::Partition(idx);
            if let Some((other, first)) = numbers.insert(number, (part, what.clone())) {
                self.report_two([other, part], Problem::SameNumber { first, second: what.clone() });
            }
            // Those that have no number of their own are too many, which was said.
            if partition.number.is_some_and(|number| number == 0 || number > limit) {
                self.report(part, Problem::Number { what: what.clone(), limit });
            }
            let units = partition.name.encode_utf16().count();
            if units > MOST_UNITS {
                self.report(part, Problem::LongName { what: what.clone(), units });
            }
            match (partition.identity, &disk.table) {
                (Identity::Gpt { kind, guid, .. }, Table::Gpt { .. }) => {
                    if kind == Guid::NIL || guid == Guid::NIL {
                        self.report(part, Problem::NoGuid { what: what.clone() });
                    } else if let Some((other, first)) = guids.insert(guid, (part, what.clone())) {
                        self.report_two(
                            [other, part],
                            Problem::SameGuid { first, second: what.clone(), guid },
                        );
                    }
                }
                (Identity::Mbr { .. }, Table::Mbr { .. }) => {}
                (Identity::Gpt { .. } | Identity::Mbr { .. }, _) => {
                    self.report(part, Problem::OtherTable { what: what.clone() });
                }
            }
            self.lies(part, partition, &what);
            if partition.size == PartitionSize::Grow {
                match &grown {
                    Some((other, first)) => {
                        self.report_two([*other, part], Problem::Grow { first: first.clone(), second: what });
                    }
                    None => grown = Some((part, what)),
                }
            }
        }
    }

    /// Reports what a partition says of its place and size that cannot be.
    fn lies(&mut self, part: Part, partition: &Partition, what: &str) {
        if let Some(align) = partition.align {
            self.alignment(part, what, align);
            if let Some(at) = partition.at.filter(|at| align > 0 && !at.is_multiple_of(align)) {
                self.report(part, Problem::Unaligned { what: what.to_owned(), at, align });
            }
        }
        if let Some(at) = partition.at {
            self.in_sectors(part, &format!("the start of {what}"), at);
        }
        if let (PartitionSize::Fixed(size), Some((needed, content))) = (partition.size, &partition.content) {
            let size = size.next_multiple_of(self.disk.sector_size);
            if *needed > size {
                let (what, content, needed) = (what.to_owned(), content.clone(), *needed);
                self.report(part, Problem::TooSmall { what, content, size, needed });
            }
        }
    }

    fn hybrid(&mut self) {
        let Table::Gpt { hybrid, .. } = &self.disk.table else { return };
        for entry in hybrid.iter().filter(|entry| !self.numbers.contains(&entry.partition)) {
            self.found.push((Problem::HybridUnknown { number: entry.partition }, vec![Part::Disk]));
        }
        let different: BTreeSet<u32> = hybrid.iter().map(|entry| entry.partition).collect();
        if hybrid.len() > MOST_HYBRID || different.len() < hybrid.len() {
            self.report(Part::Disk, Problem::HybridTooMany { count: hybrid.len() });
        }
    }

    /// Reports what is wrong with where things lie.
    pub(super) fn map(&mut self, map: &Map) {
        for (idx, ((_, what), placed)) in self.called().into_iter().zip(&map.partitions).enumerate() {
            if placed.sectors == 0 {
                self.report(Part::Partition(idx), Problem::Empty { what: what.clone() });
            }
            let in_mbr = match &self.disk.table {
                Table::Mbr { .. } => true,
                Table::Gpt { hybrid, .. } => hybrid.iter().any(|entry| entry.partition == placed.number),
            };
            if in_mbr && placed.first.saturating_add(placed.sectors) > MBR_END {
                self.report(Part::Partition(idx), Problem::Beyond { what });
            }
        }
        self.disk_size(map);
        self.overlaps(map);
    }

    fn disk_size(&mut self, map: &Map) {
        let starts: Vec<u64> = map.partitions.iter().map(|placed| placed.first).collect();
        let sizes: Vec<u64> = map.partitions.iter().map(|placed| placed.sectors).collect();
        let needed = Placer { disk: self.disk }.needed(&starts, &sizes);
        if needed > map.sectors {
            let mut largest: Vec<(u64, String)> =
                self.called().into_iter().zip(&sizes).map(|((_, what), size)| (*size, what)).collect();
            largest.sort_by(|a, b| b.cmp(a));
            largest.truncate(MOST_NAMED);
            let bytes = |sectors: u64| sectors.saturating_mul(map.sector_size);
            let largest = largest.into_iter().map(|(size, what)| (what, bytes(size))).collect();
            let problem = Problem::DiskTooSmall { size: map.size(), needed: bytes(needed), largest };
            self.report(Part::Disk, problem);
        }
    }

    fn overlaps(&mut self, map: &Map) {
        let sector_size = map.sector_size;
        let words = |area: &Area| {
            let name = area.name.escape_debug();
            let start = human(area.first.saturating_mul(sector_size));
            match area.number {
                Some(number) if area.name.is_empty() => format!("partition {number} at {start}"),
                Some(number) => format!("partition {number} `{name}` at {start}"),
                None => format!("`{name}` at {start}"),
            }
        };
        // The one that reaches furthest so far.
        let mut furthest: Option<&Area> = None;
        for area in map.areas.iter().filter(|area| area.sectors > 0) {
            if let Some(before) = furthest.filter(|before| area.first < before.end()) {
                let both = area.end().min(before.end()) - area.first;
                // What runs into the copy of the table makes the disk too small, which is said by itself.
                if ![before, area].iter().any(|area| area.part == Part::Table && area.name == TABLE_COPY) {
                    // Tables stay where they are.
                    let (first, second) =
                        if area.part == Part::Table { (area, before) } else { (before, area) };
                    let problem = Problem::Overlap {
                        first: words(first),
                        second: words(second),
                        bytes: both.saturating_mul(sector_size),
                        free_from: first.end().saturating_mul(sector_size),
                    };
                    self.report_two([first.part, second.part], problem);
                }
            }
            if furthest.is_none_or(|before| area.end() > before.end()) {
                furthest = Some(area);
            }
        }
    }
}
