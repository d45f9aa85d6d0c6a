//! Blocks that earlier runs compressed, which need not be compressed again.
//!
//! A step may find a directory [`DIRECTORY`]: in it is a list of the digests of its inputs, and for each of its last runs
//! a table and the image that this is of. The image itself is where the blocks are: a table says what each was made of
//! and where in the image it lies, so that nothing is kept twice. At its end the step leaves the table of its new image.
//!
//! All of it only saves time. A block goes by the digest of what was compressed, of how, and of the program that did it,
//! so what is taken over is what compressing would give. What is taken has a checksum, and what is not right in any way,
//! be it cut off, damaged or another's, is as if it were not there.
//!
//! Inputs are named by their digests already. So a part of an input that was compressed before need not be read: it is
//! known by the digest of the whole, and by where it lies in that.

mod save;
mod table;

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use save::New;
use table::Table;

/// Where a step finds all that, in its working directory.
const DIRECTORY: &str = "earlier";
/// What the paths in the list of inputs begin with that the step knows without it.
const WORKING_DIRECTORY: &str = "build/";
/// What has a part in how everything is compressed: this program.
const PROGRAM: &str = "build/tools/mkimg";
/// More than this is no block of anything.
const MOST: u32 = 64 << 20;

/// What names contents, or a part of an input, and what is done to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key([u8; Key::LEN]);

impl Key {
    /// Half a SHA-256 and more: nobody can make two that are the same.
    const LEN: usize = 20;

    fn of(hash: Sha256) -> Key {
        let mut key = [0; Key::LEN];
        key.copy_from_slice(&hash.finalize()[..Key::LEN]);
        Key(key)
    }

    /// Returns the key that says `value`, where a value is all that is to be remembered of something.
    pub(crate) fn from_value(value: &[u8]) -> Key {
        let mut key = [0; Key::LEN];
        let length = value.len().min(Key::LEN);
        key[..length].copy_from_slice(&value[..length]);
        Key(key)
    }
}

impl Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An input of which the digest is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source([u8; 32]);

/// A place in an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The input.
    pub(crate) source: Source,
    /// The offset in it.
    pub(crate) offset: u64,
}

/// Where bytes are in the image of an earlier run.
pub(crate) struct Origin {
    pub(crate) image: Arc<File>,
    pub(crate) offset: u64,
    /// Of the bytes; see [`checksum`].
    checksum: u64,
}

/// A block that an earlier run stored.
pub(crate) struct Found {
    /// What its writer said of it.
    pub(crate) kind: u8,
    /// What is stored of it.
    pub(crate) bytes: Vec<u8>,
    /// Where that is.
    pub(crate) origin: Origin,
    /// What else its writer wanted to be remembered.
    pub(crate) note: Vec<u8>,
}

/// What is known from earlier runs, and what the next ones are told.
#[derive(Clone)]
pub(crate) struct Earlier(Arc<Inner>);

struct Inner {
    /// The step's working directory.
    base: PathBuf,
    program: Source,
    sources: BTreeMap<String, Source>,
    /// The last one first.
    runs: Vec<Run>,
    new: Mutex<New>,
}

/// An earlier run.
struct Run {
    table: Table,
    image: Arc<File>,
}

impl Earlier {
    /// Returns what the step in `directory` is given of earlier runs, if it is given anything.
    pub(crate) fn open(base: &Path) -> Option<Earlier> {
        let directory = base.join(DIRECTORY);
        let sources = read_sources(&fs::read_to_string(directory.join("inputs")).ok()?);
        // Nobody else's blocks are to be taken for ours, so who we are must be known.
        let program = *sources.get(PROGRAM)?;
        let run = |number: usize| {
            let directory = directory.join(number.to_string());
            let table = Table::decode(fs::read(directory.join("table")).ok()?)?;
            Some(Run { table, image: Arc::new(File::open(directory.join("image")).ok()?) })
        };
        let is_there = |number: &usize| directory.join(number.to_string()).exists();
        let runs = (0..).take_while(is_there).filter_map(run).collect();
        let base = base.to_path_buf();
        Some(Earlier(Arc::new(Inner { base, program, sources, runs, new: Mutex::default() })))
    }

    /// Returns the input that is the file at `path`.
    pub(crate) fn source(&self, path: &str) -> Option<Source> {
        let path = Path::new(path).strip_prefix(&self.0.base).ok()?;
        self.0.sources.get(&format!("{WORKING_DIRECTORY}{}", path.display())).copied()
    }

