//! What of an image is the build's, and what belongs to whoever runs it.

use std::collections::BTreeSet;
use std::ops::Range;

use layer::ReadAt as _;

use super::{Error, Image};
use crate::disk;

/// The part of the first sector that has boot code, and no table.
const BOOT_CODE: u64 = 440;
/// The rest of it.
const TABLE: Range<u64> = BOOT_CODE..512;

/// A partition as a table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOf {
    /// Its number.
    pub number: u32,
    /// Its name; an old table has none.
    pub name: String,
    /// What else tells it from others: types and GUIDs.
    identity: String,
    /// Where it lies, in bytes.
    range: Range<u64>,
}

impl PartitionOf {
    fn called(&self) -> String {
        if self.name.is_empty() { format!("partition {}", self.number) } else { format!("`{}`", self.name) }
    }
}

/// What belongs to whoever runs an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Partitions by number.
    pub numbers: BTreeSet<u32>,
    /// Partitions by name.
    pub names: BTreeSet<String>,
}

impl State {
    fn has(&self, partition: &PartitionOf) -> bool {
        self.numbers.contains(&partition.number) || self.names.contains(&partition.name)
    }
}

/// What of an image is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The size that it will have.
    pub(super) size: u64,
    /// What is the build's: ascending ranges.
    pub(super) owned: Vec<Range<u64>>,
    /// What is the build's and may have been changed by whoever runs the image: tables whose partitions are the same.
    pub(super) tables: Vec<Range<u64>>,
    partitions: Vec<PartitionOf>,
    /// What is left alone, in words.
    pub left: Vec<String>,
}

impl Layout {
    /// Compares the tables of partitions of `image` and of what it is to become, and says what is written then. `state`
    /// are partitions that are not the build's.
    ///
    /// Fails if they are laid out in different ways.
    pub fn compare(image: &Image, new: &Image, state: &State) -> Result<Layout, Error> {
        let refuse = |differences: Vec<String>| Error::Layout { path: image.path().to_owned(), differences };
        let size =
            |of: &Image| of.size().map_err(|source| Error::Read { path: of.path().to_owned(), source });
        let (old_size, new_size) = (size(image)?, size(new)?);
        let Ok(wanted) = disk::Reader::open(new) else {
            if let Some(name) = state.names.first() {
                return Err(refuse(vec![format!("there is no partition `{name}` in what it is to become")]));
            }
            if image.kind().is_some() && old_size != new_size {
                return Err(refuse(vec![format!("it has {old_size} bytes, and is to have {new_size}")]));
            }
            return Ok(Layout::whole(new_size));
        };
        let found = disk::Reader::open(image).map_err(|error| {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text += &format!(": {error}");
                cause = error.source();
            }
            refuse(vec![format!("it is to have partitions, and cannot be read as such a disk: {text}")])
        })?;
        let (theirs, ours) = (partitions(&found), partitions(&wanted));
        let mut differences = Vec::new();
        let mut left = Vec::new();
        let mut has_own_table = false;
        if found.sector_size() != wanted.sector_size()
            || found.header().is_some() != wanted.header().is_some()
        {
            differences.push("it has another kind of table".to_owned());
        }
        if let (Some(one), Some(other)) = (found.header(), wanted.header())
            && one.guid != other.guid
        {
            differences.push(format!("its GUID is {}, and is to be {}", one.guid, other.guid));
        }
        if found.header().is_none() && found.mbr().signature != wanted.mbr().signature {
            let [old, new] = [&found, &wanted].map(|disk| disk.mbr().signature);
            differences.push(format!("its signature is {old:#010x}, and is to be {new:#010x}"));
        }
        if old_size < new_size {
            differences.push(format!("it has {old_size} bytes, and is to have {new_size}"));
        }
        for partition in &ours {
            let called = partition.called();
            let Some(there) = theirs.iter().find(|there| there.number == partition.number) else {
                differences.push(format!("{called} is not on it"));
                continue;
            };
            if there.identity != partition.identity || there.name != partition.name {
                let other = there.called();
                differences.push(format!("partition {} is another one, {other}", partition.number));
            } else if there.range.start != partition.range.start {
                let [old, new] = [there, partition].map(|partition| partition.range.start);
                differences.push(format!("{called} begins at {old}, and is to begin at {new}"));
            } else if there.range.end > partition.range.end && state.has(partition) {
                has_own_table = true;
                left.push(format!("{called}, which was grown"));
            } else if there.range.end != partition.range.end {
                let [old, new] =
                    [there, partition].map(|partition| partition.range.end - partition.range.start);
                differences.push(format!("{called} has {old} bytes, and is to have {new}"));
            } else if state.has(partition) {
                left.push(called);
            }
        }
        for there in &theirs {
            if !ours.iter().any(|partition| partition.number == there.number) {
                has_own_table = true;
                left.push(format!("{}, which was added", there.called()));
            }
        }
        let known: Vec<&str> = theirs.iter().map(|partition| partition.name.as_str()).collect();
        for name in state.names.iter().filter(|name| !known.contains(&name.as_str())) {
            differences.push(format!("it has no partition `{name}`, which is to be left alone"));
        }
        if !differences.is_empty() {
            return Err(refuse(differences));
        }
        let not_ours = |there: &&PartitionOf| {
            state.has(there) || !ours.iter().any(|partition| partition.number == there.number)
        };
        let mut excluded: Vec<Range<u64>> =
            theirs.iter().filter(not_ours).map(|partition| partition.range.clone()).collect();
        let mut tables = vec![TABLE];
        tables.extend(wanted.table_ranges());
        tables.extend(found.table_ranges());
        if has_own_table {
            left.push("the table of partitions".to_owned());
            excluded.append(&mut tables);
        }
        let owned = without(0..new_size, excluded);
        Ok(Layout { size: old_size.max(new_size), owned, tables, partitions: theirs, left })
    }

    /// All of an image without partitions.
    fn whole(size: u64) -> Layout {
        let owned = std::iter::once(0..u64::MAX).collect();
        Layout { size, owned, tables: Vec::new(), partitions: Vec::new(), left: Vec::new() }
    }

    /// Says what lies at `offset`.
    pub(super) fn place(&self, offset: u64) -> String {
        let partition = self.partitions.iter().find(|partition| partition.range.contains(&offset));
        match partition {
            Some(partition) => format!("in {}", partition.called()),
            None if self.partitions.is_empty() => "in the file system".to_owned(),
            None => "outside of the partitions".to_owned(),
        }
    }
}

