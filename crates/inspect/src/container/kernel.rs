//! Linux kernels: their version, how large they are in memory, and the configuration if they have it in them.
//!
//! x86: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". arm64: Documentation/arch/arm64/booting.rst, "Call
//! the kernel image". RISC-V: Documentation/arch/riscv/boot-image-header.rst.

use std::io::{BufReader, Read as _};
use std::sync::Arc;

use layer::ReadAt as _;

use super::parts::Parts;
use super::{Container as _, MOST_WHOLE, Opened, cpio};
use crate::error::Error;
use crate::facts::{Fact, Region, Value};
use crate::format::{Compression, Format};
use crate::source::{Limits, Source, Stream, Window, spool, whole};

/// What is around the compressed configuration (kernel/configs.c).
const CONFIG: [&[u8]; 2] = [b"IKCFG_ST", b"IKCFG_ED"];
/// A configuration has some hundred kilobytes.
const MOST_CONFIG: u64 = 16 << 20;
const BANNER: &[u8] = b"Linux version ";

/// Reads the header of a kernel.
pub(super) fn open(name: &str, format: Format, source: &Source, limits: Limits) -> Result<Opened, Error> {
    let bytes = whole(name, source, MOST_WHOLE)?;
    let mut parts = Parts { source: Arc::clone(source), entries: Vec::new() };
    let mut facts = Vec::new();
    let mut regions = Vec::new();
    let mut is_unpacked = format != Format::BzImage;
    if format == Format::BzImage {
        let version = usize::from(u16_at(&bytes, 0x20e));
        if version > 0 {
            let text = bytes.get(version + 0x200..).unwrap_or_default();
            facts.push(Fact::new("version", text_until_nul(text)));
        }
        let protocol = u16_at(&bytes, 0x206);
        facts.push(Fact::new("boot protocol", format!("{}.{:02}", protocol >> 8, protocol & 0xff)));
        if protocol >= 0x20a {
            facts.push(Fact::new("size in memory", Value::Size(u32_at(&bytes, 0x260).into())));
            facts.push(Fact::new("alignment", Value::Size(u32_at(&bytes, 0x230).into())));
        }
        // Old boot sectors say 0 and mean 4.
        let setup = match bytes.get(0x1f1) {
            Some(0) | None => 4,
            Some(n) => u64::from(*n),
        };
        // It may say to have more than is there.
        let setup_end = ((setup + 1) * 512).min(bytes.len() as u64);
        regions.push(Region::new("setup", 0..setup_end));
        regions.push(Region::new("kernel", setup_end..bytes.len() as u64));
        let start = setup_end + u64::from(u32_at(&bytes, 0x248));
        let payload = Window::of(source, start, u32_at(&bytes, 0x24c).into());
        if protocol >= 0x208 && payload.size().is_ok_and(|size| size > 0) {
            is_unpacked = unpacked(name, &payload, limits, &mut parts, &mut facts)?;
        }
    } else {
        let size = u64::from(u32_at(&bytes, 16)) | u64::from(u32_at(&bytes, 20)) << 32;
        let offset = u64::from(u32_at(&bytes, 8)) | u64::from(u32_at(&bytes, 12)) << 32;
        facts.extend(banner(&bytes).map(|version| Fact::new("version", version)));
        facts.push(Fact::new("size in memory", Value::Size(size)));
        facts.push(Fact::new("text offset", Value::Address(offset)));
        if let Some(config) = config(&bytes) {
            parts.add_bytes("config", config);
        }
    }
    let configuration = match parts.lookup(b"config")? {
        Some(_) => "in `config`",
        None if is_unpacked => "not in it",
        None => "unknown: what it unpacks itself from cannot be read",
    };
    facts.push(Fact::new("configuration", configuration));
    Ok(Opened { facts, regions, ..Opened::with(format, parts) })
}

