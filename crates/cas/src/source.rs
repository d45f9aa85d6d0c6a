//! Local sources into the store, without reading again what has not changed.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use prost::Message as _;

use crate::files::{Stamp, in_parallel};
use crate::glance::glance;
use crate::local::{
    Found, ImportMode, Imported, LocalStore, Record, Reference, Skeleton, read_link, utf8_name,
};
use crate::replace::replace_file;
use crate::store::Doing as _;
use crate::{Digest, Ignore, Node, Store as _, StoreError, proto};

/// Remembers the digests of files by what `stat` says of them: size, times, inode and device.
///
/// Safe against an edit in the same instant: what had changed less than two seconds before it was read is
/// not remembered, since a later change might leave the same times. It is read again until it is older.
/// Two seconds are the coarsest clock of a file system in use (FAT).
#[derive(Debug)]
pub struct StatCache {
    path: PathBuf,
    /// Read when it is first asked for. By path, as text: paths themselves are compared name by name, which is several
    /// times slower.
    entries: OnceCell<BTreeMap<OsString, Entry>>,
    changed: bool,
}

/// How long a file must have been unchanged to be remembered, in seconds.
const QUIET: i64 = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    size: u64,
    modified: Stamp,
    changed: Stamp,
    inode: u64,
    device: u64,
    digest: Digest,
}

impl StatCache {
    /// Returns the cache that was saved at `path`; an empty one when there is none, or it cannot be read or is damaged.
    pub fn at(path: &Path) -> StatCache {
        StatCache { path: path.to_owned(), entries: OnceCell::new(), changed: false }
    }

    fn entries(&self) -> &BTreeMap<OsString, Entry> {
        self.entries
            .get_or_init(|| fs::read(&self.path).ok().and_then(|bytes| decode(&bytes)).unwrap_or_default())
    }

    fn change(&mut self) -> &mut BTreeMap<OsString, Entry> {
        self.entries();
        self.changed = true;
        self.entries.get_mut().expect("it was read above")
    }

    /// Writes the cache to where it was loaded from, if it has changed.
    pub fn save(&mut self) -> Result<(), StoreError> {
        if !self.changed {
            return Ok(());
        }
        replace_file(&self.path, &encode(self.entries()))
            .doing(|| format!("write `{}`", self.path.display()))?;
        self.changed = false;
        Ok(())
    }

    /// Returns the digest of the file at `path` if it has not changed since it was remembered.
    pub fn get(&self, path: &Path, metadata: &fs::Metadata) -> Option<Digest> {
        let entry = self.entries().get(path.as_os_str())?;
        (*entry == Entry::new(metadata, entry.digest)).then_some(entry.digest)
    }

    /// Remembers the digest of a file whose attributes were `metadata` both before and after it was read,
    /// which began at `now`, in seconds since 1970. Forgets it if it had just changed.
    pub fn insert(&mut self, path: &Path, metadata: &fs::Metadata, digest: Digest, now: i64) {
        let entry = Entry::new(metadata, digest);
        let latest = entry.modified.max(entry.changed);
        if latest.0 + QUIET < now {
            self.change().insert(path.as_os_str().to_owned(), entry);
        } else {
            self.change().remove(path.as_os_str());
        }
    }
}

impl Entry {
    fn new(metadata: &fs::Metadata, digest: Digest) -> Entry {
        Entry {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
            digest,
        }
    }
}

impl LocalStore {
    /// Keeps the tree in `directory` except what `ignore` says, and returns its digest.
    ///
    /// Reads only files that `cache` does not know. When nothing below it looks otherwise than last time, and nothing
    /// had just changed then, it does nothing but look at every entry. The tree is here whole afterwards, and stays.
    /// Fails like [`LocalStore::import_tree`].
    pub fn import_source(
        &self,
        directory: &Path,
        ignore: &Ignore,
        cache: &mut StatCache,
    ) -> Result<Imported, StoreError> {
        let now = self.seconds_now()?;
        // What could not be looked at is told below.
        let glance = glance(directory, ignore).ok();
        let key = Digest::of(format!("{}\n{ignore:?}", directory.display()).as_bytes());
        if let Some(glance) = &glance
            && let Some(record) = self.record(GLANCES, &key)?
            && let Some(imported) = known(&record.payload, &glance.digest)
            && self.record(SOURCES, &imported.digest)?.is_some()
        {
            return Ok(imported);
        }
        let mut walk = Walk { ignore, files: Vec::new() };
        let skeleton = walk.read(directory, &mut Vec::new())?;
        let files = walk.files;

        let known: Vec<Option<Digest>> =
            files.iter().map(|(path, metadata)| cache.get(path, metadata)).collect();
        let read = in_parallel(files.len(), |idx| match known[idx] {
            Some(digest) => Ok((digest, None)),
            None => self.read_source(&files[idx].0, &files[idx].1),
        })?;
        let mut nodes = Vec::with_capacity(files.len());
        for ((path, metadata), (digest, settled)) in files.iter().zip(&read) {
            if let Some(settled) = settled {
                cache.insert(path, settled, *digest, now);
            }
            nodes.push(Node::File { digest: *digest, executable: metadata.mode() & 0o100 != 0 });
        }
        cache.forget_others(directory, &files);

        let mut encoded = Vec::new();
        let digest = skeleton.encode(&nodes, &mut encoded);
        if self.record(SOURCES, &digest)?.is_none() {
            // What the cache knew may have been collected.
            in_parallel(files.len(), |idx| {
                let here = known[idx].is_none() || self.contains(&read[idx].0)?;
                if here { Ok(()) } else { self.put_file(&files[idx].0, ImportMode::Copy).map(drop) }
            })?;
            in_parallel(encoded.len(), |idx| self.write(&encoded[idx]).map(drop))?;
            let record = Record { references: vec![Reference::Tree(digest)], payload: Vec::new() };
            self.put_record(SOURCES, &digest, &record)?;
        }
        let n_bytes = read.iter().map(|(digest, _)| digest.size()).sum();
        let imported = Imported { digest, n_files: files.len() as u64, n_bytes };
        if let Some(glance) = glance.filter(|glance| glance.latest.0 + QUIET < now) {
            let payload = format!("{} {digest} {} {n_bytes}", glance.digest, imported.n_files).into_bytes();
            self.put_record(GLANCES, &key, &Record { references: Vec::new(), payload })?;
        }
        Ok(imported)
    }

