//! LZ4 in the frame that kernels unpack: the legacy one, which has neither checksums nor an end.
//!
//! Described by `lz4_Frame_format.md` of LZ4 ("Legacy frame"): a magic number, then blocks, each with its compressed size
//! in front. All but the last hold eight mebibytes.

use std::io::{self, Read, Write};

use ::lz4::block;

/// Begins the frame.
pub(crate) const MAGIC: [u8; 4] = 0x184c_2102_u32.to_le_bytes();
/// What a block holds.
const BLOCK: usize = 8 << 20;

/// Compresses what is written to it.
pub struct Lz4<W: Write> {
    sink: W,
    block: Vec<u8>,
}

impl<W: Write> Lz4<W> {
    /// Returns a compressor, after having written what begins the frame.
    pub(crate) fn new(mut sink: W) -> io::Result<Lz4<W>> {
        sink.write_all(&MAGIC)?;
        Ok(Lz4 { sink, block: Vec::new() })
    }

    fn send(&mut self) -> io::Result<()> {
        let compressed = block::compress(&self.block, None, false)?;
        let size = u32::try_from(compressed.len()).map_err(io::Error::other)?;
        self.sink.write_all(&size.to_le_bytes())?;
        self.block.clear();
        self.sink.write_all(&compressed)
    }

    /// Writes what is left and returns the sink.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.send()?;
        }
        self.sink.flush()?;
        Ok(self.sink)
    }
}

impl<W: Write> Write for Lz4<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK {
            self.send()?;
        }
        let n = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives back what a frame holds. What is wrong is an error of the kind `InvalidData`.
pub struct Decoder<R: Read> {
    source: R,
    block: Vec<u8>,
    at: usize,
    is_begun: bool,
}

impl<R: Read> Decoder<R> {
    /// Returns a decoder of the frame that `source` begins with, which reads it to its end.
    pub fn new(source: R) -> Decoder<R> {
        Decoder { source, block: Vec::new(), at: 0, is_begun: false }
    }

    /// Reads the next block; there is none at the end.
    fn next(&mut self) -> io::Result<bool> {
        let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        if !self.is_begun {
            let mut magic = [0; 4];
            self.source.read_exact(&mut magic)?;
            if magic != MAGIC {
                return Err(damaged("the magic number is not that of a legacy LZ4 frame"));
            }
            self.is_begun = true;
        }
        let mut size = Vec::new();
        self.source.by_ref().take(4).read_to_end(&mut size)?;
        if size.is_empty() {
            return Ok(false);
        }
        let size: [u8; 4] =
            size.try_into().map_err(|_| damaged("the LZ4 frame ends in the size of a block"))?;
        let size = u32::from_le_bytes(size) as usize;
        if size > block::compress_bound(BLOCK)? {
            return Err(damaged("a block of the LZ4 frame is larger than blocks are"));
        }
        let mut compressed = Vec::new();
        self.source.by_ref().take(size as u64).read_to_end(&mut compressed)?;
        if compressed.len() < size {
            return Err(damaged("the LZ4 frame ends in a block"));
        }
        self.block.resize(BLOCK, 0);
        let length = block::decompress_to_buffer(&compressed, Some(BLOCK as i32), &mut self.block)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.block.truncate(length);
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let n = bytes.len().min(self.block.len() - self.at);
        bytes[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(bytes: &[u8]) -> Vec<u8> {
        let mut compressor = Lz4::new(Vec::new()).unwrap();
        bytes.chunks(1 << 20).for_each(|part| compressor.write_all(part).unwrap());
        compressor.finish().unwrap()
    }

    fn decompress(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        Decoder::new(bytes).read_to_end(&mut out).map(|_| out).map_err(|error| error.to_string())
    }

    #[test]
    fn blocks_of_eight_mebibytes_give_everything_back() {
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1] {
            // Numbers that LZ4 can make little of.
            let mut state = 1_u32;
            let bytes: Vec<u8> = (0..size)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let compressed = compress(&bytes);
            assert_eq!(compressed[..4], [0x02, 0x21, 0x4c, 0x18]);
            assert!(decompress(&compressed).unwrap() == bytes, "{size}");
        }
        // As the format says: the second block begins where the size of the first one leads.
        let compressed = compress(&vec![b'a'; BLOCK + 10]);
        let first = u32::from_le_bytes(compressed[4..8].try_into().unwrap()) as usize;
        let second = &compressed[8 + first..];
        assert_eq!(second.len(), 4 + u32::from_le_bytes(second[..4].try_into().unwrap()) as usize);
    }

    #[test]
    fn damage_is_noticed() {
        let whole = compress(b"some text, some text, some text");
        assert!(decompress(&whole[..3]).is_err());
        for (bytes, expected) in [
            (b"abcd".to_vec(), "the magic number is not"),
            (whole[..6].to_vec(), "ends in the size of a block"),
            (whole[..whole.len() - 1].to_vec(), "ends in a block"),
            ([&MAGIC[..], &[0xff; 8]].concat(), "larger than blocks are"),
        ] {
            let error = decompress(&bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(decompress(&[&MAGIC[..], &1_u32.to_le_bytes(), &[0xff]].concat()).is_err());
    }
}
