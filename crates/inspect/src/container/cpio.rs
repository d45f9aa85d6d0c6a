//! cpio archives: one or several, each compressed or not, as kernels take them for an initramfs.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use layer::ReadAt as _;
use mkimg::cpio::{ReadError, Reader, Record};
use mkimg::{Lz4Decoder, xz_decoder};

use super::{Container, Opened, damaged, too_many};
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::facts::{Fact, Value};
use crate::format::{CPIO, Compression, Format};
use crate::source::{Limits, Source, Spool, Stream, Window, some};

/// Unpacks what `input` begins with; what is behind it is left.
pub(crate) fn decoder<'a>(
    compression: Compression,
    input: impl BufRead + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        Compression::Xz => Box::new(xz_decoder(input, true)?),
        Compression::Lz4 => Box::new(Lz4Decoder::new(input)),
    })
}

/// Unpacks one member of what `input` begins with; what is behind it is left.
pub(super) fn member<'a>(
    compression: Compression,
    input: impl BufRead + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::Gzip => Box::new(flate2::bufread::GzDecoder::new(input)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?.single_frame()),
        Compression::Xz => Box::new(xz_decoder(input, false)?),
        Compression::Lz4 => Box::new(Lz4Decoder::new(input)),
    })
}

/// Says whether what is compressed begins with an archive.
pub(crate) fn begins_compressed(source: &Source, compression: Compression) -> bool {
    let mut start = [0; CPIO.len()];
    let input = BufReader::with_capacity(16 << 10, Stream::new(source, 0));
    let read = member(compression, input).and_then(|mut decoder| decoder.read_exact(&mut start));
    read.is_ok() && start == *CPIO
}

/// So many archives may follow each other; real ones are a few.
const MOST_ARCHIVES: usize = 4096;
/// The names and the targets of links may have so many bytes together.
const MOST_NAMES: usize = 1 << 30;
/// So much is kept of the target of a link; Linux takes no longer one.
const MOST_TARGET: usize = 4096;

struct Archive {
    parts: Vec<Source>,
    entries: Vec<Entry>,
    /// By path, the last entry of it: that is what a kernel leaves.
    index: BTreeMap<Vec<u8>, usize>,
    /// By identity, the first entry with bytes.
    holders: BTreeMap<u64, usize>,
    /// How many bytes names and targets may still have.
    names_left: usize,
}

/// Reads the names of all archives.
pub(super) fn open(name: &str, source: &Source, limits: Limits) -> Result<Opened, Error> {
    let io = |source| Error::Io { what: name.to_owned(), source };
    let size = source.size().map_err(io)?;
    let mut archive = Archive::new();
    // What members unpack to counts together: there may be many.
    let mut spool = Spool::new(name, limits);
    let mut described = Vec::new();
    let mut at = 0;
    while at < size {
        let start = some(&**source, at, 6).map_err(io)?;
        if start.first() == Some(&0) {
            at += zeros(source, at).map_err(io)?;
            continue;
        }
        if described.len() == MOST_ARCHIVES {
            let problem = format!("has more than {MOST_ARCHIVES} archives");
            return Err(Error::Limit { what: name.to_owned(), problem });
        }
        let begun = at;
        if start == CPIO {
            let n = archive.entries.len();
            archive.parts.push(Arc::clone(source));
            at = archive.add(name, at, limits)?;
            described.push(format!(
                "plain, {} entries, {} bytes at {begun:#x}",
                archive.entries.len() - n,
                at - begun
            ));
        } else if let Some(compression) = Compression::of(&start) {
            let mut input = BufReader::with_capacity(64 << 10, Stream::new(source, at));
            spool.add_all(&mut *member(compression, &mut input).map_err(io)?)?;
            at = input.get_ref().position - input.buffer().len() as u64;
            let n = archive.entries.len();
            archive.parts.push(spool.part()?);
            let mut within = 0;
            let part = archive.parts.len() - 1;
            let end = archive.parts[part].size().map_err(io)?;
            while within < end {
                within += zeros(&archive.parts[part], within).map_err(io)?;
                if within < end {
                    within = archive.add(name, within, limits)?;
                }
            }
            let (n, compression) = (archive.entries.len() - n, compression.name());
            described.push(format!("{compression}, {n} entries, {} bytes at {begun:#x}", at - begun));
        } else {
            let problem = format!("at {at:#x} there is neither an archive nor something compressed");
            return Err(damaged(name, Format::Cpio, problem));
        }
    }
    let total: u64 = archive.entries.iter().map(|entry| entry.size).sum();
    let facts = vec![
        Fact::new("archives", Value::List(described)),
        Fact::new("entries", Value::Number(archive.entries.len() as u64)),
        Fact::new("contents", Value::Size(total)),
    ];
    Ok(Opened { facts, ..Opened::with(Format::Cpio, archive) })
}

