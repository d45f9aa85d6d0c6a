//! Turns a Debian source package into the tree that `dpkg-source -x` would leave, without dpkg.
//!
//! The formats are `3.0 (quilt)`, `3.0 (native)` and `1.0`, the three that Debian's archive has. A package is
//! what its [`Dsc`] lists; that is believed only where the files agree with it, and nothing here trusts its
//! signature: whoever pinned the `.dsc` by its content has checked where it came from. Modes come down to the
//! executable bit, as they do for `dpkg-source` under the usual umask; times are not kept.

mod dsc;
mod error;
mod extract;
mod layout;
#[cfg(test)]
mod tests;
mod unpack;

pub use dsc::{Dsc, DscError, DscFile, Format};
pub use error::SourceError;
pub use layout::LayoutError;
pub use unpack::unpack;
