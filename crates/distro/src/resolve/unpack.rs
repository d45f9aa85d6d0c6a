//! Decompresses indexes, never to more than is expected.

use std::io::Read;

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
}

/// Decompresses `bytes` of a file whose name ends as `path` does; no more than `max_size` bytes.
pub(super) fn unpack(bytes: &[u8], path: &str, max_size: u64) -> Result<String, UnpackError> {
    let capacity = usize::try_from(max_size.min(64 << 20)).unwrap_or_default();
    let mut out = Vec::with_capacity(capacity);
    let mut read = |reader: &mut dyn Read| reader.take(max_size.saturating_add(1)).read_to_end(&mut out);
    let result = if path.ends_with(".xz") {
        read(&mut liblzma::read::XzDecoder::new_multi_decoder(bytes))
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

/// Compresses for [`unpack`] with `.zst`; none when memory is short, which costs only a cache entry.
pub(super) fn compress(text: &str) -> Option<Vec<u8>> {
    zstd::bulk::compress(text.as_bytes(), 3).ok()
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
            ("x.zst", compress(&text).unwrap()),
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
}