    /// Returns what goes for `what` that is done with `settings`.
    pub(crate) fn scope(&self, what: &str, settings: &dyn Debug) -> Scope {
        let mut hash = Sha256::new();
        hash.update(self.0.program.0);
        hash.update(format!("{what}\n{settings:?}\n"));
        Scope { earlier: self.clone(), hash }
    }

    /// Leaves what the next runs are to know: of the image at `output` in the output directory.
    pub(crate) fn save(&self, output: &str) {
        let new = std::mem::take(&mut *self.0.new.lock().unwrap_or_else(PoisonError::into_inner));
        // Whoever cannot write it cannot save time, which is no reason to fail.
        let _slower = save::save(&self.0.base.join(DIRECTORY).join("new"), output, new);
    }
}

/// Reads lines of a SHA-256, a size and a path.
fn read_sources(text: &str) -> BTreeMap<String, Source> {
    let source = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (hash, _size, path) = (words.next()?, words.next()?, words.next()?);
        let mut source = [0; 32];
        if hash.len() != 64 || !hash.is_ascii() {
            return None;
        }
        for (idx, byte) in source.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hash[2 * idx..2 * idx + 2], 16).ok()?;
        }
        Some((path.to_owned(), Source(source)))
    };
    text.lines().filter_map(source).collect()
}

/// What is done in one way with one kind of thing.
#[derive(Clone)]
pub(crate) struct Scope {
    earlier: Earlier,
    hash: Sha256,
}

impl Scope {
    /// Returns the key of contents.
    pub(crate) fn contents(&self, bytes: &[u8]) -> Key {
        let mut hash = self.hash.clone();
        hash.update(b"contents\n");
        hash.update(bytes);
        Key::of(hash)
    }

    /// Returns the key of parts of inputs, each with its length, one behind the other.
    pub(crate) fn range(&self, parts: impl Iterator<Item = (Place, u64)>) -> Key {
        let mut hash = self.hash.clone();
        hash.update(b"range\n");
        for (place, length) in parts {
            hash.update(place.source.0);
            hash.update(place.offset.to_le_bytes());
            hash.update(length.to_le_bytes());
        }
        Key::of(hash)
    }

    /// Returns the key of the contents that a range has, or the value that was noted for it.
    pub(crate) fn of_range(&self, range: &Key) -> Option<Key> {
        self.earlier.0.runs.iter().find_map(|run| run.table.range(range))
    }

    /// Returns what an earlier run stored for these contents.
    pub(crate) fn recall(&self, contents: &Key) -> Option<Found> {
        self.earlier.0.runs.iter().find_map(|run| run.recall(contents))
    }

    /// Notes what contents a range has.
    pub(crate) fn note_range(&self, range: Key, contents: Key) {
        self.change(|new| new.ranges.push((range, contents)));
    }

    /// Notes what is stored for contents: `bytes` at `offset` of the new image, and a note.
    pub(crate) fn note(&self, contents: Key, kind: u8, (offset, bytes): (u64, &[u8]), note: &[u8]) {
        self.note_found(contents, kind, (offset, bytes), None, note);
    }

    /// As [`Scope::note`], of bytes that were in an earlier image, too, if it is known where.
    pub(crate) fn note_found(
        &self,
        contents: Key,
        kind: u8,
        (offset, bytes): (u64, &[u8]),
        origin: Option<&Origin>,
        note: &[u8],
    ) {
        let Ok(length) = u32::try_from(bytes.len()) else { return };
        let checksum = origin.map_or_else(|| checksum(bytes), |origin| origin.checksum);
        self.change(|new| new.note(contents, table::Entry { kind, offset, length, checksum }, note));
    }

    fn change(&self, change: impl FnOnce(&mut New)) {
        change(&mut self.earlier.0.new.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Run {
    fn recall(&self, contents: &Key) -> Option<Found> {
        let (entry, note) = self.table.entry(contents)?;
        if entry.length > MOST {
            return None;
        }
        let mut bytes = vec![0; entry.length as usize];
        self.image.read_exact_at(&mut bytes, entry.offset).ok()?;
        let origin =
            Origin { image: Arc::clone(&self.image), offset: entry.offset, checksum: entry.checksum };
        let found = Found { kind: entry.kind, bytes, origin, note: note.to_vec() };
        (checksum(&found.bytes) == entry.checksum).then_some(found)
    }
}

/// Returns two checksums of different polynomials as one: what is damaged has the same one time in 2^64.
fn checksum(bytes: &[u8]) -> u64 {
    u64::from(crc32c::crc32c(bytes)) << 32 | u64::from(crc32fast::hash(bytes))
}

#[cfg(test)]
mod tests;
