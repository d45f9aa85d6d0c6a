//! Reading the archive, from its beginning to its end.

use std::io::{self, Read};

use super::format::{
    BLOCK, CHECKSUM_AT, ENTRY_LEN, FURTHER_IS_EXTENDED_AT, IS_EXTENDED_AT, MAGIC, MAGIC_AT, MAP_AT, N_FIRST,
    N_FURTHER, NAME, NUMBER_LEN, REAL_SIZE_AT, SIZE_AT, SPARSE, TYPE_AT, checksum,
};
use crate::Sink;
use crate::vdisk::error::{ReadError, corrupt};

const HEADER: &str = "the header of the archive";
const MAP: &str = "the map of the archive";
/// The most entries of a map that are read: of a disk of 4 TiB that is full of holes of 64 KiB.
const MOST_ENTRIES: usize = 1 << 25;
/// How much goes into the sink at once.
const BUFFER_LEN: usize = 1 << 20;

/// Why an archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It could not be read, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The sink did not take the disk.
    #[error("could not write the disk")]
    Write {
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Writes the disk in an archive, which `input` has compressed, into `sink`, and returns its size. The archive is one
/// with a single file, `disk.raw`, sparse or not.
pub fn unpack(input: impl Read, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let mut input = flate2::read::MultiGzDecoder::new(input);
    let mut position = 0;
    let mut header = [0; BLOCK];
    fill(&mut input, &mut header, &mut position)?;
    let (size, map) = head(&header, &mut input, &mut position)?;
    let mut buffer = vec![0; BUFFER_LEN];
    let mut end = 0;
    for (start, length) in map {
        let mut at = start;
        while at < start + length {
            let part = &mut buffer[..(start + length - at).min(BUFFER_LEN as u64) as usize];
            fill(&mut input, part, &mut position)?;
            sink.data(at, part).map_err(|source| UnpackError::Write { source })?;
            at += part.len() as u64;
        }
        end = start + length;
    }
    sink.zeros(end, size - end).map_err(|source| UnpackError::Write { source })?;
    Ok(size)
}

/// Returns the disk's size, and its map, whose entries ascend and end with the disk at most.
fn head(
    header: &[u8; BLOCK],
    input: &mut impl Read,
    position: &mut u64,
) -> Result<(u64, Vec<(u64, u64)>), ReadError> {
    let sum = octal(&header[CHECKSUM_AT..CHECKSUM_AT + 8]);
    if header[MAGIC_AT..].starts_with(b"ustar") && sum != Some(checksum(header).into()) {
        return corrupt(HEADER, "its checksum is wrong");
    }
    let name = header[..100].split(|byte| *byte == 0).next().unwrap_or_default();
    if !header[MAGIC_AT..].starts_with(&MAGIC[..5]) || name.strip_prefix(b"./").unwrap_or(name) != NAME {
        return corrupt(HEADER, "the first file in it is not `disk.raw`");
    }
    let Some(stored) = number(&header[SIZE_AT..]) else { return corrupt(HEADER, "it has no size") };
    if header[TYPE_AT] != SPARSE {
        return match header[TYPE_AT] {
            b'0' | 0 => Ok((stored, vec![(0, stored)])),
            _ => corrupt(HEADER, "`disk.raw` is not a file"),
        };
    }
    let Some(size) = number(&header[REAL_SIZE_AT..]) else { return corrupt(HEADER, "it has no size") };
    let mut map = Vec::new();
    let mut is_extended = header[IS_EXTENDED_AT] != 0;
    list(&header[MAP_AT..], N_FIRST, &mut map)?;
    while is_extended {
        let mut block = [0; BLOCK];
        fill(input, &mut block, position)?;
        list(&block, N_FURTHER, &mut map)?;
        is_extended = block[FURTHER_IS_EXTENDED_AT] != 0;
        if map.len() > MOST_ENTRIES {
            return corrupt(MAP, "it has too many entries");
        }
    }
    let mut end = 0;
    let mut sum: u64 = 0;
    for (start, length) in &map {
        let next = start.checked_add(*length).filter(|next| *start >= end && *next <= size);
        let Some(next) = next else {
            return corrupt(MAP, "its entries do not ascend, or pass the disk's end");
        };
        end = next;
        sum += length;
    }
    if sum != stored {
        return corrupt(MAP, format!("it lists {sum} bytes, and the file has {stored}"));
    }
    Ok((size, map))
}

fn list(block: &[u8], n_entries: usize, map: &mut Vec<(u64, u64)>) -> Result<(), ReadError> {
    for entry in block[..n_entries * ENTRY_LEN].chunks_exact(ENTRY_LEN) {
        if entry[0] == 0 {
            break;
        }
        match (number(entry), number(&entry[NUMBER_LEN..])) {
            (Some(start), Some(length)) => map.push((start, length)),
            _ => return corrupt(MAP, "it has something that is no number"),
        }
    }
    Ok(())
}

/// Returns the number in the field at the start of `bytes`.
fn number(bytes: &[u8]) -> Option<u64> {
    let field = &bytes[..NUMBER_LEN];
    if field[0] != 0x80 {
        return octal(field);
    }
    let is_short = field[1..NUMBER_LEN - 8].iter().all(|byte| *byte == 0);
    let bytes = field[NUMBER_LEN - 8..].first_chunk()?;
    is_short.then_some(u64::from_be_bytes(*bytes))
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    u64::from_str_radix(text, 8).ok()
}

fn fill(input: &mut impl Read, buffer: &mut [u8], position: &mut u64) -> Result<(), ReadError> {
    let (offset, length) = (*position, buffer.len());
    input.read_exact(buffer).map_err(|source| ReadError::Io { offset, length, source })?;
    *position += length as u64;
    Ok(())
}
