//! What every implementation of a trait must do, as tests that each of them runs.

use std::time::Duration;

use cas::{Digest, Store, StoreError};
use engine::{ActionCache, ActionResult, Usage};

/// Checks the contract of [`Store`] on an empty store.
///
/// # Panics
/// When the store does not hold to it.
pub fn check_store(store: &dyn Store) {
    let absent = Digest::of(b"never written");
    assert!(!store.contains(&absent).expect("asking is no error"), "an empty store has nothing");
    match store.read(&absent) {
        Err(StoreError::Missing { digest }) => assert_eq!(digest, absent),
        other => panic!("reading what is not there gave {other:?}"),
    }

    let blobs: [&[u8]; 4] = [b"", b"x", b"\0\xff not UTF-8 \xfe", &[7; 100_000]];
    for blob in blobs {
        let digest = store.write(blob).expect("a blob is taken");
        assert_eq!(digest, Digest::of(blob), "a blob is named by its bytes");
        assert!(store.contains(&digest).expect("asking is no error"), "what was written is there");
        assert_eq!(store.read(&digest).expect("what was written can be read"), blob);
        assert_eq!(store.write(blob).expect("a blob is taken twice"), digest);
        assert_eq!(store.read(&digest).expect("twice written is once there"), blob);
    }

    // The size is part of the name.
    let other_size = Digest::from_parts(*Digest::of(b"x").hash(), 2);
    assert!(store.read(&other_size).is_err(), "a digest with another size names another blob");

    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            scope.spawn(move || {
                for idx in 0..50u8 {
                    // Every blob is written by two threads at about the same time.
                    let blob = [thread / 2, idx];
                    let digest = store.write(&blob).expect("a blob is taken");
                    assert_eq!(store.read(&digest).expect("what was written can be read"), blob);
                }
            });
        }
    });
}

/// Checks the contract of [`ActionCache`] on an empty cache whose results refer to `store`.
///
/// # Panics
/// When the cache does not hold to it.
pub fn check_action_cache(cache: &dyn ActionCache, store: &dyn Store) {
    let action = Digest::of(b"an action");
    assert_eq!(cache.get(&action).expect("asking is no error"), None, "an empty cache knows nothing");

    let output = store.write(b"").expect("a blob is taken");
    let result = |log: &[u8], seconds| ActionResult {
        exit_code: 0,
        output,
        log: store.write(log).expect("a blob is taken"),
        usage: Usage {
            wall: Duration::from_secs(seconds),
            cpu: Duration::from_millis(seconds * 1500),
            peak_memory: 64 << 20,
        },
    };
    let first = result(b"first", 1);
    cache.put(&action, &first).expect("a result is taken");
    assert_eq!(cache.get(&action).expect("asking is no error"), Some(first));

    let second = result(b"second", 2);
    cache.put(&action, &second).expect("a result is replaced");
    assert_eq!(cache.get(&action).expect("asking is no error"), Some(second), "the last result counts");

    let other = Digest::of(b"another action");
    assert_eq!(cache.get(&other).expect("asking is no error"), None, "results are kept apart");

    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let result = &result;
            scope.spawn(move || {
                for idx in 0..20u64 {
                    // Two threads remember the same action at about the same time.
                    let action = Digest::of(format!("{} {idx}", thread / 2).as_bytes());
                    let expected = result(b"same", idx);
                    cache.put(&action, &expected).expect("a result is taken");
                    assert_eq!(cache.get(&action).expect("asking is no error"), Some(expected));
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use cas::MemoryStore;

    use super::*;
    use crate::{EvictingStore, MemoryActionCache};

    #[test]
    fn stores_in_memory_hold_to_the_contract() {
        check_store(&MemoryStore::default());
        check_store(&EvictingStore::default());
    }

    #[test]
    fn cache_in_memory_holds_to_the_contract() {
        check_action_cache(&MemoryActionCache::default(), &MemoryStore::default());
    }
}
