//! Collects entries in any order and writes them as a canonical layer.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::entry::{Entry, Kind, Metadata};
use crate::path::EntryPath;
use crate::read_at::ReadAt;
use crate::writer::{WriteError, Writer};

/// Where the contents of a declared file come from.
#[derive(Clone)]
pub enum Content {
    /// Memory.
    Bytes(Vec<u8>),
    /// A file that is opened when the layer is written.
    Path {
        /// The file.
        path: PathBuf,
        /// Its size, which must still be the same then.
        size: u64,
    },
    /// A part of something, such as of a file into which an archive was unpacked.
    Part {
        /// The whole.
        source: Arc<dyn ReadAt>,
        /// Where the contents begin.
        offset: u64,
        /// Their size.
        size: u64,
    },
}

/// What a layer is to have at a path.
#[derive(Debug, Clone)]
pub enum Declaration {
    /// A directory.
    Directory,
    /// A file with these contents.
    File(Content),
    /// A symbolic link to this target.
    Symlink(Vec<u8>),
    /// Another name of a file or of a hard link that is declared, too, before or after. The metadata that come
    /// with it are ignored in favour of the file's.
    HardLink(EntryPath),
    /// A character device with major and minor number.
    CharDevice(u32, u32),
    /// A block device with major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// The path of lower layers is removed.
    Whiteout,
}

/// The declarations do not make a layer.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Declared before.
    #[error("`{path}` is declared twice")]
    Duplicate {
        /// The path.
        path: EntryPath,
    },
    /// The target of a hard link is not declared as a file, or the links go round in a circle.
    #[error("the hard link `{path}` points to `{target}`, which is not a file of this layer")]
    LinkTarget {
        /// The link.
        path: EntryPath,
        /// Its target.
        target: EntryPath,
    },
    /// The declared file could not be opened.
    #[error("could not open `{file}`, which is to become `{path}`")]
    Open {
        /// The file.
        file: PathBuf,
        /// Its path in the layer.
        path: EntryPath,
        /// What opening said.
        source: io::Error,
    },
    /// The layer could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The declarations of a layer that is not written yet.
#[derive(Debug, Default, Clone)]
pub struct Builder {
    /// What is at a path, apart from what is removed there: OCI allows both at once.
    declared: BTreeMap<EntryPath, (Metadata, Declaration)>,
    removed: BTreeMap<EntryPath, Kind>,
}

