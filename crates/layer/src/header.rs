//! Tar headers: ustar blocks (POSIX.1-2017 pax, "ustar Interchange Format") and pax extended headers.
//!
//! [`encode`] is the canonical form: there is one way to say each thing. [`RawHeader`] is what a block says
//! whoever wrote it.

use std::collections::BTreeMap;

use crate::entry::{Entry, Kind};
use crate::path::EntryPath;

/// Everything in a tar is a multiple of this.
pub(crate) const BLOCK: usize = 512;

/// The largest pax extended header that is written or read: several times what Linux allows for extended attributes.
pub(crate) const MAX_PAX: usize = 1 << 20;

/// The prefix of pax keywords that carry extended attributes.
pub(crate) const XATTR_KEY: &[u8] = b"SCHILY.xattr.";

const MAX_OCTAL_7: u64 = 0o7777777;
const MAX_OCTAL_11: u64 = 0o77777777777;

/// The block is not the header of a tar entry, or its extension is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The sum over the block differs from the one in it.
    #[error("the header's checksum does not match")]
    Checksum,
    /// Not an octal or base-256 number, or one that does not fit.
    #[error("the header's {field} is not a number that fits")]
    Number {
        /// The field's name.
        field: &'static str,
    },
    /// A record of a pax extended header is not `<length> <keyword>=<value>\n`.
    #[error("the extended header is malformed at byte {at}")]
    PaxRecord {
        /// Offset in the extended header.
        at: usize,
    },
    /// The value of a pax keyword makes no sense.
    #[error("the extended header's `{keyword}` has no usable value")]
    PaxValue {
        /// The keyword.
        keyword: String,
    },
    /// A pax extended header, long name or long link beyond any sane size.
    #[error("an extended header of {size} bytes is too large")]
    TooLarge {
        /// Its size.
        size: u64,
    },
}

/// What a header block says.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawHeader {
    pub(crate) name: Vec<u8>,
    pub(crate) mode: u64,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) typeflag: u8,
    pub(crate) link_name: Vec<u8>,
    pub(crate) major: u64,
    pub(crate) minor: u64,
}

/// The records of a pax extended header; a later record replaces an earlier one.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

