//! Where writers on several threads get the contents of files.

use std::io;
use std::num::NonZero;

use crate::earlier::Place;
use crate::tree::Node;

/// Gives the contents of files, to several threads at once.
pub trait Contents: Sync {
    /// Fills `buffer` with what is in the file `node` from `offset` on; fewer bytes than that are an error.
    fn read(&self, node: Node, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// Contents of which it may be known what they are without reading them.
pub(crate) trait Placed: Contents {
    /// Returns where in an input with a known digest the rest of the file `node` from `offset` on lies.
    fn place(&self, node: Node, offset: u64) -> Option<Place>;
}

/// Contents of which nothing is known.
pub(crate) struct Unplaced<'a>(pub(crate) &'a dyn Contents);

impl Contents for Unplaced<'_> {
    fn read(&self, node: Node, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read(node, offset, buffer)
    }
}

impl Placed for Unplaced<'_> {
    fn place(&self, _node: Node, _offset: u64) -> Option<Place> {
        None
    }
}

impl<F: Fn(Node, u64, &mut [u8]) -> io::Result<()> + Sync> Contents for F {
    fn read(&self, node: Node, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self(node, offset, buffer)
    }
}

/// Returns how many threads this machine can run at once.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