    /// Keeps a file and returns, with its digest, its attributes if they were the same before and after.
    fn read_source(
        &self,
        path: &Path,
        before: &fs::Metadata,
    ) -> Result<(Digest, Option<fs::Metadata>), StoreError> {
        let Node::File { digest, .. } = self.put_file(path, ImportMode::Copy)? else {
            unreachable!("`put_file` returns files");
        };
        let after =
            fs::symlink_metadata(path).doing(|| format!("read the attributes of `{}`", path.display()))?;
        let same = Entry::new(before, digest) == Entry::new(&after, digest);
        Ok((digest, same.then_some(after)))
    }
}

/// The records of trees that were imported whole.
const SOURCES: &str = "sources";
/// The records of what directories looked like when they were imported, and what they came to.
const GLANCES: &str = "glances";

/// Returns what a record of a glance says, if the directory looks as it did.
fn known(payload: &[u8], glance: &Digest) -> Option<Imported> {
    let text = std::str::from_utf8(payload).ok()?;
    let mut words = text.split(' ');
    let seen: Digest = words.next()?.parse().ok()?;
    let digest = words.next()?.parse().ok()?;
    let (n_files, n_bytes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (seen == *glance).then_some(Imported { digest, n_files, n_bytes })
}

impl StatCache {
    /// Forgets the files below `directory` that are not in the list.
    fn forget_others(&mut self, directory: &Path, files: &[(PathBuf, fs::Metadata)]) {
        let mut first = directory.as_os_str().to_owned();
        first.push("/");
        let below = || {
            self.entries()
                .range(first.clone()..)
                .take_while(|(path, _)| path.as_encoded_bytes().starts_with(first.as_encoded_bytes()))
        };
        let n_known = files.iter().filter(|(path, _)| self.entries().contains_key(path.as_os_str())).count();
        if below().count() == n_known {
            return;
        }
        let known: HashSet<&OsStr> = files.iter().map(|(path, _)| path.as_os_str()).collect();
        let gone: Vec<_> =
            below().map(|(path, _)| path.clone()).filter(|path| !known.contains(path.as_os_str())).collect();
        for path in gone {
            self.change().remove(&path);
        }
    }
}

struct Walk<'a> {
    ignore: &'a Ignore,
    files: Vec<(PathBuf, fs::Metadata)>,
}

impl Walk<'_> {
    fn read(&mut self, directory: &Path, parts: &mut Vec<String>) -> Result<Skeleton, StoreError> {
        let doing = || format!("list `{}`", directory.display());
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory).doing(doing)? {
            let entry = entry.doing(doing)?;
            let path = entry.path();
            let kind = entry.file_type().doing(|| format!("read the type of `{}`", path.display()))?;
            let name = utf8_name(&path, entry.file_name())?;
            parts.push(name.clone());
            let found = if self.ignore.matches(parts, kind.is_dir()) {
                None
            } else if kind.is_dir() {
                Some(Found::Directory(self.read(&path, parts)?))
            } else if kind.is_symlink() {
                Some(Found::Symlink(read_link(&path)?))
            } else {
                let metadata =
                    entry.metadata().doing(|| format!("read the attributes of `{}`", path.display()))?;
                self.files.push((path, metadata));
                Some(Found::File(self.files.len() - 1))
            };
            parts.pop();
            entries.extend(found.map(|found| (name, found)));
        }
        Ok(Skeleton { entries })
    }
}

fn encode(entries: &BTreeMap<OsString, Entry>) -> Vec<u8> {
    let entries = entries.iter().filter_map(|(path, entry)| {
        Some(proto::StatEntry {
            path: path.to_str()?.to_owned(),
            size: entry.size,
            modified_seconds: entry.modified.0,
            modified_nanoseconds: entry.modified.1,
            changed_seconds: entry.changed.0,
            changed_nanoseconds: entry.changed.1,
            inode: entry.inode,
            device: entry.device,
            hash: entry.digest.hash().to_vec(),
            digest_size: entry.digest.size(),
        })
    });
    let body = proto::StatCache { entries: entries.collect() }.encode_to_vec();
    let mut bytes = Digest::of(&body).hash().to_vec();
    bytes.extend_from_slice(&body);
    bytes
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<OsString, Entry>> {
    let (hash, body) = bytes.split_at_checked(32)?;
    if Digest::of(body).hash() != hash {
        return None;
    }
    let message = proto::StatCache::decode(body).ok()?;
    let entries = message.entries.into_iter().map(|entry| {
        let digest = Digest::from_parts(entry.hash.try_into().ok()?, entry.digest_size);
        Some((
            OsString::from(entry.path),
            Entry {
                size: entry.size,
                modified: (entry.modified_seconds, entry.modified_nanoseconds),
                changed: (entry.changed_seconds, entry.changed_nanoseconds),
                inode: entry.inode,
                device: entry.device,
                digest,
            },
        ))
    });
    entries.collect()
}
