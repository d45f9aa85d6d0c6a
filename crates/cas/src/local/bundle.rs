//! Bundles: what one build asked of the store, in one file, so that the next finds it with a single look.
//!
//! A build in which nothing has to run asks for thousands of results, directories and logs that all are there.
//! Finding each in its own file, and marking it as used, would be most of what such a build does. A bundle is
//! a blob that says what is there, and a record that relies on all of it: marking the record marks it all, and
//! nothing of it goes before the record does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::AtFlags;

use super::LocalStore;
use super::blobs::blob_name;
use super::lease::names_in;
use super::records::{Record, Reference, parse_reference};
use super::table::{self, Tables};
use crate::store::Doing as _;
use crate::{Digest, Store, StoreError};

/// The records of bundles, by the digest of the blob: once written they are never replaced by others, since
/// a process may stand on one. The number is raised when the format changes.
pub(super) const KIND: &str = "bundles-1";
/// The records that were bundles and are opened no more. Until a collection finds that nobody stands on one,
/// it keeps what it relies on. The name comes after the other one: a collector lists both, in this order, so
/// that it misses none that is moved meanwhile.
pub(super) const VOID: &str = "void-bundles-1";

/// Larger blobs are read where they are: what builds read again and again are directories.
const LARGEST: usize = 64 << 10;
/// More content than this, in bytes, is left out, so that nobody who opens a bundle has to fear for its memory.
const LARGEST_SUM: usize = 1 << 30;

/// Something that a bundle has by a key, chosen by whoever saves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The key.
    pub key: Digest,
    /// What is known about it.
    pub text: Vec<u8>,
    /// What that relies on.
    pub references: Vec<Reference>,
}

/// Notes of an opened bundle: their keys and texts, sorted by key.
pub type Texts<'s> = Vec<(Digest, &'s [u8])>;

/// A [`LocalStore`] as [`LocalStore::noted`] gives it: what is asked of it will be in the next bundle.
///
/// Meant for what every build asks for. What a build asks for only because something has to run is better
/// asked of the store itself: whoever opens the next bundle reads all that is in it.
#[derive(Clone, Copy)]
pub struct Noted<'s> {
    store: &'s LocalStore,
}

impl Store for Noted<'_> {
    fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        let found = self.store.contains(digest)?;
        if found {
            self.store.bundles.note(digest, None);
        }
        Ok(found)
    }

    fn read(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let bytes = self.store.read(digest)?;
        self.store.bundles.note(digest, Some(&bytes));
        Ok(bytes)
    }

    fn write(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = self.store.write(bytes)?;
        self.store.bundles.note(&digest, Some(bytes));
        Ok(digest)
    }
}

/// The bundle that a store has opened, and what was asked of the store beyond it.
#[derive(Default)]
pub(super) struct Bundles {
    opened: OnceLock<Option<Opened>>,
    /// What was asked for since and is not in the bundle: blobs, with their content if that was read.
    found: Mutex<BTreeMap<Digest, Option<Vec<u8>>>>,
}

struct Opened {
    key: Digest,
    tables: Tables,
    /// By row of the tables: whether it was asked for.
    notes_used: Vec<AtomicBool>,
    blobs_used: Vec<AtomicBool>,
    /// Becomes false when something turns out not to be there after all: somebody deleted it by hand.
    is_believed: AtomicBool,
}

impl Bundles {
    fn believed(&self) -> Option<&Opened> {
        self.opened.get()?.as_ref().filter(|opened| opened.is_believed.load(Ordering::Relaxed))
    }

