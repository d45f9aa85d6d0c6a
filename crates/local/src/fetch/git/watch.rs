//! What happens on a connection: how much has come, and what went wrong.
//!
//! The library asks for bytes and is told of errors; which of ours it was, it could not say afterwards.

use std::cell::{Cell, RefCell};
use std::io;

use super::super::{OnProgress, Progress};
use super::{Address, GitError};

/// How much a server may say before it sends objects: that many bytes are a million references, and all that is said there is
/// kept in memory.
const MOST_BEFORE: u64 = 64 << 20;

/// Watches the exchange with one server.
pub(super) struct Watch<'a> {
    pub(super) address: &'a Address,
    on_progress: &'a OnProgress<'a>,
    shown: String,
    n_received: Cell<u64>,
    /// Whether objects arrive, of which there may be any number: they go to the disk.
    are_objects: Cell<bool>,
    trouble: RefCell<Option<GitError>>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(address: &'a Address, on_progress: &'a OnProgress<'a>) -> Watch<'a> {
        let shown = address.to_string();
        Watch {
            address,
            on_progress,
            shown,
            n_received: Cell::new(0),
            are_objects: Cell::new(false),
            trouble: RefCell::new(None),
        }
    }

    /// Takes note that from now on objects come.
    pub(super) fn objects_come(&self) {
        self.are_objects.set(true);
    }

    /// Takes note of bytes that came. Fails if they are too many.
    pub(super) fn received(&self, n_bytes: usize) -> io::Result<()> {
        let n_received = self.n_received.get() + n_bytes as u64;
        self.n_received.set(n_received);
        (self.on_progress)(Progress { url: &self.shown, n_received, n_total: None });
        if n_received > MOST_BEFORE && !self.are_objects.get() {
            let reason = format!("it goes on for more than {} MiB without an object", MOST_BEFORE >> 20);
            return Err(self.fail(GitError::Damaged { address: self.shown.clone(), reason }));
        }
        Ok(())
    }

    /// Returns how many bytes have come.
    pub(super) fn n_received(&self) -> u64 {
        self.n_received.get()
    }

    /// Takes note of an error, of which the first is the cause of all others, and returns what to tell the
    /// library.
    pub(super) fn fail(&self, error: impl Into<GitError>) -> io::Error {
        self.trouble.borrow_mut().get_or_insert(error.into());
        io::Error::other("the connection failed")
    }

    /// Returns the error that was noted.
    pub(super) fn trouble(&self) -> Option<GitError> {
        self.trouble.borrow_mut().take()
    }
}
