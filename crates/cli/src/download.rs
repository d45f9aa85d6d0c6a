//! Downloads with this session's store, its console and its way to be interrupted.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use cas::Digest;
use distro::resolve::Fetch;
use local::fetch::{self, FetchError, Fetcher, Progress};

use crate::environment;
use crate::failure::Failure;
use crate::session::Session;
use crate::ui::{Downloads, Ui};

/// How many failures are shown when many downloads fail for the same reason.
const SHOWN: usize = 3;

/// A pinned file to download.
pub(crate) struct Download {
    /// Its name, for people.
    pub(crate) name: String,
    /// What it must be.
    pub(crate) digest: Digest,
    /// Where it may be, the best first.
    pub(crate) urls: Vec<String>,
}

/// A file to download whose checksum is known, and not how large it is.
pub(crate) struct Pinned<'a> {
    /// Its name, for people.
    pub(crate) name: String,
    /// Its SHA-256, in hexadecimal digits.
    pub(crate) sha256: &'a str,
    /// Where it is.
    pub(crate) url: String,
}

/// Downloads for one session.
pub(crate) struct Downloader<'a> {
    session: &'a Session<'a>,
    fetcher: Fetcher,
}

impl<'a> Downloader<'a> {
    /// Returns a downloader; no connection is opened yet.
    pub(crate) fn new(session: &'a Session<'a>) -> Result<Downloader<'a>, Failure> {
        let mut options = fetch::Options::new(session.caches.parts());
        options.proxies = environment::proxies();
        let fetcher = Fetcher::new(options, Arc::clone(&session.cancel)).map_err(Failure::machine)?;
        Ok(Downloader { session, fetcher })
    }

    /// Returns the session that it downloads for.
    pub(crate) fn session(&self) -> &'a Session<'a> {
        self.session
    }

    /// Returns what opens the connections.
    pub(crate) fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// Returns where problems are shown.
    pub(crate) fn ui(&self) -> &Ui {
        self.session.ui
    }

    /// Downloads all of them into the store.
    pub(crate) fn files(&self, downloads: Vec<Download>) -> Result<(), Failure> {
        self.files_with(downloads, help)
    }

    /// Downloads what a source names by its `url` into the store.
    pub(crate) fn source(&self, download: Download) -> Result<(), Failure> {
        self.files_with(vec![download], help_of_source)
    }

    fn files_with(
        &self,
        mut downloads: Vec<Download>,
        help: fn(&FetchError) -> &'static str,
    ) -> Result<(), Failure> {
        // The largest first, so that none of them is still coming when all others are done.
        downloads.sort_by_key(|download| std::cmp::Reverse(download.digest.size()));
        let wanted: Vec<fetch::Download> = downloads
            .iter()
            .map(|download| fetch::Download {
                urls: download.urls.clone(),
                sha256: *download.digest.hash(),
                size: Some(download.digest.size()),
            })
            .collect();
        let meter = Meter::new(&downloads, self.ui());
        let results =
            self.fetcher.fetch_all(&wanted, &self.session.caches.store, &|progress| meter.advance(&progress));
        meter.finish();
        let failures: Vec<(&str, FetchError)> = downloads
            .iter()
            .zip(results)
            .filter_map(|(download, result)| Some((download.name.as_str(), result.err()?)))
            .collect();
        if failures.is_empty() { Ok(()) } else { Err(self.failure_with(failures, help)) }
    }

    /// Downloads all of them into the store, and returns the digest of each. Together they are called `what`.
    pub(crate) fn pinned(&self, what: &str, wanted: &[Pinned<'_>]) -> Result<Vec<Digest>, Failure> {
        let mut downloads = Vec::new();
        for pinned in wanted {
            let digest = Digest::from_hex(pinned.sha256, 0).ok_or_else(|| {
                Failure::project(format!("`{}` is not the SHA-256 of {}", pinned.sha256, pinned.name))
            })?;
            let urls = vec![pinned.url.clone()];
            downloads.push(fetch::Download { urls, sha256: *digest.hash(), size: None });
        }
        let received: Mutex<BTreeMap<String, u64>> = Mutex::default();
        let show = |received: &BTreeMap<String, u64>, files_done| {
            self.ui().downloads(&Downloads {
                files_done,
                files: wanted.len(),
                bytes_done: received.values().sum(),
                bytes: None,
                current: format!("crates of {what}"),
            });
        };
        let results = self.fetcher.fetch_all(&downloads, &self.session.caches.store, &|progress| {
            let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
            received.insert(progress.url.to_owned(), progress.n_received);
            // Who has begun one has finished those before it, but for a few.
            show(&received, received.len().saturating_sub(1));
        });
        let received = received.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !received.is_empty() {
            show(&received, wanted.len());
        }
        let (mut digests, mut failures) = (Vec::new(), Vec::new());
        for (pinned, result) in wanted.iter().zip(results) {
            match result {
                Ok(digest) => digests.push(digest),
                Err(error) => failures.push((pinned.name.as_str(), error)),
            }
        }
        if failures.is_empty() { Ok(digests) } else { Err(self.failure_with(failures, help_of_crate)) }
    }

    /// Downloads each of `fetches` from the first of its URLs that has it, side by side.
    pub(crate) fn texts<'f>(
        &self,
        fetches: impl Iterator<Item = &'f Fetch>,
    ) -> Vec<Result<Vec<u8>, Failure>> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = fetches
                .map(|fetch| scope.spawn(move || self.text(&fetch.what, &fetch.urls, fetch.max_size)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }

    /// Downloads something from the first of `urls` that has it.
    pub(crate) fn text(&self, what: &str, urls: &[String], max_size: u64) -> Result<Vec<u8>, Failure> {
        let mut first = None;
        for url in urls {
            match self.fetcher.get(url, max_size) {
                Ok(bytes) => return Ok(bytes),
                Err(FetchError::Cancelled) => return Err(self.failure(vec![(what, FetchError::Cancelled)])),
                Err(error) => {
                    let says_more =
                        first.as_ref().is_none_or(|first| matches!(first, FetchError::NotFound { .. }));
                    if says_more {
                        first = Some(error);
                    }
                }
            }
        }
        match first {
            Some(error) => Err(self.failure(vec![(what, error)])),
            None => Err(Failure::machine(format!("there is no mirror that could have {what}"))),
        }
    }

    /// Downloads a file whose content is not known yet, and returns its digest; with `sha256` it must have
    /// that one.
    pub(crate) fn pin(&self, name: &str, url: &str, sha256: Option<&str>) -> Result<Digest, Failure> {
        let store = &self.session.caches.store;
        let wanted = sha256.and_then(|hex| Digest::from_hex(hex, 0));
        let Some(wanted) = wanted else {
            let pinned = self.fetcher.pin(url, store, &|_| ());
            return pinned.map_err(|error| self.failure_with(vec![(name, error)], help_of_source));
        };
        let download = fetch::Download { urls: vec![url.to_owned()], sha256: *wanted.hash(), size: None };
        self.fetcher
            .fetch(&download, store, &|_| ())
            .map_err(|error| self.failure_with(vec![(name, error)], help_of_source))
    }

    fn failure(&self, failures: Vec<(&str, FetchError)>) -> Failure {
        self.failure_with(failures, help)
    }

    /// Shows all but the first failure and returns that one.
    fn failure_with(
        &self,
        failures: Vec<(&str, FetchError)>,
        help: fn(&FetchError) -> &'static str,
    ) -> Failure {
        if self.session.cancel.load(Ordering::Relaxed) {
            return Failure::interrupted().help("what was downloaded is kept; run it again to go on");
        }
        let n_failures = failures.len();
        let mut failures: Vec<Failure> = failures
            .into_iter()
            .map(|(name, error)| {
                let help = help(&error);
                Failure::machine(Missing { name: name.to_owned(), source: error }).help(help)
            })
            .collect();
        let first = failures.remove(0);
        for failure in failures.iter().take(SHOWN - 1) {
            self.ui().failure(failure);
        }
        if n_failures > SHOWN {
            self.ui().note(&format!("{} more downloads failed", n_failures - SHOWN));
        }
        first
    }
}

