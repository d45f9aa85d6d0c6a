//! What is given up because nobody wants it any more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cas::{Digest, ImportMode, LocalStore, Node, Store as _, StoreError};

fn open(root: &Path) -> LocalStore {
    LocalStore::open(root).unwrap()
}

#[test]
fn an_import_that_is_cancelled_ends_within_a_hole() {
    let root = tempfile::tempdir().unwrap();
    let source = root.path().join("source");
    fs::create_dir(&source).unwrap();
    let hole = source.join("hole");
    // To hash that takes hours.
    fs::File::create(&hole).unwrap().set_len(8 << 40).unwrap();
    for mode in [ImportMode::Copy, ImportMode::Move] {
        let error = cancelled(root.path(), |store| store.import_tree(&source, mode).map(drop));
        let StoreError::Io { doing, .. } = error else { panic!("{error}") };
        assert!(doing.starts_with(&format!("import `{}`", hole.display())), "{doing}");
        assert!(hole.exists());
    }
}

/// Opens the store in `root`, cancels `work` with it when that has begun, and returns what that said.
fn cancelled(root: &Path, work: impl FnOnce(&LocalStore) -> Result<(), StoreError> + Send) -> StoreError {
    let cancel = Arc::new(AtomicBool::new(false));
    let store = LocalStore::open_until(&root.join("store"), Arc::clone(&cancel)).unwrap();
    let error = std::thread::scope(|scope| {
        let running = scope.spawn(|| work(&store));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!running.is_finished());
        cancel.store(true, Ordering::Relaxed);
        running.join().unwrap().unwrap_err()
    });
    assert!(error.is_cancelled(), "{error}");
    let StoreError::Io { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.to_string(), "it was cancelled");
    error
}

#[test]
fn what_is_cancelled_ends_within_a_blob_and_leaves_what_was_there() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("hole");
    fs::File::create(&place).unwrap().set_len(8 << 40).unwrap();
    // It would take hours to find out that this is not so.
    let digest = Digest::from_parts(*Digest::of(b"other").hash(), 8 << 40);
    open(&root.path().join("store")).adopt(&place, &digest).unwrap();
    let node = Node::File { digest, executable: false };
    fs::write(&place, "earlier").unwrap();
    cancelled(root.path(), |store| store.export(&node, &place));
    assert_eq!(fs::read(&place).unwrap(), b"earlier");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2, "something unfinished was left");
    cancelled(root.path(), |store| store.verify(&digest));
    cancelled(root.path(), |store| store.scrub().map(drop));
    assert!(open(&root.path().join("store")).contains(&digest).unwrap());
}
