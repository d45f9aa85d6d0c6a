//! What an archive offers: its `Packages` files, read into an [`Index`] each and merged into a [`Universe`].
//!
//! Dependencies stay text until somebody asks: of 60,000 packages a solution looks at a few thousand.

mod index;
mod universe;

pub use index::{Index, MultiArch, Package, PackagesError, PackagesErrorKind, Priority};
pub(crate) use universe::Slot;
pub use universe::{PackageId, Part, Provider, Universe};
