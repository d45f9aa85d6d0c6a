//! The action cache on disk: records in the store.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cas::{Digest, LocalStore, Note, Record, Reference, Store as _, StoreError};
use engine::{Action, ActionCache, ActionResult, CacheError, Usage};

/// Remembers results as records of a [`LocalStore`], which deletes a result before anything that it refers
/// to, and after the machine died believes none whose outputs are not whole.
pub struct LocalActionCache<'s> {
    store: &'s LocalStore,
    /// The time that it took to make what may not be durable yet.
    at_risk: Mutex<Duration>,
    /// Shortcuts that are not in the store's bundle.
    learnt: Mutex<BTreeMap<Digest, (Digest, ActionResult)>>,
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
        LocalActionCache { store, at_risk: Mutex::default(), learnt: Mutex::default() }
    }

    /// Returns what keeps the result of `action` from being collected, for [`LocalStore::set_root`].
    pub fn reference(action: &Digest) -> Reference {
        Reference::Record { kind: KIND.to_owned(), key: *action }
    }

    /// Forgets the result of `action`.
    pub fn forget(&self, action: &Digest) -> Result<(), CacheError> {
        self.store.remove_record(KIND, action).map_err(|error| failed("forget", action, error))
    }

    /// Saves the shortcuts that were used or learnt, and what was asked of the store since
    /// [`LocalStore::open_bundle`], unless the bundle that was opened had all of it. Until something else is
    /// saved under that name, no collection takes any of it, nor the results of `actions`.
    pub fn save_bundle(&self, name: &str, actions: impl Iterator<Item = Digest>) -> Result<(), StoreError> {
        let learnt = std::mem::take(&mut *self.learnt.lock().unwrap_or_else(PoisonError::into_inner));
        if learnt.is_empty() && self.store.bundle_sufficed() {
            return Ok(());
        }
        let (used, unused) = self.store.notes();
        // As long as they were in the bundle nobody marked them.
        for (action, _) in unused.into_iter().filter_map(|(_, text)| decode_note(text)) {
            self.store.mark_record(KIND, &action)?;
        }
        let known = used.into_iter();
        let known = known.filter_map(|(shortcut, text)| Some((shortcut, decode_note(text)?)));
        let shortcuts: BTreeMap<Digest, (Digest, ActionResult)> = known.chain(learnt).collect();
        let notes = shortcuts.into_iter().map(|(shortcut, (action, result))| Note {
            key: shortcut,
            text: encode_note(&action, &result),
            references: vec![
                Reference::Tree(result.output),
                Reference::Blob(result.log),
                LocalActionCache::reference(&action),
            ],
        });
        let references: Vec<Reference> = actions.map(|action| LocalActionCache::reference(&action)).collect();
        self.store.save_bundle(name, notes.collect(), &references)
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

    fn recall(&self, shortcut: &Digest) -> Option<(Digest, ActionResult)> {
        // What this process has learnt is newer than the bundle.
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner).get(shortcut).cloned();
        learnt.or_else(|| self.store.note(shortcut).and_then(decode_note))
    }

    fn learn(&self, shortcut: &Digest, action: &Digest, result: &ActionResult) {
        if result.exit_code == 0 {
            let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
            learnt.insert(*shortcut, (*action, result.clone()));
        }
    }
}

/// How long the note of a shortcut is: three digests, two times in nanoseconds, a number of bytes.
const NOTE: usize = 3 * 40 + 3 * 8;

/// Returns the note of an action and of its result, whose command succeeded: numbers of 64 bits, little-endian.
fn encode_note(action: &Digest, result: &ActionResult) -> Vec<u8> {
    let mut note = Vec::with_capacity(NOTE);
    for digest in [action, &result.output, &result.log] {
        note.extend_from_slice(digest.hash());
        note.extend_from_slice(&digest.size().to_le_bytes());
    }
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    for number in [nanos(result.usage.wall), nanos(result.usage.cpu), result.usage.peak_memory] {
        note.extend_from_slice(&number.to_le_bytes());
    }
    note
}

fn decode_note(note: &[u8]) -> Option<(Digest, ActionResult)> {
    let note: &[u8; NOTE] = note.try_into().ok()?;
    let number = |start: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&note[start..start + 8]);
        u64::from_le_bytes(bytes)
    };
    let digest = |start: usize| {
        let mut hash = [0; 32];
        hash.copy_from_slice(&note[start..start + 32]);
        Digest::from_parts(hash, number(start + 32))
    };
    let (wall, cpu) = (Duration::from_nanos(number(120)), Duration::from_nanos(number(128)));
    let usage = Usage { wall, cpu, peak_memory: number(136) };
    Some((digest(0), ActionResult { exit_code: 0, output: digest(40), log: digest(80), usage }))
}

fn failed(verb: &str, action: &Digest, error: StoreError) -> CacheError {
    CacheError { doing: format!("{verb} the result of action {action}"), source: Box::new(error) }
}
