//! Makes an image what another one is, in place: whole, or not at all.
//!
//! What differs is written and nothing else. Before the first byte of the image changes, all that will change lies in a
//! journal beside it, on the disk. Whoever is killed before that leaves the image as it was; after that, the next update
//! finishes what the journal says ([`Journal::recover`]).
//!
//! What is replaced has to be what an earlier build put there ([`Patch::bases`]): what anybody else wrote is not to be
//! lost. Partitions that belong to whoever runs the image ([`Layout`]) are left alone.
//!
//! Of a qcow2 the disk becomes the other one, as a guest sees it; the file itself does not become the same.

mod compare;
mod error;
mod image;
mod journal;
mod layout;

pub use compare::{Patch, Patched};
pub use error::Error;
pub use image::{Image, Side};
pub use journal::Journal;
pub use layout::{Layout, PartitionOf, State};

/// Asks before each step of an update whether to go on.
pub type Ask<'a> = &'a mut dyn FnMut() -> std::io::Result<()>;
