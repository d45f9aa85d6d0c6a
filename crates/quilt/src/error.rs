//! Why a patch does not apply.

use std::fmt;
use std::io;
use std::path::PathBuf;

use layer::EntryPath;

use crate::parse::ParseError;
use crate::series::SeriesFileError;

/// Why a hunk does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The lines that it replaces are nowhere in the file.
    NotFound,
    /// They are not, but what it replaces them by is.
    AlreadyApplied,
    /// It would change what an earlier hunk of the patch has changed.
    Overlap,
    /// Too many lines were looked through for this patch to go on with it.
    TooLong,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mismatch::NotFound => "does not apply",
            Mismatch::AlreadyApplied => "seems to be applied already",
            Mismatch::Overlap => "overlaps with the one before it",
            Mismatch::TooLong => "is one too many: 2^32 lines were looked through for those before it",
        })
    }
}

/// Why a patch changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A hunk that does not fit its file.
    #[error("hunk {number} for `{file}`, line {header_line} of the patch, {mismatch}\n{shown}")]
    Hunk {
        /// The file.
        file: EntryPath,
        /// Which hunk of the file, counted from 1.
        number: usize,
        /// The line of the patch that has the hunk's `@@`, counted from 1.
        header_line: usize,
        /// What is the matter.
        mismatch: Mismatch,
        /// The hunk, and what the file has there.
        shown: String,
    },
    /// No such file.
    #[error("line {line} of the patch changes `{file}`, which does not exist")]
    Missing {
        /// The line of the patch, counted from 1.
        line: usize,
        /// The file.
        file: String,
    },
    /// A file that is there already.
    #[error("line {line} of the patch creates `{file}`, which exists")]
    Exists {
        /// The line of the patch, counted from 1.
        line: usize,
        /// The file.
        file: EntryPath,
    },
    /// Something is left of a file that was to be removed.
    #[error("line {line} of the patch removes `{file}`, which has more in it than the patch knows")]
    NotEmpty {
        /// The line of the patch, counted from 1.
        line: usize,
        /// The file.
        file: EntryPath,
    },
    /// A file of another type than the patch says.
    #[error("line {line} of the patch changes `{file}`, which is not {expected}")]
    Type {
        /// The line of the patch, counted from 1.
        line: usize,
        /// The file.
        file: EntryPath,
        /// What it would have to be.
        expected: &'static str,
    },
    /// The directory does not let it.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Why a file of a directory cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// It is elsewhere, in truth.
    #[error("`{path}` lies behind the symbolic link `{link}`")]
    ThroughLink {
        /// The file.
        path: EntryPath,
        /// The link on the way to it.
        link: EntryPath,
    },
    /// Something on the way to it is no directory.
    #[error("`{path}` lies below `{parent}`, which is not a directory")]
    Parent {
        /// The file.
        path: EntryPath,
        /// What is on the way to it.
        parent: EntryPath,
    },
    /// The machine says no.
    #[error("could not {doing} `{path}`")]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a series was not applied to its end.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// The list of patches.
    #[error("could not read the series of patches")]
    Series(#[from] SeriesFileError),
    /// A patch that could not be read.
    #[error("could not read the patch `{patch}`")]
    Read {
        /// The patch.
        patch: EntryPath,
        /// Why.
        source: io::Error,
    },
    /// A patch that cannot be understood.
    #[error("could not understand the patch `{patch}`")]
    Parse {
        /// The patch.
        patch: EntryPath,
        /// Why.
        source: ParseError,
    },
    /// A patch that does not apply.
    #[error("could not apply the patch `{patch}`")]
    Apply {
        /// The patch.
        patch: EntryPath,
        /// Why.
        source: Box<ApplyError>,
    },
    /// What quilt would remember could not be written.
    #[error("could not note what was applied")]
    Record(#[source] TreeError),
}

impl SeriesError {
    /// Says whether this machine is to blame and not the patches.
    pub fn is_machine(&self) -> bool {
        match self {
            SeriesError::Record(TreeError::Io { .. }) => true,
            SeriesError::Apply { source, .. } => matches!(**source, ApplyError::Tree(TreeError::Io { .. })),
            SeriesError::Read { source, .. } => {
                !matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData)
            }
            _ => false,
        }
    }
}
