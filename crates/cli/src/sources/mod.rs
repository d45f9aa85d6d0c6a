//! Sources that are more than one file: what they are locked to, and how they get into the store.

pub(crate) mod crates;
pub(crate) mod debian;
pub(crate) mod git;
pub(crate) mod texts;
