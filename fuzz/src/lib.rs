//! What the fuzz targets share.

/// Returns `bytes` with the checksum of everything in it that looks like a tar header set right.
///
/// Otherwise nearly every change is refused for its checksum, and what is behind it is never reached.
pub fn with_tar_checksums(bytes: &[u8]) -> Vec<u8> {
    const MAGIC: &[u8] = b"ustar";
    const MAGIC_OFFSET: usize = 257;
    const BLOCK: usize = 512;
    let mut bytes = bytes.to_vec();
    let mut start = 0;
    while start + BLOCK <= bytes.len() {
        let header = &mut bytes[start..start + BLOCK];
        if header[MAGIC_OFFSET..].starts_with(MAGIC) {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            start += BLOCK;
        } else {
            start += 1;
        }
    }
    bytes
}
