//! The suites that every store and action cache passes.

use cas::{Digest, Keep, LocalStore, Store as _};
use engine::{ActionCache as _, ActionResult, Usage};
use local::LocalActionCache;

use crate::harness::{Test, scratch};

pub(crate) const TESTS: &[Test] = &[
    ("the_store_and_the_cache_hold_to_their_contracts", hold_to_contracts),
    ("a_result_goes_with_its_outputs", goes_with_outputs),
];

fn hold_to_contracts() {
    let scratch = scratch();
    let store = LocalStore::open(&scratch.path().join("store")).unwrap();
    testkit::check_store(&store);
    testkit::check_action_cache(&LocalActionCache::new(&store), &store);
    assert_eq!(store.gc(Keep::Bytes(0), std::time::UNIX_EPOCH).unwrap().n_blobs, 0, "all is in use");
}

fn goes_with_outputs() {
    let scratch = scratch();
    let store = LocalStore::open(&scratch.path().join("store")).unwrap();
    let cache = LocalActionCache::new(&store);
    let output = testkit::make_tree(&store, &[("a/b", "content")]);
    let log = store.write(b"log").unwrap();
    let action = Digest::of(b"action");
    let result = ActionResult { exit_code: 0, output, log, usage: Usage::default() };
    cache.put(&action, &result).unwrap();
    assert_eq!(cache.get(&action).unwrap().as_ref(), Some(&result));
    // Damaged by hand.
    let hex = Digest::of(b"content").hex();
    let blob = store.root().join("blobs").join(&hex[..2]).join(&hex[2..]);
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, "CONTENT").unwrap();
    store.scrub().unwrap();
    assert_eq!(cache.get(&action).unwrap(), None);
    store.write(b"content").unwrap();
    cache.put(&action, &result).unwrap();
    cache.forget(&action).unwrap();
    assert_eq!(cache.get(&action).unwrap(), None);
}
