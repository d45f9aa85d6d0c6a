//! Why there is no tree of a source package.

use std::io;
use std::path::PathBuf;

use layer::{EntryPath, ForeignError};
use quilt::{ApplyError, ParseError, SeriesError};

use crate::digest::Sha256;
use crate::source::dsc::DscError;
use crate::source::layout::LayoutError;

/// Why there is no tree of a source package.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
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
    /// The control file cannot be used.
    #[error("could not understand `{path}`")]
    Dsc {
        /// The control file.
        path: PathBuf,
        /// Why.
        source: DscError,
    },
    /// The files do not make a package.
    #[error("the files of `{package}` do not make a source package")]
    Layout {
        /// The package.
        package: String,
        /// Why.
        source: LayoutError,
    },
    /// A file that is not the one that the control file lists.
    #[error(
        "`{name}` has {found_size} bytes and the SHA-256 {found}, the .dsc says {expected_size} bytes and {expected}"
    )]
    Altered {
        /// The file.
        name: String,
        /// What it is.
        found: Sha256,
        /// What it is.
        found_size: u64,
        /// What it must be.
        expected: Sha256,
        /// What it must be.
        expected_size: u64,
    },
    /// An archive that is damaged, or would do harm.
    #[error("could not unpack `{name}`")]
    Archive {
        /// The archive.
        name: String,
        /// Why.
        source: ForeignError,
    },
    /// A compressed file that is damaged.
    #[error("could not decompress `{name}`")]
    Decompress {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Something that no source has.
    #[error("`{name}` has `{entry}`, which is neither a file, a directory nor a link")]
    Special {
        /// The archive.
        name: String,
        /// The entry.
        entry: EntryPath,
    },
    /// An archive that is far larger than it looks.
    #[error("`{name}` unpacks to more than {limit} bytes, far more than its size lets expect")]
    TooLarge {
        /// The archive.
        name: String,
        /// Where unpacking ended.
        limit: u64,
    },
    /// An archive with nothing in it.
    #[error("`{name}` is empty")]
    Empty {
        /// The archive.
        name: String,
    },
    /// A directory of the upstream sources that the archive of Debian would replace by something else.
    #[error("`{name}` replaces `{path}`, a directory with files, by something else")]
    Replaces {
        /// The archive.
        name: String,
        /// The directory.
        path: PathBuf,
    },
    /// The diff of a package of the format 1.0 that cannot be understood.
    #[error("could not understand `{name}`")]
    Diff {
        /// The diff.
        name: String,
        /// Why.
        source: ParseError,
    },
    /// A diff that does not apply.
    #[error("could not apply `{name}`")]
    DiffApply {
        /// The diff.
        name: String,
        /// Why.
        source: Box<ApplyError>,
    },
    /// A list of patches that is far longer than any.
    #[error("the list of the patches of `{package}` has more than {limit} bytes")]
    LongSeries {
        /// The package.
        package: String,
        /// How many it may have.
        limit: u64,
    },
    /// The patches of a package.
    #[error("could not apply the patches of `{package}`")]
    Patches {
        /// The package.
        package: String,
        /// Why.
        source: SeriesError,
    },
}

impl SourceError {
    /// Says whether this machine is to blame and not the package.
    pub fn is_machine(&self) -> bool {
        match self {
            SourceError::Io { .. } => true,
            SourceError::DiffApply { source, .. } => {
                matches!(**source, ApplyError::Tree(quilt::TreeError::Io { .. }))
            }
            SourceError::Patches { source, .. } => source.is_machine(),
            _ => false,
        }
    }
}
