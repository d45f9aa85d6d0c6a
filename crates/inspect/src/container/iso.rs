//! ISO 9660.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};

use mkimg::iso::{Content, ReadError, Reader, View, Visit};

use super::{Container, Opened, damaged, disk, walked};
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::facts::{Fact, Region, Value};
use crate::format::Format;
use crate::source::{Limits, Pieces, Source, Window};

/// The size of a sector.
const SECTOR: u64 = 2048;

struct Iso {
    name: String,
    limits: Limits,
    reader: Arc<Reader<Source>>,
    source: Source,
    /// The images that machines start from and that are in no directory, and the partitions of the same bytes.
    others: Vec<Entry>,
    index: OnceLock<BTreeMap<Vec<u8>, Entry>>,
}

/// Opens a file system.
pub(super) fn open(name: &str, source: &Source, limits: Limits) -> Result<Opened, Error> {
    let wrong = |error| damaged(name, Format::Iso, error);
    let reader = Reader::open(Arc::clone(source)).map_err(wrong)?;
    let mut facts = vec![Fact::new("label", reader.volume_id())];
    let mut extensions = vec![];
    for (view, name) in [(View::RockRidge, "Rock Ridge"), (View::Joliet, "Joliet")] {
        if reader.has(view) {
            extensions.push(name.to_owned());
        }
    }
    facts.push(Fact::new("extensions", Value::List(extensions)));
    let mut others = Vec::new();
    let mut boot = Vec::new();
    for start in reader.boot() {
        let platform = match start.platform {
            0 => "bios".to_owned(),
            0xef => "efi".to_owned(),
            other => format!("platform {other:#x}"),
        };
        boot.push(format!("{platform} at {:#x}", u64::from(start.sector) * SECTOR));
        let range =
            u64::from(start.sector) * SECTOR..u64::from(start.sector) * SECTOR + u64::from(start.units) * 512;
        let place = Place::Range(0, range.clone());
        let mut entry =
            Entry::new(format!("[boot-{platform}]"), EntryKind::Section, range.end - range.start, place);
        entry.range = Some(range);
        if !others.iter().any(|other: &Entry| other.path == entry.path) {
            others.push(entry);
        }
    }
    if !boot.is_empty() {
        facts.push(Fact::new("boots", Value::List(boot)));
    }
    let mut regions = Vec::new();
    // The same bytes may be a disk, too.
    if let Ok(Opened { container: Some(disk), facts: of_disk, .. }) = disk::open(name, source) {
        facts.extend(of_disk.into_iter().filter(|fact| matches!(fact.name, "table" | "guid")));
        disk.walk(&mut |partition| {
            regions.extend(partition.range.clone().map(|range| Region::new(partition.shown(), range)));
            let path = [b"[partition-".as_slice(), &partition.path, b"]"].concat();
            others.push(Entry { path, ..partition });
            Ok(())
        })?;
    }
    let container = Iso {
        name: name.to_owned(),
        limits,
        reader: Arc::new(reader),
        source: Arc::clone(source),
        others,
        index: OnceLock::new(),
    };
    Ok(Opened { facts, regions, ..Opened::with(Format::Iso, container) })
}

fn entry(found: &Visit<'_>) -> Entry {
    let path = found.path.strip_prefix(b"/").unwrap_or(found.path);
    let (kind, size, place) = match &found.entry.content {
        Content::Directory(_) => (EntryKind::Directory, 0, Place::None),
        Content::File(extents) => {
            let size = extents.iter().map(|extent| u64::from(extent.size)).sum();
            (EntryKind::File, size, Place::Iso(extents.clone()))
        }
        Content::Symlink(target) => (EntryKind::Symlink(target.clone()), 0, Place::None),
        Content::CharDevice(major, minor) => (EntryKind::CharDevice(*major, *minor), 0, Place::None),
        Content::BlockDevice(major, minor) => (EntryKind::BlockDevice(*major, *minor), 0, Place::None),
        Content::Fifo => (EntryKind::Fifo, 0, Place::None),
        Content::Socket => (EntryKind::Socket, 0, Place::None),
    };
    let mut entry = Entry::new(path, kind, size, place);
    entry.mode = Some(found.entry.mode.into());
    entry.owner = Some((found.entry.uid, found.entry.gid));
    entry.mtime = Some(found.entry.mtime);
    if found.entry.links > 1 && entry.kind != EntryKind::Directory {
        entry.identity = found.entry.serial.map(u64::from);
    }
    if let Place::Iso(extents) = &entry.place
        && let [extent] = &extents[..]
        && size > 0
    {
        let start = u64::from(extent.sector) * SECTOR;
        entry.range = Some(start..start + size);
    }
    entry
}

impl Container for Iso {
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        let view = if self.reader.has(View::RockRidge) || !self.reader.has(View::Joliet) {
            View::RockRidge
        } else {
            View::Joliet
        };
        let stop = || ReadError::Unsupported { what: String::new() };
        walked((&self.name, Format::Iso, self.limits), stop, visit, |visit| {
            self.reader.walk(view, &mut |found| visit(entry(found)))
        })?;
        self.others.iter().try_for_each(|other| visit(other.clone()))
    }

    fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error> {
        let index = match self.index.get() {
            Some(index) => index,
            None => {
                let mut index = BTreeMap::new();
                self.walk(&mut |entry| {
                    index.insert(entry.path.clone(), entry);
                    Ok(())
                })?;
                self.index.get_or_init(|| index)
            }
        };
        Ok(index.get(path).cloned())
    }

    fn open(&self, entry: &Entry) -> Result<Source, Error> {
        match &entry.place {
            Place::Iso(extents) => {
                let (reader, extents) = (Arc::clone(&self.reader), extents.clone());
                Ok(Pieces::of(entry.size, move |offset, buffer| {
                    reader.read_data(&extents, offset, buffer).map_err(io::Error::other)
                }))
            }
            Place::Range(_, range) => Ok(Window::of(&self.source, range.start, range.end - range.start)),
            _ => Ok(Arc::new(Vec::new())),
        }
    }
}
