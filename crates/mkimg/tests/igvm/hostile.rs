//! What cannot be, and files that are damaged.

use std::error::Error as _;

use mkimg::igvm::{Confidential, Direct, Firmware, Flat, Guest, Hashed, Snp, build};

use crate::support::{HASHES, RESET, SEV, SIZE, TDX, elf, firmware, guest, linux, ovmf};

#[track_caller]
fn refused(guest: &Guest<'_>, expected: &str) {
    let error = build(guest).unwrap_err();
    let text = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    assert_eq!(text, expected);
}

fn of(image: &[u8], snp: bool, tdx: bool) -> Guest<'_> {
    let snp = snp.then_some(Snp { policy: 0x30000, n_processors: 2, signature: 0, hashed: None });
    Guest::Firmware {
        firmware: Firmware::parse(image).unwrap(),
        native: true,
        confidential: Confidential { snp, tdx: tdx.then_some(1 << 30) },
    }
}

#[test]
fn firmware_that_a_platform_cannot_start() {
    let plain = vec![1; SIZE];
    build(&of(&plain, false, false)).unwrap();
    let none =
        "the firmware has no table of GUIDs at its end, so it says of no platform what that has to give it";
    refused(&of(&plain, true, false), none);
    let bare = firmware(&[(RESET, vec![0; 4])]);
    refused(&of(&bare, true, false), "the firmware has no SEV metadata, so it cannot start a guest of snp");
    refused(&of(&bare, false, true), "the firmware has no TDX metadata, so it cannot start a guest of tdx");
    let outside = firmware(&[(SEV, vec![0xff; 4]), (TDX, vec![0xff; 4])]);
    refused(&of(&outside, true, false), "the firmware's SEV metadata cannot be used: it is damaged");
    refused(&of(&outside, false, true), "the firmware's TDX metadata cannot be used: it is damaged");
    let mut unknown = ovmf();
    unknown[SIZE - 0x3000 + 24] = 9;
    refused(
        &of(&unknown, true, false),
        "the firmware's SEV metadata cannot be used: a section of type 0x9 is not known",
    );
    let mut overlapping = ovmf();
    overlapping[SIZE - 0x3000 + 30] = 0x80;
    overlapping[SIZE - 0x3000 + 29] = 0;
    refused(
        &of(&overlapping, true, false),
        "the firmware's SEV metadata cannot be used: the sections at 0x800000 and 0x800000 overlap",
    );
    // Zeros in the place of zeros, in half of which there is something else as well.
    let mut overlapping = ovmf();
    overlapping[SIZE - 0x2000 + 16 + 3 * 32 + 8..][..8].copy_from_slice(&0x81_8000_u64.to_le_bytes());
    refused(
        &of(&overlapping, false, true),
        "the firmware's TDX metadata cannot be used: the sections at 0x810000 and 0x818000 overlap",
    );
    // A section without bytes is none.
    let mut unused = ovmf();
    unused[SIZE - 0x3000 + 16 + 5 * 12..SIZE - 0x3000 + 16 + 5 * 12 + 8].fill(0);
    build(&of(&unused, true, false)).unwrap();
    let mut single = ovmf();
    let at = single.windows(16).position(|name| name == RESET).unwrap();
    single[at] ^= 1;
    refused(
        &of(&single, true, false),
        "the firmware does not say where further processors start, so it can have one only",
    );
    let no_hashes = "the firmware has no place for the hashes of a kernel, so it would start any";
    let mut unhashed = ovmf();
    let at = unhashed.windows(16).position(|name| name == HASHES).unwrap();
    unhashed[at] ^= 1;
    let hashed = Hashed { kernel: b"", initrd: None, cmdline: "" };
    refused(&guest(&unhashed, 1, Some(hashed)), no_hashes);
    // A place that is in no section for it.
    let mut elsewhere = ovmf();
    let at = elsewhere.windows(16).position(|name| name == HASHES).unwrap();
    elsewhere[at - 8] = 1;
    refused(&guest(&elsewhere, 1, Some(hashed)), no_hashes);
    for size in [0, 100, 5000] {
        assert!(Firmware::parse(&vec![0; size]).is_err());
    }
}

fn direct(kernel: &[u8], flat: Option<Flat>) -> Direct<'_> {
    Direct { kernel, flat, initrd: None, cmdline: "", memory: 64 << 20 }
}

