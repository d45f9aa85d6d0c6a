//! The tree of a commit into the store.
//!
//! Nothing is checked out: names and contents go into the store as they are, so that there is no file system
//! that a hostile tree could do anything to, and no filter or conversion.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use cas::{Digest, Directory, LocalStore, Node, Store as _};
use gix_hash::ObjectId;
use gix_object::tree::EntryKind;
use gix_object::{CommitRefIter, Kind, TreeRefIter};

use super::error::described;
use super::objects::Objects;
use super::{CommitId, FetchError, GitError};

/// What the tree of a commit consists of.
pub(super) struct Plan<'a> {
    commit: CommitId,
    /// When it was committed, in seconds since 1970.
    pub(super) date: i64,
    objects: &'a Objects,
    cancel: &'a AtomicBool,
    /// Children before their parents, so that the last one is the root. One that occurs twice is here once.
    directories: Vec<BTreeMap<String, Entry>>,
    by_id: BTreeMap<ObjectId, Known>,
    blobs: Vec<ObjectId>,
    by_blob: BTreeMap<ObjectId, usize>,
    links: BTreeMap<ObjectId, Arc<str>>,
    /// How many entries were read.
    n_read: u64,
    /// The submodules, each with its path.
    pub(super) submodules: Vec<(String, CommitId)>,
    /// The file that says where submodules come from.
    pub(super) modules: Option<ObjectId>,
}

#[derive(Clone, Copy)]
struct Known {
    directory: usize,
    extent: Extent,
}

/// How much there is below a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// The entries, counted as often as they are reached.
    n_entries: u64,
    /// How many directories lie in each other, and how long the longest path of one is.
    height: usize,
    longest: usize,
}

impl Extent {
    /// Adds an entry, which is a directory with so much below it, or none.
    fn add(&mut self, name: &str, below: Option<Extent>) {
        self.n_entries = self.n_entries.saturating_add(1);
        if let Some(below) = below {
            self.n_entries = self.n_entries.saturating_add(below.n_entries);
            self.height = self.height.max(below.height + 1);
            self.longest = self.longest.max(below.longest + name.len() + 1);
        }
    }

    /// Says whether so much may lie below the directory at `path`.
    fn fits(&self, path: &[String]) -> bool {
        let length: usize = path.iter().map(|name| name.len() + 1).sum();
        path.len() + self.height <= MAX_DEPTH && length + self.longest <= MAX_PATH
    }
}

enum Entry {
    File { blob: usize, executable: bool },
    Directory(usize),
    Symlink(Arc<str>),
    Submodule(usize),
}

/// How many entries a tree may have. A few kilobytes can describe a tree of 10^20, by naming the same
/// directories again and again.
const MAX_ENTRIES: u64 = 10_000_000;
/// How deep directories may lie, and how long their paths may be: those of places where they are put come before them.
const MAX_DEPTH: usize = 256;
const MAX_PATH: usize = 2048;
/// How many submodules a commit may have.
const MAX_SUBMODULES: usize = 10_000;
/// The longest text of a symbolic link that any file system takes.
const MAX_LINK: usize = 4095;

