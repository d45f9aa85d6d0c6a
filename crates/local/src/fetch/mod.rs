//! Downloads: the only code of this crate that opens connections.
//!
//! What is downloaded for a build is known by its SHA-256 beforehand and goes straight into the store. What
//! is not known yet, such as a package index, is returned to the caller, who verifies its signature.
//!
//! What is unfinished is kept as a part, and continued by this process, by a later one, or from another server.

mod error;
pub mod git;
mod hosts;
mod names;
mod part;
mod proxy;
mod transfer;
mod url;
mod wire;

use std::cell::Cell;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cas::{Digest, LocalStore, Store as _};

use hosts::Hosts;
use part::{Opened, Part};
use transfer::Wanted;
use wire::Wire;

pub use error::FetchError;
pub use part::{Swept, sweep_parts};
pub use proxy::Proxies;

/// How a [`Fetcher`] works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where unfinished downloads are kept, to be resumed; on the file system of the store.
    pub parts: PathBuf,
    /// The proxies to use.
    pub proxies: Proxies,
    /// How many downloads run at once.
    pub n_parallel: NonZeroUsize,
    /// How often one is tried before it has failed.
    pub n_attempts: NonZeroUsize,
    /// How long to wait before the second attempt; doubled before each further one.
    pub backoff: Duration,
    /// How long to wait for a connection, for an answer, and for each piece of it.
    pub patience: Duration,
}

impl Options {
    /// Returns options for everyday use: no proxy, 8 downloads at once, 5 attempts, 30 seconds of patience.
    pub fn new(parts: PathBuf) -> Options {
        Options {
            parts,
            proxies: Proxies::default(),
            n_parallel: NonZeroUsize::new(8).unwrap_or(NonZeroUsize::MIN),
            n_attempts: NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN),
            backoff: Duration::from_millis(500),
            patience: Duration::from_secs(30),
        }
    }
}

/// Something to download, known by its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Where it can be had (`http`, `https`, `file`), the best first.
    pub urls: Vec<String>,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Its size in bytes, where that is known.
    pub size: Option<u64>,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The address that it comes from.
    pub url: &'a str,
    /// How many bytes are here.
    pub n_received: u64,
    /// How many it has, as far as anybody says.
    pub n_total: Option<u64>,
}

/// Hears how far downloads are; called from several threads.
pub type OnProgress<'a> = dyn Fn(Progress<'_>) + Sync + 'a;

/// Downloads. Keeps connections open between files.
pub struct Fetcher {
    wire: Wire,
    hosts: Hosts,
    options: Options,
    cancel: Arc<AtomicBool>,
}

/// How often it is looked whether to stop, or whether somebody else has finished.
const TICK: Duration = Duration::from_millis(25);
/// What makes a broken connection count as a step forward and not as another failure.
const STEP: u64 = 64 << 10;
/// How often a host that cannot be reached is tried at most: mostly there is no network, and people wait.
const MAX_CALLS: usize = 3;

/// Returns how many bytes sources may unpack to that came as `size` bytes, an archive or the pack of a repository: a hundred
/// times as many, or 1 GiB if that is more.
///
/// Archives of sources come to ten times their size, those with much generated text to thirty. What comes to more was made
/// to fill disks.
pub fn most_unpacked(size: u64) -> u64 {
    size.saturating_mul(100).max(1 << 30)
}

impl Fetcher {
    /// Returns a fetcher. Soon after `cancel` becomes true, whatever it does ends with
    /// [`FetchError::Cancelled`].
    ///
    /// Fails when the directory for unfinished downloads cannot be made, or a proxy's address is none.
    pub fn new(options: Options, cancel: Arc<AtomicBool>) -> Result<Fetcher, FetchError> {
        fs::create_dir_all(&options.parts)
            .map_err(|error| FetchError::disk(format!("make `{}`", options.parts.display()), error))?;
        Ok(Fetcher { wire: Wire::new(&options)?, hosts: Hosts::default(), options, cancel })
    }

