//! What becomes a block: all of it is known before the first one is compressed.

use std::collections::BTreeMap;

use super::image::Image;
use super::options::Fragments;
use crate::tree::Node;

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) node: Node,
    pub(super) offset: u64,
    pub(super) length: usize,
}

/// A block of data.
pub(super) enum Block {
    /// A block of a file, or its end. The blocks of a file follow each other.
    Data(Piece),
    /// Ends of files, one behind the other.
    Fragment(Vec<Piece>),
}

/// Where the end of a file is, if it shares a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FragmentPlace {
    pub(super) block: u32,
    pub(super) offset: u32,
}

/// How a file is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Division {
    /// How many blocks it has of its own.
    pub(super) n_blocks: u64,
    /// The size of its end that shares a block, or zero.
    pub(super) tail: usize,
}

impl Image {
    /// Returns how a file of `size` bytes is divided.
    pub(super) fn divide(&self, size: u64) -> Division {
        let block_len = u64::from(self.options.block_size.bytes());
        let (whole, rest) = (size / block_len, size % block_len);
        let shares = match self.options.fragments {
            Fragments::None => false,
            Fragments::Small => whole == 0,
            Fragments::All => true,
        };
        if shares && rest > 0 {
            Division { n_blocks: whole, tail: rest as usize }
        } else {
            Division { n_blocks: size.div_ceil(block_len), tail: 0 }
        }
    }
}

/// Puts the ends of files into blocks, in order: one that does not fit begins a new one.
#[derive(Default)]
pub(super) struct FragmentPacker {
    n_full: u32,
    filled: usize,
}

impl FragmentPacker {
    /// Returns where an end of `length` bytes goes.
    pub(super) fn place(&mut self, length: usize, block_len: usize) -> FragmentPlace {
        if self.filled + length > block_len {
            self.n_full += 1;
            self.filled = 0;
        }
        let place = FragmentPlace { block: self.n_full, offset: self.filled as u32 };
        self.filled += length;
        place
    }
}

/// Yields all blocks in the order in which they are stored.
pub(super) struct Blocks<'a> {
    image: &'a Image,
    same: &'a BTreeMap<Node, Node>,
    files: std::slice::Iter<'a, Node>,
    /// What is left of the blocks of a file: the offset of the next, and the end of the last.
    current: Option<(Node, u64, u64)>,
    /// The end of that file, when its blocks are done.
    tail: Option<Piece>,
    packer: FragmentPacker,
    pieces: Vec<Piece>,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(image: &'a Image, same: &'a BTreeMap<Node, Node>) -> Blocks<'a> {
        Blocks {
            image,
            same,
            files: image.files.iter(),
            current: None,
            tail: None,
            packer: FragmentPacker::default(),
            pieces: Vec::new(),
        }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let block_len = self.image.options.block_size.len();
        loop {
            if let Some((node, offset, end)) = self.current.take_if(|(_, offset, end)| offset < end) {
                let length = usize::try_from(end - offset).unwrap_or(block_len).min(block_len);
                self.current = Some((node, offset + length as u64, end));
                return Some(Block::Data(Piece { node, offset, length }));
            }
            if let Some(piece) = self.tail.take() {
                let place = self.packer.place(piece.length, block_len);
                let full = if place.offset == 0 { std::mem::take(&mut self.pieces) } else { Vec::new() };
                self.pieces.push(piece);
                if !full.is_empty() {
                    return Some(Block::Fragment(full));
                }
            }
            let Some(node) = self.files.next() else {
                let last = std::mem::take(&mut self.pieces);
                return (!last.is_empty()).then_some(Block::Fragment(last));
            };
            let Some(size) = self.image.size(*node).filter(|_| !self.same.contains_key(node)) else {
                continue;
            };
            let division = self.image.divide(size);
            let end = size - division.tail as u64;
            self.current = Some((*node, 0, end));
            self.tail =
                (division.tail > 0).then_some(Piece { node: *node, offset: end, length: division.tail });
        }
    }
}
