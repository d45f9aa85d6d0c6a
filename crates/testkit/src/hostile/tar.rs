//! Writes tars without checking anything: what no archiver would write is the point.

use std::fmt::Write as _;

const BLOCK: usize = 512;

/// The fields of a header that tests lie about.
#[derive(Clone, Debug)]
pub struct Header {
    /// At most 100 bytes of it.
    pub name: Vec<u8>,
    /// What the entry is: `b'0'` a file, `b'1'` a hard link, `b'2'` a symbolic link, `b'5'` a directory.
    pub typeflag: u8,
    /// Where a link points; at most 100 bytes of it.
    pub link: Vec<u8>,
    /// What the header says of the contents' size.
    pub size: u64,
    /// Permissions and set-id bits.
    pub mode: u32,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Magic and version: POSIX's, or GNU's.
    pub magic: &'static [u8; 8],
}

/// POSIX's magic and version.
pub const POSIX: &[u8; 8] = b"ustar\x0000";
/// What GNU tar writes there.
pub const GNU: &[u8; 8] = b"ustar  \0";

impl Header {
    /// Returns the header of an empty file.
    pub fn new(name: &[u8], typeflag: u8) -> Header {
        Header {
            name: name.to_vec(),
            typeflag,
            link: Vec::new(),
            size: 0,
            mode: 0o644,
            device: (0, 0),
            magic: POSIX,
        }
    }

    /// Returns the block that says this.
    pub fn block(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        let mut put = |at: usize, room: usize, bytes: &[u8]| {
            let bytes = bytes.get(..room).unwrap_or(bytes);
            block[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put(0, 100, &self.name);
        put(100, 8, format!("{:07o}", self.mode).as_bytes());
        put(108, 8, b"0000000");
        put(116, 8, b"0000000");
        if self.size < 1 << 33 {
            put(124, 12, format!("{:011o}", self.size).as_bytes());
        } else {
            // Base 256: a marker, then the number.
            put(124, 1, &[0x80]);
            put(128, 8, &self.size.to_be_bytes());
        }
        put(136, 12, b"00000000000");
        put(156, 1, &[self.typeflag]);
        put(157, 100, &self.link);
        put(257, 8, self.magic);
        put(329, 8, format!("{:07o}", self.device.0).as_bytes());
        put(337, 8, format!("{:07o}", self.device.1).as_bytes());
        seal(&mut block);
        block
    }

    /// Returns the block and what follows it, padded.
    pub fn with(&self, content: &[u8]) -> Vec<u8> {
        let mut blocks = self.block();
        blocks.extend_from_slice(content);
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
        blocks
    }
}

/// Returns an entry whose header tells the truth about its contents.
pub fn entry(name: &[u8], typeflag: u8, link: &[u8], content: &[u8]) -> Vec<u8> {
    Header { link: link.to_vec(), size: content.len() as u64, ..Header::new(name, typeflag) }.with(content)
}

/// Returns a file with these contents.
pub fn file(name: &str, content: &str) -> Vec<u8> {
    entry(name.as_bytes(), b'0', b"", content.as_bytes())
}

/// Returns a directory.
pub fn directory(name: &str) -> Vec<u8> {
    Header { mode: 0o755, ..Header::new(name.as_bytes(), b'5') }.block()
}

/// Returns a symbolic link.
pub fn symlink(name: &str, target: &str) -> Vec<u8> {
    entry(name.as_bytes(), b'2', target.as_bytes(), b"")
}

/// Returns a hard link.
pub fn hard_link(name: &str, target: &str) -> Vec<u8> {
    entry(name.as_bytes(), b'1', target.as_bytes(), b"")
}

/// Returns an extended header with these records for the next entry.
pub fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    entry(b"PaxHeaders/x", b'x', b"", &pax_records(records))
}

/// Returns an extended header with these records for all later entries.
pub fn global(records: &[(&str, &str)]) -> Vec<u8> {
    entry(b"PaxHeaders/g", b'g', b"", &pax_records(records))
}

fn pax_records(records: &[(&str, &str)]) -> Vec<u8> {
    let mut data = String::new();
    for (keyword, value) in records {
        let rest = keyword.len() + value.len() + 3;
        // The length counts its own digits.
        let length = (rest + 1..).find(|length| *length == rest + length.to_string().len()).unwrap_or(rest);
        let _ = writeln!(data, "{length} {keyword}={value}");
    }
    data.into_bytes()
}

/// Returns GNU's entry for a name (`b'L'`) or link target (`b'K'`) of the next entry.
pub fn gnu_long(typeflag: u8, name: &[u8]) -> Vec<u8> {
    let header =
        Header { size: name.len() as u64 + 1, magic: GNU, ..Header::new(b"././@LongLink", typeflag) };
    header.with(&[name, b"\0"].concat())
}

/// Sets the checksum of a header right.
pub fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Returns `block` with other bytes in one place and a right checksum.
pub fn patched(mut block: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    block[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut block);
    block
}

/// Returns the archive of `entries`, with the zeros that end it.
pub fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 2 * BLOCK]].concat()
}