/// Looks into what the kernel unpacks itself from, and returns whether that can be read. What cannot is left alone.
fn unpacked(
    name: &str,
    payload: &Source,
    limits: Limits,
    parts: &mut Parts,
    facts: &mut Vec<Fact>,
) -> Result<bool, Error> {
    let start = crate::source::some(&**payload, 0, 8);
    let start = start.map_err(|source| Error::Io { what: name.to_owned(), source })?;
    let Some(compression) = Compression::of(&start) else { return Ok(false) };
    facts.push(Fact::new("compression", compression.name()));
    // Behind what is packed is its size, which is no damage.
    let input = BufReader::with_capacity(64 << 10, Stream::new(payload, 0));
    let Ok(mut decoder) = cpio::member(compression, input) else { return Ok(false) };
    let limits = Limits { unpacked: MOST_WHOLE, ..limits };
    let Ok(inner) = spool(name, &mut *decoder, limits) else { return Ok(false) };
    let bytes = whole(name, &inner, MOST_WHOLE)?;
    if let Some(config) = config(&bytes) {
        parts.add_bytes("config", config);
    }
    // It may be large, and have another one in it: it stays where it was unpacked to.
    parts.add("vmlinux", 0..bytes.len() as u64).range = None;
    parts.source = inner;
    Ok(true)
}

/// Returns the configuration that a kernel has in it.
fn config(bytes: &[u8]) -> Option<Vec<u8>> {
    let start = memchr::memmem::find(bytes, CONFIG[0])? + CONFIG[0].len();
    let length = memchr::memmem::find(&bytes[start..], CONFIG[1])?;
    let mut text = Vec::new();
    let decoder = flate2::bufread::GzDecoder::new(&bytes[start..start + length]);
    decoder.take(MOST_CONFIG).read_to_end(&mut text).ok()?;
    Some(text)
}

fn banner(bytes: &[u8]) -> Option<String> {
    // The first is the one with a version: others are patterns for `printf`.
    memchr::memmem::find_iter(bytes, BANNER)
        .map(|at| text_until_nul(&bytes[at + BANNER.len()..]))
        .find(|text| text.starts_with(|first: char| first.is_ascii_digit()))
}

fn text_until_nul(bytes: &[u8]) -> String {
    let end = bytes.iter().take(512).position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(0);
    bytes[..end].escape_ascii().to_string()
}

/// Returns the number at a place, or 0 if the file ends before.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Place;

    /// Returns a kernel for x86 of which `payload` is what it unpacks itself from.
    fn kernel(payload: &[u8]) -> Source {
        let mut bytes = vec![0; 0x600];
        bytes[0x1f1] = 2;
        bytes[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
        bytes[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(payload);
        Arc::new(bytes)
    }

    fn opened(source: &Source) -> Opened {
        open("kernel", Format::BzImage, source, Limits::default()).unwrap()
    }

    #[test]
    fn what_a_kernel_unpacks_to_is_not_kept_in_memory() {
        let text = b"CONFIG_X=y\n";
        let mut packed = Vec::new();
        flate2::read::GzEncoder::new(&text[..], flate2::Compression::fast())
            .read_to_end(&mut packed)
            .unwrap();
        let vmlinux = [&[7; 1000][..], CONFIG[0], &packed, CONFIG[1], &[0; 5 << 20]].concat();
        let container =
            opened(&kernel(&zstd::bulk::compress(&vmlinux, 1).unwrap())).container.expect("it has parts");
        let entry = container.lookup(b"vmlinux").unwrap().unwrap();
        assert!(matches!(entry.place, Place::Range(..)), "{:?}", entry.place);
        assert_eq!((entry.size, entry.range.clone()), (vmlinux.len() as u64, None));
        assert!(whole("vmlinux", &container.open(&entry).unwrap(), MOST_WHOLE).unwrap() == vmlinux);
        let config = container.lookup(b"config").unwrap().unwrap();
        assert_eq!(whole("config", &container.open(&config).unwrap(), MOST_WHOLE).unwrap(), text);
    }

    #[test]
    fn a_kernel_that_ends_in_its_setup_has_regions_that_end_there() {
        let mut bytes = vec![0_u8; 518];
        bytes[0x1f1] = 255;
        let regions = opened(&(Arc::new(bytes) as Source)).regions;
        let ranges: Vec<_> = regions.iter().map(|region| region.range.clone()).collect();
        assert_eq!(ranges, [0..518, 518..518]);
    }
}
