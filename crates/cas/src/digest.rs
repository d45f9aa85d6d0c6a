//! The name of a blob: SHA-256 and size.

use std::str::FromStr;
use std::{fmt, io};

use sha2::{Digest as _, Sha256};

/// The name of a blob: the SHA-256 of its bytes and its size in bytes, as in `Digest` of the Remote
/// Execution API v2. Its text form is `<64 lower-case hex digits>/<size>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    hash: [u8; 32],
    size: u64,
}

/// The text is not a digest: not 64 lower-case hex digits, a slash and a decimal size.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a digest of the form `<sha256>/<size>`")]
pub struct ParseDigestError {
    text: String,
}

impl Digest {
    /// Returns the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest { hash: Sha256::digest(bytes).into(), size: bytes.len() as u64 }
    }

    /// Returns the digest with these parts, which must have been computed or recorded by somebody else.
    pub fn from_parts(hash: [u8; 32], size: u64) -> Digest {
        Digest { hash, size }
    }

    /// Returns whether it names the blob without bytes, which is also the empty directory.
    pub fn is_empty(&self) -> bool {
        self.size == 0 && self.hash == EMPTY
    }

    /// Returns the SHA-256.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Returns the SHA-256 as 64 lower-case hex digits.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.hash {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        text
    }

    /// Returns the size of the blob in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the digest with the SHA-256 of `hex`, or `None` unless that is 64 lower-case hex digits.
    pub fn from_hex(hex: &str, size: u64) -> Option<Digest> {
        let digits = hex.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_value(pair[0])? << 4 | hex_value(pair[1])?;
        }
        Some(Digest { hash, size })
    }
}

/// Returns what a lower-case hex digit stands for.
fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Computes a digest from bytes that arrive in pieces; as [`io::Write`] it never fails.
#[derive(Clone, Default)]
pub struct Hasher {
    sha256: Sha256,
    size: u64,
}

impl Hasher {
    /// Returns a hasher that has seen nothing.
    pub fn new() -> Hasher {
        Hasher::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Returns how many bytes it has seen.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the digest of everything it has seen.
    pub fn finish(self) -> Digest {
        Digest { hash: self.sha256.finalize().into(), size: self.size }
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The SHA-256 of nothing.
const EMPTY: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hex(), self.size)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Digest, ParseDigestError> {
        let parsed = text.split_once('/').and_then(|(hex, size)| {
            // `u64::from_str` takes a leading plus sign, which would give one digest two names.
            let size = size.bytes().all(|byte| byte.is_ascii_digit()).then(|| size.parse().ok())??;
            Digest::from_hex(hex, size)
        });
        parsed.ok_or_else(|| ParseDigestError { text: text.to_owned() })
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_blob_has_the_published_name() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855/0");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!(digest.is_empty() && !Digest::of(b"x").is_empty());
    }

    #[test]
    fn other_spellings_are_refused() {
        let good = Digest::of(b"x").to_string();
        for bad in
            [good.to_uppercase(), good.replace('/', "/+"), good.replace('/', ":"), good[1..].to_owned()]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
