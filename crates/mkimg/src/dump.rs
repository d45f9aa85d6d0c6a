//! Images as text, for people and for tests that compare.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use layer::Layer;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::{cpio, disk, erofs, ext4, fat, iso, lz4, pe, squashfs, vdisk, verity, xz_decoder};

/// Writes a description of the layer, cpio archive (compressed or not), file system, disk, virtual disk, program for
/// firmware or hash tree at `path`.
///
/// Contents appear as the first sixteen digits of their SHA-256.
pub fn dump(path: &Path, out: &mut dyn Write) -> Result<(), Error> {
    let read_error = |source| Error::Read { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(read_error)?;
    let mut start = [0; 2048];
    let length = file.read_at(&mut start, 0).map_err(read_error)?;
    let start = &start[..length];
    let kind = vdisk::recognize_file(&file);
    if let Some(kind) = kind.map_err(|source| Error::ReadVirtualDisk { path: path.to_path_buf(), source })? {
        return dump_virtual_disk(path, kind, file, out);
    }
    if start.starts_with(b"MZ") {
        return dump_pe(path, out);
    }
    if start.starts_with(verity::MAGIC) {
        return dump_verity(path, file, out);
    }
    let mut descriptor = [0; 6];
    let n_descriptor = file.read_at(&mut descriptor, 32_768).map_err(read_error)?;
    if descriptor[..n_descriptor] == *b"\x01CD001" {
        return dump_iso(path, file, out);
    }
    let has_boot_sector = start.get(510..512) == Some(&[0x55, 0xaa]);
    if has_boot_sector && disk::is_gpt(&file).map_err(read_error)? {
        return dump_disk(path, file, out);
    }
    if erofs::is_erofs(start) {
        return dump_erofs(path, file, out);
    }
    if start.get(1080..1082) == Some(&[0x53, 0xef]) {
        return dump_ext4(path, file, out);
    }
    if start.starts_with(b"hsqs") {
        return dump_squashfs(path, file, out);
    }
    if start.get(257..262) == Some(b"ustar") || start.iter().all(|byte| *byte == 0) {
        return dump_layer(path, out);
    }
    if has_boot_sector {
        // File systems have their parameters where a table of partitions has code.
        let again = File::open(path).map_err(read_error)?;
        return match fat::Reader::open(again) {
            Err(fat::ReadError::NotFat { .. }) => dump_disk(path, file, out),
            reader => dump_fat(path, reader, out),
        };
    }
    let input = BufReader::with_capacity(64 * 1024, file);
    let input: Box<dyn BufRead> = if start.starts_with(b"070701") {
        Box::new(input)
    } else if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(input)))
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(read_error)?;
        Box::new(BufReader::new(decoder))
    } else if start.starts_with(b"\xfd7zXZ\0") {
        Box::new(BufReader::new(xz_decoder(input, false).map_err(read_error)?))
    } else if start.starts_with(&lz4::MAGIC) {
        Box::new(BufReader::new(lz4::Decoder::new(input)))
    } else {
        return Err(Error::UnknownFormat { path: path.to_path_buf() });
    };
    dump_cpio(path, input, out)
}

fn print(out: &mut dyn Write, line: &str) -> Result<(), Error> {
    writeln!(out, "{line}").map_err(|source| Error::Write { path: "standard output".into(), source })
}

