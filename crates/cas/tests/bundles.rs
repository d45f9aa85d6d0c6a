//! What a bundle promises, beside collections, crashes and other processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use cas::{Digest, Directory, Keep, LocalStore, Node, Note, Record, Reference, Store as _, StoreError};
use support::{age, now, open};

const NAME: &str = "project [goal]";

/// A result: a tree with one file, a log, and the record that relies on both.
struct Result {
    key: Digest,
    tree: Digest,
    file: Digest,
    log: Digest,
}

impl Result {
    fn write(store: &LocalStore, name: &str) -> Result {
        let file = store.write(format!("file of {name}").as_bytes()).unwrap();
        let node = Node::File { digest: file, executable: false };
        let tree = store.write(&Directory { entries: [("out".to_owned(), node)].into() }.encode()).unwrap();
        let log = store.write(format!("log of {name}").as_bytes()).unwrap();
        let key = Digest::of(name.as_bytes());
        let references = vec![Reference::Tree(tree), Reference::Blob(log)];
        store.put_record("actions", &key, &Record { references, payload: name.into() }).unwrap();
        Result { key, tree, file, log }
    }

    fn note(&self, text: &str) -> Note {
        let record = Reference::Record { kind: "actions".to_owned(), key: self.key };
        let references = vec![Reference::Tree(self.tree), Reference::Blob(self.log), record];
        Note { key: self.key, text: text.into(), references }
    }

    /// Asks for what every build asks for.
    fn ask(&self, store: &LocalStore) {
        let store = store.noted();
        assert!(store.contains(&self.tree).unwrap() && store.contains(&self.log).unwrap());
        store.read(&self.tree).unwrap();
    }

    fn is_whole(&self, store: &LocalStore) -> bool {
        [self.tree, self.file, self.log].iter().all(|digest| store.verify(digest).is_ok())
    }
}

/// A store in which a build saved a bundle of one result, a long time ago.
fn saved(root: &Path) -> Result {
    let store = open(root);
    store.open_bundle(NAME).unwrap();
    let result = Result::write(&store, "first");
    result.ask(&store);
    let record = Reference::Record { kind: "actions".to_owned(), key: result.key };
    store.save_bundle(NAME, vec![result.note("known")], &[record]).unwrap();
    drop(store);
    age(root, 1);
    result
}

fn opened(root: &Path) -> LocalStore {
    let store = open(root);
    store.open_bundle(NAME).unwrap();
    store
}

fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("blobs").join(&digest.hex()[..2]).join(&digest.hex()[2..])
}

fn bundles(root: &Path, kind: &str) -> Vec<PathBuf> {
    let Ok(shards) = fs::read_dir(root.join("records").join(kind)) else { return Vec::new() };
    let names = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    names.map(|name| name.unwrap().path()).collect()
}

#[test]
fn what_is_in_a_bundle_is_found_without_a_look_at_its_files() {
    let root = tempfile::tempdir().unwrap();
    let result = saved(root.path());
    let store = opened(root.path());
    assert_eq!(store.notes(), (vec![], vec![(result.key, &b"known"[..])]));
    result.ask(&store);
    assert_eq!(store.note(&result.key), Some(&b"known"[..]));
    assert_eq!(store.note(&result.tree), None);
    assert_eq!(store.notes(), (vec![(result.key, &b"known"[..])], vec![]));
    assert!(store.bundle_sufficed());
    for digest in [result.tree, result.log] {
        assert_eq!(fs::metadata(blob_path(root.path(), &digest)).unwrap().atime(), 86_400, "not touched");
    }
    store.read(&result.file).unwrap();
    assert!(store.bundle_sufficed(), "what was not noted is not in the next one");
    store.noted().read(&result.file).unwrap();
    assert!(!store.bundle_sufficed());
}

#[test]
fn who_has_a_bundle_open_keeps_all_of_it() {
    let root = tempfile::tempdir().unwrap();
    let result = saved(root.path());
    let store = opened(root.path());
    // Another build of the same goals came to something else.
    open(root.path()).set_root(NAME, &[]).unwrap();
    open(root.path()).gc(Keep::Bytes(0), now()).unwrap();
    assert!(result.is_whole(&store));
    assert!(store.record("actions", &result.key).unwrap().is_some());
    drop(store);
    age(root.path(), 1);
    let freed = open(root.path()).gc(Keep::Bytes(u64::MAX), now()).unwrap();
    assert_eq!((freed.n_records, bundles(root.path(), "bundles-1").len()), (1, 0), "no root has it any more");
    assert!(result.is_whole(&open(root.path())), "there is room for what it had");
}

#[test]
fn a_root_keeps_its_bundle_and_what_it_stands_on() {
    let root = tempfile::tempdir().unwrap();
    let result = saved(root.path());
    open(root.path()).gc(Keep::Bytes(0), now()).unwrap();
    let store = opened(root.path());
    assert!(store.note(&result.key).is_some() && result.is_whole(&store));
}

