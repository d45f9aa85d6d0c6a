//! Why a download failed.

use std::io;
use std::time::Duration;

use cas::StoreError;

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
    /// The server could not be reached, or the connection broke or stalled.
    #[error("could not download `{url}`")]
    Network {
        /// The address.
        url: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
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
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The store failed, or the disk that unfinished downloads are on.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FetchError {
    pub(crate) fn network(
        url: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> FetchError {
        FetchError::Network { url: url.to_owned(), source: source.into() }
    }

    pub(crate) fn disk(doing: String, source: io::Error) -> FetchError {
        FetchError::Store(StoreError::Io { doing, source })
    }

    /// Returns whether the same server may do better the next time.
    pub(crate) fn another_attempt_may_help(&self) -> bool {
        match self {
            FetchError::Network { .. } => true,
            FetchError::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }

    /// Returns whether another server may do better.
    pub(crate) fn another_place_may_help(&self) -> bool {
        !matches!(self, FetchError::Cancelled | FetchError::Store(_))
    }

    /// Returns when the server wants to be asked again, within reason.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        const REASONABLE: Duration = Duration::from_secs(30);
        let FetchError::Refused { retry_after, .. } = self else { return None };
        retry_after.map(|duration| duration.min(REASONABLE))
    }
}
