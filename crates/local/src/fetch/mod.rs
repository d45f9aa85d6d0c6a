//! Downloads: the only code of this crate that opens connections.
//!
//! What is downloaded for a build is known by its SHA-256 beforehand and goes straight into the store. What
//! is not known yet, such as a package index, is returned to the caller, who verifies its signature.

mod error;
mod part;
mod proxy;
mod transfer;

use std::fs;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cas::{Digest, LocalStore, Store as _};
use ureq::Agent;
use ureq::config::AutoHeaderValue;

pub use error::FetchError;
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

/// Downloads.
pub struct Fetcher {
    agent: Agent,
    options: Options,
    cancel: Arc<AtomicBool>,
}

/// How many redirects are followed.
const MAX_REDIRECTS: u32 = 8;

impl Fetcher {
    /// Returns a fetcher. Soon after `cancel` becomes true, whatever it does ends with
    /// [`FetchError::Cancelled`].
    ///
    /// Fails when the directory for unfinished downloads cannot be made, or a proxy's address is none.
    pub fn new(options: Options, cancel: Arc<AtomicBool>) -> Result<Fetcher, FetchError> {
        fs::create_dir_all(&options.parts)
            .map_err(|error| FetchError::disk(format!("make `{}`", options.parts.display()), error))?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .timeout_resolve(Some(options.patience))
            .timeout_connect(Some(options.patience))
            .timeout_recv_response(Some(options.patience))
            .timeout_per_read(Some(options.patience))
            .timeout_per_write(Some(options.patience))
            // What a server compresses on the way has another size and another digest.
            .accept_encoding(AutoHeaderValue::Provided(Arc::new("identity".to_owned())))
            .user_agent(concat!("bootwright/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections_per_host(options.n_parallel.get())
            // Those of `options`, not those of the environment.
            .proxy(None)
            .build();
        let agent = proxy::agent(config, &options.proxies)?;
        Ok(Fetcher { agent, options, cancel })
    }

    /// Downloads everything that is not in `store` into it, several at once, and returns what became of
    /// each, in order.
    pub fn fetch_all(
        &self,
        downloads: &[Download],
        store: &LocalStore,
        on_progress: &OnProgress<'_>,
    ) -> Vec<Result<Digest, FetchError>> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::with_capacity(downloads.len()));
        let worker = || {
            while let Some((idx, download)) = {
                let idx = next.fetch_add(1, Ordering::Relaxed);
                downloads.get(idx).map(|download| (idx, download))
            } {
                let result = self.fetch_unwatched(download, store, on_progress);
                results.lock().unwrap_or_else(PoisonError::into_inner).push((idx, result));
            }
        };
        self.watched(|| {
            thread::scope(|scope| {
                for _ in 0..self.options.n_parallel.get().min(downloads.len()) {
                    scope.spawn(worker);
                }
            });
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_unstable_by_key(|(idx, _)| *idx);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Downloads one thing into `store`, unless it is there, and returns its digest.
    pub fn fetch(
        &self,
        download: &Download,
        store: &LocalStore,
        on_progress: &OnProgress<'_>,
    ) -> Result<Digest, FetchError> {
        self.watched(|| self.fetch_unwatched(download, store, on_progress))
    }

    /// Returns what is at `url`, which is not known beforehand and so is not to be trusted.
    ///
    /// Fails with [`FetchError::TooLarge`] when it has more than `limit` bytes.
    pub fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        self.watched(|| self.get_unwatched(url, limit))
    }

    fn fetch_unwatched(
        &self,
        download: &Download,
        store: &LocalStore,
        on_progress: &OnProgress<'_>,
    ) -> Result<Digest, FetchError> {
        if let Some(size) = download.size {
            let digest = Digest::from_parts(download.sha256, size);
            if store.contains(&digest)? {
                return Ok(digest);
            }
        }
        let mut first_error = None;
        for url in &download.urls {
            let tried = self.with_attempts(|| transfer::into_store(self, url, download, store, on_progress));
            match tried {
                Err(error) if error.another_place_may_help() => {
                    // That one mirror does not have it says less than why another one failed.
                    let says_more =
                        first_error.as_ref().is_none_or(|first| matches!(first, FetchError::NotFound { .. }));
                    if says_more {
                        first_error = Some(error);
                    }
                }
                result => return result,
            }
        }
        Err(first_error.unwrap_or_else(|| FetchError::BadUrl { url: String::new() }))
    }

    fn get_unwatched(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        self.with_attempts(|| {
            let mut body = transfer::open(self, url, 0, None)?;
            if body.n_total.is_some_and(|n_total| n_total > limit) {
                return Err(FetchError::TooLarge { url: url.to_owned(), limit });
            }
            let mut bytes = Vec::new();
            let read = body.reader.by_ref().take(limit.saturating_add(1)).read_to_end(&mut bytes);
            read.map_err(|error| FetchError::network(url, error))?;
            if bytes.len() as u64 > limit {
                return Err(FetchError::TooLarge { url: url.to_owned(), limit });
            }
            if body.n_total.is_some_and(|n_total| n_total != bytes.len() as u64) {
                return Err(FetchError::network(
                    url,
                    std::io::Error::from(std::io::ErrorKind::UnexpectedEof),
                ));
            }
            Ok(bytes)
        })
    }

    /// Tries again what may help, waiting longer each time.
    fn with_attempts<T>(&self, mut attempt: impl FnMut() -> Result<T, FetchError>) -> Result<T, FetchError> {
        let mut backoff = self.options.backoff;
        let mut n_left = self.options.n_attempts.get();
        loop {
            n_left -= 1;
            let result = attempt();
            if self.is_cancelled() {
                // The connection was cut because of it, if something failed.
                return result.map_err(|_| FetchError::Cancelled);
            }
            match result {
                Err(error) if n_left > 0 && error.another_attempt_may_help() => {
                    self.wait(error.retry_after().unwrap_or(backoff))?;
                    backoff *= 2;
                }
                result => return result,
            }
        }
    }

    fn wait(&self, duration: Duration) -> Result<(), FetchError> {
        let mut left = duration;
        while !left.is_zero() {
            if self.is_cancelled() {
                return Err(FetchError::Cancelled);
            }
            let slice = left.min(WATCH_INTERVAL);
            thread::sleep(slice);
            left -= slice;
        }
        Ok(())
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// Does `work` with somebody beside it who cuts all connections when it is cancelled: a read of one may
    /// else wait for as long as its patience lasts.
    fn watched<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Says at its end that the work is done, also when that panics.
        struct Done<'a>(&'a AtomicBool, thread::Thread);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
                self.1.unpark();
            }
        }
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    if self.is_cancelled() {
                        self.agent.clone().shutdown();
                        return;
                    }
                    thread::park_timeout(WATCH_INTERVAL);
                }
            });
            let _done = Done(&done, watcher.thread().clone());
            work()
        })
    }
}

/// How often it is looked whether to stop.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
