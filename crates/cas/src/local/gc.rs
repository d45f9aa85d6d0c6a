//! Garbage collection.
//!
//! Safe beside processes that use the store, without a lock that they would have to take: what is to be
//! deleted is renamed into `trash` first, then looked at again. Whoever found it before the rename has
//! marked it as used, so it is put back; whoever comes later does not find it. Who found it just before the
//! rename may miss it for an instant, and looks again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, FlockOperation, RenameFlags};
use rustix::io::Errno;

use super::blobs::blob_name;
use super::lease::{names_in, sweep};
use super::records::decode;
use super::{LocalStore, Reference, bundle, lock_file};
use crate::files::{Stamp, accessed, open_unused};
use crate::store::Doing as _;
use crate::{Digest, Directory, Node, StoreError};

/// What a collection keeps beside roots and what is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// What was used last, up to this many bytes of blobs, roots and what is in use included.
    Bytes(u64),
    /// What was used within this time.
    Age(Duration),
}

/// What a collection deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// The bytes of the blobs.
    pub bytes: u64,
    /// How many blobs.
    pub n_blobs: u64,
    /// How many records.
    pub n_records: u64,
    /// How many checked-out trees.
    pub n_checkouts: u64,
}

impl LocalStore {
    /// Deletes what `keep` does not keep.
    ///
    /// Kept are: what roots refer to, with all that it relies on; what a process with a live lease has
    /// used, this one included; and of the rest what was used last. Records go before the blobs that they
    /// rely on. One collection runs at a time, a second one waits.
    pub fn gc(&self, keep: Keep, now: SystemTime) -> Result<Freed, StoreError> {
        let _lock = lock_file(&self.root().join("gc.lock"), FlockOperation::LockExclusive)?;
        // Before anything is listed: a process that comes later uses what it uses after this.
        let started = self.now()?;
        let threshold = sweep(self.root())?.map_or(started, |oldest| oldest.min(started));
        self.restore_all_trash()?;

        let mut marker = Marker::new(self)?;
        for root in self.roots()? {
            marker.keep(&root.references);
        }
        let in_use: Vec<_> =
            marker.records.values().filter(|record| record.used >= threshold).cloned().collect();
        for record in in_use {
            let whole = marker.keep(&record.references);
            marker.kept_records.insert(record.path.clone(), whole);
        }
        for (hash, blob) in &marker.blobs {
            if blob.used >= threshold && marker.kept.insert(*hash) {
                marker.kept_bytes += blob.size;
            }
        }
        marker.keep_recent(keep, now);
        self.delete_rest(marker, threshold)
    }

    fn delete_rest(&self, mut marker: Marker<'_>, threshold: Stamp) -> Result<Freed, StoreError> {
        let mut freed = Freed::default();
        let mut unwanted: Vec<_> = marker
            .records
            .values()
            .filter(|record| !marker.kept_records.contains_key(&record.path))
            .cloned()
            .collect();
        // Before those that they rely on.
        unwanted.sort_by_key(|record| !record.relies_on_records());
        for record in unwanted {
            if marker.kept_records.contains_key(&record.path) {
                continue;
            }
            if self.discard(&record.path, threshold)? {
                freed.n_records += 1;
            } else {
                marker.keep(&record.references);
            }
        }
        for name in names_in(&self.root().join("trees"))? {
            let Some(hex) = name.to_str().and_then(|name| name.strip_suffix(".used")) else { continue };
            let wanted = Digest::from_hex(hex, 0).is_some_and(|digest| marker.kept.contains(digest.hash()));
            if !wanted && self.discard_checkout(hex, threshold)? {
                freed.n_checkouts += 1;
            }
        }
        for (hash, blob) in &marker.blobs {
            if marker.kept.contains(hash) {
                continue;
            }
            let mut gone = true;
            for path in &blob.paths {
                let discarded = self.discard(path, threshold)?;
                gone &= discarded;
                freed.bytes += if discarded { blob.size } else { 0 };
            }
            freed.n_blobs += u64::from(gone);
        }
        Ok(freed)
    }

