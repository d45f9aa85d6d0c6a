//! Records: what is known about a key, as long as everything that it relies on is here.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{fmt, str};

use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;

use super::LocalStore;
use crate::files::{TOUCHED, accessed};
use crate::remove::remove_file;
use crate::store::Doing as _;
use crate::{Digest, StoreError};

/// Something in a store that something else relies on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// A blob.
    Blob(Digest),
    /// A tree: its root, and all directories and files in it.
    Tree(Digest),
    /// A record, and everything that it relies on.
    Record {
        /// The kind of record.
        kind: String,
        /// Its key.
        key: Digest,
    },
}

/// What is known about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it relies on.
    pub references: Vec<Reference>,
    /// What it says.
    pub payload: Vec<u8>,
}

impl LocalStore {
    /// Records `payload` under `key`; another one of that kind and key is replaced.
    ///
    /// `kind` names a directory. Everything in `record.references` must be here; the record goes when one
    /// of them goes.
    pub fn put_record(&self, kind: &str, key: &Digest, record: &Record) -> Result<(), StoreError> {
        let path = self.record_path(kind, key);
        let doing = || format!("write record `{}`", path.display());
        let mut file = self.new_file()?;
        file.write_all(&encode(key, record)).doing(doing)?;
        match file.persist(&path) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::NotFound => {
                let parent = path.parent().unwrap_or(Path::new("."));
                fs::create_dir_all(parent).doing(doing)?;
                error.file.persist(&path).map(drop).map_err(|error| error.error).doing(doing)
            }
            Err(error) => Err(error.error).doing(doing),
        }
    }

    /// Returns what is recorded under `key`. Everything that it relies on is here, and stays.
    pub fn record(&self, kind: &str, key: &Digest) -> Result<Option<Record>, StoreError> {
        let path = self.record_path(kind, key);
        if !self.touch_record(&path)? {
            return Ok(None);
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).doing(|| format!("read record `{}`", path.display())),
        };
        // A damaged one is as good as none: what it said is found out again, and it is replaced.
        Ok(decode(&bytes).filter(|(found, _)| found == key).map(|(_, record)| record))
    }

    /// Deletes the record, if there is one. No bundle is opened again that there is now: any may have a note
    /// that says the same.
    pub fn remove_record(&self, kind: &str, key: &Digest) -> Result<(), StoreError> {
        self.void_bundles()?;
        self.delete_record(kind, key)
    }

    pub(super) fn delete_record(&self, kind: &str, key: &Digest) -> Result<(), StoreError> {
        let path = self.record_path(kind, key);
        remove_file(&path)
    }

    /// Marks the record as used, if there is one.
    pub fn mark_record(&self, kind: &str, key: &Digest) -> Result<(), StoreError> {
        self.touch_record(&self.record_path(kind, key)).map(drop)
    }

    /// Marks the record as used and returns whether it is there.
    pub(super) fn touch_record(&self, path: &Path) -> Result<bool, StoreError> {
        let touched = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).and_then(|stat| {
            if accessed(&stat) >= self.lease.start {
                return Ok(());
            }
            rustix::fs::utimensat(CWD, path, &TOUCHED, AtFlags::SYMLINK_NOFOLLOW)
        });
        match touched {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error).doing(|| format!("mark record `{}` as used", path.display())),
        }
    }

    pub(super) fn record_path(&self, kind: &str, key: &Digest) -> PathBuf {
        let hex = key.hex();
        self.root().join("records").join(kind).join(&hex[..2]).join(&hex[2..])
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Blob(digest) => write!(f, "blob {digest}"),
            Reference::Tree(digest) => write!(f, "tree {digest}"),
            Reference::Record { kind, key } => write!(f, "record {key} {kind}"),
        }
    }
}

/// Reads one line as [`Reference`]'s `Display` writes it.
pub(super) fn parse_reference(line: &str) -> Option<Reference> {
    let (kind, rest) = line.split_once(' ')?;
    match kind {
        "blob" => Some(Reference::Blob(rest.parse().ok()?)),
        "tree" => Some(Reference::Tree(rest.parse().ok()?)),
        "record" => {
            let (key, kind) = rest.split_once(' ')?;
            Some(Reference::Record { kind: kind.to_owned(), key: key.parse().ok()? })
        }
        _ => None,
    }
}

/// A digest of the rest; the key; the references; an empty line; the payload.
fn encode(key: &Digest, record: &Record) -> Vec<u8> {
    let mut rest = format!("{key}\n").into_bytes();
    for reference in &record.references {
        rest.extend_from_slice(format!("{reference}\n").as_bytes());
    }
    rest.push(b'\n');
    rest.extend_from_slice(&record.payload);
    let mut bytes = format!("{}\n", Digest::of(&rest)).into_bytes();
    bytes.extend_from_slice(&rest);
    bytes
}

/// Returns the key and the record, or `None` when the bytes are not whole.
pub(super) fn decode(bytes: &[u8]) -> Option<(Digest, Record)> {
    let (digest, mut rest) = split_line(bytes)?;
    if digest.parse::<Digest>().ok()? != Digest::of(rest) {
        return None;
    }
    let (key, after) = split_line(rest)?;
    let key = key.parse().ok()?;
    rest = after;
    let mut references = Vec::new();
    loop {
        let (line, after) = split_line(rest)?;
        rest = after;
        if line.is_empty() {
            return Some((key, Record { references, payload: rest.to_vec() }));
        }
        references.push(parse_reference(line)?);
    }
}

fn split_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}