/// Returns the first digits of a hash, enough to tell contents apart.
pub(crate) fn short(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn dump_layer(path: &Path, out: &mut dyn Write) -> Result<(), Error> {
    let read_error = |source| Error::Read { path: path.to_path_buf(), source };
    let layer = Layer::open(path).map_err(read_error)?;
    let layer_error = |source| Error::Layer { path: path.to_path_buf(), source };
    let mut buffer = vec![0; 256 * 1024];
    for located in layer.entries().map_err(layer_error)? {
        let located = located.map_err(layer_error)?;
        let mut line = located.entry.to_string();
        if located.entry.size() > 0 {
            let mut hash = Sha256::new();
            let mut content = layer.open_content(&located);
            loop {
                match content.read(&mut buffer).map_err(read_error)? {
                    0 => break,
                    n => hash.update(&buffer[..n]),
                }
            }
            // The first line describes the entry, those after it its attributes.
            let end = line.find('\n').unwrap_or(line.len());
            line.insert_str(end, &format!(" sha256={}", short(hash)));
        }
        print(out, &line)?;
    }
    Ok(())
}

fn dump_cpio(path: &Path, input: impl Read, out: &mut dyn Write) -> Result<(), Error> {
    let mut reader = cpio::Reader::new(input);
    loop {
        let mut hash = Sha256::new();
        let mut target = Vec::new();
        let mut content = |record: &cpio::Record, bytes: &[u8]| {
            hash.update(bytes);
            if record.is_symlink() && target.len() <= 4096 {
                target.extend_from_slice(bytes);
            }
        };
        let record = reader
            .next_record(&mut content)
            .map_err(|source| Error::ReadCpio { path: path.to_path_buf(), source })?;
        let Some(record) = record else { return Ok(()) };
        let detail = match record.size {
            0 => String::new(),
            _ if record.is_symlink() => format!(" -> {}", target.escape_ascii()),
            _ => format!(" sha256={}", short(hash)),
        };
        print(out, &format!("{record}{detail}"))?;
    }
}

fn dump_disk(path: &Path, file: File, out: &mut dyn Write) -> Result<(), Error> {
    let image_error = |source| Error::ReadDisk { path: path.to_path_buf(), source };
    let text = disk::Reader::open(file).and_then(|reader| reader.dump()).map_err(image_error)?;
    out.write_all(text.as_bytes())
        .map_err(|source: io::Error| Error::Write { path: "standard output".into(), source })
}

fn dump_virtual_disk(path: &Path, kind: vdisk::Kind, file: File, out: &mut dyn Write) -> Result<(), Error> {
    let image_error = |source| Error::ReadVirtualDisk { path: path.to_path_buf(), source };
    let reader = vdisk::Reader::open_as(kind, file).map_err(image_error)?;
    let mut text = reader.dump().map_err(image_error)?;
    // What is on it may be worth more than what it is in.
    if reader.is_gpt() {
        let disk = disk::Reader::open(reader).and_then(|reader| reader.dump());
        text += &disk.map_err(|source| Error::ReadDisk { path: path.to_path_buf(), source })?;
    }
    out.write_all(text.as_bytes())
        .map_err(|source: io::Error| Error::Write { path: "standard output".into(), source })
}

fn dump_iso(path: &Path, file: File, out: &mut dyn Write) -> Result<(), Error> {
    let image_error = |source| Error::ReadIso { path: path.to_path_buf(), source };
    let mut text = iso::Reader::open(file).and_then(|reader| reader.dump()).map_err(image_error)?;
    // The same bytes may be a disk, too.
    let again = File::open(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    if disk::is_gpt(&again).map_err(|source| Error::Read { path: path.to_path_buf(), source })? {
        let disk = disk::Reader::open(again).and_then(|reader| reader.dump());
        text += &disk.map_err(|source| Error::ReadDisk { path: path.to_path_buf(), source })?;
    }
    out.write_all(text.as_bytes())
        .map_err(|source: io::Error| Error::Write { path: "standard output".into(), source })
}

fn dump_pe(path: &Path, out: &mut dyn Write) -> Result<(), Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    let text = pe::dump(&bytes).map_err(|source| Error::ReadPe { path: path.to_path_buf(), source })?;
    out.write_all(text.as_bytes())
        .map_err(|source: io::Error| Error::Write { path: "standard output".into(), source })
}

fn dump_verity(path: &Path, file: File, out: &mut dyn Write) -> Result<(), Error> {
    let text =
        verity::dump(&file, 0).map_err(|source| Error::ReadVerity { path: path.to_path_buf(), source })?;
    out.write_all(text.as_bytes())
        .map_err(|source: io::Error| Error::Write { path: "standard output".into(), source })
}

fn dump_fat(
    path: &Path,
    reader: Result<fat::Reader<File>, fat::ReadError>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let image_error = |source| Error::ReadFat { path: path.to_path_buf(), source };
    let text = reader.and_then(|reader| reader.dump()).map_err(image_error)?;
    out.write_all(text.as_bytes())
        .map_err(|source: io::Error| Error::Write { path: "standard output".into(), source })
}

fn dump_ext4(path: &Path, file: File, out: &mut dyn Write) -> Result<(), Error> {
    let image_error = |source| Error::ReadExt4 { path: path.to_path_buf(), source };
    let reader = ext4::Reader::open(file).map_err(image_error)?;
    let text = reader.dump().map_err(image_error)?;
    out.write_all(text.as_bytes())
        .map_err(|source: io::Error| Error::Write { path: "standard output".into(), source })
}

fn dump_squashfs(path: &Path, file: File, out: &mut dyn Write) -> Result<(), Error> {
    let dumped = squashfs::Reader::open(file).and_then(|reader| reader.dump(squashfs::Digests::Shown, out));
    dumped.map_err(|source| match source {
        squashfs::ReadError::Write(source) => Error::Write { path: "standard output".into(), source },
        source => Error::ReadSquashfs { path: path.to_path_buf(), source },
    })
}

fn dump_erofs(path: &Path, file: File, out: &mut dyn Write) -> Result<(), Error> {
    let dumped = erofs::Reader::open(file).and_then(|reader| reader.dump(erofs::Digests::Shown, out));
    dumped.map_err(|source| match source {
        erofs::ReadError::Write(source) => Error::Write { path: "standard output".into(), source },
        source => Error::ReadErofs { path: path.to_path_buf(), source },
    })
}
