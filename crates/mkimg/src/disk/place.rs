//! Places the partitions of a disk.

use std::collections::BTreeSet;

use super::check::Checker;
use super::layout::{Disk, Part, Partition, PartitionSize, Size};
use super::map::{Area, Map, Placed};
use super::problem::{Problem, Problems};
use super::write::Plan;

/// What the map calls the table at the end.
pub(super) const TABLE_COPY: &str = "GPT, copy";

/// Places the partitions. Fails with every problem that is found, and a drawing of what could be placed.
pub fn resolve(disk: Disk) -> Result<Plan, Problems> {
    if ![512, 4096].contains(&disk.sector_size) {
        let problems = vec![Problem::SectorSize { size: disk.sector_size }];
        return Err(Problems { problems, about: vec![vec![Part::Disk]], drawing: String::new() });
    }
    let numbers = numbers(&disk);
    let mut checker = Checker { disk: &disk, numbers: &numbers, found: Vec::new() };
    checker.declarations();
    let map = Placer { disk: &disk }.place(&numbers);
    checker.map(&map);
    let Checker { found, .. } = checker;
    if found.is_empty() {
        return Ok(Plan { disk, map });
    }
    let (problems, about) = found.into_iter().unzip();
    Err(Problems { problems, about, drawing: map.draw() })
}

/// Returns the number of each partition: its own, or the lowest that no other has.
fn numbers(disk: &Disk) -> Vec<u32> {
    let given: BTreeSet<u32> = disk.partitions.iter().filter_map(|partition| partition.number).collect();
    let mut free = (1..).filter(|number| !given.contains(number));
    let numbers =
        disk.partitions.iter().map(|partition| partition.number.or_else(|| free.next()).unwrap_or(0));
    numbers.collect()
}

/// Finds where everything lies.
pub(super) struct Placer<'a> {
    pub(super) disk: &'a Disk,
}

impl Placer<'_> {
    fn sectors(&self, bytes: u64) -> u64 {
        bytes.div_ceil(self.disk.sector_size)
    }

    fn align(&self, partition: &Partition) -> u64 {
        // What is no alignment is reported, and does not matter then.
        (partition.align.unwrap_or(self.disk.align) / self.disk.sector_size).max(1)
    }

    /// Returns the least size of a partition, in sectors.
    fn least(&self, partition: &Partition) -> u64 {
        match partition.size {
            PartitionSize::Fixed(bytes) => self.sectors(bytes),
            PartitionSize::Min | PartitionSize::Grow => {
                self.sectors(partition.content.as_ref().map_or(0, |(size, _)| *size))
            }
        }
    }

    /// Places partitions of these sizes one behind the other, and returns where each begins.
    fn starts(&self, sizes: &[u64]) -> Vec<u64> {
        let mut cursor = self.disk.first_lba.max(self.disk.table_sectors().0);
        let place = |(partition, size): (&Partition, &u64)| {
            let start = match partition.at {
                Some(at) => at / self.disk.sector_size,
                None => cursor.checked_next_multiple_of(self.align(partition)).unwrap_or(u64::MAX),
            };
            cursor = start.saturating_add(*size);
            start
        };
        self.disk.partitions.iter().zip(sizes).map(place).collect()
    }

    /// Returns the disk's size in sectors, when the partitions have these sizes.
    fn disk_sectors(&self, starts: &[u64], sizes: &[u64]) -> u64 {
        let sector_size = self.disk.sector_size;
        match self.disk.size {
            Size::Fixed(bytes) => bytes / sector_size,
            Size::Fit { slack, round } => {
                let needed = self.needed(starts, sizes).saturating_mul(sector_size);
                let sum = sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size));
                let wanted = sum.saturating_mul(sector_size).saturating_add(slack);
                let bytes = needed.max(wanted).checked_next_multiple_of(round.max(sector_size));
                bytes.unwrap_or(u64::MAX) / sector_size
            }
        }
    }

    /// Returns how many sectors the disk needs.
    pub(super) fn needed(&self, starts: &[u64], sizes: &[u64]) -> u64 {
        let (front, back) = self.disk.table_sectors();
        let partitions = starts.iter().zip(sizes).map(|(start, size)| start.saturating_add(*size));
        let blobs = self.disk.blobs.iter().map(|blob| self.sectors(blob.at.saturating_add(blob.size)));
        partitions.chain(blobs).fold(front, u64::max).saturating_add(back)
    }

    /// Returns the end of the room that partition `grown` can have, so that those behind it keep theirs.
    fn room_end(&self, grown: usize, sizes: &[u64], disk_sectors: u64) -> u64 {
        let mut end = disk_sectors.saturating_sub(self.disk.table_sectors().1);
        for (partition, size) in self.disk.partitions.iter().zip(sizes).skip(grown + 1).rev() {
            end = match partition.at {
                Some(at) => at / self.disk.sector_size,
                None => {
                    let start = end.saturating_sub(*size);
                    start - start % self.align(partition)
                }
            };
        }
        end
    }

    fn place(&self, numbers: &[u32]) -> Map {
        let disk = self.disk;
        let mut sizes: Vec<u64> = disk.partitions.iter().map(|partition| self.least(partition)).collect();
        let mut starts = self.starts(&sizes);
        let sectors = self.disk_sectors(&starts, &sizes);
        let grown = disk.partitions.iter().position(|partition| partition.size == PartitionSize::Grow);
        if let Some(grown) = grown {
            let room = self.room_end(grown, &sizes, sectors).saturating_sub(starts[grown]);
            sizes[grown] = sizes[grown].max(room);
            starts = self.starts(&sizes);
        }
        let placed = numbers.iter().zip(starts.iter().zip(&sizes));
        let partitions: Vec<Placed> = placed
            .map(|(number, (first, sectors))| Placed { number: *number, first: *first, sectors: *sectors })
            .collect();
        let mut areas = self.table_areas(sectors);
        for (idx, (partition, placed)) in disk.partitions.iter().zip(&partitions).enumerate() {
            areas.push(Area {
                part: Part::Partition(idx),
                first: placed.first,
                sectors: placed.sectors,
                name: partition.name.clone(),
                number: Some(placed.number),
                content: partition.content.as_ref().map_or(String::new(), |(_, what)| what.clone()),
            });
        }
        for (idx, blob) in disk.blobs.iter().enumerate() {
            let first = blob.at / disk.sector_size;
            areas.push(Area {
                part: Part::Blob(idx),
                first,
                sectors: self.sectors(blob.at.saturating_add(blob.size)) - first,
                name: blob.name.clone(),
                number: None,
                content: "outside of partitions".to_owned(),
            });
        }
        areas.sort_by_key(|area| (area.first, area.sectors));
        Map { sector_size: disk.sector_size, sectors, partitions, areas }
    }

    fn table_areas(&self, disk_sectors: u64) -> Vec<Area> {
        let (front, back) = self.disk.table_sectors();
        let area = |first, sectors, name: &str| Area {
            part: Part::Table,
            first,
            sectors,
            name: name.to_owned(),
            number: None,
            content: "table".to_owned(),
        };
        let mut areas = vec![area(0, 1, "MBR")];
        if back > 0 {
            areas.push(area(1, front - 1, "GPT"));
            // A disk that has no room for it is too small, which is said by itself.
            if let Some(first) = disk_sectors.checked_sub(back).filter(|first| *first >= front) {
                areas.push(area(first, back, TABLE_COPY));
            }
        }
        areas
    }
}
