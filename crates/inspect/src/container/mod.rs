//! What has others in it, one file for each format.

pub(crate) mod cpio;
pub(crate) mod disk;
pub(crate) mod elf;
mod erofs;
mod ext4;
mod fat;
pub(crate) mod host;
mod igvm;
mod iso;
mod kernel;
mod parts;
mod pe;
mod squashfs;
mod tar;

use std::sync::Arc;

use mkimg::verity;

use crate::entry::{Entry, shown};
use crate::error::{Cause, Error};
use crate::facts::{Fact, Region, Value, hex, uuid};
use crate::format::Format;
use crate::source::{Limits, Source, some, whole};

/// Something that has entries.
pub trait Container: Send + Sync {
    /// Calls `visit` for everything in it, directories before what is in them. Partitions and sections come in their
    /// order, and names of file systems and archives in theirs. The root, if there is one, comes first.
    ///
    /// # Errors
    ///
    /// What the reader of the format finds wrong, and what `visit` fails with.
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error>;

    /// Returns what is at a path, if there is something. Symbolic links are not followed.
    ///
    /// # Errors
    ///
    /// What the reader of the format finds wrong.
    fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error>;

    /// Returns the bytes of an entry of this container, which has some.
    ///
    /// # Errors
    ///
    /// What the reader of the format finds wrong.
    fn open(&self, entry: &Entry) -> Result<Source, Error>;

    /// Returns up to `length` bytes from the beginning of an entry that has some: fewer if it is shorter.
    ///
    /// Who has to unpack files from their beginning does not go on after that.
    ///
    /// # Errors
    ///
    /// What the reader of the format finds wrong.
    fn start(&self, entry: &Entry, length: usize) -> Result<Vec<u8>, Error> {
        let what = || shown(&entry.path);
        some(&*self.open(entry)?, 0, length).map_err(|source| Error::Io { what: what(), source })
    }

    /// Returns what of a file is stored, if that is compressed: whoever stores the same has the same contents.
    fn stored(&self, _entry: &Entry) -> Option<Stored> {
        None
    }
}

/// What of a file is stored.
pub struct Stored {
    /// What unpacks it, and how it is divided: the same bytes mean the same only under the same settings.
    pub(crate) settings: Vec<u8>,
    /// Whose bytes these are.
    pub(crate) of: Source,
    /// Where its own blocks are.
    pub(crate) range: std::ops::Range<u64>,
    /// Its end, if that is not in these, but in a block with those of others.
    pub(crate) end: Option<SharedEnd>,
}

/// The end of a file in a block that it shares.
pub(crate) struct SharedEnd {
    /// Where the block is.
    pub(crate) block: std::ops::Range<u64>,
    /// Whether the block is compressed.
    pub(crate) is_packed: bool,
    /// Where in the block the end begins.
    pub(crate) offset: u32,
    /// How long it is.
    pub(crate) length: u64,
}

/// What was found in bytes.
pub(crate) struct Opened {
    pub(crate) format: Format,
    pub(crate) facts: Vec<Fact>,
    pub(crate) regions: Vec<Region>,
    pub(crate) container: Option<Arc<dyn Container>>,
    pub(crate) text: Option<String>,
}

impl Opened {
    /// Returns something that has nothing in it.
    fn leaf(format: Format) -> Opened {
        Opened { format, facts: Vec::new(), regions: Vec::new(), container: None, text: None }
    }

    fn with(format: Format, container: impl Container + 'static) -> Opened {
        Opened { container: Some(Arc::new(container)), ..Opened::leaf(format) }
    }
}

/// The largest file that is read whole: programs for firmware, kernels, device trees.
const MOST_WHOLE: u64 = 1 << 30;

/// Opens bytes of a format that wraps no other.
pub(crate) fn open(name: &str, format: Format, source: &Source, limits: Limits) -> Result<Opened, Error> {
    match format {
        Format::Disk => disk::open(name, source),
        Format::Ext4 => ext4::open(name, source, limits),
        Format::Squashfs => squashfs::open(name, source, limits),
        Format::Erofs => erofs::open(name, source, limits),
        Format::Fat => fat::open(name, source, limits),
        Format::Iso => iso::open(name, source, limits),
        Format::Cpio | Format::Compressed(_) => cpio::open(name, source, limits),
        Format::Tar => tar::open(name, source, limits),
        Format::Pe => pe::open(name, source),
        Format::BzImage | Format::Arm64Image | Format::RiscvImage => {
            kernel::open(name, format, source, limits)
        }
        Format::Elf => elf::open(name, source),
        Format::Igvm => igvm::open(name, source),
        Format::DeviceTree => device_tree(name, source),
        Format::Verity => verity_tree(name, source),
        _ => Ok(Opened::leaf(format)),
    }
}