impl<'a> Plan<'a> {
    /// Reads all directories of the commit. Fails when the commit is none, or when anything in it is named so
    /// that it could not be placed.
    pub(super) fn of(
        commit: CommitId,
        objects: &'a Objects,
        cancel: &'a AtomicBool,
    ) -> Result<Plan<'a>, GitError> {
        let mut buffer = Vec::new();
        let data = objects.get(&commit.0, Kind::Commit, &mut buffer)?;
        let parts = CommitRefIter::from_bytes(data, gix_hash::Kind::Sha1);
        // As git has it, a commit that does not say when it was made is as old as can be.
        let date = parts.committer().map_or(0, |committer| committer.seconds());
        let root = CommitRefIter::from_bytes(data, gix_hash::Kind::Sha1).tree_id().map_err(|error| {
            objects.damaged(format!("commit {commit} makes no sense: {}", described(&error)))
        })?;
        let mut plan = Plan {
            commit,
            date,
            objects,
            cancel,
            directories: Vec::new(),
            by_id: BTreeMap::new(),
            blobs: Vec::new(),
            by_blob: BTreeMap::new(),
            links: BTreeMap::new(),
            n_read: 0,
            submodules: Vec::new(),
            modules: None,
        };
        plan.read(root, &mut Vec::new())?;
        Ok(plan)
    }

    fn read(&mut self, id: ObjectId, path: &mut Vec<String>) -> Result<Known, GitError> {
        let known = self.by_id.get(&id).copied();
        if !known.map(|known| known.extent).unwrap_or_default().fits(path) {
            return Err(self.bad(path, None, "its directories lie too deep"));
        }
        if let Some(known) = known {
            return Ok(known);
        }
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        let mut extent = Extent::default();
        for (name, kind, target) in self.listing(&id, path)? {
            self.check_cancelled()?;
            let mut below = None;
            let found = match kind {
                EntryKind::Tree => {
                    path.push(name.clone());
                    let known = self.read(target, path)?;
                    path.pop();
                    below = Some(known.extent);
                    Entry::Directory(known.directory)
                }
                kind @ (EntryKind::Blob | EntryKind::BlobExecutable) => {
                    if path.is_empty() && name == ".gitmodules" {
                        self.modules = Some(target);
                    }
                    Entry::File { blob: self.blob(target), executable: kind == EntryKind::BlobExecutable }
                }
                EntryKind::Link => Entry::Symlink(self.link(target, path, &name)?),
                EntryKind::Commit if self.submodules.len() == MAX_SUBMODULES => {
                    return Err(self.bad(path, Some(&name), "with it the tree has too many submodules"));
                }
                EntryKind::Commit => {
                    let full = joined(path, &name);
                    self.submodules.push((full, CommitId(target)));
                    Entry::Submodule(self.submodules.len() - 1)
                }
            };
            extent.add(&name, below);
            if extent.n_entries > MAX_ENTRIES {
                return Err(self.bad(path, Some(&name), "with it the tree has too many entries"));
            }
            if entries.insert(name.clone(), found).is_some() {
                return Err(self.bad(path, Some(&name), "its directory has two entries of that name"));
            }
        }
        self.directories.push(entries);
        let known = Known { directory: self.directories.len() - 1, extent };
        self.by_id.insert(id, known);
        Ok(known)
    }

    /// Returns the entries of a tree, without what is in them. The object itself, which can be large, is not kept.
    fn listing(
        &mut self,
        id: &ObjectId,
        path: &[String],
    ) -> Result<Vec<(String, EntryKind, ObjectId)>, GitError> {
        let mut buffer = Vec::new();
        let data = self.objects.get(id, Kind::Tree, &mut buffer)?;
        let mut listing = Vec::new();
        for entry in TreeRefIter::from_bytes(data, gix_hash::Kind::Sha1) {
            let entry = entry.map_err(|error| {
                self.objects.damaged(format!("tree {id} makes no sense: {}", described(&error)))
            })?;
            let name = self.name(path, entry.filename)?;
            self.n_read += 1;
            if self.n_read > MAX_ENTRIES {
                return Err(self.bad(path, Some(&name), "with it the tree has too many entries"));
            }
            listing.push((name, entry.mode.kind(), entry.oid.to_owned()));
        }
        Ok(listing)
    }

    /// Returns the name of an entry, if a tree can hold it and no `git` would refuse to check it out.
    fn name(&self, path: &[String], name: &[u8]) -> Result<String, GitError> {
        let shown = || name.escape_ascii().to_string();
        let Ok(text) = std::str::from_utf8(name) else {
            return Err(self.bad(path, Some(&shown()), "its name is not UTF-8"));
        };
        let is_name = !matches!(text, "" | "." | "..") && !text.contains(['/', '\0']) && text.len() <= 255;
        if !is_name || text.eq_ignore_ascii_case(".git") {
            return Err(self.bad(path, Some(&shown()), "it has a name that no file may have"));
        }
        Ok(text.to_owned())
    }

    fn link(&mut self, id: ObjectId, path: &[String], name: &str) -> Result<Arc<str>, GitError> {
        let text = match self.links.get(&id) {
            Some(text) => Arc::clone(text),
            None => {
                let mut buffer = Vec::new();
                let data = self.objects.get(&id, Kind::Blob, &mut buffer)?;
                let is_text =
                    |text: &&str| !text.is_empty() && text.len() <= MAX_LINK && !text.contains('\0');
                let Some(text) = std::str::from_utf8(data).ok().filter(is_text) else {
                    let reason = "it is a link to what cannot be the name of a file";
                    return Err(self.bad(path, Some(name), reason));
                };
                let text: Arc<str> = text.into();
                self.links.insert(id, Arc::clone(&text));
                text
            }
        };
        self.objects.keep(text.len() as u64)?;
        Ok(text)
    }

    fn blob(&mut self, id: ObjectId) -> usize {
        *self.by_blob.entry(id).or_insert_with(|| {
            self.blobs.push(id);
            self.blobs.len() - 1
        })
    }

    fn bad(&self, path: &[String], name: Option<&str>, reason: &str) -> GitError {
        let path = name.map_or_else(|| path.join("/"), |name| joined(path, name));
        GitError::BadEntry { commit: self.commit, path, reason: reason.to_owned() }
    }

    fn check_cancelled(&self) -> Result<(), GitError> {
        check_cancelled(self.cancel)
    }

    /// Returns how much there is when each of [`Plan::submodules`] has so much in its place.
    ///
    /// Fails when that is more than there may be: each of them may fit alone, in one place.
    pub(super) fn extent(&self, submodules: &[Extent]) -> Result<Extent, GitError> {
        let mut extents: Vec<Extent> = Vec::with_capacity(self.directories.len());
        for entries in &self.directories {
            let mut extent = Extent::default();
            for (name, entry) in entries {
                let below = match entry {
                    Entry::Directory(idx) => Some(extents[*idx]),
                    Entry::Submodule(idx) => Some(submodules[*idx]),
                    Entry::File { .. } | Entry::Symlink(_) => None,
                };
                extent.add(name, below);
            }
            extents.push(extent);
        }
        let extent = *extents.last().expect("the root was read");
        let largest = self.submodules.iter().zip(submodules).max_by_key(|(_, below)| below.n_entries);
        match largest {
            Some(((path, _), _)) if extent.n_entries > MAX_ENTRIES => {
                Err(self.bad(&[], Some(path), "with its submodules the tree has too many entries"))
            }
            Some(((path, _), _)) if !extent.fits(&[]) => {
                Err(self.bad(&[], Some(path), "with its submodules the directories of the tree lie too deep"))
            }
            _ => Ok(extent),
        }
    }

    /// Puts the tree into the store, with the tree of each of [`Plan::submodules`] in its place, and returns
    /// its digest.
    pub(super) fn import(&self, store: &LocalStore, submodules: &[Digest]) -> Result<Digest, GitError> {
        let blobs = self.import_blobs(store)?;
        let mut digests: Vec<Digest> = Vec::with_capacity(self.directories.len());
        for entries in &self.directories {
            self.check_cancelled()?;
            let mut directory = Directory::default();
            for (name, entry) in entries {
                let node = match entry {
                    Entry::File { blob, executable } => {
                        Node::File { digest: blobs[*blob], executable: *executable }
                    }
                    Entry::Directory(idx) => Node::Directory { digest: digests[*idx] },
                    Entry::Symlink(target) => Node::Symlink { target: target.to_string() },
                    Entry::Submodule(idx) => Node::Directory { digest: submodules[*idx] },
                };
                directory.entries.insert(name.clone(), node);
            }
            digests.push(store.write(&directory.encode())?);
        }
        Ok(*digests.last().expect("the root was read"))
    }

    /// Puts the contents of all files into the store, on all processors.
    fn import_blobs(&self, store: &LocalStore) -> Result<Vec<Digest>, GitError> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new((vec![Digest::of(b""); self.blobs.len()], None));
        let (blobs, cancel) = (self.blobs.as_slice(), self.cancel);
        let worker = |objects: Objects| {
            let mut buffer = Vec::new();
            while let Some((idx, id)) = {
                let idx = next.fetch_add(1, Ordering::Relaxed);
                blobs.get(idx).map(|id| (idx, id))
            } {
                let written = check_cancelled(cancel)
                    .and_then(|()| objects.get(id, Kind::Blob, &mut buffer))
                    .and_then(|data| {
                        objects.keep(data.len() as u64)?;
                        Ok(store.write(data)?)
                    });
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                match written {
                    Ok(digest) => results.0[idx] = digest,
                    Err(error) => {
                        results.1.get_or_insert(error);
                        next.store(blobs.len(), Ordering::Relaxed);
                    }
                }
            }
        };
        let n_threads = thread::available_parallelism().map_or(1, usize::from).min(self.blobs.len());
        thread::scope(|scope| {
            for _ in 0..n_threads {
                let (worker, objects) = (&worker, self.objects.clone());
                scope.spawn(move || worker(objects));
            }
        });
        match results.into_inner().unwrap_or_else(PoisonError::into_inner) {
            (digests, None) => Ok(digests),
            (_, Some(error)) => Err(error),
        }
    }
}

