//! A store, a fetcher, and what tests of repositories ask for.

use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cas::{Digest, LocalStore};
use gix_hash::ObjectId;
use local::fetch::git::{Address, Checkout, CommitId, GitError};
use local::fetch::{Fetcher, Options};
use tempfile::TempDir;

use crate::server::Server;
use crate::upload::Service;

pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) store: LocalStore,
    pub(crate) cancel: Arc<AtomicBool>,
    pub(crate) patience: Duration,
}

impl World {
    pub(crate) fn new() -> World {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = LocalStore::open(&directory.path().join("store")).unwrap();
        // A busy machine is not to be taken for a stalled server.
        World { directory, store, cancel: Arc::default(), patience: Duration::from_secs(20) }
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
        Fetcher::new(self.options(), Arc::clone(&self.cancel)).unwrap()
    }

    /// Returns the address that `text` is, relative to the directory of this world.
    pub(crate) fn address(&self, text: &str) -> Address {
        Address::parse(text, self.directory.path()).unwrap()
    }

    /// Serves a repository, and returns its address.
    pub(crate) fn serve(&self, service: Service) -> String {
        Server::start(move |seen| service.answer(seen, "/x.git")).url("/x.git")
    }

    pub(crate) fn checkout(
        &self,
        address: &Address,
        commit: ObjectId,
        rev: &str,
    ) -> Result<Digest, GitError> {
        self.checkout_into(&self.store, address, commit, rev)
    }

    pub(crate) fn checkout_id(
        &self,
        address: &Address,
        commit: CommitId,
        rev: &str,
    ) -> Result<Digest, GitError> {
        let wanted = Checkout { address, commit, rev, submodules: false, offline: false };
        self.fetcher().checkout(&wanted, &self.store, &|_| ()).map(|found| found.tree)
    }

    pub(crate) fn checkout_into(
        &self,
        store: &LocalStore,
        address: &Address,
        commit: ObjectId,
        rev: &str,
    ) -> Result<Digest, GitError> {
        let commit = commit.to_string().parse().unwrap();
        let wanted = Checkout { address, commit, rev, submodules: false, offline: false };
        self.fetcher().checkout(&wanted, store, &|_| ()).map(|found| found.tree)
    }

    pub(crate) fn checkout_with_submodules(
        &self,
        address: &Address,
        commit: ObjectId,
    ) -> Result<Digest, GitError> {
        let commit = commit.to_string().parse().unwrap();
        let wanted = Checkout { address, commit, rev: "main", submodules: true, offline: false };
        self.fetcher().checkout(&wanted, &self.store, &|_| ()).map(|found| found.tree)
    }

    /// What is left in the scratch directory.
    pub(crate) fn scratch(&self) -> Vec<String> {
        let entries = fs::read_dir(self.store.scratch()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// The error with its causes.
pub(crate) fn text(error: &GitError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
