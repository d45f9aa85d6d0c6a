//! Decompresses indexes, never to more than is expected; keeps them so that damage shows.

use std::io::Read;

use crate::deb::Compression;
use crate::digest::Sha256;

/// Why a file cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is damaged.
    #[error("the compressed data is damaged")]
    Damaged(#[source] std::io::Error),
    /// It does not end where it should.
    #[error("it unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// It is no text.
    #[error("it is not UTF-8")]
    NotText(#[source] std::string::FromUtf8Error),
    /// What was kept is not what is there.
    #[error("what was kept of it is damaged")]
    Altered,
}

/// Decompresses `bytes` of a file whose name ends as `path` does; no more than `max_size` bytes.
pub(super) fn unpack(bytes: &[u8], path: &str, max_size: u64) -> Result<String, UnpackError> {
    let capacity = usize::try_from(max_size.min(64 << 20)).unwrap_or_default();
    let mut out = Vec::with_capacity(capacity);
    let mut read = |reader: &mut dyn Read| reader.take(max_size.saturating_add(1)).read_to_end(&mut out);
    let result = if path.ends_with(".xz") {
        Compression::Xz.decode(bytes).and_then(|mut decoder| read(&mut decoder))
    } else if path.ends_with(".gz") {
        read(&mut flate2::read::MultiGzDecoder::new(bytes))
    } else if path.ends_with(".zst") {
        zstd::Decoder::with_buffer(bytes).and_then(|mut decoder| read(&mut decoder))
    } else {
        read(&mut &bytes[..])
    };
    result.map_err(UnpackError::Damaged)?;
    if out.len() as u64 > max_size {
        return Err(UnpackError::TooLarge(max_size));
    }
    String::from_utf8(out).map_err(UnpackError::NotText)
}

/// Returns `text` to be kept in a file, for [`open`]: its compressed form after the SHA-256 of that. None when memory
/// is short, which costs only a cache entry.
pub(super) fn seal(text: &str) -> Option<Vec<u8>> {
    let compressed = zstd::bulk::compress(text.as_bytes(), 3).ok()?;
    let mut sealed = Sha256::of(&compressed).as_bytes().to_vec();
    sealed.extend(compressed);
    Some(sealed)
}

/// Returns the text of no more than `max_size` bytes that [`seal`] was given. Fails when a single bit is another.
pub(super) fn open(sealed: &[u8], max_size: u64) -> Result<String, UnpackError> {
    match sealed.split_first_chunk() {
        Some((digest, compressed)) if Sha256::of(compressed).as_bytes() == digest => {
            unpack(compressed, ".zst", max_size)
        }
        _ => Err(UnpackError::Altered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn every_compression_is_read_and_bounded() {
        let text = "Package: a\n".repeat(1000);
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(text.as_bytes()).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(text.as_bytes()).unwrap();
        let size = text.len() as u64;
        let files = [
            ("x.xz", xz.finish().unwrap()),
            ("x.gz", gz.finish().unwrap()),
            ("x.zst", zstd::bulk::compress(text.as_bytes(), 3).unwrap()),
            ("x", text.clone().into_bytes()),
        ];
        for (path, bytes) in &files {
            assert_eq!(unpack(bytes, path, size).unwrap(), text, "{path}");
            assert!(matches!(unpack(bytes, path, size - 1), Err(UnpackError::TooLarge(_))), "{path}");
            if *path != "x" {
                let half = &bytes[..bytes.len() / 2];
                assert!(matches!(unpack(half, path, size), Err(UnpackError::Damaged(_))), "{path}");
            }
        }
        assert!(matches!(unpack(b"\xff", "x", 9), Err(UnpackError::NotText(_))));
    }

    #[test]
    fn what_was_kept_is_opened_only_unharmed() {
        let text = "Package: a\n";
        let sealed = seal(text).unwrap();
        assert_eq!(open(&sealed, 99).unwrap(), text);
        assert!(matches!(open(&sealed, 3), Err(UnpackError::TooLarge(3))));
        for len in 0..sealed.len() {
            assert!(matches!(open(&sealed[..len], 99), Err(UnpackError::Altered)), "cut to {len}");
        }
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(open(&flipped, 99), Err(UnpackError::Altered)), "bit {bit}");
        }
    }
}