    /// Deletes a file of the store unless it was used since `threshold`; says whether it did.
    fn discard(&self, path: &Path, threshold: Stamp) -> Result<bool, StoreError> {
        let doing = || format!("remove `{}`", path.display());
        // Nobody is to miss for an instant what was used since it was listed.
        if stat_if_there(path)?.is_none_or(|stat| accessed(&stat) >= threshold) {
            return Ok(false);
        }
        let trash = self.trash_path(path);
        match fs::rename(path, &trash) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            result => result.doing(doing)?,
        }
        let stat = rustix::fs::statat(CWD, &trash, AtFlags::SYMLINK_NOFOLLOW).doing(doing)?;
        if accessed(&stat) >= threshold {
            restore(&trash, path).doing(doing)?;
            return Ok(false);
        }
        fs::remove_file(&trash).doing(doing)?;
        Ok(true)
    }

    /// Reads a directory without marking it as used.
    fn read_directory_unused(&self, digest: &Digest) -> Option<Directory> {
        let read = |executable| {
            let path = self.root().join("blobs").join(blob_name(digest, executable));
            open_unused(&path).and_then(read_all)
        };
        let bytes = read(false).or_else(|_| read(true)).ok()?;
        if Digest::of(&bytes) == *digest { Directory::decode(&bytes).ok() } else { None }
    }

    /// Puts back what a collector left that was killed, unless one is running.
    pub(super) fn restore_trash(&self) -> Result<(), StoreError> {
        let lock = lock_file(&self.root().join("gc.lock"), FlockOperation::NonBlockingLockExclusive)?;
        if lock.is_some() { self.restore_all_trash() } else { Ok(()) }
    }

    fn restore_all_trash(&self) -> Result<(), StoreError> {
        let trash = self.root().join("trash");
        for name in names_in(&trash)? {
            let original = self.root().join(name.to_string_lossy().replace(SLASH, "/"));
            restore(&trash.join(&name), &original).doing(|| format!("restore `{}`", original.display()))?;
        }
        Ok(())
    }

    /// Does `work` with the blob's file `name`, once more if a collector was just looking at that.
    pub(super) fn unless_missed<T>(
        &self,
        name: &str,
        work: impl Fn() -> Result<T, Errno>,
    ) -> Result<Result<T, Errno>, StoreError> {
        match work() {
            Err(Errno::NOENT) => {
                self.wait_for_collector(name)?;
                Ok(work())
            }
            result => Ok(result),
        }
    }

    /// Waits until no collector looks at the blob's file any more.
    pub(super) fn wait_for_collector(&self, name: &str) -> Result<(), StoreError> {
        let trash = self.trash_path(&self.root().join("blobs").join(name));
        while trash.exists() {
            self.go_on()?;
            // One that was killed puts nothing back.
            self.restore_trash()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn trash_path(&self, path: &Path) -> PathBuf {
        let relative = path.strip_prefix(self.root()).unwrap_or(path);
        self.root().join("trash").join(relative.to_string_lossy().replace('/', SLASH))
    }
}

/// Stands for the slash in the names of what is in `trash`.
const SLASH: &str = "!";

fn restore(trash: &Path, original: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, trash, CWD, original, RenameFlags::NOREPLACE) {
        // Somebody has made it anew.
        Err(Errno::EXIST) => fs::remove_file(trash),
        // The file system has no such rename. The two are the same, so either may win.
        Err(Errno::INVAL) => fs::rename(trash, original),
        result => Ok(result?),
    }
}

type Hash = [u8; 32];

/// Everything in a store, and what of it is to be kept.
pub(super) struct Marker<'a> {
    store: &'a LocalStore,
    blobs: BTreeMap<Hash, BlobFiles>,
    records: BTreeMap<PathBuf, RecordFile>,
    kept: HashSet<Hash>,
    /// The records that have been kept, and whether all that each relies on is here.
    kept_records: HashMap<PathBuf, bool>,
    kept_bytes: u64,
    /// The trees that have been kept, and whether all of them is here.
    trees: HashMap<Hash, bool>,
    /// What was added to `kept`, `trees` and `kept_records` since [`Marker::keep_within`] began.
    last_kept: Vec<Hash>,
    last_trees: Vec<Hash>,
    last_records: Vec<PathBuf>,
}

struct BlobFiles {
    size: u64,
    used: Stamp,
    paths: Vec<PathBuf>,
}

#[derive(Clone)]
struct RecordFile {
    path: PathBuf,
    used: Stamp,
    references: Vec<Reference>,
    /// Damaged: nothing can rely on it.
    is_damaged: bool,
}

impl RecordFile {
    fn relies_on_records(&self) -> bool {
        self.references.iter().any(|reference| matches!(reference, Reference::Record { .. }))
    }

