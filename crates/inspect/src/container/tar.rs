//! tar archives of every kind, layers of ours among them.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::sync::Arc;

use layer::{ForeignReader, Kind, Limits as TarLimits};

use super::{Container, Opened, damaged};
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::facts::{Fact, Value};
use crate::format::Format;
use crate::source::{Limits, Source, Stream, Window};

struct Archive {
    source: Source,
    entries: Vec<Entry>,
    index: BTreeMap<Vec<u8>, usize>,
}

/// What OCI layers name what they remove.
const WHITEOUT: &[u8] = b".wh.";

/// Reads the headers of an archive.
pub(super) fn open(name: &str, source: &Source, limits: Limits) -> Result<Opened, Error> {
    let input = BufReader::with_capacity(64 << 10, Stream::new(source, 0));
    let paths = usize::try_from(limits.entries).unwrap_or(usize::MAX);
    let mut reader = ForeignReader::new(input, TarLimits { paths, ..TarLimits::default() });
    let mut archive = Archive { source: Arc::clone(source), entries: Vec::new(), index: BTreeMap::new() };
    let mut total = 0;
    while let Some((found, contents)) =
        reader.next_entry().map_err(|error| damaged(name, Format::Tar, error))?
    {
        let path = found.path.as_bytes();
        // Names of one file are known by the number of its entry.
        let mut identity = None;
        let (kind, size, place) = match found.kind {
            Kind::Directory => (EntryKind::Directory, 0, Place::None),
            Kind::File { size } => {
                let start = contents.position();
                (EntryKind::File, size, Place::Range(0, start..start + size))
            }
            Kind::Symlink { target } => (EntryKind::Symlink(target), 0, Place::None),
            Kind::HardLink { target } => {
                let bytes = target.as_bytes().to_vec();
                // The reader saw that it came before: a file, or a link to one.
                let file = archive.index.get(&bytes).map(|idx| {
                    let first = &mut archive.entries[*idx];
                    identity = Some(*first.identity.get_or_insert(*idx as u64));
                    first.place.clone()
                });
                (EntryKind::HardLink(bytes), 0, file.unwrap_or(Place::None))
            }
            Kind::CharDevice { major, minor } => (EntryKind::CharDevice(major, minor), 0, Place::None),
            Kind::BlockDevice { major, minor } => (EntryKind::BlockDevice(major, minor), 0, Place::None),
            Kind::Fifo => (EntryKind::Fifo, 0, Place::None),
            Kind::Whiteout | Kind::OpaqueDirectory => (EntryKind::Whiteout, 0, Place::None),
        };
        let is_whiteout = found.path.file_name().starts_with(WHITEOUT);
        let kind = if is_whiteout { EntryKind::Whiteout } else { kind };
        total += size;
        let mut entry = Entry::new(path, kind, size, place);
        entry.mode = Some(found.metadata.mode);
        entry.owner = Some((found.metadata.uid, found.metadata.gid));
        entry.mtime = Some(found.metadata.mtime);
        entry.xattrs = found.metadata.xattrs.clone().into_iter().collect();
        entry.identity = identity;
        archive.index.insert(entry.path.clone(), archive.entries.len());
        archive.entries.push(entry);
    }
    let facts = vec![
        Fact::new("entries", Value::Number(archive.entries.len() as u64)),
        Fact::new("contents", Value::Size(total)),
    ];
    Ok(Opened { facts, ..Opened::with(Format::Tar, archive) })
}

impl Container for Archive {
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        self.entries.iter().try_for_each(|entry| visit(entry.clone()))
    }

    fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error> {
        if let Some(idx) = self.index.get(path) {
            return Ok(Some(self.entries[*idx].clone()));
        }
        // Directories need no entry of their own.
        let below = [path, b"/"].concat();
        let is_implied = path.is_empty()
            || self.index.range(below.clone()..).next().is_some_and(|(found, _)| found.starts_with(&below));
        Ok(is_implied.then(|| Entry::new(path, EntryKind::Directory, 0, Place::None)))
    }

    fn open(&self, entry: &Entry) -> Result<Source, Error> {
        let Place::Range(_, range) = &entry.place else { return Ok(Arc::new(Vec::new())) };
        Ok(Window::of(&self.source, range.start, range.end - range.start))
    }
}
