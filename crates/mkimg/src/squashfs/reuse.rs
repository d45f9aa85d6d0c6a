//! What is taken over of earlier images: blocks, and what was found of files.

use super::options::Options;
use super::plan::{Block, Piece};
use crate::contents::Placed;
use crate::duplicates;
use crate::earlier::{Earlier, Key, Scope};

/// What is known of earlier images that were compressed in the same way.
pub(crate) struct Reuse {
    data: Scope,
    /// Blocks that files share: they are stored also where they are zeros.
    fragments: Scope,
    metadata: Scope,
    files: duplicates::Known,
}

/// What is stored of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stored {
    /// Nothing: it is zeros.
    Nothing = 0,
    Packed = 1,
    Plain = 2,
}

impl Stored {
    pub(super) fn from_number(number: u8) -> Option<Stored> {
        [Stored::Nothing, Stored::Packed, Stored::Plain].into_iter().find(|stored| *stored as u8 == number)
    }
}

impl Reuse {
    pub(crate) fn new(earlier: &Earlier, options: &Options) -> Reuse {
        // What else there is to choose does not change how a block is compressed.
        let settings = (&options.compression, options.block_size);
        Reuse {
            data: earlier.scope("squashfs data", &settings),
            fragments: earlier.scope("squashfs fragments", &settings),
            metadata: earlier.scope("squashfs metadata", &settings),
            files: duplicates::Known::new(earlier),
        }
    }

    pub(super) fn files(&self) -> &duplicates::Known {
        &self.files
    }

    pub(super) fn metadata(&self) -> &Scope {
        &self.metadata
    }

    /// Returns what goes for blocks of this kind.
    pub(super) fn scope(&self, is_shared: bool) -> &Scope {
        if is_shared { &self.fragments } else { &self.data }
    }

    /// Returns what names the parts of inputs that a block is made of, if these are known.
    pub(super) fn range(&self, contents: &dyn Placed, block: &Block) -> Option<Key> {
        let place = |piece: &Piece| Some((contents.place(piece.node, piece.offset)?, piece.length as u64));
        match block {
            Block::Data(piece) => Some(self.data.range(std::iter::once(place(piece)?))),
            Block::Fragment(pieces) => {
                let places = pieces.iter().map(place).collect::<Option<Vec<_>>>()?;
                Some(self.fragments.range(places.into_iter()))
            }
        }
    }
}
