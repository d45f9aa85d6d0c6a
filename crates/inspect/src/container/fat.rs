//! FAT.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mkimg::fat::{ReadError, Reader, Visit};

use super::{Container, Opened, damaged, walked};
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::facts::{Fact, Value};
use crate::format::Format;
use crate::source::{Limits, Pieces, Source};

struct Fat {
    name: String,
    limits: Limits,
    /// A reader keeps a part of the table at hand, so only one at a time can use it.
    reader: Arc<Mutex<Reader<Source>>>,
    /// All entries, by their path in small letters, once someone asked.
    index: OnceLock<BTreeMap<String, Entry>>,
}

/// Opens a file system.
pub(super) fn open(name: &str, source: &Source, limits: Limits) -> Result<Opened, Error> {
    let wrong = |error| damaged(name, Format::Fat, error);
    let reader = Reader::open(Arc::clone(source)).map_err(wrong)?;
    let boot = reader.boot();
    let facts = vec![
        Fact::new("kind", format!("FAT{}", boot.kind.bits())),
        Fact::new("label", reader.label().map_err(wrong)?.unwrap_or_default()),
        Fact::new("volume id", format!("{:04X}-{:04X}", boot.volume_id >> 16, boot.volume_id & 0xffff)),
        Fact::new("sector size", Value::Size(boot.sector_size.into())),
        Fact::new("cluster size", Value::Size(boot.cluster_len())),
        Fact::new("clusters", Value::Number(boot.clusters.into())),
    ];
    let reader = Arc::new(Mutex::new(reader));
    let container = Fat { name: name.to_owned(), limits, reader, index: OnceLock::new() };
    Ok(Opened { facts, ..Opened::with(Format::Fat, container) })
}

fn entry(found: &Visit) -> Entry {
    let path = found.path.trim_start_matches('/');
    let mut entry = match &found.data {
        None => Entry::new(path, EntryKind::Directory, 0, Place::None),
        Some(data) => Entry::new(path, EntryKind::File, data.size(), Place::Fat(data.clone())),
    };
    entry.mtime = Some(found.modified.to_unix());
    let flags = [("read-only", found.is_read_only), ("hidden", found.is_hidden), ("system", found.is_system)];
    let flags: Vec<&str> = flags.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
    if !flags.is_empty() {
        entry.details.push(("attributes", flags.join(",")));
    }
    entry
}

impl Container for Fat {
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        let mut found = vec![Entry::new("", EntryKind::Directory, 0, Place::None)];
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let stop = || ReadError::NotFat { problem: "" };
        let mut keep = |entry| {
            found.push(entry);
            Ok(())
        };
        let walked = walked((&self.name, Format::Fat, self.limits), stop, &mut keep, |visit| {
            reader.walk(&mut |visited| visit(entry(visited)))
        });
        drop(reader);
        // What came before the damage is worth seeing.
        found.into_iter().try_for_each(visit)?;
        walked
    }

    /// Names are the same in small letters and capitals.
    fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error> {
        let index = match self.index.get() {
            Some(index) => index,
            None => {
                let mut index = BTreeMap::new();
                self.walk(&mut |entry| {
                    index.insert(String::from_utf8_lossy(&entry.path).to_lowercase(), entry);
                    Ok(())
                })?;
                self.index.get_or_init(|| index)
            }
        };
        Ok(index.get(&String::from_utf8_lossy(path).to_lowercase()).cloned())
    }

    fn open(&self, entry: &Entry) -> Result<Source, Error> {
        let Place::Fat(data) = &entry.place else { return Ok(Arc::new(Vec::new())) };
        let (reader, data) = (Arc::clone(&self.reader), data.clone());
        Ok(Pieces::of(entry.size, move |offset, buffer| {
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            reader.read_data(&data, offset, buffer).map_err(io::Error::other)
        }))
    }
}
