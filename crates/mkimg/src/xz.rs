//! Unpacking xz.

use std::io::{self, BufRead};

use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

/// What unpacking may take in memory: `xz -9` needs 65 MiB, the dictionary of Linux and of what was packed with care 128 or
/// 256 MiB. What says that it needs gigabytes was made for that.
const MEMORY_LIMIT: u64 = 272 << 20;

/// Returns a reader of what the stream of xz unpacks to that `input` begins with, and of all that follow it if it is to read
/// `all`. It fails where unpacking needs more than 272 MiB of memory.
///
/// Fails if there is no memory.
pub fn xz_decoder<R: BufRead>(input: R, all: bool) -> io::Result<XzDecoder<R>> {
    let stream = Stream::new_stream_decoder(MEMORY_LIMIT, if all { CONCATENATED } else { 0 })?;
    Ok(XzDecoder::new_stream(input, stream))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use liblzma::stream::{Check, Filters, LzmaOptions};

    use super::*;

    fn packed(dictionary: u32) -> Vec<u8> {
        let mut options = LzmaOptions::new_preset(0).unwrap();
        options.dict_size(dictionary);
        let mut filters = Filters::new();
        filters.lzma2(&options);
        let stream = Stream::new_stream_encoder(&filters, Check::Crc32).unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(b"text").unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_dictionary_may_be_so_large_and_no_larger() {
        let unpacked = |bytes: &[u8], all| {
            let mut text = String::new();
            xz_decoder(bytes, all).unwrap().read_to_string(&mut text).map(|_| text)
        };
        let good = packed(256 << 20);
        assert_eq!(unpacked(&good, false).unwrap(), "text");
        assert_eq!(unpacked(&[&good[..], &good].concat(), true).unwrap(), "texttext");
        // The size of the dictionary is a byte of the block's header (xz file format, 5.3.1), of which the checksum follows.
        let mut bad = good;
        let at = 12 + 2 + 2;
        assert_eq!(bad[12 + 2..][..2], [0x21, 1]);
        bad[at] = 40;
        let sum = crc32fast::hash(&bad[12..20]);
        bad[20..24].copy_from_slice(&sum.to_le_bytes());
        let error = unpacked(&bad, false).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }
}
