//! A store, a directory of parts, and what tests of downloads check.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cas::{Digest, LocalStore, Store as _};
use local::fetch::{Download, FetchError, Fetcher, Options};
use tempfile::TempDir;

use crate::server::{Seen, Server, Step, good, whole_head};

pub(crate) const SIZE: usize = 300_000;

/// Bytes that have a digest of their own for each `kind`.
pub(crate) fn content(kind: u8) -> Vec<u8> {
    (0..SIZE as u32).map(|idx| (idx.wrapping_mul(2_654_435_761) >> 24) as u8 ^ kind).collect()
}

pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) store: LocalStore,
    pub(crate) cancel: Arc<AtomicBool>,
    pub(crate) patience: Duration,
}

impl World {
    pub(crate) fn new() -> World {
        // A busy machine is not to be taken for a stalled server.
        World { patience: Duration::from_secs(5), ..World::impatient() }
    }

    pub(crate) fn impatient() -> World {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = LocalStore::open(&directory.path().join("store")).unwrap();
        let patience = Duration::from_millis(400);
        World { directory, store, cancel: Arc::new(AtomicBool::new(false)), patience }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            n_attempts: NonZeroUsize::new(3).unwrap(),
            backoff: Duration::from_millis(2),
            patience: self.patience,
            ..Options::new(self.directory.path().join("parts"))
        }
    }

    pub(crate) fn fetcher(&self) -> Fetcher {
        self.fetcher_with(self.options())
    }

    pub(crate) fn fetcher_with(&self, options: Options) -> Fetcher {
        Fetcher::new(options, Arc::clone(&self.cancel)).unwrap()
    }

    pub(crate) fn fetch(&self, body: &[u8], urls: &[String]) -> Result<Digest, FetchError> {
        self.fetcher().fetch(&download(body, urls), &self.store, &|_| ())
    }

    pub(crate) fn part(&self, body: &[u8]) -> PathBuf {
        self.directory.path().join("parts").join(format!("{}.part", Digest::of(body).hex()))
    }

    /// Takes a blob and its part away again; making another world would take longer than most tests.
    pub(crate) fn forget(&self, digest: &Digest) {
        let (shard, rest) = (&digest.hex()[..2], &digest.hex()[2..]);
        let _ = fs::remove_file(self.store.root().join("blobs").join(shard).join(rest));
        let _ = fs::remove_file(self.directory.path().join(format!("parts/{}.part", digest.hex())));
        assert!(!self.store.contains(digest).unwrap());
    }

    /// What is in the directory of parts.
    pub(crate) fn parts(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path().join("parts")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

pub(crate) fn download(body: &[u8], urls: &[String]) -> Download {
    let digest = Digest::of(body);
    Download { urls: urls.to_vec(), sha256: *digest.hash(), size: Some(digest.size()) }
}

/// Checks that `content(0)` arrives from a server that answers so, and what each request asked for:
/// `offset`, and `?` if only of the same version.
#[track_caller]
pub(crate) fn check_good(
    world: &World,
    answer: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static,
    expected: &[&str],
) {
    let server = Server::start(answer);
    let body = content(0);
    let digest = world.fetch(&body, &[server.url("/file")]).unwrap();
    assert_eq!(world.store.read(&digest).unwrap(), body);
    assert_eq!(world.parts(), Vec::<String>::new());
    assert_eq!(asked(&server), expected);
    world.forget(&digest);
}

pub(crate) fn asked(server: &Server) -> Vec<String> {
    let text = |seen: &Seen| {
        let only_same = if seen.header("if-range").is_some() { "?" } else { "" };
        format!("{}{only_same}", seen.offset())
    };
    server.seen().iter().map(text).collect()
}

/// Checks how a download of `content(0)` fails, and that nothing is in the store.
#[track_caller]
pub(crate) fn check_bad(
    world: &World,
    answer: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static,
    expected: &str,
) {
    let server = Server::start(answer);
    let body = content(0);
    let error = world.fetch(&body, &[server.url("/file")]).unwrap_err();
    assert_eq!(text(&error, &server), expected);
    assert!(!world.store.contains(&Digest::of(&body)).unwrap());
    assert!(!world.store.contains(&Digest::of(&content(1))).unwrap());
    world.forget(&Digest::of(&body));
}

/// The error with its causes, and `HOST` for the server.
pub(crate) fn text(error: &FetchError, server: &Server) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text.replace(server.url("").trim_start_matches("http://"), "HOST")
}

pub(crate) fn half(seen: &Seen, then: Step) -> Vec<Step> {
    let body = content(0);
    match seen.before {
        0 => vec![whole_head(&body, &["ETag: \"1\""]), Step::Send(body[..SIZE / 2].to_vec()), then],
        _ => good(seen, &body),
    }
}