/// Something could not be downloaded.
#[derive(Debug, thiserror::Error)]
#[error("could not fetch {name}")]
struct Missing {
    name: String,
    source: FetchError,
}

fn help(error: &FetchError) -> &'static str {
    let is_gone = |error: &FetchError| matches!(error, FetchError::NotFound { .. });
    let is_gone_somewhere = matches!(error, FetchError::Everywhere { errors } if errors.iter().any(is_gone));
    match error.main() {
        FetchError::NotFound { .. } => {
            "neither a mirror nor the archive of snapshots has it any more: name one that does with --mirror or \
             --snapshots, or take what there is now with `bootwright lock --update`"
        }
        FetchError::Mismatch { .. } | FetchError::WrongSize { .. } => {
            "the mirror has another file under that name: name another mirror with --mirror"
        }
        FetchError::Unreachable { .. } | FetchError::Network { .. } if is_gone_somewhere => {
            "a mirror has it no more, and others could not be asked: check the network and the proxy, name a place \
             that has it with --mirror or --snapshots, or take what there is now with `bootwright lock --update`"
        }
        _ => "check the network and the proxy, or name another mirror with --mirror; what arrived is kept",
    }
}

fn help_of_source(error: &FetchError) -> &'static str {
    match error.main() {
        FetchError::NotFound { .. } => "the server has it no more: give the source another `url`",
        FetchError::Mismatch { .. } | FetchError::WrongSize { .. } => {
            "the server has another file under that name: check the `sha256` and the `url` of the source; if the new file is \
             what you want, `bootwright lock --update` takes it where the source has no `sha256`"
        }
        _ => "check the network and the proxy, or give the source another `url`; what arrived is kept",
    }
}

