//! Writes a merged tree as a cpio archive.

use std::io::{self, Read, Write};

use layer::{EntryPath, Extent, Item, NodeKind, Tree};

use super::{HEADER, MAGIC, RECORD, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, TRAILER};
use crate::glob::Glob;

/// The tree does not fit into an archive, or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The format has 32 bits for sizes.
    #[error("`{path}` is too large for an initramfs: {size} bytes of at most 4294967295")]
    FileTooLarge {
        /// The file.
        path: EntryPath,
        /// Its size.
        size: u64,
    },
    /// The format has 32 bits for times.
    #[error("the epoch {epoch} does not fit into an initramfs")]
    Epoch {
        /// The epoch.
        epoch: u64,
    },
    /// The format has 32 bits for inode numbers.
    #[error("{count} inodes do not fit into an initramfs")]
    TooManyInodes {
        /// How many there are.
        count: usize,
    },
    /// The name would end the archive.
    #[error("an initramfs cannot hold a file named `TRAILER!!!`")]
    Trailer,
    /// A pattern that fits nothing is a mistake.
    #[error("nothing in the layers matches `{pattern}`")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// The contents could not be read.
    #[error("could not read the contents of `{path}`")]
    Content {
        /// The file.
        path: EntryPath,
        /// What reading said.
        source: io::Error,
    },
    /// The sink refused.
    #[error("could not write the archive")]
    Write {
        /// What writing said.
        source: io::Error,
    },
}

/// Which paths of a tree are wanted.
#[derive(Default)]
pub struct Selection {
    include: Vec<(String, Glob)>,
    exclude: Vec<Glob>,
}

impl Selection {
    /// Returns what takes everything that one of `include` covers (or everything, if there is none) and that
    /// none of `exclude` covers.
    ///
    /// `*` and `?` stand for parts of one name and `**` for any number of names; a pattern covers what it
    /// matches and what is below that.
    pub fn new(include: &[String], exclude: &[String]) -> Selection {
        let include = include.iter().map(|pattern| (pattern.clone(), Glob::new(pattern))).collect();
        Selection { include, exclude: exclude.iter().map(|pattern| Glob::new(pattern)).collect() }
    }

    /// Returns the paths that are taken, in order, with the directories above them.
    fn of<'a>(&self, tree: &'a Tree) -> Result<Vec<Item<'a>>, Error> {
        let mut matched = vec![false; self.include.len()];
        let mut items: Vec<Item<'a>> = Vec::with_capacity(tree.path_count());
        // From the end, so that what is taken is known before the directories above it.
        for item in tree.items().rev() {
            let mut is_included = self.include.is_empty();
            for ((_, glob), matched) in self.include.iter().zip(&mut matched) {
                if glob.covers(item.path) {
                    (*matched, is_included) = (true, true);
                }
            }
            is_included &= !self.exclude.iter().any(|glob| glob.covers(item.path));
            if is_included || has_one_below(&items, item.path) {
                items.push(item);
            }
        }
        if let Some(missed) = matched.iter().position(|matched| !matched) {
            return Err(Error::NoMatch { pattern: self.include[missed].0.clone() });
        }
        items.reverse();
        Ok(items)
    }
}

/// Says whether something below `path` is among `items`, whose paths descend.
fn has_one_below(items: &[Item<'_>], path: &EntryPath) -> bool {
    let start = [path.as_bytes(), b"/"].concat();
    let n_after = items.partition_point(|item| item.path.as_bytes() > &start[..]);
    items[..n_after].last().is_some_and(|item| item.path.is_below(path))
}

/// One entry of the archive, as it will be written.
struct Planned<'a> {
    path: &'a EntryPath,
    mode: u32,
    uid: u32,
    gid: u32,
    inode: u32,
    links: u32,
    device: (u32, u32),
    content: Planning<'a>,
}

enum Planning<'a> {
    Empty,
    Bytes(&'a [u8]),
    File(Extent),
}

impl Planned<'_> {
    fn size(&self) -> u64 {
        match self.content {
            Planning::Empty => 0,
            Planning::Bytes(bytes) => bytes.len() as u64,
            Planning::File(extent) => extent.size,
        }
    }

    fn header(&self, epoch: u32) -> [u8; HEADER] {
        let size = u32::try_from(self.size()).expect("sizes were checked when the entry was planned");
        let length = u32::try_from(self.path.as_bytes().len() + 1).expect("paths are short");
        let (major, minor) = self.device;
        header(&[
            self.inode, self.mode, self.uid, self.gid, self.links, epoch, size, 0, 0, major, minor, length, 0,
        ])
    }
}

/// Returns a header with these fields: ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor,
/// rdevmajor, rdevminor, namesize, check.
fn header(fields: &[u32; 13]) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..6].copy_from_slice(MAGIC);
    for (field, place) in fields.iter().zip(bytes[6..].chunks_exact_mut(8)) {
        for (digit, byte) in place.iter_mut().enumerate() {
            *byte = b"0123456789abcdef"[(field >> (28 - 4 * digit)) as usize & 15];
        }
    }
    bytes
}