#[test]
fn kernels_that_cannot_be_loaded() {
    let check = |kernel: &[u8], flat, expected: &str| refused(&Guest::Direct(direct(kernel, flat)), expected);
    let at = |address| Some(Flat { address, entry: address });
    check(
        b"flat",
        None,
        "the kernel is neither an ELF file nor one of Linux for x86-64, so it does not say where it lies",
    );
    check(b"", at(0x20_0000), "the kernel lies from 0x200000 to 0x200000, and 0x200000 is not in it");
    let linux = linux(&[0; 0x300]);
    check(&linux, at(0x20_0000), "the kernel is one of Linux, which says itself where it lies");
    check(b"flat", at(0x9ff0), "the kernel and the table of what the kernel is told overlap at 0x9ff0");
    check(b"flat", at(0xb_0000), "the kernel and the devices of a PC overlap at 0xb0000");
    check(
        b"flat",
        at(0x400_0000),
        "the kernel would lie from 0x4000000 to 0x4000004, where a guest with 0x4000000 bytes has no memory",
    );
    check(
        b"flat",
        at(u64::MAX - 1),
        "the kernel would lie from 0xfffffffffffffffe to 0xffffffffffffffff, \
         where a guest with 0x4000000 bytes has no memory",
    );
    let elf_error = |problem: &str| format!("the kernel is an ELF file that cannot be loaded: {problem}");
    let code = [0xf4; 16];
    let program = |kind, entry| elf(kind, entry, &[(0x20_0000, 0x20_0000, &code[..], 16)]);
    check(&program(3, 0x20_0000), None, &elf_error("it has to be relocated"));
    check(&program(4, 0x20_0000), None, &elf_error("type 4 is no program"));
    check(&program(2, 0x30_0000), None, &elf_error("its entry point 0x300000 is in none of its segments"));
    let mut arm = program(2, 0x20_0000);
    arm[18] = 183;
    check(&arm, None, &elf_error("it is not for x86-64"));
    let mut dynamic = program(2, 0x20_0000);
    dynamic[64] = 2;
    check(&dynamic, None, &elf_error("it has to be relocated: it has dynamic sections"));
    let twice = elf(2, 0x20_0000, &[(0x20_0000, 0x20_0000, &code, 16), (0x20_0008, 0x20_0008, &code, 16)]);
    check(&twice, None, &elf_error("two of its segments have 0x200008"));
    let linux_error = |problem: &str| format!("the kernel is one of Linux that cannot be started: {problem}");
    let changed = |at: usize, value: u8| {
        let mut kernel = linux.clone();
        kernel[at] = value;
        kernel
    };
    check(&changed(0x236, 0), None, &linux_error("it has no entry point for 64-bit mode"));
    check(&changed(0x206, 2), None, &linux_error("its boot protocol is 2.2, and 2.12 is needed"));
    check(&changed(0x25b, 0), None, &linux_error("it would lie at 0x0"));
    check(&changed(0x1f1, 200), None, &linux_error("it ends in front of what runs in protected mode"));

    let small = Direct { memory: 17 << 20, ..direct(&linux, None) };
    refused(
        &Guest::Direct(small),
        "the kernel would lie from 0x1000000 to 0x1200000, where a guest with 0x1100000 bytes has no memory",
    );
    let initrd = vec![0; 2 << 20];
    refused(
        &Guest::Direct(Direct { memory: 19 << 20, initrd: Some(&initrd), ..direct(&linux, None) }),
        "the initramfs has 2097152 bytes, and the kernel leaves 1048576 of the memory that it could lie in",
    );
    let cmdline = "x".repeat(2048);
    refused(
        &Guest::Direct(Direct { cmdline: &cmdline, ..direct(&linux, None) }),
        "the command line has 2048 bytes, and the kernel takes 2047 of it",
    );
    refused(
        &Guest::Direct(Direct { memory: 0, ..direct(&linux, None) }),
        "the devices of a PC would lie from 0xa0000 to 0x100000, where a guest with 0x0 bytes has no memory",
    );
}

/// Whatever one byte of the tables is, something comes of it or is refused.
#[test]
fn damaged_files_crash_nothing() {
    let image = ovmf();
    let tables = (SIZE - 0x3000..SIZE - 0x3000 + 96)
        .chain(SIZE - 0x2000..SIZE - 0x2000 + 160)
        .chain(SIZE - 200..SIZE - 32);
    for at in tables {
        for value in [0, 0x7f, 0xff] {
            let mut damaged = image.clone();
            damaged[at] = value;
            if let Ok(firmware) = Firmware::parse(&damaged) {
                let hashed = Some(Hashed { kernel: b"k", initrd: None, cmdline: "" });
                let snp = Some(Snp { policy: 0, n_processors: 2, signature: 0, hashed });
                for confidential in
                    [Confidential { snp, tdx: None }, Confidential { snp: None, tdx: Some(1 << 30) }]
                {
                    let _ =
                        build(&Guest::Firmware { firmware: firmware.clone(), native: true, confidential });
                }
            }
        }
    }
    let code = [0xf4; 0x300];
    let program = elf(2, 0x20_0000, &[(0x20_0000, 0x20_0000, &code, 0x400)]);
    for kernel in [program, linux(&code)] {
        for at in 0..0x290.min(kernel.len()) {
            for value in [0, 0x7f, 0xff] {
                let mut damaged = kernel.clone();
                damaged[at] = value;
                let memory = 64 << 20;
                let direct =
                    Direct { kernel: &damaged, flat: None, initrd: Some(&code), cmdline: "", memory };
                let _ = build(&Guest::Direct(direct));
            }
        }
        for length in 0..0x290.min(kernel.len()) {
            let memory = u64::MAX;
            let kernel = &kernel[..length];
            let direct = Direct { kernel, flat: None, initrd: Some(&code), cmdline: "", memory };
            let _ = build(&Guest::Direct(direct));
        }
    }
}
