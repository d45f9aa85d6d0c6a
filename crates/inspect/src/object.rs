//! Things of which it is known what they are.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use layer::ReadAt as _;
use mkimg::vdisk;

use crate::container::{self, Container};
use crate::entry::{Entry, EntryKind, shown};
use crate::error::Error;
use crate::facts::{Fact, Region};
use crate::format::{Format, recognize};
use crate::source::{Limits, Source, Stream, spool};

/// What is known of an object, or of what it is wrapped in.
#[derive(Debug, Clone)]
pub struct Described {
    /// What it is.
    pub format: Format,
    /// How many bytes it has.
    pub size: u64,
    /// What its headers say.
    pub facts: Vec<Fact>,
    /// Where what lies, in order: of the bytes, or for an IGVM file of the guest's memory.
    pub regions: Vec<Region>,
}

impl Described {
    /// Returns how many bytes the regions are of: those of the object itself, or of the memory up to the last of them.
    pub fn mapped(&self) -> u64 {
        match self.format {
            Format::Igvm => self.regions.iter().map(|region| region.range.end).max().unwrap_or(0),
            _ => self.size,
        }
    }
}

/// Something of which it is known what it is.
pub struct Object {
    name: String,
    source: Option<Source>,
    wrappers: Vec<Described>,
    described: Described,
    container: Option<Arc<dyn Container>>,
    text: Option<String>,
    depth: usize,
    limits: Limits,
}

/// What is at a path of an object.
pub enum Found {
    /// An object: a file, a partition.
    Object(Box<Object>),
    /// A directory of a container, which is in the object `of`.
    Directory {
        /// The object that has it.
        of: Box<Object>,
        /// The directory.
        entry: Box<Entry>,
    },
    /// Something without contents.
    Other {
        /// What it is, as the user would name it.
        name: String,
        /// The entry.
        entry: Box<Entry>,
    },
}

/// How many symbolic links are followed, as by Linux.
const MOST_LINKS: usize = 40;
/// How many names the targets of these may have together: each is looked up from the root on.
const MOST_LINK_NAMES: usize = 4096;

impl Object {
    /// Opens a file or a directory of the machine's.
    pub fn open(path: &Path, limits: Limits) -> Result<Object, Error> {
        let open = |source| Error::Open { path: path.to_path_buf(), source };
        let name = path.display().to_string();
        if std::fs::metadata(path).map_err(open)?.is_dir() {
            return Object::of_directory(name, path, limits);
        }
        let file = File::open(path).map_err(open)?;
        Object::of(name, Arc::new(file), 0, limits)
    }

    fn of_directory(name: String, path: &Path, limits: Limits) -> Result<Object, Error> {
        // What Parallels calls a disk is a directory with one.
        if let Some(disk) = container::host::parallels(path) {
            let open = |source| Error::Open { path: disk.clone(), source };
            return Object::of(name, Arc::new(File::open(&disk).map_err(open)?), 0, limits);
        }
        let format = if path.join("oci-layout").is_file() { Format::OciLayout } else { Format::Directory };
        let container = container::host::Host::open(&name, path, limits);
        let facts =
            if format == Format::OciLayout { container::host::oci_facts(&name, path)? } else { Vec::new() };
        Ok(Object {
            name,
            source: None,
            wrappers: Vec::new(),
            described: Described { format, size: 0, facts, regions: Vec::new() },
            container: Some(Arc::new(container)),
            text: None,
            depth: 0,
            limits,
        })
    }

    /// Finds out what `source` is, which is called `name` and is in `depth` others.
    pub fn of(name: String, source: Source, depth: usize, limits: Limits) -> Result<Object, Error> {
        let (mut source, mut depth) = (source, depth);
        let mut wrappers = Vec::new();
        loop {
            if depth >= limits.depth {
                let problem = format!("is in more than {} others", limits.depth);
                return Err(Error::Limit { what: name, problem });
            }
            let io = |source| Error::Io { what: name.clone(), source };
            let size = source.size().map_err(io)?;
            let format = recognize(&*source).map_err(io)?;
            let (facts, inner) = match format {
                Format::VirtualDisk(kind) => {
                    let reader = vdisk::Reader::open_as(kind, Arc::clone(&source));
                    let reader = reader.map_err(|source| Error::Read {
                        what: name.clone(),
                        format: format.name(),
                        source: source.into(),
                    })?;
                    (container::disk::virtual_facts(&reader), Arc::new(reader) as Source)
                }
                Format::Gcp => (Vec::new(), container::disk::gcp(&name, &source, limits)?),
                // An initramfs may be several archives, each compressed or not.
                Format::Compressed(compression)
                    if !container::cpio::begins_compressed(&source, compression) =>
                {
                    let input = BufReader::with_capacity(64 << 10, Stream::new(&source, 0));
                    let mut decoder = container::cpio::decoder(compression, input).map_err(io)?;
                    (Vec::new(), spool(&name, &mut decoder, limits)?)
                }
                _ => {
                    let opened = container::open(&name, format, &source, limits)?;
                    let described = Described {
                        format: opened.format,
                        size,
                        facts: opened.facts,
                        regions: opened.regions,
                    };
                    let (container, text) = (opened.container, opened.text);
                    let source = Some(source);
                    return Ok(Object { name, source, wrappers, described, container, text, depth, limits });
                }
            };
            wrappers.push(Described { format, size, facts, regions: Vec::new() });
            source = inner;
            depth += 1;
        }
    }

    /// Returns how much it may make its reader do.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns what messages call it: the path to it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether it is in another one.
    pub fn is_inside(&self) -> bool {
        self.depth > self.wrappers.len()
    }

    /// Returns what it is wrapped in, from the outside.
    pub fn wrappers(&self) -> &[Described] {
        &self.wrappers
    }