fn help_of_crate(error: &FetchError) -> &'static str {
    match error.main() {
        FetchError::NotFound { .. } => {
            "the registry has no such crate: write `Cargo.lock` anew, or name another registry in cargo's configuration"
        }
        FetchError::Mismatch { .. } | FetchError::WrongSize { .. } => {
            "the registry has another file than `Cargo.lock` names: find out why before you write that anew"
        }
        _ => {
            "check the network and the proxy, or name another registry in cargo's configuration; what arrived is kept"
        }
    }
}

/// Adds up how far several downloads are.
struct Meter<'a> {
    ui: &'a Ui,
    state: Mutex<State>,
}

struct State {
    by_url: BTreeMap<String, usize>,
    received: Vec<u64>,
    sizes: Vec<u64>,
    names: Vec<String>,
}

impl<'a> Meter<'a> {
    fn new(downloads: &[Download], ui: &'a Ui) -> Meter<'a> {
        let by_url = downloads.iter().enumerate();
        let by_url =
            by_url.flat_map(|(idx, download)| download.urls.iter().map(move |url| (url.clone(), idx)));
        let state = State {
            by_url: by_url.collect(),
            received: vec![0; downloads.len()],
            sizes: downloads.iter().map(|download| download.digest.size()).collect(),
            names: downloads.iter().map(|download| download.name.clone()).collect(),
        };
        let meter = Meter { ui, state: Mutex::new(state) };
        meter.show(&meter.lock(), String::new());
        meter
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, progress: &Progress<'_>) {
        let mut state = self.lock();
        let Some(&idx) = state.by_url.get(progress.url) else { return };
        state.received[idx] = progress.n_received.min(state.sizes[idx]);
        let current = state.names[idx].clone();
        self.show(&state, current);
    }

    /// Shows the end, which also takes the line away, unless the last download has shown it.
    fn finish(&self) {
        let mut state = self.lock();
        if state.received == state.sizes {
            return;
        }
        state.received = state.sizes.clone();
        self.show(&state, String::new());
    }

    fn show(&self, state: &State, current: String) {
        let done = state.received.iter().zip(&state.sizes).filter(|(received, size)| received == size);
        self.ui.downloads(&Downloads {
            files_done: done.count(),
            files: state.sizes.len(),
            bytes_done: state.received.iter().sum(),
            bytes: Some(state.sizes.iter().sum()),
            current,
        });
    }
}
