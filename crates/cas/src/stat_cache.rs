//! What is known of files by what `stat` says of them.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use prost::Message as _;

use crate::files::{Stamp, boot_id};
use crate::replace::replace_file;
use crate::store::Doing as _;
use crate::{Digest, StoreError, proto};

/// Remembers the digests of files by what `stat` says of them: size, times, inode and device.
///
/// Safe against an edit in the same instant: what had changed less than two seconds before it was read is
/// not remembered, since a later change might leave the same times. It is read again until it is older.
/// Two seconds are the coarsest clock of a file system in use (FAT).
///
/// What was saved before the machine last started is worth nothing. A copy that ends in a hole gets its size by itself: when
/// the machine died, it may have that and its times, but not what was in it.
#[derive(Debug)]
pub struct StatCache {
    path: PathBuf,
    /// Read when it is first asked for. By path, as text: paths themselves are compared name by name, which is several
    /// times slower.
    entries: OnceCell<BTreeMap<OsString, Entry>>,
    changed: bool,
}

/// How long a file must have been unchanged to be remembered, in seconds.
pub(crate) const QUIET: i64 = 2;

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
    /// Returns the cache that was saved at `path`; an empty one when there is none since the machine started, or it cannot be
    /// read or is damaged.
    pub fn at(path: &Path) -> StatCache {
        StatCache { path: path.to_owned(), entries: OnceCell::new(), changed: false }
    }

    fn entries(&self) -> &BTreeMap<OsString, Entry> {
        self.entries.get_or_init(|| {
            fs::read(&self.path).ok().and_then(|bytes| decode(&bytes, &boot())).unwrap_or_default()
        })
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
        replace_file(&self.path, &encode(self.entries(), &boot()))
            .doing(|| format!("write `{}`", self.path.display()))?;
        self.changed = false;
        Ok(())
    }

    /// Returns the digest of the file at `path` if it has not changed since it was remembered.
    pub fn get(&self, path: &Path, metadata: &fs::Metadata) -> Option<Digest> {
        let entry = self.entries().get(path.as_os_str())?;
        (*entry == Entry::new(metadata, entry.digest)).then_some(entry.digest)
    }

    /// Says whether a file looks the same in both.
    pub(crate) fn is_same(before: &fs::Metadata, after: &fs::Metadata) -> bool {
        let digest = Digest::of(b"");
        Entry::new(before, digest) == Entry::new(after, digest)
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

    /// How far back the time of a file of our own must lie of when it was written, in nanoseconds: more than two ticks of
    /// the slowest clock that has nanoseconds at all.
    pub(crate) const BACK: i64 = 30_000_000;

    /// Remembers the digest of a file that was written by us just before `now`, and that nobody else could have written
    /// to before it got its name.
    ///
    /// Its modification time was set to a time before it was written. Whoever edits it later leaves the time of the edit,
    /// which is another one, if the file system's clock is fine enough. If it is not, the file is not remembered.
    pub(crate) fn insert_own(&mut self, path: &Path, metadata: &fs::Metadata, digest: Digest, now: Stamp) {
        let entry = Entry::new(metadata, digest);
        let since =
            |stamp: Stamp| (now.0 - stamp.0).saturating_mul(1_000_000_000).saturating_add(now.1 - stamp.1);
        // Whole milliseconds are what a coarse clock makes of a time.
        let is_fine = entry.modified.1 % 1_000_000 != 0 && entry.changed.1 % 1_000_000 != 0;
        let is_apart = since(entry.modified) >= StatCache::BACK && since(entry.changed) >= 0;
        if is_fine && is_apart && entry.size == digest.size() {
            self.change().insert(path.as_os_str().to_owned(), entry);
        }
    }

    /// Forgets the files below `directory` that are there no more.
    pub(crate) fn forget_gone(&mut self, directory: &Path) {
        let first = directory.join("").into_os_string();
        let below = self
            .entries()
            .range(first.clone()..)
            .map(|(path, _)| path)
            .take_while(|path| path.as_encoded_bytes().starts_with(first.as_encoded_bytes()));
        let gone: Vec<OsString> = below.filter(|path| fs::symlink_metadata(path).is_err()).cloned().collect();
        for path in gone {
            self.change().remove(&path);
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

/// Returns what names this run of the machine, as far as that can be known.
fn boot() -> String {
    boot_id().unwrap_or_default()
}

fn encode(entries: &BTreeMap<OsString, Entry>, boot: &str) -> Vec<u8> {
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
    let body = proto::StatCache { entries: entries.collect(), boot: boot.to_owned() }.encode_to_vec();
    let mut bytes = Digest::of(&body).hash().to_vec();
    bytes.extend_from_slice(&body);
    bytes
}

fn decode(bytes: &[u8], boot: &str) -> Option<BTreeMap<OsString, Entry>> {
    let (hash, body) = bytes.split_at_checked(32)?;
    if Digest::of(body).hash() != hash {
        return None;
    }
    let message = proto::StatCache::decode(body).ok().filter(|message| message.boot == boot)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_run_of_the_machine_knew_is_not_believed() {
        let metadata = fs::metadata("/").unwrap();
        let entries = BTreeMap::from([("/x".into(), Entry::new(&metadata, Digest::of(b"x")))]);
        let saved = encode(&entries, "this run");
        assert_eq!(decode(&saved, "this run"), Some(entries));
        assert_eq!(decode(&saved, "another run"), None);
    }
}
