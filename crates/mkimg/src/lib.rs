//! Writes what machines boot from: layers, initramfs archives, file systems.
//!
//! Every writer has three phases. *Declare*: names, sizes, owners. *Seal*: the whole layout and every metadata
//! byte are now fixed. *Stream*: contents go into a [`Sink`], each byte once. Sizes, UUIDs and times are
//! options; there is no clock, randomness or environment, so the same declarations are always the same bytes.

pub mod ext4;
mod sink;

pub use sink::{CountingSink, HashSink, MemorySink, Sink, SparseFile};
