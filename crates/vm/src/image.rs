//! How much memory a file takes once it is loaded: from its length, or from its header.
//!
//! The headers are read here and understood in [`linux`] and [`elf`], which are pure.

pub mod elf;
pub mod linux;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::map::Extent;
use crate::spec::{Arch, Content};

/// A file that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It could not be read.
    #[error("could not read `{}` of region `{region}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The region that it is loaded into.
        region: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what the region says.
    #[error("could not understand `{}` of region `{region}` as {what}", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The region that it is loaded into.
        region: String,
        /// What it was taken for.
        what: &'static str,
        /// What is wrong with it.
        source: HeaderError,
    },
}

impl ImageError {
    /// Returns what the reader can do about it.
    pub fn help(&self) -> Option<&str> {
        match self {
            ImageError::Header { source: HeaderError::Other { help, .. }, .. } => *help,
            ImageError::Read { .. } | ImageError::Header { .. } => None,
        }
    }
}

/// A header that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file ends before the header does.
    #[error("the file has {has} bytes, its {part} needs {needs}")]
    Short {
        /// What is cut off.
        part: &'static str,
        /// How many bytes the file has.
        has: u64,
        /// How many it would have.
        needs: u64,
    },
    /// The file is something else.
    #[error("the file is {found}")]
    Other {
        /// What it looks like.
        found: String,
        /// What can be done.
        help: Option<&'static str>,
    },
    /// A field has a value that makes no sense.
    #[error("{field} is {value:#x}, {why}")]
    Field {
        /// The field.
        field: String,
        /// Its value.
        value: u64,
        /// What is wrong with that.
        why: &'static str,
    },
}

/// Returns what `content` of the region `region` takes on a machine of `arch`: reads the file, if there is
/// one.
pub fn measure(region: &str, content: &Content, arch: Arch) -> Result<Extent, ImageError> {
    let (Content::Raw(file) | Content::LinuxImage(file) | Content::Elf(file)) = content else {
        return Ok(Extent::declared(content));
    };
    let path = PathBuf::from(file);
    let failed = |source| ImageError::Read { path: path.clone(), region: region.to_owned(), source };
    let mut reader = File::open(&path).map_err(failed)?;
    let metadata = reader.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    let (what, understood) = match content {
        Content::LinuxImage(_) => {
            let header = read_at(&mut reader, 0, linux::HEADER_LEN).map_err(failed)?;
            ("a Linux kernel image", linux::parse(arch, &header, metadata.len()))
        }
        Content::Elf(_) => {
            let header = read_at(&mut reader, 0, elf::HEADER_LEN).map_err(failed)?;
            let understood = match elf::table(arch, &header, metadata.len()) {
                Ok(table) => {
                    let bytes = read_at(&mut reader, table.offset, table.len()).map_err(failed)?;
                    elf::parse(&table, &bytes, metadata.len())
                }
                Err(error) => Err(error),
            };
            ("an ELF file", understood)
        }
        Content::Raw(_) | Content::Reserved(_) | Content::Device(_) => {
            return Ok(Extent::bytes(metadata.len()));
        }
    };
    understood.map_err(|source| ImageError::Header { path, region: region.to_owned(), what, source })
}

/// Reads `len` bytes at `offset`, or fewer where the file ends.
fn read_at(reader: &mut File, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    reader.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    reader.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the `N` bytes at `offset`, if `bytes` has them.
fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// Returns what a file that starts with `bytes` is, for a reader who expected something else.
fn other(bytes: &[u8]) -> HeaderError {
    let uncompressed =
        Some("give the uncompressed file, for example `arch/arm64/boot/Image` of a kernel build");
    let (found, help) = match bytes {
        [0x1f, 0x8b, ..] => ("compressed with gzip", uncompressed),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("compressed with zstd", uncompressed),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => ("compressed with xz", uncompressed),
        [b'M', b'Z', _, _, b'z', b'i', b'm', b'g', ..] => ("a compressed EFI program (zboot)", uncompressed),
        [0x7f, b'E', b'L', b'F', ..] => ("an ELF file", Some("say `elf` for its content")),
        [0xd0, 0x0d, 0xfe, 0xed, ..] => ("a device tree", Some("say `raw` for its content")),
        [] => ("empty", None),
        _ if field(bytes, 56) == Some(*b"ARM\x64") => ("a Linux image for arm64", None),
        _ if field(bytes, 56) == Some(*b"RSC\x05") => ("a Linux image for RISC-V", None),
        _ if field(bytes, 0x202) == Some(*b"HdrS") => ("a Linux image for x86", None),
        _ => ("of an unknown kind", Some("say `raw` for its content to load it as it is")),
    };
    HeaderError::Other { found: found.to_owned(), help }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn files_are_measured_as_what_they_are_said_to_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file").to_string_lossy().into_owned();
        let check = |bytes: &[u8], content: Content, expected: &str| {
            std::fs::write(&path, bytes).unwrap();
            let told = match measure("a", &content, Arch::Arm64) {
                Ok(extent) => format!("{} bytes", extent.size),
                Err(error) => format!("{}; {:?}", error.source().unwrap(), error.help()),
            };
            assert_eq!(told, expected);
        };
        check(b"12345", Content::Raw(path.clone()), "5 bytes");
        check(b"", Content::Raw(path.clone()), "0 bytes");
        check(
            b"\x1f\x8b\x08\0",
            Content::LinuxImage(path.clone()),
            "the file is compressed with gzip; \
             Some(\"give the uncompressed file, for example `arch/arm64/boot/Image` of a kernel build\")",
        );
        check(
            b"#!/bin/sh",
            Content::Elf(path.clone()),
            "the file is of an unknown kind; Some(\"say `raw` for its content to load it as it is\")",
        );
        let image = linux::tests::arm64(0, 0x20_0000, b"ARM\x64");
        check(&image, Content::LinuxImage(path.clone()), "2097152 bytes");
        check(&image, Content::Elf(path.clone()), "the file is a Linux image for arm64; None");
    }

    #[test]
    fn what_is_no_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().to_owned(), directory.path().join("missing")] {
            let content = Content::Raw(path.to_string_lossy().into_owned());
            let error = measure("a", &content, Arch::Arm64).unwrap_err();
            assert_eq!(error.to_string(), format!("could not read `{}` of region `a`", path.display()));
        }
    }
}
