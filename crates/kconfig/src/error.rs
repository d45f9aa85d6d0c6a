//! Where something is, and why a tree cannot be read.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A line of a file of the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, relative to the top of the tree.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A line that was skipped, because it is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line.
    pub at: Location,
    /// What is wrong with it.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.text)
    }
}

/// Why a tree was not read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The machine says no.
    #[error("could not read `{path}`")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A `source` that cannot be followed.
    #[error("could not follow {at}, which sources `{path}`: {why}")]
    Source {
        /// The line.
        at: Location,
        /// The file, relative to the top of the tree, or as it is written.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A block without beginning or end. What is in it depends on it, so that it cannot be skipped.
    #[error("`{word}` at {at} {why}")]
    Block {
        /// The line.
        at: Location,
        /// Its first word, as in `menu` and `endmenu`.
        word: String,
        /// What is wrong with it.
        why: &'static str,
    },
}