/// Returns the partitions of a disk.
fn partitions(disk: &disk::Reader<&Image>) -> Vec<PartitionOf> {
    let sector = disk.sector_size();
    let range = |first: u64, end: u64| first.saturating_mul(sector)..end.saturating_mul(sector);
    if disk.header().is_some() {
        let entries = disk.entries().iter().map(|(number, entry)| PartitionOf {
            number: *number,
            name: entry.name.clone(),
            identity: format!("{} {}", entry.kind, entry.guid),
            range: range(entry.first, entry.last.saturating_add(1)),
        });
        return entries.collect();
    }
    let records = (1..).zip(&disk.mbr().records).filter(|(_, record)| record.kind != 0);
    let partition = |(number, record): (u32, &disk::Record)| PartitionOf {
        number,
        name: String::new(),
        identity: format!("{:#04x}", record.kind),
        range: range(record.first.into(), u64::from(record.first) + u64::from(record.sectors)),
    };
    records.map(partition).collect()
}

/// Returns what is left of `all` without these ranges.
fn without(all: Range<u64>, mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut left = Vec::new();
    let mut at = all.start;
    for range in ranges {
        if range.start.min(all.end) > at {
            left.push(at..range.start.min(all.end));
        }
        at = at.max(range.end);
    }
    if at < all.end {
        left.push(at..all.end);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_taken_out() {
        let ranges = vec![50..60, 0..10, 55..70, 95..200];
        assert_eq!(without(0..100, ranges), [10..50, 70..95]);
        assert_eq!(without(0..100, vec![]).as_slice(), std::slice::from_ref(&(0..100)));
        assert_eq!(without(0..100, std::iter::once(0..100).collect()), []);
    }
}
