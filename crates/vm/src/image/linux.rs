//! The headers of Linux kernel images: how much memory the kernel takes, and how it must be aligned.
//!
//! arm64: Documentation/arch/arm64/booting.rst, "Call the kernel image". RISC-V:
//! Documentation/arch/riscv/boot-image-header.rst. x86: Documentation/arch/x86/boot.rst, "The Real-Mode
//! Kernel Header".

use super::{HeaderError, field, other};
use crate::map::Extent;
use crate::spec::Arch;

/// How many bytes of a file are enough to understand it.
pub const HEADER_LEN: u64 = 0x268;

/// What arm64 and RISC-V kernels want their base address to be a multiple of.
const BASE_ALIGNMENT: u64 = 2 << 20;
/// The `text_offset` of arm64 kernels before 3.17, which have an `image_size` of 0.
const OLD_TEXT_OFFSET: u64 = 0x80000;
/// The version of the x86 boot protocol that has `init_size`.
const VERSION_WITH_INIT_SIZE: u16 = 0x20a;

/// Returns what a kernel for `arch` takes whose file of `file_len` bytes starts with `header`.
pub fn parse(arch: Arch, header: &[u8], file_len: u64) -> Result<Extent, HeaderError> {
    match arch {
        Arch::Arm64 => image(header, file_len, *b"ARM\x64"),
        Arch::Riscv64 => image(header, file_len, *b"RSC\x05"),
        Arch::X86_64 => bz_image(header, file_len),
    }
}

/// The header that arm64 and RISC-V share: `text_offset` at 8, `image_size` at 16, the magic number at 56.
fn image(header: &[u8], file_len: u64, magic: [u8; 4]) -> Result<Extent, HeaderError> {
    if field(header, 56) != Some(magic) {
        return Err(other(header));
    }
    let (Some(text_offset), Some(image_size), true) =
        (field(header, 8), field(header, 16), header.len() >= 64)
    else {
        return Err(HeaderError::Short { part: "header", has: file_len, needs: 64 });
    };
    let image_size = u64::from_le_bytes(image_size);
    let text_offset = match image_size {
        0 => OLD_TEXT_OFFSET,
        _ => u64::from_le_bytes(text_offset),
    };
    if !text_offset.is_multiple_of(4096) {
        let why = "not a multiple of 4096";
        return Err(HeaderError::Field { field: "`text_offset`".to_owned(), value: text_offset, why });
    }
    // Bytes that were appended to the file are loaded, too.
    let extent = Extent::bytes(image_size.max(file_len));
    Ok(extent.aligned(BASE_ALIGNMENT, text_offset % BASE_ALIGNMENT))
}

