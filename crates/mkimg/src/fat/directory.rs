//! Entries of directories, as bytes and back.

use super::name::{Name, Short, shown};
use super::time::DosTime;
use crate::bytes::{get_u16, get_u32, put_u16, put_u32};

/// Bytes of an entry.
pub(super) const LEN: usize = 32;
/// The most entries of a directory: its size is at most 2 MiB ("FAT Directory Structure").
pub(super) const MOST_ENTRIES: u64 = 65_536;

pub(super) const READ_ONLY: u8 = 0x01;
pub(super) const HIDDEN: u8 = 0x02;
pub(super) const SYSTEM: u8 = 0x04;
pub(super) const LABEL: u8 = 0x08;
pub(super) const DIRECTORY: u8 = 0x10;
pub(super) const ARCHIVE: u8 = 0x20;
/// The four bits that together say that this is a part of a long name.
pub(super) const LONG: u8 = 0x0f;
const ATTRIBUTES: u8 = 0x3f;

/// Where in a part of a long name its units are.
const UNITS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// Marks the part that has the end of the name, which comes first.
const LAST: u8 = 0x40;

/// The first byte of an entry that is free, and of one with nothing behind it.
const FREE: u8 = 0xe5;
const END: u8 = 0;
/// What stands for a first byte of a name that would say that the entry is free.
const FREE_STAND_IN: u8 = 0x05;

/// Returns how many entries a name takes.
pub(super) fn entries(name: &Name) -> u64 {
    1 + name.long.len().div_ceil(UNITS.len()) as u64
}

/// What is said of a file or directory beside its long name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) short: Short,
    pub(super) attributes: u8,
    /// Which half of the short name reads in small letters: something that Windows NT began and we only read.
    pub(super) case: u8,
    pub(super) created: DosTime,
    pub(super) accessed: u16,
    pub(super) modified: DosTime,
    pub(super) cluster: u32,
    pub(super) size: u32,
}

impl Entry {
    /// Returns an entry all whose times are the same.
    pub(super) fn new(short: Short, attributes: u8, time: DosTime, cluster: u32, size: u32) -> Entry {
        Entry {
            short,
            attributes,
            case: 0,
            created: time,
            accessed: time.date,
            modified: time,
            cluster,
            size,
        }
    }

    pub(super) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..11].copy_from_slice(&self.short);
        bytes[11] = self.attributes;
        bytes[12] = self.case;
        bytes[13] = self.created.hundredths;
        put_u16(&mut bytes, 14, self.created.time);
        put_u16(&mut bytes, 16, self.created.date);
        put_u16(&mut bytes, 18, self.accessed);
        let [low, high] = [self.cluster & 0xffff, self.cluster >> 16].map(|half| half as u16);
        put_u16(&mut bytes, 20, high);
        put_u16(&mut bytes, 22, self.modified.time);
        put_u16(&mut bytes, 24, self.modified.date);
        put_u16(&mut bytes, 26, low);
        put_u32(&mut bytes, 28, self.size);
        bytes
    }

    fn decode(bytes: &[u8]) -> Entry {
        let mut short = [0; 11];
        short.copy_from_slice(&bytes[..11]);
        if short[0] == FREE_STAND_IN {
            short[0] = FREE;
        }
        Entry {
            short,
            attributes: bytes[11],
            case: bytes[12],
            created: DosTime { date: get_u16(bytes, 16), time: get_u16(bytes, 14), hundredths: bytes[13] },
            accessed: get_u16(bytes, 18),
            modified: DosTime { date: get_u16(bytes, 24), time: get_u16(bytes, 22), hundredths: 0 },
            cluster: u32::from(get_u16(bytes, 20)) << 16 | u32::from(get_u16(bytes, 26)),
            size: get_u32(bytes, 28),
        }
    }
}

/// The bits of [`Entry::case`]: the first eight bytes, and the three behind them.
const SMALL_BASE: u8 = 0x08;
const SMALL_EXTENSION: u8 = 0x10;

