//! Checking that the parts of an image agree.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use layer::ReadAt;

use super::SECTOR;
use super::error::ReadError;
use super::read::{Reader, View, Volume};
use super::record::Extent;
use super::walk::Content;

/// The longest record of a path table: its head, and an identifier of 255 bytes that is filled up.
const MOST_RECORD: usize = 8 + 256;

impl<R: ReadAt> Reader<R> {
    /// Fails unless the directories of all trees can be read, their path tables lead to all of them and to nothing
    /// else, and files share bytes only if they share all of them.
    pub fn check(&self) -> Result<(), ReadError> {
        // Of each extent all those of the file that it belongs to.
        let mut used: BTreeMap<Extent, Rc<[Extent]>> = BTreeMap::new();
        let mut take = |extents: &[Extent]| {
            let file: Rc<[Extent]> = extents.iter().copied().filter(|extent| extent.size > 0).collect();
            let Some(first) = file.first() else { return Ok(()) };
            // Other names of the file have the same.
            if used.get(first) == Some(&file) {
                return Ok(());
            }
            match file.iter().find(|extent| used.insert(**extent, Rc::clone(&file)).is_some()) {
                Some(extent) => Err(shared(extent)),
                None => Ok(()),
            }
        };
        for (view, volume) in [(View::RockRidge, Some(&self.primary)), (View::Joliet, self.joliet.as_ref())] {
            let Some(volume) = volume else { continue };
            let mut directories = BTreeSet::new();
            self.walk(view, &mut |visit| match &visit.entry.content {
                Content::Directory(extent) => {
                    directories.insert(extent.sector);
                    take(&[*extent])
                }
                Content::File(extents) => take(extents),
                _ => Ok(()),
            })?;
            self.check_table(volume, &directories)?;
        }
        let ends =
            |extent: &Extent| u64::from(extent.sector) + u64::from(extent.size).div_ceil(SECTOR as u64);
        let mut previous: Option<Extent> = None;
        for extent in used.into_keys() {
            if previous.is_some_and(|previous| u64::from(extent.sector) < ends(&previous)) {
                return Err(shared(&extent));
            }
            previous = Some(extent);
        }
        Ok(())
    }

    fn check_table(&self, volume: &Volume, directories: &BTreeSet<u32>) -> Result<(), ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt("the path table", problem);
        if volume.table_len as usize > directories.len() * MOST_RECORD {
            return Err(corrupt("it has other directories than the tree"));
        }
        let read = |sector| self.bytes("the path table", Extent { sector, size: volume.table_len });
        let [little, big] = [read(volume.tables[0])?, read(volume.tables[1])?];
        let mut found = BTreeSet::new();
        let mut at = 0;
        while at < little.len() {
            let record = |bytes: &[u8]| -> Option<([u8; 4], [u8; 2], usize)> {
                let head = bytes.get(at..at + 8)?;
                let end = at + 8 + usize::from(head[0]).next_multiple_of(2);
                Some((
                    [head[2], head[3], head[4], head[5]],
                    [head[6], head[7]],
                    if head[0] > 0 { end } else { return None },
                ))
            };
            let (Some((start, parent, end)), Some((big_start, big_parent, _))) =
                (record(&little), record(&big))
            else {
                return Err(corrupt("a record has an impossible length"));
            };
            let sector = u32::from_le_bytes(start);
            let parent = u16::from_le_bytes(parent);
            if sector != u32::from_be_bytes(big_start) || parent != u16::from_be_bytes(big_parent) {
                return Err(corrupt("its two forms differ"));
            }
            if usize::from(parent) > found.len().max(1) || !found.insert(sector) {
                return Err(corrupt("a directory is there twice, or before the one above it"));
            }
            at = end;
        }
        if found != *directories {
            return Err(corrupt("it has other directories than the tree"));
        }
        Ok(())
    }
}

fn shared(extent: &Extent) -> ReadError {
    ReadError::corrupt(format!("sector {}", extent.sector), "it belongs to two files that differ")
}
