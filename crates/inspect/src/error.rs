//! Why something cannot be looked into.

use std::io;
use std::path::PathBuf;

/// What an image's reader said.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why something cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file, or it may not be read.
    #[error("could not open `{}`", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is damaged, or not what it seemed to be.
    #[error("could not read `{what}` as {format}")]
    Read {
        /// What, as the user would name it.
        what: String,
        /// What it was taken for.
        format: &'static str,
        /// Why.
        source: Cause,
    },
    /// Its bytes could not be read.
    #[error("could not read `{what}`")]
    Io {
        /// What.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// Nothing is at a path.
    #[error("`{what}` has no `{path}`")]
    NotFound {
        /// In what.
        what: String,
        /// What was looked for.
        path: String,
        /// What is there and looks much like it.
        suggestion: Option<String>,
    },
    /// There is nothing in it that could have a path.
    #[error("`{what}` has nothing in it that could be `{path}`: it is {format}")]
    Leaf {
        /// In what.
        what: String,
        /// What was looked for.
        path: String,
        /// What it is.
        format: &'static str,
    },
    /// It is a thing without bytes of its own.
    #[error("`{what}` has no contents: it is {kind}")]
    NoContents {
        /// What.
        what: String,
        /// What it is.
        kind: &'static str,
    },
    /// Nothing in it takes a part of it that could be told.
    #[error("`{what}` {problem}")]
    NoSizes {
        /// What.
        what: String,
        /// Why.
        problem: String,
    },
    /// Symbolic links lead in a circle, or there are too many.
    #[error("`{what}`: more than {limit} symbolic links follow each other")]
    Links {
        /// Where it began.
        what: String,
        /// How many are followed.
        limit: usize,
    },
    /// More than the limits allow.
    #[error("`{what}` {problem}")]
    Limit {
        /// What.
        what: String,
        /// Of what there is too much.
        problem: String,
    },
    /// Something could not be written.
    #[error("could not write `{}`", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The temporary file for something compressed could not be written.
    #[error("could not keep what `{what}` unpacks to in a temporary file")]
    Spool {
        /// What.
        what: String,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// Returns whether this machine is to blame, not the image.
    pub fn is_machine(&self) -> bool {
        matches!(self, Error::Spool { .. } | Error::Write { .. })
    }

    /// Returns what to do about it, if there is something to say.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::NotFound { suggestion: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Error::NoSizes { .. } => {
                Some("name a file system, an archive, or a disk: `live.qcow2`, `live.raw:IMGA`".to_owned())
            }
            Error::Limit { .. } => Some("such an image is damaged, or made to do harm".to_owned()),
            _ => None,
        }
    }
}