/// An archive whose every byte is decided, apart from the contents that are still in the layers.
pub struct Archive<'a> {
    tree: &'a Tree,
    epoch: u32,
    entries: Vec<Planned<'a>>,
    trailer: [u8; HEADER],
    size: u64,
}

impl<'a> Archive<'a> {
    /// Plans the archive of what `selection` takes of `tree`; `epoch` becomes the time of everything.
    ///
    /// Inode numbers count up in the order of paths. The contents of a file with several names come with the
    /// last of them, as readers of this format expect.
    pub fn plan(tree: &'a Tree, selection: &Selection, epoch: u64) -> Result<Archive<'a>, Error> {
        let epoch = u32::try_from(epoch).map_err(|_| Error::Epoch { epoch })?;
        let items = selection.of(tree)?;
        let n_nodes = tree.node_count();
        let too_many = |_| Error::TooManyInodes { count: n_nodes };
        // Names that are not taken do not count, and must not leave others without contents.
        let mut links = vec![0_u32; n_nodes];
        for item in &items {
            links[item.id.index()] += 1;
        }
        let mut inodes = vec![0_u32; n_nodes];
        let mut links_left = links.clone();
        let mut n_inodes = 0_usize;
        let mut entries = Vec::with_capacity(items.len());
        let mut size = 0;
        for item in items {
            let idx = item.id.index();
            if inodes[idx] == 0 {
                n_inodes += 1;
                inodes[idx] = u32::try_from(n_inodes).map_err(too_many)?;
            }
            links_left[idx] -= 1;
            let entry = plan(item, inodes[idx], links[idx], links_left[idx] == 0)?;
            size += padded(HEADER as u64 + item.path.as_bytes().len() as u64 + 1) + padded(entry.size());
            entries.push(entry);
        }
        let trailer = header(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, TRAILER.len() as u32 + 1, 0]);
        size = (size + HEADER as u64 + TRAILER.len() as u64 + 1).next_multiple_of(RECORD);
        Ok(Archive { tree, epoch, entries, trailer, size })
    }

    /// Returns the size of the archive.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Writes the archive, which ends at a multiple of 512 bytes so that another can follow.
    pub fn write(&self, sink: &mut dyn Write) -> Result<(), Error> {
        let mut sink = Counted { sink, written: 0 };
        let mut buffer = vec![0; 256 * 1024];
        for entry in &self.entries {
            sink.write(&entry.header(self.epoch))?;
            sink.write(entry.path.as_bytes())?;
            sink.write(&[0])?;
            sink.pad(4)?;
            match entry.content {
                Planning::Empty => {}
                Planning::Bytes(bytes) => sink.write(bytes)?,
                Planning::File(extent) => {
                    let mut reader = self.tree.open_content(extent);
                    loop {
                        let n = reader
                            .read(&mut buffer)
                            .map_err(|source| Error::Content { path: entry.path.clone(), source })?;
                        if n == 0 {
                            break;
                        }
                        sink.write(&buffer[..n])?;
                    }
                }
            }
            sink.pad(4)?;
        }
        sink.write(&self.trailer)?;
        sink.write(TRAILER)?;
        sink.write(&[0])?;
        sink.pad(RECORD)?;
        debug_assert_eq!(sink.written, self.size, "the plan and the archive agree");
        Ok(())
    }
}

fn plan(item: Item<'_>, inode: u32, links: u32, is_last_link: bool) -> Result<Planned<'_>, Error> {
    if item.path.as_bytes() == TRAILER {
        return Err(Error::Trailer);
    }
    let mut device = (0, 0);
    let (kind, content) = match &item.node.kind {
        NodeKind::Directory => (S_IFDIR, Planning::Empty),
        NodeKind::File(extent) => {
            if u32::try_from(extent.size).is_err() {
                return Err(Error::FileTooLarge { path: item.path.clone(), size: extent.size });
            }
            (S_IFREG, if is_last_link { Planning::File(*extent) } else { Planning::Empty })
        }
        NodeKind::Symlink { target } => (S_IFLNK, Planning::Bytes(target)),
        NodeKind::CharDevice { major, minor } => {
            device = (*major, *minor);
            (S_IFCHR, Planning::Empty)
        }
        NodeKind::BlockDevice { major, minor } => {
            device = (*major, *minor);
            (S_IFBLK, Planning::Empty)
        }
        NodeKind::Fifo => (S_IFIFO, Planning::Empty),
    };
    // A directory has its own name and `.`; readers only look whether there is more than one.
    let links = if kind == S_IFDIR { 2 } else { links };
    let metadata = &item.node.metadata;
    Ok(Planned {
        path: item.path,
        mode: kind | metadata.mode,
        uid: metadata.uid,
        gid: metadata.gid,
        inode,
        links,
        device,
        content,
    })
}

fn padded(size: u64) -> u64 {
    size.next_multiple_of(4)
}

struct Counted<'a> {
    sink: &'a mut dyn Write,
    written: u64,
}

impl Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.sink.write_all(bytes).map_err(|source| Error::Write { source })?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, to: u64) -> Result<(), Error> {
        let missing = self.written.next_multiple_of(to) - self.written;
        self.write(&[0; RECORD as usize][..missing as usize])
    }
}
