//! The action cache that forgets everything at the end of the process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cas::Digest;
use engine::{ActionCache, ActionResult, CacheError};

/// Remembers results until it goes.
#[derive(Default)]
pub struct MemoryActionCache {
    results: Mutex<HashMap<Digest, ActionResult>>,
}

impl MemoryActionCache {
    /// Returns how many results are remembered.
    pub fn len(&self) -> usize {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the result of one action.
    pub fn forget(&self, action: &Digest) {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).remove(action);
    }
}

impl ActionCache for MemoryActionCache {
    fn get(&self, action: &Digest) -> Result<Option<ActionResult>, CacheError> {
        Ok(self.results.lock().unwrap_or_else(PoisonError::into_inner).get(action).cloned())
    }

    fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), CacheError> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).insert(*action, result.clone());
        Ok(())
    }
}