/// Returns the error of a reader.
fn damaged(name: &str, format: Format, source: impl Into<Cause>) -> Error {
    Error::Read { what: name.to_owned(), format: format.name(), source: source.into() }
}

/// Returns the error for more entries than a container may have.
fn too_many(name: &str, limits: Limits) -> Error {
    let problem = format!("has more than {} entries", limits.entries);
    Error::Limit { what: name.to_owned(), problem }
}

/// How many bytes the paths and the attributes of all entries may have: a small image can say that all its files have the same,
/// and who lists them keeps them.
const MOST_SAID: usize = 2 << 30;

/// Has a reader walk, whose errors are of its own kind: what `visit` fails with ends the walk by `stop`, and is what
/// this fails with. More entries than `limits` allow, and more than [`MOST_SAID`] of them, are such a failure.
fn walked<E: Into<Cause>>(
    (name, format, limits): (&str, Format, Limits),
    stop: impl Fn() -> E,
    visit: &mut dyn FnMut(Entry) -> Result<(), Error>,
    walk: impl FnOnce(&mut dyn FnMut(Entry) -> Result<(), E>) -> Result<(), E>,
) -> Result<(), Error> {
    let mut failed = None;
    let mut n_entries = 0;
    let mut said = 0;
    let walked = walk(&mut |entry| {
        n_entries += 1;
        let attributes = entry.xattrs.iter().map(|(key, value)| key.len() + value.len());
        said += entry.path.len() + attributes.sum::<usize>();
        let visited = if n_entries > limits.entries {
            Err(too_many(name, limits))
        } else if said > MOST_SAID {
            let problem = format!("has paths and attributes of more than {MOST_SAID} bytes");
            Err(Error::Limit { what: name.to_owned(), problem })
        } else {
            visit(entry)
        };
        visited.map_err(|error| {
            failed = Some(error);
            stop()
        })
    });
    match failed {
        Some(error) => Err(error),
        None => walked.map_err(|error| damaged(name, format, error)),
    }
}

fn device_tree(name: &str, source: &Source) -> Result<Opened, Error> {
    let bytes = whole(name, source, 64 << 20)?;
    let tree = fdt::Tree::parse(&bytes).map_err(|error| damaged(name, Format::DeviceTree, error))?;
    let text = |property: &str| {
        let value = tree.root.property(property)?;
        let words = value.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        Some(words.map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>())
    };
    let mut facts = Vec::new();
    if let Some(model) = text("model") {
        facts.push(Fact::new("model", model.join(", ")));
    }
    if let Some(compatible) = text("compatible") {
        facts.push(Fact::new("compatible", Value::List(compatible)));
    }
    Ok(Opened { facts, text: Some(tree.to_dts()), ..Opened::leaf(Format::DeviceTree) })
}

fn verity_tree(name: &str, source: &Source) -> Result<Opened, Error> {
    let mut start = [0; verity::SUPERBLOCK];
    let io = |source| Error::Io { what: name.to_owned(), source };
    source.read_exact_at(&mut start, 0).map_err(io)?;
    let superblock =
        verity::Superblock::parse(&start).map_err(|error| damaged(name, Format::Verity, error))?;
    let facts = vec![
        Fact::new("uuid", uuid(&superblock.uuid)),
        Fact::new("hash", superblock.hash.name()),
        Fact::new("data blocks", Value::Number(superblock.data_blocks)),
        Fact::new("data block size", Value::Size(superblock.data_block_size.into())),
        Fact::new("hash block size", Value::Size(superblock.hash_block_size.into())),
        Fact::new("salt", hex(&superblock.salt)),
    ];
    Ok(Opened { facts, ..Opened::leaf(Format::Verity) })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::entry::{EntryKind, Place};

    #[test]
    fn what_entries_say_is_bounded_together() {
        let mut entry = Entry::new("file", EntryKind::File, 0, Place::None);
        entry.xattrs.insert(b"user.large".to_vec(), vec![7; 1 << 20]);
        let mut n_visited = 0;
        let mut visit = |_: Entry| {
            n_visited += 1;
            Ok(())
        };
        let stop = || io::Error::other("stopped");
        let error = walked(("image", Format::Ext4, Limits::default()), stop, &mut visit, |visit| {
            (0..10_000).try_for_each(|_| visit(entry.clone()))
        });
        assert_eq!(
            error.unwrap_err().to_string(),
            "`image` has paths and attributes of more than 2147483648 bytes"
        );
        // A megabyte each, and a few bytes.
        assert_eq!(n_visited, 2047);
    }
}
