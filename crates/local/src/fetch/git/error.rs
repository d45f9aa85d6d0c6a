//! Why a commit of a git repository could not be had.

use cas::{Digest, StoreError};

use super::super::FetchError;
use super::CommitId;

/// Why a commit of a git repository could not be had.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The address is none of a repository.
    #[error("`{address}` is no address of a git repository")]
    BadAddress {
        /// The address.
        address: String,
    },
    /// The repository is reached by a program that we do not run.
    #[error("`{address}` is an SSH address, and SSH is not spoken here")]
    Ssh {
        /// The address.
        address: String,
    },
    /// A connection would have to be opened, and that is forbidden.
    #[error("`{address}` is not on this machine, and no connection may be opened")]
    Offline {
        /// The address.
        address: String,
    },
    /// There is no repository.
    #[error("there is no git repository at `{address}`: {reason}")]
    NotARepository {
        /// The address.
        address: String,
        /// How that was found out.
        reason: String,
    },
    /// The server wants to know who asks.
    #[error("the server does not show `{address}` to everybody")]
    Authentication {
        /// The address.
        address: String,
    },
    /// The repository is of a kind that we do not read.
    #[error("the repository `{address}` {reason}, which is not supported")]
    Unsupported {
        /// The address.
        address: String,
        /// What it has.
        reason: &'static str,
    },
    /// The name stands for nothing in the repository.
    #[error("`{address}` has no tag or branch `{rev}`")]
    NoSuchRev {
        /// The address.
        address: String,
        /// What was asked for.
        rev: String,
        /// The tags and branches that it has.
        known: Vec<String>,
    },
    /// The name may be the beginning of a commit's, and only a whole one is certain to stay what it is.
    #[error("`{rev}` is no tag or branch of `{address}`, and as a commit it is incomplete")]
    Abbreviated {
        /// The address.
        address: String,
        /// What was asked for.
        rev: String,
        /// A commit that begins so, if one is known.
        candidate: Option<CommitId>,
    },
    /// The name stands for something that is no commit.
    #[error("`{rev}` of `{address}` is a {kind}, not a commit")]
    NotACommit {
        /// The address.
        address: String,
        /// What was asked for.
        rev: String,
        /// What it is.
        kind: String,
    },
    /// The repository does not have the commit, or does not show it any more.
    #[error("`{address}` does not have commit {commit}{}", moved(rev, *now))]
    CommitGone {
        /// The address.
        address: String,
        /// The commit.
        commit: CommitId,
        /// The tag or branch that was it.
        rev: String,
        /// What that tag or branch is now, if it is still there and is another one.
        now: Option<CommitId>,
    },
    /// The server understood, and refused.
    #[error("the server of `{address}` refused: {message}")]
    Refused {
        /// The address.
        address: String,
        /// What it said.
        message: String,
    },
    /// What came makes no sense, or is not whole.
    #[error("what `{address}` sent cannot be used: {reason}")]
    Damaged {
        /// The address.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or directory of the commit cannot be placed.
    #[error("`{path}` of commit {commit} cannot be used: {reason}")]
    BadEntry {
        /// The commit.
        commit: CommitId,
        /// The path in it; what is no text is shown with escapes.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A submodule could not be had.
    #[error("could not fetch submodule `{path}`")]
    Submodule {
        /// Where it belongs.
        path: String,
        /// Why.
        source: Box<GitError>,
    },
    /// The commit has other content than it had.
    #[error("commit {commit} has the content {found} instead of {expected}")]
    Mismatch {
        /// The commit.
        commit: CommitId,
        /// The digest of the tree that it should have.
        expected: Digest,
        /// The digest of the tree that it has.
        found: Digest,
    },
    /// It could not be downloaded, or was cancelled, or the disk failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl GitError {
    /// Returns the error that says what went wrong: this one, or that of the innermost submodule.
    pub fn main(&self) -> &GitError {
        match self {
            GitError::Submodule { source, .. } => source.main(),
            other => other,
        }
    }
}

impl From<StoreError> for GitError {
    fn from(error: StoreError) -> GitError {
        GitError::Fetch(error.into())
    }
}

fn moved(rev: &str, now: Option<CommitId>) -> String {
    match now {
        Some(now) => format!(": `{rev}` is {now} now"),
        None => String::new(),
    }
}

/// Returns all that the library says about an error, the causes last.
pub(super) fn described(error: &gix_error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for error in error.iter_errors() {
        let text = error.to_string();
        if !text.is_empty() && !parts.contains(&text) {
            parts.push(text);
        }
    }
    parts.join(": ")
}
