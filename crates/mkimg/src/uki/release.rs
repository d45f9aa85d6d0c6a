//! What kernels and stubs say of themselves.

use std::io::Read as _;

use crate::bytes::{get_u16, get_u32};
use crate::pe::Pe;

/// The longest release that `uname` can say.
const LONGEST: usize = 64;
/// How much of a compressed kernel is looked at.
const UNPACKED: u64 = 256 << 20;
/// What is in front of the release in every kernel (`init/version.c` of Linux).
const BANNER: &[u8] = b"Linux version ";

/// Returns the release of a kernel, such as `6.1.0-32-amd64`, if it can be found in it.
pub fn kernel_release(kernel: &[u8]) -> Option<String> {
    of_boot_protocol(kernel).or_else(|| of_banner(kernel)).or_else(|| of_payload(kernel))
}

/// A kernel for x86 says where its version is (Documentation/arch/x86/boot.rst, `kernel_version`).
fn of_boot_protocol(kernel: &[u8]) -> Option<String> {
    if kernel.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let at = usize::from(get_u16(kernel, 0x20e));
    word(kernel.get(at.checked_add(0x200).filter(|_| at > 0)?..)?)
}

fn of_banner(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    loop {
        let at = rest.windows(BANNER.len()).position(|window| window == BANNER)?;
        rest = &rest[at + BANNER.len()..];
        // The format of the banner is in there, too.
        if let Some(release) =
            word(rest).filter(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        {
            return Some(release);
        }
    }
}

/// A kernel that unpacks itself as a program for firmware says where its payload is, and how it is packed
/// (`drivers/firmware/efi/libstub/zboot-header.S` of Linux).
fn of_payload(kernel: &[u8]) -> Option<String> {
    if kernel.get(4..8)? != b"zimg" || kernel.len() < 32 {
        return None;
    }
    let (start, size) = (get_u32(kernel, 8) as usize, get_u32(kernel, 12) as usize);
    let payload = kernel.get(start..start.checked_add(size)?)?;
    let mut unpacked = Vec::new();
    let read = match &kernel[24..28] {
        b"gzip" => flate2::read::GzDecoder::new(payload).take(UNPACKED).read_to_end(&mut unpacked),
        b"zstd" => zstd::stream::read::Decoder::new(payload).ok()?.take(UNPACKED).read_to_end(&mut unpacked),
        _ => return None,
    };
    read.ok()?;
    of_banner(&unpacked)
}

fn word(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().take(LONGEST + 1).position(|byte| !byte.is_ascii_graphic())?;
    (end > 0).then(|| String::from_utf8_lossy(&bytes[..end]).into_owned())
}

/// What systemd's programs say of themselves in their section `.sdmagic`.
const STUB_MAGIC: &str = "#### LoaderInfo: systemd-stub ";

/// Returns the version of systemd that a stub, or an image made with it, is of: the whole of it, and the number that it
/// begins with.
pub fn stub_version(program: &Pe<'_>) -> Option<(String, u32)> {
    let magic = String::from_utf8_lossy(program.section(".sdmagic")?);
    let version = magic.split(STUB_MAGIC).nth(1)?.split_whitespace().next()?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    Some((version.to_owned(), version[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_found_where_kernels_have_them() {
        let mut kernel = vec![0; 0x400];
        kernel[0x202..0x206].copy_from_slice(b"HdrS");
        kernel[0x20e] = 0x80;
        kernel[0x280..0x290].copy_from_slice(b"6.1.0-32-amd64 (");
        assert_eq!(kernel_release(&kernel).as_deref(), Some("6.1.0-32-amd64"));
        kernel[0x202] = 0;
        assert_eq!(kernel_release(&kernel), None);
        let text = b"x Linux version %s Linux version 6.12.1+ (a@b) y";
        assert_eq!(kernel_release(text).as_deref(), Some("6.12.1+"));
    }

    #[test]
    fn releases_are_found_in_what_is_packed() {
        let mut packed = Vec::new();
        let banner = b"....Linux version 6.6.7-riscv64 (x)";
        flate2::read::GzEncoder::new(&banner[..], flate2::Compression::fast())
            .read_to_end(&mut packed)
            .unwrap();
        let mut kernel = vec![0; 64];
        kernel[4..8].copy_from_slice(b"zimg");
        kernel[8] = 64;
        kernel[12] = packed.len() as u8;
        kernel[24..28].copy_from_slice(b"gzip");
        kernel.extend(&packed);
        assert_eq!(kernel_release(&kernel).as_deref(), Some("6.6.7-riscv64"));
        // What lies about its payload has none.
        kernel[12] = 255;
        assert_eq!(kernel_release(&kernel), None);
    }
}
