//! Tables of metadata: cut into pieces of 8 KiB, each compressed by itself behind its size.

use super::bytes::Put;
use super::error::Error;
use super::format::{METADATA_LEN, METADATA_PLAIN, reference};
use super::pack::{Packer, Purpose};
use crate::output::Output;

/// Returns a metadata block: the size and the compressed bytes.
pub(super) fn pack_block(packer: &mut Packer, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    debug_assert!((1..=METADATA_LEN).contains(&bytes.len()));
    let key = packer.earlier().map(|scope| scope.contents(bytes));
    if let Some((scope, key)) = packer.earlier().zip(key.as_ref())
        && let Some(found) = scope.recall(key)
    {
        scope.note(*key, 0, (0, &[]), &found.note);
        return Ok(found.note);
    }
    let mut packed = Vec::new();
    let is_smaller = packer.pack(Purpose::Metadata, bytes, &mut packed)?;
    let (body, mark) = if is_smaller { (&packed[..], 0) } else { (bytes, METADATA_PLAIN) };
    let mut block = Vec::with_capacity(body.len() + 2);
    block.put_u16(body.len() as u16 | mark);
    block.extend_from_slice(body);
    if let Some((scope, key)) = packer.earlier().zip(key) {
        // It is so small that it can be in the note.
        scope.note(key, 0, (0, &[]), &block);
    }
    Ok(block)
}

/// A table that references point into.
#[derive(Default)]
pub(super) struct Table {
    /// What does not fill a block yet.
    pending: Vec<u8>,
    /// Blocks that are done and not taken.
    packed: Vec<u8>,
    /// Where each block starts that is done, and the next.
    starts: Vec<u64>,
}

impl Table {
    pub(super) fn new() -> Table {
        Table { starts: vec![0], ..Table::default() }
    }

    /// Returns the size of what was appended, before it is compressed.
    pub(super) fn length(&self) -> u64 {
        ((self.starts.len() - 1) * METADATA_LEN + self.pending.len()) as u64
    }

    pub(super) fn append(&mut self, packer: &mut Packer, mut bytes: &[u8]) -> Result<(), Error> {
        while self.pending.len() + bytes.len() >= METADATA_LEN {
            let (now, later) = bytes.split_at(METADATA_LEN - self.pending.len());
            self.pending.extend_from_slice(now);
            bytes = later;
            let block = pack_block(packer, &self.pending)?;
            self.pending.clear();
            self.add(&block);
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends a whole block that was compressed elsewhere. Nothing may be pending.
    pub(super) fn add(&mut self, block: &[u8]) {
        debug_assert!(self.pending.is_empty());
        let start = self.starts[self.starts.len() - 1];
        self.starts.push(start + block.len() as u64);
        self.packed.extend_from_slice(block);
    }

    /// Appends what does not fill a block. Nothing may be pending.
    pub(super) fn leave(&mut self, rest: Vec<u8>) {
        debug_assert!(self.pending.is_empty() && rest.len() < METADATA_LEN);
        self.pending = rest;
    }

    /// Returns where the block is that has byte `offset` of what was or will be appended next.
    pub(super) fn block_start(&self, offset: u64) -> Result<u32, Error> {
        u32::try_from(self.starts[offset as usize / METADATA_LEN]).map_err(|_| Error::TreeTooLarge)
    }

    /// Returns the reference to byte `offset`.
    pub(super) fn reference(&self, offset: u64) -> Result<u64, Error> {
        Ok(reference(self.block_start(offset)?.into(), offset as usize % METADATA_LEN))
    }

    /// Compresses what is left over.
    pub(super) fn finish(&mut self, packer: &mut Packer) -> Result<(), Error> {
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            let block = pack_block(packer, &rest)?;
            self.add(&block);
        }
        Ok(())
    }

    /// Moves the blocks that are done into the image.
    pub(super) fn drain(&mut self, output: &mut Output<'_>) -> Result<(), Error> {
        output.append(&self.packed)?;
        self.packed.clear();
        Ok(())
    }
}

/// Writes a table that is found through an index of its blocks, and returns the blocks' places.
pub(super) fn write_blocks(
    packer: &mut Packer,
    output: &mut Output<'_>,
    table: &[u8],
) -> Result<Vec<u64>, Error> {
    let mut places = Vec::new();
    for bytes in table.chunks(METADATA_LEN) {
        places.push(output.position());
        output.append(&pack_block(packer, bytes)?)?;
    }
    Ok(places)
}

/// Writes a table and its index behind it. Returns where the index is.
pub(super) fn write_indexed(
    packer: &mut Packer,
    output: &mut Output<'_>,
    table: &[u8],
) -> Result<u64, Error> {
    let places = write_blocks(packer, output, table)?;
    let start = output.position();
    output.append(&places.iter().flat_map(|place| place.to_le_bytes()).collect::<Vec<_>>())?;
    Ok(start)
}