fn bz_image(header: &[u8], file_len: u64) -> Result<Extent, HeaderError> {
    if field(header, 0x202) != Some(*b"HdrS") {
        return Err(other(header));
    }
    let (Some(version), Some(alignment), Some(init_size)) =
        (field(header, 0x206), field(header, 0x230), field(header, 0x260))
    else {
        return Err(HeaderError::Short { part: "header", has: file_len, needs: HEADER_LEN });
    };
    if u16::from_le_bytes(version) < VERSION_WITH_INIT_SIZE {
        return Ok(Extent::bytes(file_len));
    }
    let extent = Extent::bytes(u64::from(u32::from_le_bytes(init_size)).max(file_len));
    match u64::from(u32::from_le_bytes(alignment)) {
        0 => Ok(extent),
        alignment if alignment.is_power_of_two() => Ok(extent.aligned(alignment, 0)),
        value => {
            let why = "not a power of two";
            Err(HeaderError::Field { field: "`kernel_alignment`".to_owned(), value, why })
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns the 64 bytes of an arm64 header, or with another magic number of another.
    pub(crate) fn arm64(text_offset: u64, image_size: u64, magic: &[u8; 4]) -> Vec<u8> {
        let mut header = vec![0; 64];
        header[8..16].copy_from_slice(&text_offset.to_le_bytes());
        header[16..24].copy_from_slice(&image_size.to_le_bytes());
        header[56..60].copy_from_slice(magic);
        header
    }

    fn x86(version: u16, alignment: u32, init_size: u32) -> Vec<u8> {
        let mut header = vec![0; 0x268];
        header[0x202..0x206].copy_from_slice(b"HdrS");
        header[0x206..0x208].copy_from_slice(&version.to_le_bytes());
        header[0x230..0x234].copy_from_slice(&alignment.to_le_bytes());
        header[0x260..0x264].copy_from_slice(&init_size.to_le_bytes());
        header
    }

    #[track_caller]
    fn check(arch: Arch, header: &[u8], file_len: u64, expected: &str) {
        let told = match parse(arch, header, file_len) {
            Ok(extent) => format!("{:#x} at {:#x} mod {:#x}", extent.size, extent.offset, extent.multiple),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn images_tell_their_size_and_alignment() {
        let arm = |text_offset, image_size| arm64(text_offset, image_size, b"ARM\x64");
        check(Arch::Arm64, &arm(0, 0x1e0_0000), 0x1c0_0000, "0x1e00000 at 0x0 mod 0x200000");
        check(Arch::Arm64, &arm(0x8_0000, 0x10_0000), 64, "0x100000 at 0x80000 mod 0x200000");
        check(Arch::Arm64, &arm(7, 0), 0x5000, "0x5000 at 0x80000 mod 0x200000");
        check(Arch::Arm64, &arm(0, 0x1000), 0x5000, "0x5000 at 0x0 mod 0x200000");
        let riscv = arm64(0x20_0000, 0x1_0000, b"RSC\x05");
        check(Arch::Riscv64, &riscv, 64, "0x10000 at 0x0 mod 0x200000");
        check(Arch::X86_64, &x86(0x20f, 0x20_0000, 0x300_0000), 9, "0x3000000 at 0x0 mod 0x200000");
        check(Arch::X86_64, &x86(0x209, 7, 0x300_0000), 9, "0x9 at 0x0 mod 0x1");
        check(Arch::X86_64, &x86(0x20f, 0, 5), 9, "0x9 at 0x0 mod 0x1");
    }

    #[test]
    fn hostile_headers_are_told_apart() {
        let arm = arm64(0, 1, b"ARM\x64");
        check(Arch::Riscv64, &arm, 64, "the file is a Linux image for arm64");
        check(Arch::X86_64, &arm64(0, 1, b"RSC\x05"), 64, "the file is a Linux image for RISC-V");
        check(Arch::Arm64, &x86(0x20f, 1, 1), 9, "the file is a Linux image for x86");
        check(Arch::Arm64, &arm[..62], 62, "the file has 62 bytes, its header needs 64");
        check(Arch::Arm64, &arm[..59], 59, "the file is of an unknown kind");
        check(
            Arch::X86_64,
            &x86(0x20f, 1, 1)[..0x262],
            0x262,
            "the file has 610 bytes, its header needs 616",
        );
        let damaged = arm64(0x1234, 1, b"ARM\x64");
        check(Arch::Arm64, &damaged, 64, "`text_offset` is 0x1234, not a multiple of 4096");
        check(Arch::X86_64, &x86(0x20f, 3, 1), 9, "`kernel_alignment` is 0x3, not a power of two");
        let huge = arm64(u64::MAX - 4095, u64::MAX, b"ARM\x64");
        check(Arch::Arm64, &huge, 64, "0xffffffffffffffff at 0x1ff000 mod 0x200000");
        for len in 0..arm.len() {
            let _ = parse(Arch::Arm64, &arm[..len], u64::MAX);
        }
        for zimg in
            [&b"MZ\0\0zimg"[..], b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"\x7fELF", b"\xd0\x0d\xfe\xed", b""]
        {
            assert!(matches!(parse(Arch::Arm64, zimg, 9), Err(HeaderError::Other { .. })), "{zimg:?}");
        }
    }
}
