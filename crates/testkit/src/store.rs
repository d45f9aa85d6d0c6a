//! A store in memory that can be made to lose blobs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cas::{Digest, Store, StoreError};

/// Keeps blobs until a test has them evicted, and counts how it is used.
#[derive(Default)]
pub struct EvictingStore {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blobs: HashMap<Digest, Vec<u8>>,
    n_reads: usize,
    n_writes: usize,
}

impl EvictingStore {
    /// Loses a blob, as a garbage collection in another process may. Returns whether it was there.
    pub fn evict(&self, digest: &Digest) -> bool {
        self.lock().blobs.remove(digest).is_some()
    }

    /// Returns how many blobs were read.
    pub fn n_reads(&self) -> usize {
        self.lock().n_reads
    }

    /// Returns how many blobs were written, known ones included.
    pub fn n_writes(&self) -> usize {
        self.lock().n_writes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for EvictingStore {
    fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.lock().blobs.contains_key(digest))
    }

    fn read(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let mut state = self.lock();
        state.n_reads += 1;
        state.blobs.get(digest).cloned().ok_or(StoreError::Missing { digest: *digest })
    }

    fn write(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let mut state = self.lock();
        state.n_writes += 1;
        state.blobs.insert(digest, bytes.to_vec());
        Ok(digest)
    }
}
