//! All sources that one process watches.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::tree::Tree;
use super::{Answer, Names, Token, WatchError};
use crate::Ignore;

/// How often something changed in any source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat(u64);

/// Sources that are watched. Shared between threads; one of its own empties the queues of the kernel.
#[derive(Debug)]
pub struct Watches {
    state: Mutex<State>,
    changed: Condvar,
    wake: OwnedFd,
}

#[derive(Debug, Default)]
struct State {
    sources: BTreeMap<Key, Source>,
    beat: u64,
}

type Key = (PathBuf, Vec<String>);

#[derive(Debug)]
enum Source {
    /// Boxed: it is a hundred times the size of the others.
    Watched(Box<Tree>),
    /// Somebody is about to watch it.
    Beginning,
    /// It cannot be watched.
    Refused,
}

fn key(directory: &Path, ignore: &Ignore) -> Key {
    (directory.to_owned(), ignore.patterns())
}

impl Watches {
    /// Returns an empty set.
    pub fn new() -> Result<Arc<Watches>, WatchError> {
        let failed = |errno: Errno| WatchError::Io { path: PathBuf::from("eventfd"), source: errno.into() };
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?;
        let watches = Arc::new(Watches { state: Mutex::default(), changed: Condvar::new(), wake });
        let weak = Arc::downgrade(&watches);
        thread::spawn(move || pump(&weak));
        Ok(watches)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of all that changed until now, and says so to who waits for that.
    fn drained(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if state.drain() {
            self.changed.notify_all();
        }
        state
    }

    /// Has the thread look again at what is watched.
    fn wake(&self) {
        // It is full only if the thread is about to wake anyway.
        let _written = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// Watches the source from now on. One that is watched already stays so.
    pub fn add(&self, directory: &Path, ignore: &Ignore) -> Result<(), WatchError> {
        let key = key(directory, ignore);
        let is_same = |tree: &Tree| {
            crate::glance::identity(directory).is_ok_and(|identity| identity == tree.identity())
        };
        if matches!(self.drained().sources.get(&key), Some(Source::Watched(tree)) if is_same(tree)) {
            return Ok(());
        }
        // Thousands of directories take a while, in which others may ask for other sources.
        let tree = Tree::new(directory, ignore);
        let mut state = self.lock();
        state.beat += 1;
        self.changed.notify_all();
        match tree {
            Ok(tree) => {
                // Somebody else may have been faster, and has told others since when to ask.
                let is_there = matches!(
                    state.sources.get(&key),
                    Some(Source::Watched(other)) if other.identity() == tree.identity()
                );
                if !is_there {
                    state.sources.insert(key, Source::Watched(Box::new(tree)));
                }
                drop(state);
                self.wake();
                Ok(())
            }
            Err(error) => {
                match error {
                    // It may be there again.
                    WatchError::Gone { .. } => state.sources.remove(&key),
                    _ => state.sources.insert(key, Source::Refused),
                };
                Err(error)
            }
        }
    }

    /// Returns what changed in a source since the last time that somebody asked this, for people. Empty when it is not
    /// watched.
    pub fn take_names(&self, directory: &Path, ignore: &Ignore) -> Names {
        let mut state = self.drained();
        match state.sources.get_mut(&key(directory, ignore)) {
            Some(Source::Watched(tree)) => tree.take_names(),
            _ => Names::default(),
        }
    }

    /// Returns whether the source is watched, and is still the directory at this path.
    pub fn has(&self, directory: &Path, ignore: &Ignore) -> bool {
        let identity = crate::glance::identity(directory).ok();
        match self.lock().sources.get(&key(directory, ignore)) {
            Some(Source::Watched(tree)) => Some(tree.identity()) == identity,
            _ => false,
        }
    }

    /// Returns how often something changed until now.
    pub fn beat(&self) -> Beat {
        Beat(self.drained().beat)
    }

    /// Waits until something changes after `beat`, at most so long. Returns whether something did.
    pub fn wait(&self, beat: Beat, patience: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, patience, |state| state.beat == beat.0);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.beat != beat.0
    }

    /// Returns what changed since `since` in a source, which must be the directory of that device and inode; `None`
    /// when it is not watched, and begins to watch it then.
    pub(crate) fn answer(
        self: &Arc<Watches>,
        directory: &Path,
        ignore: &Ignore,
        identity: (u64, u64),
        since: Option<&Token>,
    ) -> Option<Answer> {
        let key = key(directory, ignore);
        let mut state = self.drained();
        match state.sources.get(&key) {
            Some(Source::Watched(tree)) if tree.identity() == identity => return Some(tree.answer(since)),
            Some(Source::Beginning | Source::Refused) => return None,
            // Another directory has its place.
            Some(Source::Watched(_)) | None => _ = state.sources.insert(key, Source::Beginning),
        }
        drop(state);
        let (watches, directory, ignore) = (Arc::clone(self), directory.to_owned(), ignore.clone());
        // Nobody waits for it, and what comes of it shows at the next question.
        thread::spawn(move || watches.add(&directory, &ignore));
        None
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.wake();
    }
}

impl State {
    /// Takes note of all that changed until now.
    fn drain(&mut self) -> bool {
        let before = self.beat;
        let beat = &mut self.beat;
        self.sources.retain(|_, source| {
            let Source::Watched(tree) = source else { return true };
            let sequence = tree.sequence();
            // What cannot be watched any more is not: whoever asks looks for himself, and it begins anew.
            let is_fine = tree.drain().is_ok();
            if !is_fine || tree.sequence() != sequence {
                *beat += 1;
            }
            is_fine
        });
        self.beat != before
    }
}

/// Empties the queues whenever something is in them: they are short, and who asks shall not wait.
fn pump(watches: &Weak<Watches>) {
    loop {
        let Some(strong) = watches.upgrade() else { return };
        let queues: Vec<Arc<OwnedFd>> = {
            let state = strong.drained();
            let queues = state.sources.values().filter_map(|source| match source {
                Source::Watched(tree) => Some(tree.inotify()),
                Source::Beginning | Source::Refused => None,
            });
            queues.collect::<Vec<_>>()
        };
        // The set ends when nobody else has it.
        let Ok(wake) = strong.wake.try_clone() else { return };
        drop(strong);
        let mut fds = vec![PollFd::new(&wake, PollFlags::IN)];
        fds.extend(queues.iter().map(|queue| PollFd::new(queue, PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        let mut count = [0; 8];
        let _emptied = rustix::io::read(&wake, &mut count);
    }
}
