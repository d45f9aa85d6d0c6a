//! Why a command ended, with the exit code that tells a script who has to act.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;

use cas::{Cancelled, StoreError};

/// Who has to act; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// A build or a test failed.
    Build = 1,
    /// The project or the command line is wrong.
    Project = 2,
    /// This machine cannot do it.
    Machine = 3,
}

/// Why a command ended.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Who has to act.
    pub(crate) blame: Blame,
    /// What was not done; its sources are the causes. `None` when everything was said already.
    pub(crate) error: Option<Box<dyn Error + Send + Sync>>,
    /// What the reader can do about it.
    pub(crate) help: Option<String>,
    /// Whether something in the cache was damaged, or gone that should have been there.
    pub(crate) cache_is_damaged: bool,
}

impl Failure {
    /// Returns a failure that has been told already.
    pub(crate) fn told(blame: Blame) -> Failure {
        Failure { blame, error: None, help: None, cache_is_damaged: false }
    }

    /// Returns the failure to do something.
    pub(crate) fn new(blame: Blame, error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure { blame, error: Some(error.into()), help: None, cache_is_damaged: false }
    }

    /// Returns that the project or the command line is wrong.
    pub(crate) fn project(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure::new(Blame::Project, error)
    }

    /// Returns the failure of the cache's store.
    pub(crate) fn store(error: StoreError) -> Failure {
        let cache_is_damaged = is_damage(&error);
        Failure { cache_is_damaged, ..Failure::machine(error) }
    }

    /// Returns that somebody wanted it to end.
    pub(crate) fn interrupted() -> Failure {
        Failure::new(Blame::Build, "interrupted")
    }

    /// Returns that this machine cannot do it, unless it was interrupted. When that is for lack of room, the help says so.
    pub(crate) fn machine(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        let error = error.into();
        if causes(&*error).any(|cause| cause.get_ref().is_some_and(|cause| cause.is::<Cancelled>())) {
            return Failure::interrupted();
        }
        let help = is_disk_full(&*error).then(|| DISK_FULL.to_owned());
        Failure { help, ..Failure::new(Blame::Machine, error) }
    }

    /// Adds what the reader can do about it, unless that is known already.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Failure {
        self.help.get_or_insert_with(|| help.into());
        self
    }
}

/// An error about a file of this machine: what was being done to it.
#[derive(Debug)]
pub(crate) struct FileError {
    doing: String,
    source: std::io::Error,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}", self.doing)
    }
}

impl Error for FileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Turns an error of the system into the failure to do `doing`, as in "read `/x`".
pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Failure {
    let doing = doing.into();
    move |source| Failure::machine(FileError { doing, source })
}

/// Returns whether a store failed for what it should have had whole.
pub(crate) fn is_damage(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Missing { .. } | StoreError::Damaged { .. } | StoreError::NotADirectory { .. }
    )
}

/// What to do when there is no room.
const DISK_FULL: &str = "free some space, or make the cache smaller with `bootwright gc --keep 5GB`";

/// Returns whether the system said, anywhere in the chain of causes, that there is no room.
fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| matches!(cause.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// Returns what the system said, of everything in the chain of causes.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e std::io::Error> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
        .filter_map(|error| error.downcast_ref())
}