/// Returns how many zeros there are from `at` on. Holes are not read.
fn zeros(source: &Source, at: u64) -> io::Result<u64> {
    let mut end = at;
    loop {
        end = source.next_data(end)?.max(end);
        let bytes = some(&**source, end, 64 << 10)?;
        match bytes.iter().position(|byte| *byte != 0) {
            Some(found) => return Ok(end + found as u64 - at),
            None if bytes.is_empty() => return Ok(end - at),
            None => end += bytes.len() as u64,
        }
    }
}

impl Archive {
    fn new() -> Archive {
        Archive {
            parts: Vec::new(),
            entries: Vec::new(),
            index: BTreeMap::new(),
            holders: BTreeMap::new(),
            names_left: MOST_NAMES,
        }
    }

    /// Adds what is in the archive at `at` of the last part, and returns where that ends.
    fn add(&mut self, name: &str, at: u64, limits: Limits) -> Result<u64, Error> {
        let wrong = |error: ReadError| damaged(name, Format::Cpio, error);
        let part = self.parts.len() - 1;
        let source = Arc::clone(&self.parts[part]);
        let mut reader = Reader::new(BufReader::with_capacity(64 << 10, Stream::new(&source, at)));
        loop {
            let mut target = Vec::new();
            let record = reader.next_record(&mut |record, bytes| {
                if record.is_symlink() {
                    target.extend(bytes.iter().take(MOST_TARGET - target.len()));
                }
            });
            let Some(record) = record.map_err(wrong)? else { return Ok(at + reader.position()) };
            if record.name == b"TRAILER!!!" {
                return Ok(at + reader.position());
            }
            let too_much = |problem| Error::Limit { what: name.to_owned(), problem };
            let left = self.names_left.checked_sub(record.name.len() + target.len());
            self.names_left =
                left.ok_or_else(|| too_much("has names that are too long together".to_owned()))?;
            let start = at + reader.contents();
            let range = start..start + u64::from(record.size);
            let entry = entry(&record, part, range, target);
            let number = self.entries.len();
            self.index.insert(entry.path.clone(), number);
            if let Some(identity) = entry.identity.filter(|_| entry.size > 0) {
                self.holders.entry(identity).or_insert(number);
            }
            self.entries.push(entry);
            if self.entries.len() as u64 > limits.entries {
                return Err(too_many(name, limits));
            }
        }
    }
}

fn entry(record: &Record, part: usize, range: std::ops::Range<u64>, target: Vec<u8>) -> Entry {
    let path = record.name.strip_prefix(b"./").unwrap_or(&record.name);
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let path = if path == b"." { b"" } else { path };
    let kind = match record.mode & 0o170_000 {
        0o040_000 => EntryKind::Directory,
        0o120_000 => EntryKind::Symlink(target),
        0o020_000 => EntryKind::CharDevice(record.device.0, record.device.1),
        0o060_000 => EntryKind::BlockDevice(record.device.0, record.device.1),
        0o010_000 => EntryKind::Fifo,
        _ => EntryKind::File,
    };
    let is_file = kind == EntryKind::File;
    let size = if is_file { record.size.into() } else { 0 };
    let place = if is_file { Place::Range(part, range.clone()) } else { Place::None };
    let mut entry = Entry::new(path, kind, size, place);
    entry.mode = Some(record.mode & 0o7777);
    entry.owner = Some((record.uid, record.gid));
    entry.mtime = Some(record.mtime.into());
    entry.identity = (is_file && record.links > 1).then(|| u64::from(record.inode) | (part as u64) << 32);
    entry
}

