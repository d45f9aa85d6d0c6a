//! Writing the archive.

use std::io::Write;
use std::ops::Range;

use super::format::{
    BLOCK, CHECKSUM_AT, ENTRY_LEN, FURTHER_IS_EXTENDED_AT, IS_EXTENDED_AT, MAGIC, MAGIC_AT, MAP_AT, N_FIRST,
    N_FURTHER, NAME, NUMBER_LEN, REAL_SIZE_AT, SIZE_AT, SPARSE, TYPE_AT, checksum,
};
use crate::compress::Compressor;
use crate::earlier::Earlier;
use crate::vdisk::error::WriteError;
use crate::vdisk::stream::{Block, How, blocks};
use crate::vdisk::{Contents, put};

const GIBIBYTE: u64 = 1 << 30;
/// What is looked at whether it is zero.
const PIECE: u64 = 64 << 10;
/// An archive has whole records of this.
const RECORD: usize = 20 * BLOCK;
/// The most threads that compress: each has a few mebibytes.
const MOST_THREADS: usize = 16;

/// How an archive is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// When the disk was made, in seconds since 1970.
    pub epoch: u64,
}

/// Writes the disk as such an archive into `out`, and returns that. Its size is rounded up to whole gibibytes.
pub fn write<W: Write>(
    contents: &Contents<'_>,
    options: &Options,
    n_threads: usize,
    out: W,
) -> Result<W, WriteError> {
    write_reusing(contents, options, n_threads, None, out)
}

/// As [`write`], into the beginning of a file, and takes over what earlier runs compressed.
pub(crate) fn write_reusing<W: Write>(
    contents: &Contents<'_>,
    options: &Options,
    n_threads: usize,
    earlier: Option<&Earlier>,
    out: W,
) -> Result<W, WriteError> {
    let contents = contents.grown(contents.size().next_multiple_of(GIBIBYTE));
    if contents.size() == 0 {
        return Err(WriteError::Empty);
    }
    let how = How::plain(PIECE, n_threads);
    let mut map: Vec<Range<u64>> = Vec::new();
    blocks(&contents, &how, |number, _| {
        let start = number * PIECE;
        match map.last_mut().filter(|last| last.end == start) {
            Some(last) => last.end += PIECE,
            None => map.push(start..start + PIECE),
        }
        Ok(())
    })?;
    let mut out = Compressor::gzip(out, n_threads.clamp(1, MOST_THREADS), earlier)?;
    let mut written = front(&contents, &map, options, &mut out)?;
    blocks(&contents, &how, |_, block| {
        if let Block::Plain(plain) = block {
            out.write_all(plain.bytes)?;
            written += plain.bytes.len();
        }
        Ok(())
    })?;
    // Two blocks of zeros, and the rest of a record.
    let end = (written + 2 * BLOCK).next_multiple_of(RECORD);
    out.write_all(&vec![0; end - written])?;
    Ok(out.finish()?)
}

/// Writes what is in front of the data, and returns how much that is.
fn front(
    contents: &Contents<'_>,
    map: &[Range<u64>],
    options: &Options,
    out: &mut impl Write,
) -> Result<usize, WriteError> {
    let size = contents.size();
    let stored: u64 = map.iter().map(|range| range.end - range.start).sum();
    let mut entries: Vec<(u64, u64)> =
        map.iter().map(|range| (range.start, range.end - range.start)).collect();
    if map.last().is_none_or(|last| last.end < size) {
        // What says where the disk ends.
        entries.push((size, 0));
    }
    let (first, further) = entries.split_at(entries.len().min(N_FIRST));
    let mut header = [0; BLOCK];
    put(&mut header, 0, NAME);
    put(&mut header, 100, b"0000644\0");
    put(&mut header, 108, b"0000000\0");
    put(&mut header, 116, b"0000000\0");
    put(&mut header, SIZE_AT, &number(stored));
    put(&mut header, 136, &number(options.epoch));
    header[TYPE_AT] = SPARSE;
    put(&mut header, MAGIC_AT, MAGIC);
    list(&mut header, MAP_AT, first);
    header[IS_EXTENDED_AT] = u8::from(!further.is_empty());
    put(&mut header, REAL_SIZE_AT, &number(size));
    let sum = checksum(&header);
    put(&mut header, CHECKSUM_AT, format!("{sum:06o}\0 ").as_bytes());
    out.write_all(&header)?;
    let mut written = BLOCK;
    let mut groups = further.chunks(N_FURTHER).peekable();
    while let Some(group) = groups.next() {
        let mut block = [0; BLOCK];
        list(&mut block, 0, group);
        block[FURTHER_IS_EXTENDED_AT] = u8::from(groups.peek().is_some());
        out.write_all(&block)?;
        written += BLOCK;
    }
    Ok(written)
}

fn list(block: &mut [u8], at: usize, entries: &[(u64, u64)]) {
    for (idx, (offset, length)) in entries.iter().enumerate() {
        put(block, at + idx * ENTRY_LEN, &number(*offset));
        put(block, at + idx * ENTRY_LEN + NUMBER_LEN, &number(*length));
    }
}

/// Returns the field of a number: octal digits, or where these are not enough, its bytes behind a mark.
fn number(value: u64) -> [u8; NUMBER_LEN] {
    let mut field = [0; NUMBER_LEN];
    if value < 1 << 33 {
        put(&mut field, 0, format!("{value:011o}").as_bytes());
    } else {
        field[0] = 0x80;
        put(&mut field, NUMBER_LEN - 8, &value.to_be_bytes());
    }
    field
}
