//! cpio archives: one or several, each compressed or not, as kernels take them for an initramfs.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use layer::ReadAt as _;
use mkimg::Lz4Decoder;
use mkimg::cpio::{ReadError, Reader, Record};

use super::{Container, Opened, damaged};
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::facts::{Fact, Value};
use crate::format::{CPIO, Compression, Format};
use crate::source::{Limits, Source, Stream, Window, some, spool};

/// Unpacks what `input` begins with; what is behind it is left.
pub(crate) fn decoder<'a>(
    compression: Compression,
    input: impl BufRead + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        Compression::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(input)),
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
        Compression::Xz => Box::new(liblzma::bufread::XzDecoder::new(input)),
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

struct Archive {
    parts: Vec<Source>,
    entries: Vec<Entry>,
    /// By path, the last entry of it: that is what a kernel leaves.
    index: BTreeMap<Vec<u8>, usize>,
}

/// Reads the names of all archives.
pub(super) fn open(name: &str, source: &Source, limits: Limits) -> Result<Opened, Error> {
    let io = |source| Error::Io { what: name.to_owned(), source };
    let size = source.size().map_err(io)?;
    let mut archive = Archive { parts: Vec::new(), entries: Vec::new(), index: BTreeMap::new() };
    let mut described = Vec::new();
    let mut at = 0;
    while at < size {
        let start = some(&**source, at, 6).map_err(io)?;
        if start.first() == Some(&0) {
            at += zeros(source, at).map_err(io)?;
            continue;
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
            let unpacked = spool(name, &mut *member(compression, &mut input).map_err(io)?, limits)?;
            at = input.get_ref().position - input.buffer().len() as u64;
            let n = archive.entries.len();
            archive.parts.push(unpacked);
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

/// Returns how many zeros there are from `at` on.
fn zeros(source: &Source, at: u64) -> io::Result<u64> {
    let mut n = 0;
    loop {
        let bytes = some(&**source, at + n, 64 << 10)?;
        match bytes.iter().position(|byte| *byte != 0) {
            Some(found) => return Ok(n + found as u64),
            None if bytes.is_empty() => return Ok(n),
            None => n += bytes.len() as u64,
        }
    }
}

impl Archive {
    /// Adds what is in the archive at `at` of the last part, and returns where that ends.
    fn add(&mut self, name: &str, at: u64, limits: Limits) -> Result<u64, Error> {
        let wrong = |error: ReadError| damaged(name, Format::Cpio, error);
        let part = self.parts.len() - 1;
        let source = Arc::clone(&self.parts[part]);
        let mut reader = Reader::new(BufReader::with_capacity(64 << 10, Stream::new(&source, at)));
        loop {
            let mut target = Vec::new();
            let record = reader.next_record(&mut |record, bytes| {
                if record.is_symlink() && target.len() <= 4096 {
                    target.extend_from_slice(bytes);
                }
            });
            let Some(record) = record.map_err(wrong)? else { return Ok(at + reader.position()) };
            if record.name == b"TRAILER!!!" {
                return Ok(at + reader.position());
            }
            let start = at + reader.contents();
            let range = start..start + u64::from(record.size);
            let entry = entry(&record, part, range, target);
            self.index.insert(entry.path.clone(), self.entries.len());
            self.entries.push(entry);
            if self.entries.len() as u64 > limits.entries {
                let problem = format!("has more than {} entries", limits.entries);
                return Err(Error::Limit { what: name.to_owned(), problem });
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
        let same = |other: &&Entry| other.identity == entry.identity && other.size > 0;
        let holder = match entry.identity {
            Some(_) if entry.size == 0 => self.entries.iter().find(same).unwrap_or(entry),
            _ => entry,
        };
        let Place::Range(part, range) = &holder.place else { return Ok(Arc::new(Vec::new())) };
        Ok(Window::of(&self.parts[*part], range.start, range.end - range.start))
    }
}