    /// Returns whether the bundle says that the blob is here.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.row(digest).is_some()
    }

    /// Returns the content of the blob, if the bundle has it.
    pub(super) fn content(&self, digest: &Digest) -> Option<&[u8]> {
        self.row(digest).and_then(|(opened, row)| opened.tables.blobs.text(row))
    }

    fn row(&self, digest: &Digest) -> Option<(&Opened, usize)> {
        let opened = self.believed()?;
        let row = opened.tables.blobs.find(digest)?;
        opened.blobs_used[row].store(true, Ordering::Relaxed);
        Some((opened, row))
    }

    /// Notes that the blob, which is here, was asked for.
    fn note(&self, digest: &Digest, content: Option<&[u8]>) {
        let is_known = self.row(digest).is_some_and(|(opened, row)| {
            content.is_none_or(|bytes| bytes.len() > LARGEST || opened.tables.blobs.text(row).is_some())
        });
        if is_known || self.opened.get().is_none() {
            return;
        }
        let content = content.filter(|bytes| bytes.len() <= LARGEST).map(<[u8]>::to_vec);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let known = found.entry(*digest).or_default();
        if known.is_none() {
            *known = content;
        }
    }

    /// Has the bundle believed no longer: something is not here, and who knows what else.
    pub(super) fn disbelieve(&self) {
        if let Some(opened) = self.believed() {
            opened.is_believed.store(false, Ordering::Relaxed);
        }
    }
}

impl LocalStore {
    /// Opens the bundle that was saved under that name, if there is one. Only the first call counts.
    ///
    /// From then on what is in it is found without looking, and stays until the store is dropped.
    pub fn open_bundle(&self, name: &str) -> Result<(), StoreError> {
        if self.bundles.opened.get().is_none() {
            let opened = self.load_bundle(name)?;
            let _ = self.bundles.opened.set(opened);
        }
        Ok(())
    }

    /// Returns the text of the note with that key in the opened bundle. All that it relies on is here.
    pub fn note(&self, key: &Digest) -> Option<&[u8]> {
        let opened = self.bundles.believed()?;
        let row = opened.tables.notes.find(key)?;
        opened.notes_used[row].store(true, Ordering::Relaxed);
        opened.tables.notes.text(row)
    }

    /// Returns the notes in the opened bundle, those that [`LocalStore::note`] returned apart from those that nobody
    /// asked for.
    pub fn notes(&self) -> (Texts<'_>, Texts<'_>) {
        let Some(opened) = self.bundles.believed() else { return Default::default() };
        let notes = &opened.tables.notes;
        let of_row = |row| Some((row, (notes.key(row), notes.text(row)?)));
        let (used, unused): (Vec<_>, Vec<_>) = (0..notes.len())
            .filter_map(of_row)
            .partition(|(row, _)| opened.notes_used[*row].load(Ordering::Relaxed));
        let of = |notes: Vec<(usize, _)>| notes.into_iter().map(|(_, note)| note).collect();
        (of(used), of(unused))
    }

    /// Returns whether a bundle was opened and is believed.
    pub fn has_bundle(&self) -> bool {
        self.bundles.believed().is_some()
    }

