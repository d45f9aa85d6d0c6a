//! What a guest starts from: kernels of every architecture as QEMU loads them, and firmware and kernels as an IGVM file
//! has them.
#![no_main]

use launch::File;
use libfuzzer_sys::fuzz_target;
use mkimg::igvm::{Confidential, Direct, Firmware, Flat, Guest, Hashed, Snp, build};
use vm::image::{elf, linux};
use vm::spec::Arch;

/// Zeros in memory are pages, and more of them take long and show nothing.
const MEMORY: u64 = 8 << 20;
const PAGE: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let start = |length: u64| &bytes[..bytes.len().min(length as usize)];
    let length = bytes.len() as u64;
    for arch in [Arch::X86_64, Arch::Arm64, Arch::Riscv64] {
        let _ = linux::parse(arch, start(linux::HEADER_LEN), length);
        if let Ok(table) = elf::table(arch, start(elf::HEADER_LEN), length) {
            let headers = &bytes[table.offset as usize..][..table.len() as usize];
            let _ = elf::parse(&table, headers, length);
        }
    }
    let make = |guest: &Guest<'_>| {
        if let Ok(made) = build(guest) {
            let file = File::parse(&made.bytes).expect("what was made can be read");
            assert!(!file.directives.is_empty());
        }
    };
    for flat in [None, Some(Flat { address: 1 << 20, entry: 1 << 20 })] {
        let (initrd, cmdline) = (Some(&b"initrd"[..]), "quiet");
        make(&Guest::Direct(Direct { kernel: bytes, flat, initrd, cmdline, memory: MEMORY }));
    }

    // It ends with what it says of itself, and consists of pages.
    let mut image = vec![0; bytes.len().next_multiple_of(PAGE) - bytes.len()];
    image.extend_from_slice(bytes);
    fuzz::with_small_sections(&mut image);
    let Ok(firmware) = Firmware::parse(&image) else { return };
    let hashed = Some(Hashed { kernel: b"kernel", initrd: None, cmdline: "quiet" });
    let snp = Snp { policy: 0x30000, n_processors: 2, signature: 0x80_0f12, hashed };
    for confidential in [
        Confidential { snp: Some(snp), tdx: None },
        Confidential { snp: Some(Snp { hashed: None, ..snp }), tdx: None },
        Confidential { snp: None, tdx: Some(1 << 30) },
    ] {
        make(&Guest::Firmware { firmware: firmware.clone(), native: true, confidential });
    }
});
