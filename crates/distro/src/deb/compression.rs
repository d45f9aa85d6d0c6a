//! What a member of a package can be compressed with.

use std::io::{self, BufReader, Read};

/// How `control.tar` or `data.tar` is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// deflate.
    Gzip,
    /// LZMA2, what Debian uses.
    Xz,
    /// Zstandard, what Ubuntu uses.
    Zstd,
    /// bzip2, in which some sources still come.
    Bzip2,
}

/// What one decoder may use: `xz -9` needs 65 MiB, and dictionaries of up to 256 MiB are asked for by hand. More than that is an
/// attack.
const MEMORY_LIMIT: u64 = 272 << 20;
/// 128 MiB, as much as `zstd` itself accepts without being asked for more.
const WINDOW_LOG_MAX: u32 = 27;

/// What the files of an archive may come to: so much in any case, and so many times its own size.
const MAX_UNPACKED: u64 = 4 << 30;
const MAX_RATIO: u64 = 200;
/// What an archive may have beyond its files: headers and padding of as many paths as its reader allows, and everything
/// that extends the headers.
pub(crate) const MAX_HEADERS: u64 = 2 << 30;

/// Returns how many bytes the files of an archive may have that is `size` bytes long and compressed.
pub(crate) fn unpacked_limit(size: u64) -> u64 {
    size.saturating_mul(MAX_RATIO).max(MAX_UNPACKED)
}

impl Compression {
    /// Returns what the end of a member's name means (`.xz`, or nothing), if we can read it.
    pub fn from_suffix(suffix: &str) -> Option<Compression> {
        match suffix {
            "" => Some(Compression::None),
            ".gz" => Some(Compression::Gzip),
            ".xz" => Some(Compression::Xz),
            ".zst" => Some(Compression::Zstd),
            ".bz2" => Some(Compression::Bzip2),
            _ => None,
        }
    }

    /// Returns a reader of what `input` was before it was compressed. Checksums are verified at the end.
    pub fn decode<'a>(self, input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Compression::None => Box::new(input),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
            Compression::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY_LIMIT, flags)?;
                let input = BufReader::with_capacity(64 << 10, input);
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(input)?;
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
            Compression::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(input)),
        })
    }

    /// As [`Compression::decode`], but it is an error when more than `limit` bytes come out: a few kilobytes can
    /// become terabytes, all of them headers without contents if need be.
    pub fn decode_within<'a>(
        self,
        input: impl Read + Send + 'a,
        limit: u64,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(Box::new(Bounded { input: self.decode(input)?, limit, left: limit }))
    }
}

struct Bounded<R> {
    input: R,
    limit: u64,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => self.left = left,
            None => {
                let problem = format!("more than {} bytes come out of it", self.limit);
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::fixtures::compress;

    const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Xz, Compression::Zstd, Compression::Bzip2];

    fn suffix(compression: Compression) -> &'static str {
        let suffixes = ["", ".gz", ".xz", ".zst", ".bz2"];
        suffixes.into_iter().find(|suffix| Compression::from_suffix(suffix) == Some(compression)).unwrap()
    }

    fn decode(compression: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut decoded = Vec::new();
        compression.decode(bytes)?.read_to_end(&mut decoded)?;
        Ok(decoded)
    }

    #[test]
    fn everything_comes_back() {
        let plain: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for compression in ALL {
            assert!(
                decode(compression, &compress(suffix(compression), &plain)).unwrap() == plain,
                "{compression:?}"
            );
        }
    }

    #[test]
    fn damage_and_truncation_are_found() {
        let plain = vec![b'x'; 100_000];
        for compression in &ALL[1..] {
            let good = compress(suffix(*compression), &plain);
            assert!(decode(*compression, &good[..good.len() - 1]).is_err(), "{compression:?}");
            let mut bad = good.clone();
            bad[good.len() / 2] ^= 0x55;
            assert!(decode(*compression, &bad).is_err(), "{compression:?}");
        }
    }

    #[test]
    fn no_more_comes_out_than_is_allowed() {
        let plain = vec![0; 100_000];
        for compression in ALL {
            let packed = compress(suffix(compression), &plain);
            let within = |limit| {
                let mut decoded = Vec::new();
                compression.decode_within(&packed[..], limit)?.read_to_end(&mut decoded)
            };
            assert_eq!(within(100_000).unwrap(), 100_000, "{compression:?}");
            let error = within(99_999).unwrap_err();
            assert_eq!(error.to_string(), "more than 99999 bytes come out of it", "{compression:?}");
        }
    }
}