impl RawHeader {
    /// Returns what `block` says, or `None` for the zeros that end an archive.
    pub(crate) fn parse(block: &[u8; BLOCK]) -> Result<Option<RawHeader>, HeaderError> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let stated = unsigned(&block[148..156], "checksum")?;
        // The checksum itself counts as blanks.
        let (before, after) = (&block[..148], &block[156..]);
        let sum_of = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let sum = sum_of(before) + sum_of(after) + 8 * u32::from(b' ');
        // Some old archivers summed signed characters.
        let n_negative = || before.iter().chain(after).filter(|byte| **byte >= 128).count() as i64;
        if stated != u64::from(sum) && i64::try_from(stated) != Ok(i64::from(sum) - 256 * n_negative()) {
            return Err(HeaderError::Checksum);
        }
        let mut name = text(&block[..100]).to_vec();
        // In GNU's old format, `ustar` followed by blanks, the prefix's place holds times.
        if &block[257..263] == b"ustar\0" && block[345] != 0 {
            name = [text(&block[345..500]), b"/", &name[..]].concat();
        }
        let typeflag = block[156];
        let (major, minor) = match typeflag {
            b'3' | b'4' => (unsigned(&block[329..337], "major")?, unsigned(&block[337..345], "minor")?),
            _ => (0, 0),
        };
        Ok(Some(RawHeader {
            name,
            mode: unsigned(&block[100..108], "mode")?,
            uid: unsigned(&block[108..116], "uid")?,
            gid: unsigned(&block[116..124], "gid")?,
            size: unsigned(&block[124..136], "size")?,
            mtime: signed(&block[136..148], "mtime")?,
            typeflag,
            link_name: text(&block[157..257]).to_vec(),
            major,
            minor,
        }))
    }

    /// Puts what the records of a pax extended header say in place of what the block says.
    ///
    /// Keywords that are not about a field of the header, which [`is_applied`] says, are left alone.
    pub(crate) fn apply(&mut self, records: &Records) -> Result<(), HeaderError> {
        for (keyword, value) in records {
            let wrong = || HeaderError::PaxValue { keyword: String::from_utf8_lossy(keyword).into_owned() };
            match &keyword[..] {
                b"path" => self.name.clone_from(value),
                b"linkpath" => self.link_name.clone_from(value),
                b"size" => self.size = decimal(value).ok_or_else(wrong)?,
                b"uid" => self.uid = decimal(value).ok_or_else(wrong)?,
                b"gid" => self.gid = decimal(value).ok_or_else(wrong)?,
                b"mtime" => self.mtime = seconds(value).ok_or_else(wrong)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Says whether a pax keyword is about a field of the header.
pub(crate) fn is_applied(keyword: &[u8]) -> bool {
    matches!(keyword, b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime")
}

/// Returns the field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn unsigned(field: &[u8], name: &'static str) -> Result<u64, HeaderError> {
    u64::try_from(number(field, name)?).map_err(|_| HeaderError::Number { field: name })
}

fn signed(field: &[u8], name: &'static str) -> Result<i64, HeaderError> {
    i64::try_from(number(field, name)?).map_err(|_| HeaderError::Number { field: name })
}

/// Reads octal digits between blanks and NULs, or GNU's base-256 (first bit set, big endian, two's complement).
fn number(field: &[u8], name: &'static str) -> Result<i128, HeaderError> {
    let wrong = HeaderError::Number { field: name };
    if field[0] & 0x80 != 0 {
        // The bit next to the marker is the sign.
        let negative = field[0] & 0x40 != 0;
        let mut value = if negative { -1_i128 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let byte = match (at, negative) {
                (0, true) => *byte | 0x80,
                (0, false) => *byte & 0x7f,
                _ => *byte,
            };
            // Twelve bytes are 96 bits and fit.
            value = value << 8 | i128::from(byte);
        }
        return Ok(value);
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_blank(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(is_blank).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    // Old archivers leave rubbish after the NUL; only what follows a blank must be blank.
    if rest.first() == Some(&b' ') && !rest.iter().all(is_blank) {
        return Err(wrong);
    }
    let mut value = 0_i128;
    for digit in digits {
        if !(b'0'..=b'7').contains(digit) {
            return Err(wrong);
        }
        value = value << 3 | i128::from(digit - b'0');
    }
    Ok(value)
}

fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Reads a time with an optional fraction and returns the second in which it lies.
fn seconds(value: &[u8]) -> Option<i64> {
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let whole = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let has_fraction = fraction.iter().any(|digit| *digit != b'0');
    Some(if negative { -whole - i64::from(has_fraction) } else { whole })
}

/// Adds the records of a pax extended header to `records`.
pub(crate) fn parse_records(data: &[u8], records: &mut Records) -> Result<(), HeaderError> {
    let mut at = 0;
    while at < data.len() {
        let (keyword, value, length) = parse_record(&data[at..]).ok_or(HeaderError::PaxRecord { at })?;
        records.insert(keyword.to_vec(), value.to_vec());
        at += length;
    }
    Ok(())
}

/// Returns keyword, value and length of the record at the start of `data`: `<length> <keyword>=<value>\n`.
fn parse_record(data: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    // No extended header is so large that its length has more digits.
    let blank = data.iter().take(12).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&data[..blank])?).ok()?;
    let record = data.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    if equals == 0 {
        return None;
    }
    Some((&record[..equals], &record[equals + 1..], length))
}

/// Returns the blocks that introduce `entry`, stored at `stored`, in canonical form.
///
/// A field goes into the header block if it fits there, else into a pax extended header before it, whose
/// records are sorted; the field in the block is then zero, or the first bytes of a name.
pub(crate) fn encode(entry: &Entry, stored: &EntryPath) -> Vec<u8> {
    let mut records = Records::new();
    let mut name = stored.as_bytes().to_vec();
    let mut link_name: &[u8] = b"";
    let (mut major, mut minor) = (0, 0);
    let mut mode = entry.metadata.mode;
    let typeflag = match &entry.kind {
        Kind::File { .. } | Kind::Whiteout | Kind::OpaqueDirectory => b'0',
        Kind::HardLink { target } => {
            link_name = target.as_bytes();
            b'1'
        }
        Kind::Symlink { target } => {
            link_name = target;
            mode = 0o777;
            b'2'
        }
        Kind::CharDevice { major: a, minor: b } => {
            (major, minor) = (*a, *b);
            b'3'
        }
        Kind::BlockDevice { major: a, minor: b } => {
            (major, minor) = (*a, *b);
            b'4'
        }
        Kind::Directory => {
            name.push(b'/');
            b'5'
        }
        Kind::Fifo => b'6',
    };
    for (attribute, value) in &entry.metadata.xattrs {
        records.insert([XATTR_KEY, attribute].concat(), value.clone());
    }
    if name.len() > 100 {
        records.insert(b"path".to_vec(), name.clone());
    }
    if link_name.len() > 100 {
        records.insert(b"linkpath".to_vec(), link_name.to_vec());
    }
    let mut fitting = |keyword: &str, value: u64, max: u64| {
        if value <= max {
            return value;
        }
        records.insert(keyword.into(), value.to_string().into_bytes());
        0
    };
    let size = fitting("size", entry.size(), MAX_OCTAL_11);
    let uid = fitting("uid", u64::from(entry.metadata.uid), MAX_OCTAL_7);
    let gid = fitting("gid", u64::from(entry.metadata.gid), MAX_OCTAL_7);
    let mtime = match u64::try_from(entry.metadata.mtime) {
        Ok(mtime) if mtime <= MAX_OCTAL_11 => mtime,
        _ => {
            records.insert(b"mtime".to_vec(), entry.metadata.mtime.to_string().into_bytes());
            0
        }
    };

    let mut blocks = Vec::with_capacity(BLOCK);
    if !records.is_empty() {
        let data = encode_records(&records);
        let size = data.len() as u64;
        let pax = Fields { name: b"././@PaxHeader", mode: 0o644, size, typeflag: b'x', ..Fields::default() };
        blocks.extend_from_slice(&pax.block());
        blocks.extend_from_slice(&data);
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    }
    let fields =
        Fields { name: &name, mode: mode.into(), uid, gid, size, mtime, typeflag, link_name, major, minor };
    blocks.extend_from_slice(&fields.block());
    blocks
}

fn encode_records(records: &Records) -> Vec<u8> {
    let mut data = Vec::new();
    for (keyword, value) in records {
        // The length counts its own digits.
        let rest = keyword.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        data.extend_from_slice(format!("{length} ").as_bytes());
        data.extend_from_slice(keyword);
        data.push(b'=');
        data.extend_from_slice(value);
        data.push(b'\n');
    }
    data
}

/// The fields of a ustar header, each within its bounds.
#[derive(Default)]
struct Fields<'a> {
    name: &'a [u8],
    mode: u64,
    uid: u64,
    gid: u64,
    size: u64,
    mtime: u64,
    typeflag: u8,
    link_name: &'a [u8],
    major: u32,
    minor: u32,
}

impl Fields<'_> {
    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let name = self.name.get(..100).unwrap_or(self.name);
        block[..name.len()].copy_from_slice(name);
        octal(&mut block[100..108], self.mode);
        octal(&mut block[108..116], self.uid);
        octal(&mut block[116..124], self.gid);
        octal(&mut block[124..136], self.size);
        octal(&mut block[136..148], self.mtime);
        block[148..156].fill(b' ');
        block[156] = self.typeflag;
        let link_name = self.link_name.get(..100).unwrap_or(self.link_name);
        block[157..157 + link_name.len()].copy_from_slice(link_name);
        block[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut block[329..337], self.major.into());
        octal(&mut block[337..345], self.minor.into());
        let sum = block.iter().map(|byte| u64::from(*byte)).sum();
        octal(&mut block[148..155], sum);
        block
    }
}

