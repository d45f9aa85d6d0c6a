//! What takes up an image: every file with the bytes that it takes as it is stored, its package and what it is.

mod kind;
mod packages;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use mkimg::usage::{self, Basis};

pub use kind::FileKind;

use crate::container::Container;
use crate::entry::{Entry, EntryKind, shown};
use crate::error::Error;
use crate::format::Format;
use crate::object::Object;

/// What takes up an image.
#[derive(Debug, Clone)]
pub struct Sizes {
    /// What is measured: a file system or an archive; those of a disk.
    pub parts: Vec<Part>,
}

/// A file system or an archive, or a partition that is neither.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its path in the image: the name of a partition, or nothing.
    pub path: String,
    /// What it is.
    pub format: Format,
    /// Where it lies in the disk.
    pub range: Option<Range<u64>>,
    /// How many bytes it has.
    pub size: u64,
    /// How the bytes of files were counted.
    pub basis: Basis,
    /// Its files.
    pub files: Vec<SizedFile>,
    /// How many bytes describe its files, or are in none.
    pub metadata: u64,
    /// How many bytes are free.
    pub free: u64,
    /// Why it could not be looked into, if it is a partition that cannot.
    pub problem: Option<String>,
}

/// A file and what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizedFile {
    /// Its path, without a slash in front, for people.
    pub path: String,
    /// How many bytes it has.
    pub size: u64,
    /// How many bytes of the image it takes.
    pub stored: u64,
    /// Whether it is a further name of a file that came before, and so takes nothing.
    pub is_further_name: bool,
    /// What it is.
    pub kind: FileKind,
    /// The package that brought it, as the image's own list of packages has it.
    pub package: Option<Arc<str>>,
}

impl Sizes {
    /// Returns all that is measured of `object`: a file system, an archive, or a disk with such partitions.
    ///
    /// # Errors
    ///
    /// What the reader of the format finds wrong, and objects in which no file takes a part. A partition that cannot be
    /// read is a part without files.
    pub fn of(object: &Object) -> Result<Sizes, Error> {
        let described = object.described();
        if described.format != Format::Disk {
            return Ok(Sizes { parts: vec![part(object)?] });
        }
        let Some(container) = object.container() else { return Ok(Sizes { parts: Vec::new() }) };
        let mut partitions = Vec::new();
        container.walk(&mut |entry| {
            partitions.push(entry);
            Ok(())
        })?;
        let parts = partitions.iter().map(|entry| partition(object, entry)).collect();
        Ok(Sizes { parts })
    }

    /// Leaves only what is below a directory, which is in the only part or begins with the name of one.
    pub fn retain_below(&mut self, directory: &[u8]) {
        let directory = shown(directory);
        for part in &mut self.parts {
            part.files.retain(|file| {
                file.path
                    .strip_prefix(&directory)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            (part.metadata, part.free) = (0, 0);
            part.size = part.files.iter().map(|file| file.stored).sum();
        }
    }
}

/// Measures a partition of a disk.
fn partition(disk: &Object, entry: &Entry) -> Part {
    let measured = disk.enter(entry).and_then(|inner| match inner {
        Some(inner) if usage_of(&inner) => part(&inner).map(|part| (part, None)),
        Some(inner) => Ok((nothing(inner.described().format, entry.size), None)),
        None => Ok((nothing(Format::Empty, 0), None)),
    });
    let (mut part, problem) =
        measured.unwrap_or_else(|error| (nothing(Format::Data, entry.size), Some(said(&error))));
    // What is behind a file system in its partition is not used.
    part.free = part.free.saturating_add(entry.size.saturating_sub(part.size));
    Part { path: entry.shown(), range: entry.range.clone(), size: entry.size, problem, ..part }
}

fn nothing(format: Format, size: u64) -> Part {
    // What is zero is as good as free; what is not known is taken.
    let is_free = matches!(format, Format::Zeros | Format::Empty);
    Part {
        path: String::new(),
        format,
        range: None,
        size,
        basis: Basis::Plain,
        files: Vec::new(),
        metadata: if is_free { 0 } else { size },
        free: if is_free { size } else { 0 },
        problem: None,
    }
}

fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn usage_of(object: &Object) -> bool {
    matches!(
        object.described().format,
        Format::Squashfs
            | Format::Erofs
            | Format::Ext4
            | Format::Fat
            | Format::Iso
            | Format::Cpio
            | Format::Tar
    )
}

/// Measures a file system or an archive.
fn part(object: &Object) -> Result<Part, Error> {
    let format = object.described().format;
    let (Some(container), Some(source)) = (object.container(), object.source()) else {
        return Err(no_files(object));
    };
    let damaged = |source: usage::UsageError| Error::Read {
        what: object.name().to_owned(),
        format: format.name(),
        source: source.into(),
    };
    let usage = match usage::measure(source).map_err(damaged)? {
        Some(usage) if usage_of(object) => usage,
        _ => return Err(no_files(object)),
    };
    // An archive may have a path twice: the last one holds.
    let mut entries: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
    container.walk(&mut |entry| {
        entries.insert(entry.path.clone(), entry);
        Ok(())
    })?;
    let owners = packages::Owners::of(&**container, &entries)?;
    let metadata = usage.metadata();
    let files = usage.files.into_iter().map(|file| {
        let entry = entries.get(&file.path);
        let kind = kind::of(&file.path, entry.and_then(|entry| entry.mode), || start(&**container, entry?));
        SizedFile {
            path: shown(&file.path),
            size: file.size,
            stored: file.stored,
            is_further_name: file.is_further_name,
            kind,
            package: owners.of_path(&file.path),
        }
    });
    let files = files.collect();
    let (size, free, basis) = (usage.size, usage.free, usage.basis);
    Ok(Part { path: String::new(), format, range: None, size, basis, files, metadata, free, problem: None })
}

fn no_files(object: &Object) -> Error {
    let format = object.described().format.name();
    let problem = format!("has no files that could be measured: it is {format}");
    Error::NoSizes { what: object.name().to_owned(), problem }
}

/// How much of a file says what it is.
const START: usize = 1024;

/// Returns how a file begins. What cannot be read begins with nothing.
fn start(container: &dyn Container, entry: &Entry) -> Option<Vec<u8>> {
    let is_file = matches!(entry.kind, EntryKind::File | EntryKind::HardLink(_));
    if is_file { container.start(entry, START).ok() } else { None }
}