impl Entry {
    /// Returns the short name as it reads.
    pub(super) fn shown_short(&self) -> String {
        let mut short = self.short;
        if self.case & SMALL_BASE != 0 {
            short[..8].make_ascii_lowercase();
        }
        if self.case & SMALL_EXTENSION != 0 {
            short[8..].make_ascii_lowercase();
        }
        shown(&short)
    }
}

/// Appends the entries of one name: the parts of the long form, the last first, then the short one.
pub(super) fn append(bytes: &mut Vec<u8>, long: &[u16], entry: &Entry) {
    let n_parts = long.len().div_ceil(UNITS.len());
    for part_idx in (0..n_parts).rev() {
        let mut part = [0; LEN];
        // 255 units make 20 parts.
        part[0] = (part_idx as u8 + 1) | if part_idx + 1 == n_parts { LAST } else { 0 };
        part[11] = LONG;
        part[13] = sum(&entry.short);
        let rest = &long[part_idx * UNITS.len()..];
        for (unit_idx, at) in UNITS.into_iter().enumerate() {
            // An end that is not the part's is marked by a zero; behind that are ones.
            let unit = rest.get(unit_idx).copied().unwrap_or(if unit_idx == rest.len() { 0 } else { 0xffff });
            put_u16(&mut part, at, unit);
        }
        bytes.extend_from_slice(&part);
    }
    bytes.extend_from_slice(&entry.encode());
}

/// Returns the sum that ties the parts of a long name to the short one.
fn sum(short: &Short) -> u8 {
    short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// Reads all entries of a directory, with their long names, which are empty where there is none. Fails with what
/// is wrong.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<(Vec<u16>, Entry)>, String> {
    let mut entries = Vec::new();
    let mut long = Long::default();
    for bytes in bytes.chunks_exact(LEN) {
        match bytes[0] {
            END => break,
            FREE if long.is_open => return Err("a part of a long name has no short one".to_owned()),
            FREE => continue,
            _ => {}
        }
        if bytes[11] & ATTRIBUTES == LONG {
            long.add(bytes)?;
            continue;
        }
        let entry = Entry::decode(bytes);
        // The sum is of the bytes as they are stored.
        let mut stored = entry.short;
        stored[0] = bytes[0];
        entries.push((long.finish(&stored)?, entry));
    }
    if long.is_open { Err("a long name has no short one".to_owned()) } else { Ok(entries) }
}

/// The parts of a long name so far.
#[derive(Default)]
struct Long {
    is_open: bool,
    /// How many parts are still to come.
    expected: u8,
    sum: u8,
    units: Vec<u16>,
}

impl Long {
    fn add(&mut self, bytes: &[u8]) -> Result<(), String> {
        let number = bytes[0] & !LAST;
        if bytes[0] & LAST != 0 {
            if self.is_open {
                return Err("a long name begins inside another".to_owned());
            }
            if !(1..=20).contains(&number) {
                return Err("a long name has an impossible number of parts".to_owned());
            }
            *self = Long { is_open: true, expected: number, sum: bytes[13], units: Vec::new() };
        }
        if !self.is_open || number == 0 || number != self.expected || bytes[13] != self.sum {
            return Err("a part of a long name is out of place".to_owned());
        }
        let units = UNITS.map(|at| get_u16(bytes, at));
        self.units.splice(0..0, units);
        self.expected -= 1;
        Ok(())
    }

    fn finish(&mut self, short: &Short) -> Result<Vec<u16>, String> {
        let long = std::mem::take(self);
        if !long.is_open {
            return Ok(Vec::new());
        }
        if long.expected > 0 || sum(short) != long.sum {
            return Err("a long name does not belong to the short one".to_owned());
        }
        let end = long.units.iter().position(|unit| *unit == 0).unwrap_or(long.units.len());
        let (units, rest) = long.units.split_at(end);
        let is_filled = rest.iter().skip(1).all(|unit| *unit == 0xffff);
        if units.is_empty() || units.len() > 255 || rest.len() > UNITS.len() || !is_filled {
            return Err("a long name has no possible length".to_owned());
        }
        Ok(units.to_vec())
    }
}
