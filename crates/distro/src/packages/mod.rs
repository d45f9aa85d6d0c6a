//! What an archive offers: its `Packages` files, read into an [`Index`] each and merged into a [`Universe`], and
//! its `Sources` files, each a [`SourceIndex`].
//!
//! Dependencies stay text until somebody asks: of 60,000 packages a solution looks at a few thousand.

mod index;
mod sources;
mod universe;

pub use index::{Index, MultiArch, Package, PackagesError, PackagesErrorKind, Priority};
pub use sources::{Source, SourceIndex};
pub(crate) use universe::Slot;
pub(crate) use universe::nearest;
pub use universe::{PackageId, Part, Provider, Universe};