    /// Returns the same store, of which the bundle that is saved next will have what it is asked for. Has no
    /// such effect before [`LocalStore::open_bundle`].
    pub fn noted(&self) -> Noted<'_> {
        Noted { store: self }
    }

    /// Returns whether there is an opened bundle which had every blob that was noted since.
    pub fn bundle_sufficed(&self) -> bool {
        let found = self.bundles.found.lock().unwrap_or_else(PoisonError::into_inner);
        self.bundles.believed().is_some() && found.is_empty()
    }

    /// Saves `notes` and all blobs that were noted since a bundle was opened, under that name. A root of
    /// the name keeps all of them, and `references`.
    ///
    /// Everything that `notes` rely on must be here.
    pub fn save_bundle(
        &self,
        name: &str,
        notes: Vec<Note>,
        references: &[Reference],
    ) -> Result<(), StoreError> {
        let (bytes, mut references_of_all) = self.bundles.next(notes);
        let key = self.write(&bytes)?;
        references_of_all.push(Reference::Blob(key));
        let record = Record { references: references_of_all, payload: Vec::new() };
        self.put_record(KIND, &key, &record)?;
        let mut kept = vec![Reference::Record { kind: KIND.to_owned(), key }];
        kept.extend_from_slice(references);
        self.set_root(name, &kept)?;
        // Who comes now finds the new one. Whoever came before may stand on the old one.
        if let Some(Some(old)) = self.bundles.opened.get()
            && old.key != key
            && self.lease.others_began()?.is_none()
        {
            self.delete_record(KIND, &old.key)?;
        }
        Ok(())
    }

    /// Has no process open any of the bundles that there are; who has one open may go on. Returns how many.
    pub(super) fn void_bundles(&self) -> Result<usize, StoreError> {
        let records = self.root().join("records");
        if !records.join(KIND).exists() {
            return Ok(0);
        }
        let mut n_void = 0;
        for shard in names_in(&records.join(KIND))? {
            let void = records.join(VOID).join(&shard);
            for name in names_in(&records.join(KIND).join(&shard))? {
                let path = records.join(KIND).join(&shard).join(&name);
                let moved = fs::create_dir_all(&void).and_then(|()| fs::rename(&path, void.join(name)));
                match moved {
                    Ok(()) => n_void += 1,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error).doing(|| format!("remove record `{}`", path.display())),
                }
            }
        }
        Ok(n_void)
    }

    fn load_bundle(&self, name: &str) -> Result<Option<Opened>, StoreError> {
        let doing = || format!("read root `{name}`");
        let path = self.root_path(name);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.doing(doing)?,
        };
        // The bundle comes first of all that a root keeps, of which there may be megabytes.
        let mut start = Vec::new();
        file.take(name.len() as u64 + 256).read_to_end(&mut start).doing(doing)?;
        let text = String::from_utf8_lossy(&start);
        let Some(Reference::Record { kind, key }) = text.lines().nth(1).and_then(parse_reference) else {
            return Ok(None);
        };
        if kind != KIND {
            return Ok(None);
        }
        // The record is not read: to be there is all that it is for.
        if !self.touch_record(&self.record_path(KIND, &key))? {
            return Ok(None);
        }
        let bytes = match self.read_blob(&key) {
            Err(StoreError::Missing { .. }) => return Ok(None),
            Err(StoreError::Damaged { .. }) => {
                // It would be in the way of one that says the same and is whole.
                let _ = rustix::fs::unlinkat(&self.blobs, blob_name(&key, false), AtFlags::empty());
                return Ok(None);
            }
            read => read?,
        };
        let Some(tables) = Tables::read(bytes) else { return Ok(None) };
        let unused = |n_rows| std::iter::repeat_with(AtomicBool::default).take(n_rows).collect();
        let (notes_used, blobs_used) = (unused(tables.notes.len()), unused(tables.blobs.len()));
        Ok(Some(Opened { key, tables, notes_used, blobs_used, is_believed: AtomicBool::new(true) }))
    }
}

impl Bundles {
    /// Returns the bundle of `notes` and of what was asked for, and all that it relies on.
    fn next(&self, notes: Vec<Note>) -> (Vec<u8>, Vec<Reference>) {
        let mut blobs = std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(opened) = self.believed() {
            let known = &opened.tables.blobs;
            for row in (0..known.len()).filter(|row| opened.blobs_used[*row].load(Ordering::Relaxed)) {
                let content = blobs.entry(known.key(row)).or_default();
                if content.is_none() {
                    *content = known.text(row).map(<[u8]>::to_vec);
                }
            }
        }
        let mut references: Vec<Reference> = blobs.keys().map(|digest| Reference::Blob(*digest)).collect();
        let mut texts = BTreeMap::new();
        for note in notes {
            references.extend(note.references);
            texts.insert(note.key, Some(note.text));
        }
        references.sort_unstable();
        references.dedup();
        let mut sum = 0;
        for content in blobs.values_mut() {
            sum += content.as_ref().map_or(0, Vec::len);
            if sum > LARGEST_SUM {
                *content = None;
            }
        }
        (table::write(&texts, &blobs), references)
    }
}
