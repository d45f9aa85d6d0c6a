//! The action cache on disk: records in the store.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cas::{Digest, LocalStore, Record, Reference, Store as _, StoreError};
use engine::{Action, ActionCache, ActionResult, CacheError};

/// Remembers results as records of a [`LocalStore`], which deletes a result before anything that it refers
/// to, and after the machine died believes none whose outputs are not whole.
pub struct LocalActionCache<'s> {
    store: &'s LocalStore,
    /// The time that it took to make what may not be durable yet.
    at_risk: Mutex<Duration>,
}

/// The records that are results of actions, by the digest of the action.
const KIND: &str = "actions";

/// Results are made durable once this much time of steps would be lost with the machine …
const WORTH_SYNCING: Duration = Duration::from_secs(5);
/// … but not so soon after the last time.
const BETWEEN_SYNCS: Duration = Duration::from_secs(2);
/// Results of whatever steps are made durable after this.
const SYNC_ANYWAY: Duration = Duration::from_secs(30);

impl<'s> LocalActionCache<'s> {
    /// Returns the cache that is part of `store`.
    pub fn new(store: &'s LocalStore) -> LocalActionCache<'s> {
        LocalActionCache { store, at_risk: Mutex::default() }
    }

    /// Returns what keeps the result of `action` from being collected, for [`LocalStore::set_root`].
    pub fn reference(action: &Digest) -> Reference {
        Reference::Record { kind: KIND.to_owned(), key: *action }
    }

    /// Forgets the result of `action`.
    pub fn forget(&self, action: &Digest) -> Result<(), CacheError> {
        self.store.remove_record(KIND, action).map_err(|error| failed("forget", action, error))
    }

    fn load(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        let Some(record) = self.store.record(KIND, action)? else { return Ok(None) };
        // What cannot be understood was written by another version, and is replaced by ours.
        let Ok(result) = ActionResult::decode(&record.payload) else { return Ok(None) };
        // The store vouches for the rest; somebody may have deleted files by hand.
        let here = self.store.contains(&result.output)? && self.store.contains(&result.log)?;
        Ok(here.then_some(result))
    }

    fn save(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        let mut references = vec![Reference::Tree(result.output), Reference::Blob(result.log)];
        // What the action was is told by `explain`, as long as the result is there.
        if self.store.contains(action)? {
            references.push(Reference::Blob(*action));
            if let Ok(decoded) = Action::decode(&self.store.read(action)?)
                && self.store.contains(&decoded.command)?
            {
                references.push(Reference::Blob(decoded.command));
            }
        }
        self.store.put_record(KIND, action, &Record { references, payload: result.encode() })?;
        let worth_syncing = {
            let mut at_risk = self.at_risk.lock().unwrap_or_else(PoisonError::into_inner);
            *at_risk += result.usage.wall;
            let since = self.store.since_sync()?;
            let worth = since >= SYNC_ANYWAY || since >= BETWEEN_SYNCS && *at_risk >= WORTH_SYNCING;
            if worth {
                *at_risk = Duration::ZERO;
            }
            worth
        };
        if worth_syncing { self.store.sync() } else { Ok(()) }
    }
}

impl ActionCache for LocalActionCache<'_> {
    fn get(&self, action: &Digest) -> Result<Option<ActionResult>, CacheError> {
        self.load(action).map_err(|error| failed("look up", action, error))
    }

    fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), CacheError> {
        self.save(action, result).map_err(|error| failed("remember", action, error))
    }
}

fn failed(verb: &str, action: &Digest, error: StoreError) -> CacheError {
    CacheError { doing: format!("{verb} the result of action {action}"), source: Box::new(error) }
}
