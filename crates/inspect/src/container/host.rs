//! Directories of the machine's, as they are or as OCI image layouts.

use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Container, damaged};
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::facts::{Fact, Value};
use crate::format::Format;
use crate::source::{Limits, Source};

/// Returns the file with the data in a bundle of Parallels.
pub(crate) fn parallels(path: &Path) -> Option<PathBuf> {
    if !path.join("DiskDescriptor.xml").is_file() {
        return None;
    }
    let entries = fs::read_dir(path).ok()?.flatten().map(|entry| entry.path());
    let mut disks: Vec<PathBuf> = entries.filter(|path| path.extension() == Some("hds".as_ref())).collect();
    disks.sort();
    if disks.len() == 1 { disks.pop() } else { None }
}

/// A directory of the machine's.
pub(crate) struct Host {
    name: String,
    root: PathBuf,
    limits: Limits,
}

impl Host {
    /// Returns the directory at `root`.
    pub(crate) fn open(name: &str, root: &Path, limits: Limits) -> Host {
        Host { name: name.to_owned(), root: root.to_path_buf(), limits }
    }

    fn entry(&self, path: &Path) -> Result<Entry, Error> {
        let failed = |source| Error::Open { path: path.to_path_buf(), source };
        let metadata = fs::symlink_metadata(path).map_err(failed)?;
        let relative = path.strip_prefix(&self.root).unwrap_or(path).as_os_str().as_bytes();
        let kind = metadata.file_type();
        // Numbers of devices as Linux has them.
        let device = metadata.rdev();
        let numbers = (
            ((device >> 8 & 0xfff) | (device >> 32 & !0xfff)) as u32,
            ((device & 0xff) | (device >> 12 & !0xff)) as u32,
        );
        let kind = if kind.is_dir() {
            EntryKind::Directory
        } else if kind.is_symlink() {
            EntryKind::Symlink(fs::read_link(path).map_err(failed)?.into_os_string().into_vec())
        } else if kind.is_char_device() {
            EntryKind::CharDevice(numbers.0, numbers.1)
        } else if kind.is_block_device() {
            EntryKind::BlockDevice(numbers.0, numbers.1)
        } else if kind.is_fifo() {
            EntryKind::Fifo
        } else if kind.is_socket() {
            EntryKind::Socket
        } else {
            EntryKind::File
        };
        let size = if kind == EntryKind::File { metadata.len() } else { 0 };
        let mut entry = Entry::new(relative, kind, size, Place::Host(path.to_path_buf()));
        entry.mode = Some(metadata.mode() & 0o7777);
        entry.owner = Some((metadata.uid(), metadata.gid()));
        entry.mtime = Some(metadata.mtime());
        Ok(entry)
    }
}

impl Container for Host {
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        let mut pending = vec![self.root.clone()];
        let mut n_entries = 0;
        while let Some(path) = pending.pop() {
            let entry = self.entry(&path)?;
            let is_directory = entry.kind == EntryKind::Directory;
            visit(entry)?;
            n_entries += 1;
            if n_entries > self.limits.entries {
                let problem = format!("has more than {} entries", self.limits.entries);
                return Err(Error::Limit { what: self.name.clone(), problem });
            }
            if is_directory {
                let failed = |source| Error::Open { path: path.clone(), source };
                let entries = fs::read_dir(&path).map_err(failed)?;
                let mut below = Vec::new();
                for entry in entries {
                    below.push(entry.map_err(failed)?.path());
                }
                below.sort();
                pending.extend(below.into_iter().rev());
            }
        }
        Ok(())
    }

    fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error> {
        let path = self.root.join(std::ffi::OsStr::from_bytes(path));
        match self.entry(&path) {
            Ok(entry) => Ok(Some(entry)),
            Err(Error::Open { source, .. })
                if matches!(
                    source.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn open(&self, entry: &Entry) -> Result<Source, Error> {
        let Place::Host(path) = &entry.place else { return Ok(Arc::new(Vec::new())) };
        let file = File::open(path).map_err(|source| Error::Open { path: path.clone(), source })?;
        Ok(Arc::new(file))
    }
}

/// An index or a manifest has some kilobytes.
const MOST_JSON: u64 = 16 << 20;

/// Returns what the index of an OCI image layout says (OCI image specification, "Image Layout").
pub(crate) fn oci_facts(name: &str, root: &Path) -> Result<Vec<Fact>, Error> {
    let wrong = |problem: String| damaged(name, Format::OciLayout, problem);
    let read = |path: PathBuf| -> Result<Json, Error> {
        let failed = |source| Error::Open { path: path.clone(), source };
        if fs::metadata(&path).map_err(failed)?.len() > MOST_JSON {
            return Err(wrong(format!("`{}` is too large", path.display())));
        }
        let bytes = fs::read(&path).map_err(failed)?;
        serde_json::from_slice(&bytes).map_err(|error| wrong(format!("`{}`: {error}", path.display())))
    };
    let blob = |digest: &str| -> Option<PathBuf> {
        let (algorithm, digits) = digest.split_once(':')?;
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (is_plain(algorithm) && is_plain(digits)).then(|| root.join("blobs").join(algorithm).join(digits))
    };
    let index = read(root.join("index.json"))?;
    let mut facts = Vec::new();
    for manifest in index["manifests"].as_array().into_iter().flatten() {
        let digest = manifest["digest"].as_str().unwrap_or_default();
        let reference =
            manifest["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or_default();
        let platform = &manifest["platform"];
        let platform = match (platform["os"].as_str(), platform["architecture"].as_str()) {
            (Some(os), Some(architecture)) => format!(" for {os}/{architecture}"),
            _ => String::new(),
        };
        let mut lines = vec![format!("{digest}{platform} {reference}").trim_end().to_owned()];
        if let Some(path) = blob(digest).filter(|path| path.is_file()) {
            let manifest = read(path)?;
            for layer in manifest["layers"].as_array().into_iter().flatten() {
                let size = layer["size"].as_u64().unwrap_or_default();
                lines.push(format!("layer {} of {size} bytes", layer["digest"].as_str().unwrap_or_default()));
            }
        }
        facts.push(Fact::new("manifest", Value::List(lines)));
    }
    Ok(facts)
}