    /// Returns whether it was a bundle and is opened no more.
    fn is_void(&self, store: &LocalStore) -> bool {
        self.path.starts_with(store.root().join("records").join(bundle::VOID))
    }

    /// Returns whether it is worth nothing once no root has it any more.
    fn is_bundle(&self, store: &LocalStore) -> bool {
        let records = store.root().join("records");
        [bundle::KIND, bundle::VOID].iter().any(|kind| self.path.starts_with(records.join(kind)))
    }
}

impl<'a> Marker<'a> {
    /// Lists everything that is in the store.
    pub(super) fn new(store: &'a LocalStore) -> Result<Marker<'a>, StoreError> {
        let mut marker = Marker {
            store,
            // Before the blobs: what a listed record relies on is then listed too.
            records: list_records(store)?,
            blobs: BTreeMap::new(),
            kept: HashSet::new(),
            kept_records: HashMap::new(),
            kept_bytes: 0,
            trees: HashMap::new(),
            last_kept: Vec::new(),
            last_trees: Vec::new(),
            last_records: Vec::new(),
        };
        let blobs = store.root().join("blobs");
        for shard in names_in(&blobs)? {
            let directory = blobs.join(&shard);
            for name in names_in(&directory)? {
                marker.add_blob(&shard, &name, directory.join(&name))?;
            }
        }
        Ok(marker)
    }

    fn add_blob(&mut self, shard: &OsString, name: &OsString, path: PathBuf) -> Result<(), StoreError> {
        let Some(stat) = stat_if_there(&path)? else { return Ok(()) };
        let hex = format!("{}{}", shard.to_string_lossy(), name.to_string_lossy());
        let Some(digest) = Digest::from_hex(hex.trim_end_matches(".x"), 0) else { return Ok(()) };
        let files = BlobFiles { size: 0, used: (0, 0), paths: Vec::new() };
        let blob = self.blobs.entry(*digest.hash()).or_insert(files);
        blob.size = u64::try_from(stat.st_size).unwrap_or(0);
        blob.used = blob.used.max(accessed(&stat));
        blob.paths.push(path);
        Ok(())
    }

    /// Deletes the records that rely on something that is not here, and returns how many.
    pub(super) fn delete_broken_records(&mut self) -> Result<usize, StoreError> {
        let records: Vec<_> = self.records.values().cloned().collect();
        let mut n_broken = 0;
        for record in records {
            // One that is damaged would be found to be there, which is all that is asked of a bundle.
            if !record.is_damaged && self.keep(&record.references) {
                continue;
            }
            if record.is_void(self.store) {
                // Nobody opens it any more. Whoever has it open keeps what is left of it.
                continue;
            }
            if record.is_bundle(self.store) {
                // A process may have it open, and whatever is left of it must stay.
                n_broken += self.store.void_bundles()?;
            } else {
                fs::remove_file(&record.path)
                    .doing(|| format!("remove record `{}`", record.path.display()))?;
                n_broken += 1;
            }
        }
        Ok(n_broken)
    }

    /// Keeps what is referred to and says whether all of it is here.
    fn keep(&mut self, references: &[Reference]) -> bool {
        let mut whole = true;
        for reference in references {
            whole &= match reference {
                Reference::Blob(digest) => self.keep_blob(digest),
                Reference::Tree(digest) => self.keep_tree(digest),
                Reference::Record { kind, key } => self.keep_record(&self.store.record_path(kind, key)),
            };
        }
        whole
    }

    fn keep_record(&mut self, path: &Path) -> bool {
        if let Some(whole) = self.kept_records.get(path) {
            return *whole;
        }
        let Some(record) = self.records.get(path).filter(|record| !record.is_damaged).cloned() else {
            return false;
        };
        // One that relies on itself, through others, is as whole as all the rest.
        self.kept_records.insert(path.to_owned(), true);
        self.last_records.push(path.to_owned());
        let whole = self.keep(&record.references);
        self.kept_records.insert(path.to_owned(), whole);
        whole
    }

    fn keep_blob(&mut self, digest: &Digest) -> bool {
        let listed = self.blobs.get(digest.hash()).is_some_and(|blob| blob.size == digest.size());
        if listed && self.kept.insert(*digest.hash()) {
            self.kept_bytes += digest.size();
            self.last_kept.push(*digest.hash());
        }
        // The empty one is made when it is needed. One that was made after the list was is not in danger.
        listed || digest.size() == 0 || self.store.find(digest).is_ok_and(|found| found.is_some())
    }

    fn keep_tree(&mut self, tree: &Digest) -> bool {
        if let Some(whole) = self.trees.get(tree.hash()) {
            return *whole;
        }
        let mut whole = self.keep_blob(tree);
        match self.store.read_directory_unused(tree) {
            Some(directory) => {
                for node in directory.entries.values() {
                    whole &= match node {
                        Node::File { digest, .. } => self.keep_blob(digest),
                        Node::Directory { digest } => self.keep_tree(digest),
                        Node::Symlink { .. } => true,
                    };
                }
            }
            None => whole = false,
        }
        self.trees.insert(*tree.hash(), whole);
        self.last_trees.push(*tree.hash());
        whole
    }

    /// Does what `keep` does, or nothing when that is more than `limit` bytes in all.
    fn keep_within(&mut self, limit: u64, keep: impl FnOnce(&mut Self)) -> bool {
        self.last_kept.clear();
        self.last_trees.clear();
        self.last_records.clear();
        let before = self.kept_bytes;
        keep(self);
        if self.kept_bytes <= limit {
            return true;
        }
        for hash in &self.last_kept {
            self.kept.remove(hash);
        }
        for hash in &self.last_trees {
            self.trees.remove(hash);
        }
        for path in &self.last_records {
            self.kept_records.remove(path);
        }
        self.kept_bytes = before;
        false
    }

    /// Keeps records and blobs, last used first, as far as `keep` says.
    fn keep_recent(&mut self, keep: Keep, now: SystemTime) {
        enum Item {
            Record(RecordFile),
            Blob(Hash, u64),
        }
        let records = self
            .records
            .values()
            .filter(|record| !self.kept_records.contains_key(&record.path) && !record.is_bundle(self.store));
        let mut items: Vec<(Stamp, Item)> =
            records.map(|record| (record.used, Item::Record(record.clone()))).collect();
        for (hash, blob) in &self.blobs {
            items.push((blob.used, Item::Blob(*hash, blob.size)));
        }
        items.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        let oldest = match keep {
            Keep::Bytes(_) => (i64::MIN, 0),
            Keep::Age(age) => {
                let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(age);
                (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()))
            }
        };
        let limit = if let Keep::Bytes(limit) = keep { limit } else { u64::MAX };
        for (used, item) in items {
            // Once something did not fit, nothing that was used before it is kept instead.
            let fits = used >= oldest
                && match item {
                    Item::Record(record) => {
                        let fits = self.keep_within(limit, |marker| _ = marker.keep_record(&record.path));
                        // Of what is not whole any more, nobody has a use for the rest.
                        if self.kept_records.get(&record.path) == Some(&false) {
                            self.kept_records.remove(&record.path);
                        }
                        fits
                    }
                    Item::Blob(hash, size) => self.keep_within(limit, |marker| {
                        marker.keep_blob(&Digest::from_parts(hash, size));
                    }),
                };
            if !fits {
                break;
            }
        }
    }
}

fn read_all(mut file: fs::File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn stat_if_there(path: &Path) -> Result<Option<rustix::fs::Stat>, StoreError> {
    match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        result => result.map(Some).doing(|| format!("read the times of `{}`", path.display())),
    }
}

fn list_records(store: &LocalStore) -> Result<BTreeMap<PathBuf, RecordFile>, StoreError> {
    let mut records = BTreeMap::new();
    let top = store.root().join("records");
    let mut kinds = names_in(&top)?;
    kinds.sort_unstable();
    for kind in kinds {
        for shard in names_in(&top.join(&kind))? {
            let directory = top.join(&kind).join(shard);
            for name in names_in(&directory)? {
                let path = directory.join(name);
                let Some(stat) = stat_if_there(&path)? else { continue };
                let Ok(bytes) = open_unused(&path).and_then(read_all) else { continue };
                // A damaged record relies on nothing and is used by nobody.
                let decoded = decode(&bytes);
                let is_damaged = decoded.is_none();
                let (used, references) =
                    decoded.map_or(((0, 0), Vec::new()), |(_, record)| (accessed(&stat), record.references));
                records.insert(path.clone(), RecordFile { path, used, references, is_damaged });
            }
        }
    }
    Ok(records)
}
