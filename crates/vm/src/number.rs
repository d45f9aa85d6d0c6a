//! Addresses and sizes as text: in JSON, where `0x48000000` says more than 1207959552, and for people.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

/// Returns the number that `text` writes: decimal, or hexadecimal behind `0x`, with `_` anywhere between the
/// digits, and `K`, `M` or `G` behind it for 2^10, 2^20 or 2^30.
pub fn parse(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    let digits = digits.replace('_', "");
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(&digits, radix).ok()?.checked_mul(1 << shift)
}

/// Returns an address as all of this crate writes it: hexadecimal, with at least eight digits.
pub fn hex(address: u64) -> String {
    format!("{address:#010x}")
}

/// Returns a size for people: exact where that takes at most four digits, else rounded up to a tenth of a unit.
pub fn human_size(bytes: u64) -> String {
    rounded(bytes, u128::div_ceil)
}

/// Returns how much room there is, for people: as [`human_size`], but rounded down.
pub fn human_room(bytes: u64) -> String {
    rounded(bytes, |tenfold, unit| tenfold / unit)
}

/// `divide` gets ten times the bytes and a unit.
fn rounded(bytes: u64, divide: fn(u128, u128) -> u128) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let exact = units.into_iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    if let Some((name, unit)) = exact
        && bytes / unit < 10_000
    {
        return format!("{} {name}", bytes / unit);
    }
    let Some((name, unit)) = units.into_iter().find(|(_, unit)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    let tenths = divide(u128::from(bytes) * 10, u128::from(unit));
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Writes a number as [`hex`].
pub(crate) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(*number))
}

/// Reads a number of JSON, or a text that [`parse`] understands.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(NumberVisitor)
}

/// The same for a number that may be left out.
pub(crate) mod optional {
    use super::{Deserializer, Serializer};

    /// Writes a number as [`super::hex`].
    pub(crate) fn serialize<S: Serializer>(number: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => super::serialize(number, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a number that is there; `serde(default)` is for one that is not.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a text such as \"0x40000000\" or \"512M\"")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, number) in [
            ("0", 0),
            ("4096", 4096),
            ("0x4800_0000", 0x4800_0000),
            ("0xfF", 255),
            ("64K", 65536),
            ("512M", 512 << 20),
            ("0x2G", 2 << 30),
            ("0xffffffffffffffff", u64::MAX),
        ] {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        let wrong = ["", "0x", "M", "-1", "+1", "0x+1", "1.5G", "12 M", "0X10", "1é", "99999999999G", "ä"];
        for text in wrong {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_exact_or_rounded_up() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1025, "1.1 KiB"),
            (512 << 20, "512 MiB"),
            ((512 << 20) + 1, "512.1 MiB"),
            (3 << 29, "1536 MiB"),
            ((10 << 30) + (1 << 20), "10.1 GiB"),
            (12 << 40, "12288.0 GiB"),
            (u64::MAX, "17179869184.0 GiB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
        assert_eq!(human_room((64 << 20) - 4096), "63.9 MiB");
        assert_eq!((human_room(1 << 20).as_str(), human_room(0).as_str()), ("1 MiB", "0 B"));
        assert_eq!((hex(0x900_0000).as_str(), hex(1 << 40).as_str()), ("0x09000000", "0x10000000000"));
    }
}