impl Builder {
    /// Declares what is at `path`; a second declaration for a path is an error.
    pub fn declare(
        &mut self,
        path: EntryPath,
        metadata: Metadata,
        declaration: Declaration,
    ) -> Result<(), BuildError> {
        if matches!(declaration, Declaration::Whiteout) {
            return match self.removed.insert(path.clone(), Kind::Whiteout) {
                None => Ok(()),
                Some(_) => Err(BuildError::Duplicate { path }),
            };
        }
        match self.declared.entry(path) {
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert((metadata, declaration));
                Ok(())
            }
            std::collections::btree_map::Entry::Occupied(occupied) => {
                Err(BuildError::Duplicate { path: occupied.key().clone() })
            }
        }
    }

    /// Declares that what lower layers have below the directory `path` is removed.
    pub fn declare_opaque(&mut self, path: EntryPath) {
        self.removed.insert(path, Kind::OpaqueDirectory);
    }

    /// Returns what is declared at `path`, unless it is a whiteout.
    pub fn get(&self, path: &EntryPath) -> Option<(&Metadata, &Declaration)> {
        self.declared.get(path).map(|(metadata, declaration)| (metadata, declaration))
    }

    /// Takes back what is declared at `path` and returns it, unless it is a whiteout.
    pub fn withdraw(&mut self, path: &EntryPath) -> Option<(Metadata, Declaration)> {
        self.declared.remove(path)
    }

    /// Returns the declared paths in order, without whiteouts.
    pub fn paths(&self) -> impl Iterator<Item = &EntryPath> {
        self.declared.keys()
    }

    /// Declares every directory above a declared path that is not declared itself, with this metadata.
    ///
    /// Without it, directories that lower layers have keep their metadata.
    pub fn declare_parents(&mut self, metadata: &Metadata) {
        let missing: Vec<EntryPath> = self
            .declared
            .keys()
            .flat_map(|path| path.ancestors())
            .filter(|ancestor| !self.declared.contains_key(*ancestor))
            .map(|ancestor| EntryPath::new(ancestor).expect("what is above a path is a path"))
            .collect();
        for path in missing {
            self.declared.entry(path).or_insert_with(|| (metadata.clone(), Declaration::Directory));
        }
    }

    /// Writes the layer to `sink` and returns the sink.
    pub fn write<W: Write>(&self, sink: W) -> Result<W, BuildError> {
        let files = self.files_of_links()?;
        let mut firsts: BTreeMap<&EntryPath, &EntryPath> = BTreeMap::new();
        for (&link, &file) in &files {
            // The paths ascend, so the first link that is found is the first link in order.
            firsts.entry(file).or_insert_with(|| link.min(file));
        }
        let nothing = Metadata::default();
        let mut places: BTreeMap<EntryPath, Place<'_>> = BTreeMap::new();
        for (path, kind) in &self.removed {
            let place = Place { path, metadata: &nothing, kind: kind.clone(), content: None };
            places.insert(stored(&place.entry())?, place);
        }
        for (path, own) in &self.declared {
            let file = files.get(path).copied().unwrap_or(path);
            let (metadata, declaration) = self.declared.get(file).unwrap_or(own);
            // The inode's first name in order is the file, the others are links to it.
            let first = firsts.get(file).copied().unwrap_or(file);
            let kind = match declaration {
                Declaration::File(_) if first != path => Kind::HardLink { target: first.clone() },
                Declaration::File(content) => Kind::File { size: content.size() },
                Declaration::Directory => Kind::Directory,
                Declaration::Symlink(target) => Kind::Symlink { target: target.clone() },
                Declaration::CharDevice(major, minor) => Kind::CharDevice { major: *major, minor: *minor },
                Declaration::BlockDevice(major, minor) => Kind::BlockDevice { major: *major, minor: *minor },
                Declaration::Fifo => Kind::Fifo,
                Declaration::HardLink(_) | Declaration::Whiteout => {
                    unreachable!("links are resolved, and whiteouts are kept apart")
                }
            };
            let content = match declaration {
                Declaration::File(content) if first == path => Some(content),
                _ => None,
            };
            places.insert(path.clone(), Place { path, metadata, kind, content });
        }
        let mut writer = Writer::new(sink);
        for place in places.values() {
            let entry = place.entry();
            match place.content {
                None => writer.append(&entry)?,
                Some(content) => {
                    let reader = content.open().map_err(|(file, source)| BuildError::Open {
                        file,
                        path: entry.path.clone(),
                        source,
                    })?;
                    writer.append_file(&entry, reader)?;
                }
            }
        }
        Ok(writer.finish()?)
    }

    /// Returns the file that each hard link means.
    fn files_of_links(&self) -> Result<BTreeMap<&EntryPath, &EntryPath>, BuildError> {
        let mut files: BTreeMap<&EntryPath, &EntryPath> = BTreeMap::new();
        for (link, (_, declaration)) in &self.declared {
            let mut chain = Vec::new();
            let (mut path, mut declaration) = (link, declaration);
            while let Declaration::HardLink(target) = declaration {
                chain.push(path);
                // Each link is followed once, however many links lead to it.
                if let Some(file) = files.get(path) {
                    path = file;
                    break;
                }
                let wrong = || BuildError::LinkTarget { path: link.clone(), target: target.clone() };
                // A chain has fewer links than there are declarations, unless it is a circle.
                let next = self.declared.get_key_value(target).filter(|_| chain.len() < self.declared.len());
                let (next, (_, what)) = next.ok_or_else(wrong)?;
                if !matches!(what, Declaration::HardLink(_) | Declaration::File(_)) {
                    return Err(wrong());
                }
                (path, declaration) = (next, what);
            }
            files.extend(chain.into_iter().map(|link| (link, path)));
        }
        Ok(files)
    }
}

/// What is written at a path.
struct Place<'a> {
    path: &'a EntryPath,
    /// Those of the file, for a hard link: any number of links may share what is large.
    metadata: &'a Metadata,
    kind: Kind,
    content: Option<&'a Content>,
}

impl Place<'_> {
    fn entry(&self) -> Entry {
        Entry { path: self.path.clone(), metadata: self.metadata.clone(), kind: self.kind.clone() }
    }
}

fn stored(entry: &Entry) -> Result<EntryPath, BuildError> {
    entry.stored_path().map_err(|error| BuildError::Write(WriteError::Sequence(error.into())))
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Content::Path { path, size } => write!(f, "{size} bytes of {path:?}"),
            Content::Part { offset, size, .. } => write!(f, "{size} bytes at {offset}"),
        }
    }
}

impl Content {
    /// Returns the size of the contents.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Path { size, .. } | Content::Part { size, .. } => *size,
        }
    }

    fn open(&self) -> Result<Box<dyn Read + '_>, (PathBuf, io::Error)> {
        match self {
            Content::Bytes(bytes) => Ok(Box::new(&bytes[..])),
            Content::Path { path, .. } => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(error) => Err((path.clone(), error)),
            },
            Content::Part { source, offset, size } => {
                Ok(Box::new(Part { source: source.as_ref(), offset: *offset, left: *size }))
            }
        }
    }
}

/// Reads a part of something from its beginning to its end.
pub(crate) struct Part<'a> {
    pub(crate) source: &'a dyn ReadAt,
    pub(crate) offset: u64,
    pub(crate) left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.source.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}