/// Writes `value` as octal digits that fill the field up to a NUL.
fn octal(field: &mut [u8], mut value: u64) {
    let (last, digits) = field.split_last_mut().expect("no field is empty");
    *last = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
    debug_assert_eq!(value, 0, "callers check the bounds");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_their_spellings() {
        let read = |field: &[u8]| number(field, "x").ok();
        assert_eq!(read(b"0000644\0"), Some(0o644));
        assert_eq!(read(b"  644 \0\0"), Some(0o644));
        assert_eq!(read(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(read(b"77777777"), Some(0o77777777));
        assert_eq!(read(b"0000648\0"), None);
        assert_eq!(read(b"-000644\0"), None);
        assert_eq!(read(b"12 34 \0\0"), None);
        assert_eq!(read(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(read(&[0xff; 12]), Some(-1));
        assert!(unsigned(&[0xff; 12], "size").is_err());
        assert!(unsigned(&[0xbf; 12], "size").is_err());
    }

    #[test]
    fn checksums_are_of_bytes_or_of_signed_characters() {
        let mut block = [0; BLOCK];
        block[0] = 0xe9;
        block[156] = b'0';
        let others = i64::from(b'0') + 8 * i64::from(b' ');
        for (first, is_right) in [(0xe9, true), (0xe9 - 256, true), (0xe9 - 128, false)] {
            let sum = format!("{:06o}\0 ", first + others);
            block[148..156].copy_from_slice(sum.as_bytes());
            let parsed = RawHeader::parse(&block).map(|header| header.unwrap().name);
            assert_eq!(parsed, if is_right { Ok(vec![0xe9]) } else { Err(HeaderError::Checksum) });
        }
    }

    #[test]
    fn times_before_1970_round_down() {
        for (text, expected) in
            [("12", 12), ("12.9", 12), ("-12", -12), ("-12.5", -13), ("-0.0", 0), ("7.", 7)]
        {
            assert_eq!(seconds(text.as_bytes()), Some(expected), "{text}");
        }
        for text in ["", "-", ".5", "1e3", "99999999999999999999", "1.x", "--1"] {
            assert_eq!(seconds(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn record_lengths_count_themselves() {
        for length in [1, 84, 85, 86, 87, 88, 980, 990, 991, 992, 993] {
            let records = Records::from([(b"comment".to_vec(), vec![b'x'; length])]);
            let mut read = Records::new();
            parse_records(&encode_records(&records), &mut read).unwrap();
            assert_eq!(read, records);
        }
    }

    #[test]
    fn lying_records_are_refused() {
        let bad: [&[u8]; 9] = [
            b"6 a=\n",
            b"7 a=b\n",
            b"6 a=b",
            b"0 a=b\n",
            b"6 a=bc",
            b"4 =\n",
            b"6 ab \n",
            b"x a=b\n",
            b"99999999999999999999 a=b\n",
        ];
        for data in bad {
            let mut records = Records::new();
            let result = parse_records(data, &mut records);
            assert!(
                matches!(result, Err(HeaderError::PaxRecord { .. })),
                "{:?}",
                String::from_utf8_lossy(data)
            );
        }
    }
}
