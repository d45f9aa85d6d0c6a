//! Applies patches and series of patches to directories, as GNU patch and quilt do, and never outside them.
//!
//! [`Patch::parse`] understands a patch, [`Series::parse`] the list of them; both are pure. A [`Tree`] is a
//! directory that patches are applied to: each as a whole or not at all. Strict by default, as dpkg-source is:
//! hunks may have moved, but their context has to be there; [`Options::fuzz`] permits less.
//!
//! Where the result depends on how ambiguities are decided (which of two names a patch means, which of several
//! places a moved hunk belongs to), they are decided as GNU patch 2.7 does.

mod apply;
mod error;
mod header;
mod hunks;
mod locate;
mod parse;
mod patch;
mod pending;
mod series;
mod tree;

pub use apply::Options;
pub use error::{ApplyError, Mismatch, SeriesError, TreeError};
pub use parse::{ParseError, ParseErrorKind};
pub use patch::{FilePatch, Hunk, Line, Patch};
pub use series::{Record, Series, SeriesEntry, SeriesFileError};
pub use tree::Tree;