    /// Returns what it is.
    pub fn described(&self) -> &Described {
        &self.described
    }

    /// Returns its bytes, without what they are wrapped in; a directory has none.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Returns what is in it, if it is something that has entries.
    pub fn container(&self) -> Option<&Arc<dyn Container>> {
        self.container.as_ref()
    }

    /// Returns it as text, if it is something that people read as such: the source of a device tree.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Returns the object that is at an entry of this one, or `None` if the entry has no contents.
    pub fn enter(&self, entry: &Entry) -> Result<Option<Object>, Error> {
        let Some(container) = self.container.as_ref().filter(|_| entry.kind.has_contents()) else {
            return Ok(None);
        };
        self.entered(entry, container.open(entry)?).map(Some)
    }

    /// Returns the object that is at an entry of this one, whose bytes were opened already.
    pub(crate) fn entered(&self, entry: &Entry, source: Source) -> Result<Object, Error> {
        Object::of(self.inner_name(&entry.path), source, self.depth + 1, self.limits)
    }

    fn inner_name(&self, path: &[u8]) -> String {
        let separator = if self.depth == 0 && !self.name.contains(':') { ':' } else { '/' };
        format!("{}{separator}{}", self.name, shown(path))
    }

    /// Returns what is at `path`, which goes through as many objects as needed. Symbolic links are followed within
    /// a file system.
    pub fn find(self, path: &[u8]) -> Result<Found, Error> {
        let parts: Vec<Vec<u8>> =
            path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect();
        let mut object = self;
        let mut parts = &parts[..];
        loop {
            if parts.is_empty() {
                return Ok(Found::Object(Box::new(object)));
            }
            let Some(container) = object.container.clone() else {
                let (what, path) = (object.name, shown(&parts.join(&b'/')));
                return Err(Error::Leaf { what, path, format: object.described.format.name() });
            };
            let (entry, rest) = walk_down(&object, &*container, parts)?;
            parts = rest;
            if entry.kind == EntryKind::Directory {
                return Ok(Found::Directory { of: Box::new(object), entry: Box::new(entry) });
            }
            match object.enter(&entry)? {
                Some(inner) => object = inner,
                None if parts.is_empty() => {
                    let name = object.inner_name(&entry.path);
                    return Ok(Found::Other { name, entry: Box::new(entry) });
                }
                None => {
                    let (what, kind) = (object.inner_name(&entry.path), entry.kind.name());
                    return Err(Error::NoContents { what, kind });
                }
            }
        }
    }
}

/// Goes from the root of a container along `parts` until something is no directory, and returns it with the parts
/// that are left. Symbolic links are followed.
fn walk_down<'p>(
    object: &Object,
    container: &dyn Container,
    parts: &'p [Vec<u8>],
) -> Result<(Entry, &'p [Vec<u8>]), Error> {
    let (mut n_links, mut n_names) = (0, 0);
    // The path so far, and what of links has to be gone before the parts go on.
    let mut at: Vec<u8> = Vec::new();
    let mut pending: Vec<Vec<u8>> = Vec::new();
    let mut rest = parts;
    loop {
        let from_link = pending.pop();
        let (part, is_last) = match from_link {
            Some(part) => (part, pending.is_empty() && rest.is_empty()),
            None => match rest.split_first() {
                Some((part, left)) => {
                    rest = left;
                    (part.clone(), left.is_empty())
                }
                None => {
                    let entry = container.lookup(&at)?;
                    return Ok((entry.ok_or_else(|| missing(object, container, &at))?, rest));
                }
            },
        };
        if part == b"." {
            continue;
        }
        if part == b".." {
            let end = at.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            at.truncate(end);
            continue;
        }
        let mut next = at.clone();
        if !next.is_empty() {
            next.push(b'/');
        }
        next.extend_from_slice(&part);
        let Some(entry) = container.lookup(&next)? else { return Err(missing(object, container, &next)) };
        match &entry.kind {
            EntryKind::Directory if is_last => return Ok((entry, rest)),
            EntryKind::Directory => at = next,
            EntryKind::Symlink(target) => {
                n_links += 1;
                if n_links > MOST_LINKS {
                    return Err(Error::Links { what: object.inner_name(&next), limit: MOST_LINKS });
                }
                if target.starts_with(b"/") {
                    at.clear();
                }
                let parts = target.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
                n_names += parts.clone().count();
                if n_names > MOST_LINK_NAMES {
                    let problem = format!("is reached by links of more than {MOST_LINK_NAMES} names");
                    return Err(Error::Limit { what: object.inner_name(&next), problem });
                }
                pending.extend(parts.rev().map(<[u8]>::to_vec));
            }
            // Parts of a link cannot go on in another object.
            _ if !pending.is_empty() => return Err(missing(object, container, &next)),
            _ => return Ok((entry, rest)),
        }
    }
}

/// Returns the error for what is not at a path, which knows what is there and looks like it.
fn missing(object: &Object, container: &dyn Container, path: &[u8]) -> Error {
    let wanted = shown(path);
    let parent = wanted.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
    let mut best: Option<(f64, String)> = None;
    // It is an error anyway: what cannot be read now suggests nothing.
    let _ = container.walk(&mut |entry| {
        let name = entry.shown();
        if name.rsplit_once('/').map_or("", |(parent, _)| parent) == parent {
            let likeness = strsim::jaro_winkler(&name.to_lowercase(), &wanted.to_lowercase());
            if likeness > 0.85 && best.as_ref().is_none_or(|(best, _)| likeness > *best) {
                best = Some((likeness, name));
            }
        }
        Ok(())
    });
    Error::NotFound { what: object.name.clone(), path: wanted, suggestion: best.map(|(_, name)| name) }
}