fn check_cancelled(cancel: &AtomicBool) -> Result<(), GitError> {
    if cancel.load(Ordering::Relaxed) { Err(FetchError::Cancelled.into()) } else { Ok(()) }
}

fn joined(path: &[String], name: &str) -> String {
    path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gix_object::Write as _;

    use super::super::Address;
    use super::super::allowance::Allowance;
    use super::*;

    #[test]
    fn files_that_come_to_more_than_they_may() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("objects");
        std::fs::create_dir(&path).unwrap();
        let repository = gix_odb::loose::Store::at(path.clone(), gix_hash::Kind::Sha1);
        let write = |kind, data: &[u8]| repository.write_buf(kind, data).unwrap();
        let entry = |name: &str, data: &[u8]| {
            let blob = write(Kind::Blob, data);
            [format!("100644 {name}\0").as_bytes(), blob.as_slice()].concat()
        };
        // What is there twice counts once.
        let entries = [entry("a", b"ten bytes."), entry("b", b"ten bytes."), entry("c", b"ten more..")];
        let tree = write(Kind::Tree, &entries.concat());
        let commit = CommitId(write(Kind::Commit, format!("tree {tree}\n\n").as_bytes()));

        let store = LocalStore::open(&directory.path().join("store")).unwrap();
        let address = Address::parse("https://example.org/x.git", Path::new("/")).unwrap();
        std::fs::create_dir(path.join("pack")).unwrap();
        let import = |n_left: u64| {
            let allowance = Allowance::default();
            allowance.keep((1 << 30) - n_left).unwrap();
            let objects = Objects::received(&path, &address, &allowance)?;
            Plan::of(commit, &objects, &AtomicBool::new(false))?.import(&store, &[])
        };
        assert!(import(20).is_ok());
        let error = import(19).unwrap_err().to_string();
        let expected = "what `https://example.org/x.git` sent cannot be used: its files come to more than 1073741824 bytes, \
            which is far more than what was sent should become";
        assert_eq!(error, expected);
    }
}