#[test]
fn the_next_bundle_has_what_was_used_of_the_last_and_what_was_found_beyond_it() {
    let root = tempfile::tempdir().unwrap();
    let first = saved(root.path());
    let second = {
        let store = opened(root.path());
        let second = Result::write(&store, "second");
        first.ask(&store);
        second.ask(&store);
        store.note(&first.key).unwrap();
        let notes = vec![first.note("known"), second.note("new")];
        store.save_bundle(NAME, notes, &[]).unwrap();
        second
    };
    assert_eq!(bundles(root.path(), "bundles-1").len(), 1, "nobody stands on the old one");
    let store = opened(root.path());
    first.ask(&store);
    second.ask(&store);
    assert_eq!(store.note(&second.key), Some(&b"new"[..]));
    assert!(store.bundle_sufficed());
    // What nobody asks for any more is left out.
    drop(store);
    let store = opened(root.path());
    second.ask(&store);
    store.save_bundle(NAME, vec![second.note("new")], &[]).unwrap();
    drop(store);
    let store = opened(root.path());
    assert_eq!(store.note(&first.key), None);
    first.ask(&store);
    assert!(!store.bundle_sufficed());
}

#[test]
fn a_bundle_that_another_process_has_open_outlives_the_next_one() {
    let root = tempfile::tempdir().unwrap();
    let first = saved(root.path());
    let other = opened(root.path());
    {
        let store = opened(root.path());
        let second = Result::write(&store, "second");
        second.ask(&store);
        store.save_bundle(NAME, vec![second.note("new")], &[]).unwrap();
    }
    assert_eq!(bundles(root.path(), "bundles-1").len(), 2);
    open(root.path()).gc(Keep::Bytes(0), now()).unwrap();
    assert!(first.is_whole(&other));
}

#[test]
fn what_was_deleted_by_hand_ends_the_belief_in_a_bundle() {
    let root = tempfile::tempdir().unwrap();
    let result = saved(root.path());
    let store = opened(root.path());
    fs::remove_file(blob_path(root.path(), &result.log)).unwrap();
    assert!(store.contains(&result.log).unwrap(), "nobody has looked yet");
    assert!(matches!(store.open_blob(&result.log), Err(StoreError::Missing { .. })));
    assert!(!store.contains(&result.log).unwrap());
    assert_eq!(store.note(&result.key), None);
    assert!(store.contains(&result.tree).unwrap());
    assert!(!store.bundle_sufficed());
}

#[test]
fn a_damaged_bundle_is_none() {
    let root = tempfile::tempdir().unwrap();
    let result = saved(root.path());
    let record = bundles(root.path(), "bundles-1").remove(0);
    let path =
        root.path().join("blobs").join(record.strip_prefix(root.path().join("records/bundles-1")).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let store = opened(root.path());
    assert_eq!(store.note(&result.key), None);
    result.ask(&store);
    assert!(!store.bundle_sufficed());
    store.save_bundle(NAME, vec![result.note("known")], &[]).unwrap();
    assert!(opened(root.path()).note(&result.key).is_some());
}

#[test]
fn a_bundle_of_something_damaged_is_opened_no_more() {
    let root = tempfile::tempdir().unwrap();
    let result = saved(root.path());
    let holder = opened(root.path());
    let path = blob_path(root.path(), &result.file);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "FILE of first").unwrap();
    assert_eq!(open(root.path()).scrub().unwrap().damaged, [result.file]);
    assert_eq!(opened(root.path()).note(&result.key), None);
    // Who has it open keeps what is left.
    open(root.path()).set_root(NAME, &[]).unwrap();
    open(root.path()).gc(Keep::Bytes(0), now()).unwrap();
    assert!(holder.verify(&result.tree).is_ok() && holder.verify(&result.log).is_ok());
    drop(holder);
    age(root.path(), 1);
    open(root.path()).gc(Keep::Bytes(0), now()).unwrap();
    assert!(bundles(root.path(), "void-bundles-1").is_empty());
    assert!(open(root.path()).verify(&result.tree).is_err());
}

#[test]
fn a_forgotten_record_is_in_no_bundle() {
    let root = tempfile::tempdir().unwrap();
    let result = saved(root.path());
    let holder = opened(root.path());
    open(root.path()).remove_record("actions", &result.key).unwrap();
    assert_eq!(opened(root.path()).note(&result.key), None);
    open(root.path()).gc(Keep::Bytes(0), now()).unwrap();
    assert!(result.is_whole(&holder));
}

#[test]
fn after_the_machine_died_a_bundle_of_something_torn_is_opened_no_more() {
    let root = tempfile::tempdir().unwrap();
    let result = saved(root.path());
    let restart = || fs::write(root.path().join("synced"), "another-boot 0 0\n").unwrap();
    restart();
    assert!(opened(root.path()).note(&result.key).is_some(), "all of it is there");
    // As a journal leaves it: the name is there, the size is there, the data is not.
    let path = blob_path(root.path(), &result.log);
    fs::remove_file(&path).unwrap();
    fs::write(&path, [0; 12]).unwrap();
    restart();
    let store = opened(root.path());
    assert_eq!(store.note(&result.key), None);
    assert!(!store.contains(&result.log).unwrap());
    // What is saved anew is nothing to complain of, though the other one is still kept for who has it open.
    drop(store);
    let store = opened(root.path());
    let again = Result::write(&store, "second");
    again.ask(&store);
    store.save_bundle(NAME, vec![again.note("known")], &[]).unwrap();
    drop(store);
    assert_eq!(open(root.path()).scrub().unwrap().n_broken_records, 0);
    assert!(opened(root.path()).note(&again.key).is_some());
}
