//! Why a download failed.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use cas::StoreError;

use super::url;

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server does not have it.
    #[error("`{url}` does not exist")]
    NotFound {
        /// The address.
        url: String,
    },
    /// The server does not want to give it, or cannot.
    #[error("the server answered to `{url}` with status {status}")]
    Refused {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// When to come back, if the server says so.
        retry_after: Option<Duration>,
    },
    /// No connection came about: unknown host, refused, no route, no trust.
    #[error("could not connect to download `{url}`")]
    Unreachable {
        /// The address.
        url: String,
        /// What happened.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Who answered could not show that it is the server that was asked for.
    #[error("could not trust the server of `{url}`")]
    Untrusted {
        /// The address.
        url: String,
        /// What is wrong with its certificate.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection broke, or what came over it was no HTTP.
    #[error("could not download `{url}`")]
    Network {
        /// The address.
        url: String,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Next to nothing came for too long.
    #[error("nothing came from `{url}` for {:.1} s", waited.as_secs_f64())]
    Stalled {
        /// The address.
        url: String,
        /// For how long.
        waited: Duration,
    },
    /// It ended before it was whole.
    #[error("`{url}` ended after {received} bytes, before it was whole")]
    Truncated {
        /// The address.
        url: String,
        /// How many bytes of it are here.
        received: u64,
    },
    /// It was to be continued, and the server sent another part than that.
    #[error("the server sent another part of `{url}` than was asked for")]
    WrongRange {
        /// The address.
        url: String,
    },
    /// It leads elsewhere, and that is not followed.
    #[error("`{url}` redirects to `{to}`, {reason}")]
    Redirect {
        /// The address.
        url: String,
        /// Where it leads.
        to: String,
        /// Why that is not followed.
        reason: &'static str,
    },
    /// Its bytes are not those that were expected.
    #[error("`{url}` has SHA-256 {found} instead of {expected}")]
    Mismatch {
        /// The address.
        url: String,
        /// The SHA-256 that it should have.
        expected: String,
        /// The SHA-256 that it has.
        found: String,
    },
    /// Its size is not what was expected.
    #[error("`{url}` has {found} bytes instead of {expected}")]
    WrongSize {
        /// The address.
        url: String,
        /// How many bytes it should have.
        expected: u64,
        /// How many bytes it has, or its server says; at least.
        found: u64,
    },
    /// It is larger than anybody would expect.
    #[error("`{url}` has more than {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// How many bytes it may have.
        limit: u64,
    },
    /// A file of this machine cannot be read.
    #[error("could not read `{url}`")]
    Unreadable {
        /// The address.
        url: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing is known of it that would tell whether it is whole: neither its digest nor its length.
    #[error("the server does not say how long `{url}` is, so a part of it could be taken for the whole")]
    UnknownLength {
        /// The address.
        url: String,
    },
    /// The address is none that can be fetched from.
    #[error("`{url}` is no address with `http://`, `https://` or `file://`")]
    BadUrl {
        /// The address.
        url: String,
    },
    /// The address of a proxy is none.
    #[error("`{proxy}` is no address of an HTTP proxy")]
    BadProxy {
        /// The address, without user and password.
        proxy: String,
    },
    /// No address is known.
    #[error("no address is known that has it")]
    NoUrl,
    /// Each of several places failed, for its own reason.
    #[error("none of {} places has it{}", errors.len(), list(errors))]
    Everywhere {
        /// What was wrong with each, in the order in which they were tried.
        errors: Vec<FetchError>,
    },
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The store failed, or the disk that unfinished downloads are on.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FetchError {
    pub(super) fn disk(doing: String, source: io::Error) -> FetchError {
        FetchError::Store(StoreError::Io { doing, source })
    }

    /// Returns the error for the failures at all places, of which there is at least one.
    pub(super) fn everywhere(mut errors: Vec<FetchError>) -> FetchError {
        // That nobody has it is one fact, and the first place stands for the others.
        if errors.len() == 1 || errors.iter().all(|error| matches!(error, FetchError::NotFound { .. })) {
            errors.swap_remove(0)
        } else {
            FetchError::Everywhere { errors }
        }
    }

    /// Returns the error that says most about what to do: this one, or that of one of several places. That a
    /// mirror does not have it says less than why another one failed.
    pub fn main(&self) -> &FetchError {
        let FetchError::Everywhere { errors } = self else { return self };
        let is_telling = |error: &&FetchError| !matches!(error, FetchError::NotFound { .. });
        errors.iter().find(is_telling).or(errors.first()).unwrap_or(self)
    }

    /// Returns whether the same server may do better the next time.
    pub(super) fn another_attempt_may_help(&self) -> bool {
        match self {
            FetchError::Unreachable { .. }
            | FetchError::Network { .. }
            | FetchError::Stalled { .. }
            | FetchError::Truncated { .. }
            | FetchError::WrongRange { .. } => true,
            FetchError::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }

    /// Returns whether another server may do better.
    pub(super) fn another_place_may_help(&self) -> bool {
        !matches!(self, FetchError::Cancelled | FetchError::Store(_))
    }

    /// Returns whether the disk is full or a quota exhausted.
    pub(super) fn is_storage_full(&self) -> bool {
        matches!(self, FetchError::Store(error) if error.is_storage_full())
    }

    /// Returns when the server wants to be asked again, within reason.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        const REASONABLE: Duration = Duration::from_secs(30);
        let FetchError::Refused { retry_after, .. } = self else { return None };
        retry_after.map(|duration| duration.min(REASONABLE))
    }

    pub(super) fn redirect(url: &str, to: &str, reason: &'static str) -> FetchError {
        FetchError::Redirect { url: url::shown(url), to: url::shown(to), reason }
    }
}

fn list(errors: &[FetchError]) -> String {
    let mut text = String::new();
    for error in errors {
        let _ = write!(text, "\n  {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
    }
    text
}
