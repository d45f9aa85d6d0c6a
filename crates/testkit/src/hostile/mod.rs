//! Archives that mean harm. Every reader of foreign archives is run on all of them.
//!
//! They are written by code, so that nobody has to trust a binary, and each says what must come of it.

mod corpus;
pub mod tar;

pub use corpus::{Flood, hostile_tars};

/// A tar that no honest archiver writes.
#[derive(Clone, Debug)]
pub struct HostileTar {
    /// What it tries.
    pub name: &'static str,
    /// The whole archive.
    pub bytes: Vec<u8>,
    /// What must come of it.
    pub verdict: Verdict,
}

/// What must come of a hostile archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every reader refuses it, and among what it says is this.
    Refused(&'static str),
    /// Every reader may take it, for this reason.
    Harmless(&'static str),
    /// A layer holds it as data, for this reason; a tree of sources cannot, and says this.
    OnlyLayers(&'static str, &'static str),
}
