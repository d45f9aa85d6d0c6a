//! What guests start from.

#[allow(dead_code, reason = "tests use all of it")]
#[path = "../../../crates/mkimg/tests/igvm/support.rs"]
mod support;

/// Firmware for all platforms, and kernels.
pub(crate) fn all() -> [(&'static str, Vec<u8>); 5] {
    let image = |magic: &[u8; 4]| {
        let mut bytes = vec![0; 64];
        bytes[16..24].copy_from_slice(&0x1000_u64.to_le_bytes());
        bytes[56..60].copy_from_slice(magic);
        bytes
    };
    [
        ("firmware", support::ovmf()),
        ("elf", support::elf(2, 0x10_0000, &[(0xffff_8000_0010_0000, 0x10_0000, &[0xf4; 16], 0x3000)])),
        ("linux", support::linux(&[0xf4; 0x300])),
        ("arm64", image(b"ARM\x64")),
        ("riscv64", image(b"RSC\x05")),
    ]
}
