//! Archives, plain or compressed: cpio, of which an initramfs may have several, and tar.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use layer::{ForeignReader, Kind, Limits, ReadAt};

use super::{Basis, FileUsage, Usage, UsageError, share};
use crate::cpio;
use crate::lz4::Decoder as Lz4Decoder;
use crate::xz_decoder;

/// How much is read at once.
const BUFFER: usize = 64 << 10;
/// More entries than any real archive has.
const MOST_ENTRIES: usize = 10_000_000;
/// More than any real archive unpacks to.
const MOST_BYTES: u64 = 64 << 30;

/// What compressed a part of an archive.
#[derive(Clone, Copy)]
enum Packed {
    Gzip,
    Zstd,
    Xz,
    Lz4,
}

/// An archive in what was unpacked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Archive {
    Cpio,
    Tar,
}

/// Bytes from a place on.
struct Stream {
    of: Arc<dyn ReadAt>,
    position: u64,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.of.read_at(buffer, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

/// Measures an archive, if that is what is there.
pub(super) fn measure(source: &Arc<dyn ReadAt>) -> Result<Option<Usage>, UsageError> {
    let size = source.size()?;
    let mut usage = Usage::new(size, Basis::Plain);
    let mut at = 0;
    let mut is_archive = false;
    while at < size {
        let start = some(source, at, 512)?;
        let zeros = start.iter().take_while(|byte| **byte == 0).count();
        if zeros > 0 && (is_archive || zeros == start.len()) {
            at += zeros as u64;
            continue;
        }
        let mut input = BufReader::with_capacity(BUFFER, Stream { of: Arc::clone(source), position: at });
        match (archive(&start), packed(&start)) {
            (Some(Archive::Tar), _) if !is_archive => {
                tar(&mut input, &mut usage)?;
                return Ok(Some(usage));
            }
            (Some(Archive::Cpio), _) => {
                let mut reader = cpio::Reader::new(&mut input);
                cpio_files(&mut reader, &mut usage, Until::Trailer)?;
                at += reader.position();
            }
            (_, Some(packed)) => {
                let first = usage.files.len();
                let unpacked = {
                    let decoder = decoder(packed, &mut input)?.take(MOST_BYTES);
                    let mut unpacked = BufReader::with_capacity(BUFFER, Counted { of: decoder, n: 0 });
                    let found = archive(unpacked.fill_buf()?);
                    match found {
                        Some(Archive::Cpio) => {
                            let mut reader = cpio::Reader::new(&mut unpacked);
                            cpio_files(&mut reader, &mut usage, Until::End)?;
                        }
                        Some(Archive::Tar) if !is_archive => tar(&mut unpacked, &mut usage)?,
                        _ => return Ok(None),
                    }
                    // What is behind the archive is of the same compressed part.
                    io::copy(&mut unpacked, &mut io::sink())?;
                    unpacked.get_ref().n
                };
                let end = input.get_ref().position - input.buffer().len() as u64;
                by_ratio(&mut usage.files[first..], end - at, unpacked);
                usage.basis = Basis::Ratio;
                at = end;
            }
            _ => return Ok(None),
        }
        is_archive = true;
    }
    Ok(is_archive.then_some(usage))
}

/// Has each file take its share of `packed` bytes, which unpack to `unpacked`.
fn by_ratio(files: &mut [FileUsage], packed: u64, unpacked: u64) {
    let mut weights: Vec<u64> = files.iter().map(|file| file.stored).collect();
    let of_files: u64 = weights.iter().sum();
    // Headers and padding were compressed with them.
    weights.push(unpacked.saturating_sub(of_files));
    for (file, share) in files.iter_mut().zip(share(packed, &weights)) {
        file.stored = share;
    }
}

/// Where reading ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Trailer,
    End,
}

fn cpio_files(
    reader: &mut cpio::Reader<impl Read>,
    usage: &mut Usage,
    until: Until,
) -> Result<(), UsageError> {
    while let Some(record) = reader.next_record(&mut |_, _| {})? {
        if record.name == b"TRAILER!!!" {
            match until {
                Until::Trailer => return Ok(()),
                Until::End => continue,
            }
        }
        let path = record.name.strip_prefix(b"./").unwrap_or(&record.name);
        let path = path.strip_prefix(b"/").unwrap_or(path).to_vec();
        match record.mode & 0o170_000 {
            0o100_000 => {}
            0o040_000 => {
                usage.directories.push(path);
                continue;
            }
            _ => continue,
        }
        let size = u64::from(record.size);
        push(&mut usage.files, FileUsage { path, size, stored: size, is_further_name: false })?;
    }
    Ok(())
}

fn tar(input: &mut impl Read, usage: &mut Usage) -> Result<(), UsageError> {
    let limits = Limits { paths: MOST_ENTRIES, ..Limits::default() };
    let mut reader = ForeignReader::new(input, limits);
    while let Some((entry, _)) = reader.next_entry()? {
        let path = entry.path.as_bytes().to_vec();
        match entry.kind {
            Kind::File { size } => {
                push(&mut usage.files, FileUsage { path, size, stored: size, is_further_name: false })?;
            }
            Kind::HardLink { .. } => {
                push(&mut usage.files, FileUsage { path, size: 0, stored: 0, is_further_name: true })?;
            }
            Kind::Directory => usage.directories.push(path),
            _ => {}
        }
    }
    Ok(())
}

fn push(files: &mut Vec<FileUsage>, file: FileUsage) -> Result<(), UsageError> {
    if files.len() >= MOST_ENTRIES {
        return Err(UsageError::Limit("ten million entries"));
    }
    files.push(file);
    Ok(())
}

/// Returns up to `length` bytes from `at` on: fewer at the end.
fn some(source: &Arc<dyn ReadAt>, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let stream = Stream { of: Arc::clone(source), position: at };
    stream.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn archive(start: &[u8]) -> Option<Archive> {
    if start.starts_with(b"070701") {
        Some(Archive::Cpio)
    } else if start.get(257..262) == Some(b"ustar") {
        Some(Archive::Tar)
    } else {
        None
    }
}

fn packed(start: &[u8]) -> Option<Packed> {
    let magics: [(&[u8], Packed); 4] = [
        (&[0x1f, 0x8b], Packed::Gzip),
        (&[0x28, 0xb5, 0x2f, 0xfd], Packed::Zstd),
        (b"\xfd7zXZ\0", Packed::Xz),
        (&crate::lz4::MAGIC, Packed::Lz4),
    ];
    magics.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, packed)| packed)
}

/// Unpacks what `input` begins with, and leaves what is behind it.
fn decoder<'a>(packed: Packed, input: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match packed {
        Packed::Gzip => Box::new(flate2::bufread::GzDecoder::new(input)),
        Packed::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?.single_frame()),
        Packed::Xz => Box::new(xz_decoder(input, false)?),
        Packed::Lz4 => Box::new(Lz4Decoder::new(input)),
    })
}

/// Counts what is read.
struct Counted<R> {
    of: R,
    n: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.of.read(buffer)?;
        self.n += n as u64;
        Ok(n)
    }
}