    /// Downloads everything that is not in `store` into it, several at once, and returns what became of
    /// each, in order.
    ///
    /// They are begun in that order too: best the largest first. When the disk is full, none is begun any more.
    pub fn fetch_all(
        &self,
        downloads: &[Download],
        store: &LocalStore,
        on_progress: &OnProgress<'_>,
    ) -> Vec<Result<Digest, FetchError>> {
        let next = AtomicUsize::new(0);
        let is_full = AtomicBool::new(false);
        let results = Mutex::new(Vec::with_capacity(downloads.len()));
        let worker = || {
            while let Some((idx, download)) = {
                let idx = next.fetch_add(1, Ordering::Relaxed);
                downloads.get(idx).map(|download| (idx, download))
            } {
                let result = if is_full.load(Ordering::Relaxed) {
                    Err(FetchError::disk(
                        "begin another download".to_owned(),
                        io::ErrorKind::StorageFull.into(),
                    ))
                } else {
                    self.fetch(download, store, on_progress)
                };
                if result.as_ref().is_err_and(FetchError::is_storage_full) {
                    is_full.store(true, Ordering::Relaxed);
                }
                results.lock().unwrap_or_else(PoisonError::into_inner).push((idx, result));
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.options.n_parallel.get().min(downloads.len()) {
                scope.spawn(worker);
            }
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_unstable_by_key(|(idx, _)| *idx);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Downloads one thing into `store`, unless it is there, and returns its digest.
    ///
    /// It is verified before it is kept. When another process is at it, waits for that one, as long as it
    /// gets on. Fails with [`FetchError::Everywhere`] when several places failed for different reasons.
    pub fn fetch(
        &self,
        download: &Download,
        store: &LocalStore,
        on_progress: &OnProgress<'_>,
    ) -> Result<Digest, FetchError> {
        if self.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        if let Some(digest) = found(download, store)? {
            return Ok(digest);
        }
        let mut part = self.part(download, store)?;
        // Somebody else may have finished it meanwhile.
        if let Some(digest) = found(download, store)? {
            part.discard()?;
            return Ok(digest);
        }
        let wanted = Wanted { sha256: Some(download.sha256), size: download.size };
        let mut errors = Vec::new();
        for url in &download.urls {
            match self.complete(url, &wanted, &mut part, on_progress) {
                Ok(digest) => {
                    part.finish(store, &digest)?;
                    return Ok(digest);
                }
                Err(error) => {
                    let is_last = !error.another_place_may_help();
                    errors.push(error);
                    if is_last {
                        break;
                    }
                }
            }
        }
        // A full disk gets its room back, and an empty part is of no use.
        if part.n_bytes() == 0 || errors.last().is_some_and(FetchError::is_storage_full) {
            part.discard()?;
        }
        match errors.pop() {
            None => Err(FetchError::NoUrl),
            Some(error) if !error.another_place_may_help() => Err(error),
            Some(error) => {
                errors.push(error);
                Err(FetchError::everywhere(errors))
            }
        }
    }

    /// Downloads something into `store` that is not known beforehand and so is not to be trusted, and returns
    /// its digest.
    ///
    /// Fails with [`FetchError::UnknownLength`] when nobody could tell whether it arrived whole.
    pub fn pin(
        &self,
        url: &str,
        store: &LocalStore,
        on_progress: &OnProgress<'_>,
    ) -> Result<Digest, FetchError> {
        // A later process could not know whether a part survived a power cut as it was.
        let mut part = Part::scratch(store)?;
        let digest = self.complete(url, &Wanted { sha256: None, size: None }, &mut part, on_progress)?;
        part.finish(store, &digest)?;
        Ok(digest)
    }

    /// Returns what is at `url`, which is not known beforehand and so is not to be trusted.
    ///
    /// Fails with [`FetchError::TooLarge`] when it has more than `limit` bytes.
    pub fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        self.with_attempts(url, &Cell::new(0), || transfer::into_memory(self, url, limit))
    }

    /// Returns the part of a download, after whoever else has it is done with it.
    #[allow(clippy::disallowed_methods, reason = "who does nothing any more is found by the clock only")]
    fn part(&self, download: &Download, store: &LocalStore) -> Result<Part, FetchError> {
        let mut last_step = (0, Instant::now());
        loop {
            let n_bytes = match Part::open(&self.options.parts, &download.sha256)? {
                Opened::Ours(part) => return Ok(part),
                Opened::Busy { n_bytes } => n_bytes,
            };
            if self.is_cancelled() {
                return Err(FetchError::Cancelled);
            }
            if n_bytes != last_step.0 {
                last_step = (n_bytes, Instant::now());
            } else if last_step.1.elapsed() >= self.options.patience {
                // That one hangs, or has been stopped.
                return Part::scratch(store);
            }
            thread::sleep(TICK);
        }
    }

    /// Completes `part` from one address.
    fn complete(
        &self,
        url: &str,
        wanted: &Wanted,
        part: &mut Part,
        on_progress: &OnProgress<'_>,
    ) -> Result<Digest, FetchError> {
        let farthest = Cell::new(part.n_bytes());
        let arrived = |n_received, n_total| {
            farthest.set(farthest.get().max(n_received));
            on_progress(Progress { url, n_received, n_total });
        };
        self.with_attempts(url, &farthest, || {
            let was_continued = part.n_bytes() > 0;
            match transfer::into_part(self, url, wanted, part, &arrived) {
                // What was here before may be what is wrong.
                Err(FetchError::Mismatch { .. } | FetchError::WrongSize { .. }) if was_continued => {
                    part.restart(None)?;
                    arrived(0, wanted.size);
                    transfer::into_part(self, url, wanted, part, &arrived)
                }
                result => result,
            }
        })
    }

    /// Tries again what may help, waiting longer each time; not so often when `farthest`, which counts the
    /// bytes that are here, does not grow.
    fn with_attempts<T>(
        &self,
        url: &str,
        farthest: &Cell<u64>,
        mut attempt: impl FnMut() -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let mut n_failures = 0;
        let mut before = farthest.get();
        loop {
            if self.is_cancelled() {
                return Err(FetchError::Cancelled);
            }
            if let Some(source) = self.hosts.why_unreachable(url) {
                return Err(FetchError::Unreachable { url: url::shown(url), source });
            }
            let error = match attempt() {
                Err(error) if error.another_attempt_may_help() => error,
                result => return result,
            };
            if farthest.get() >= before + STEP {
                before = farthest.get();
                n_failures = 0;
            }
            n_failures += 1;
            let n_attempts = match error {
                FetchError::Unreachable { .. } => self.options.n_attempts.get().min(MAX_CALLS),
                _ => self.options.n_attempts.get(),
            };
            if n_failures >= n_attempts {
                if let FetchError::Unreachable { source, .. } = &error {
                    self.hosts.note_unreachable(url, source);
                }
                return Err(error);
            }
            let doublings = u32::try_from(n_failures - 1).unwrap_or(u32::MAX).min(6);
            self.wait(error.retry_after().unwrap_or(self.options.backoff * 2_u32.pow(doublings)))?;
        }
    }

    fn wait(&self, duration: Duration) -> Result<(), FetchError> {
        let mut left = duration;
        while !left.is_zero() {
            if self.is_cancelled() {
                return Err(FetchError::Cancelled);
            }
            let slice = left.min(TICK);
            thread::sleep(slice);
            left -= slice;
        }
        Ok(())
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

fn found(download: &Download, store: &LocalStore) -> Result<Option<Digest>, FetchError> {
    let Some(size) = download.size else { return Ok(None) };
    let digest = Digest::from_parts(download.sha256, size);
    Ok(store.contains(&digest)?.then_some(digest))
}