impl Container for Archive {
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        self.entries.iter().try_for_each(|entry| visit(entry.clone()))
    }

    fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error> {
        if path.is_empty() {
            return Ok(Some(Entry::new("", EntryKind::Directory, 0, Place::None)));
        }
        Ok(self.index.get(path).map(|idx| self.entries[*idx].clone()))
    }

    fn open(&self, entry: &Entry) -> Result<Source, Error> {
        // The last name of a file with several has its bytes.
        let holder =
            entry.identity.filter(|_| entry.size == 0).and_then(|identity| self.holders.get(&identity));
        let holder = holder.map_or(entry, |number| &self.entries[*number]);
        let Place::Range(part, range) = &holder.place else { return Ok(Arc::new(Vec::new())) };
        Ok(Window::of(&self.parts[*part], range.start, range.end - range.start))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn record(name: &str, inode: u32, mode: u32, content: &[u8]) -> Vec<u8> {
        let fields = [inode, mode, 0, 0, 2, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        let mut bytes = b"070701".to_vec();
        bytes.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
        for part in [&[name.as_bytes(), &[0]].concat()[..], content] {
            bytes.extend_from_slice(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn problem(opened: Result<impl Sized, Error>) -> String {
        opened.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn many_members_have_one_budget() {
        let member = zstd::bulk::compress(&vec![0; 8 << 20], 1).unwrap();
        let limits = Limits { unpacked: 100 << 20, ..Limits::default() };
        let source: Source = Arc::new(member.repeat(12));
        assert_eq!(problem(open("x", &source, limits)), "");
        let source: Source = Arc::new(member.repeat(13));
        assert_eq!(problem(open("x", &source, limits)), "`x` unpacks to more than 104857600 bytes");

        let trailer = record("TRAILER!!!", 0, 0, b"");
        let source: Source = Arc::new(trailer.repeat(MOST_ARCHIVES));
        assert_eq!(problem(open("x", &source, limits)), "");
        let source: Source = Arc::new(trailer.repeat(MOST_ARCHIVES + 1));
        assert_eq!(problem(open("x", &source, limits)), "`x` has more than 4096 archives");
    }

    #[test]
    fn names_and_targets_count_together() {
        let link = record(&"n".repeat(1000), 1, 0o120_777, &[b't'; 50_000]);
        let add = |names_left| {
            let mut archive = Archive { names_left, ..Archive::new() };
            archive.parts.push(Arc::new(link.clone()));
            archive.add("x", 0, Limits::default()).map(|_| archive)
        };
        let archive = add(1000 + MOST_TARGET).unwrap();
        assert_eq!(archive.entries[0].kind, EntryKind::Symlink(vec![b't'; MOST_TARGET]));
        assert_eq!(problem(add(999 + MOST_TARGET)), "`x` has names that are too long together");
    }

    #[test]
    fn empty_names_find_their_holder_at_once() {
        let mut bytes = record("holder", 7, 0o100_644, b"bytes");
        for inode in 7..30_000 {
            bytes.extend(record(&format!("name{inode}"), inode, 0o100_644, b""));
        }
        let opened = open("x", &(Arc::new(bytes) as Source), Limits::default()).unwrap();
        let container = opened.container.unwrap();
        let mut sizes = Vec::new();
        container
            .walk(&mut |entry| {
                sizes.push(container.open(&entry)?.size().unwrap());
                Ok(())
            })
            .unwrap();
        assert_eq!(sizes[..3], [5, 5, 0]);
        assert_eq!(sizes.iter().sum::<u64>(), 10);
    }

    #[test]
    fn holes_between_archives_are_not_read() {
        let file = tempfile::tempfile().unwrap();
        let archive = [record("a", 1, 0o100_644, b"a"), record("TRAILER!!!", 0, 0, b"")].concat();
        file.write_all_at(&archive, 0).unwrap();
        file.write_all_at(&archive, 1 << 40).unwrap();
        let source: Source = Arc::new(file) as Arc<File>;
        let opened = open("x", &source, Limits::default()).unwrap();
        assert_eq!(opened.facts[1].value, Value::Number(2));
    }
}
