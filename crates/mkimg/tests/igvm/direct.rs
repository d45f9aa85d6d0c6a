//! Kernels without firmware: what lies where, and what the processor starts with.

use std::collections::BTreeMap;

use launch::{Directive, File};
use mkimg::igvm::{Direct, Flat, Guest, build};
use sha2::{Digest, Sha256};

use crate::support::{elf, linux};

/// What a file loads: pages by their addresses, and the state.
struct Loaded {
    pages: BTreeMap<u64, Vec<u8>>,
    state: Vec<u8>,
}

impl Loaded {
    fn of(bytes: &[u8]) -> Loaded {
        igvm::IgvmFile::new_from_binary(bytes, None).unwrap();
        let file = File::parse(bytes).unwrap();
        let mut loaded = Loaded { pages: BTreeMap::new(), state: Vec::new() };
        for directive in &file.directives {
            match directive {
                Directive::Page(page) => {
                    let contents = page.data.map_or(vec![0; 4096], |data| data.bytes.to_vec());
                    assert!(loaded.pages.insert(page.gpa, contents).is_none(), "{:#x} twice", page.gpa);
                }
                Directive::VpContext(context) => loaded.state = context.data.bytes.to_vec(),
                other => panic!("{other:?}"),
            }
        }
        loaded
    }

    fn number(&self, at: u64, n_bytes: u64) -> u64 {
        (at..at + n_bytes).rev().fold(0, |number, at| number << 8 | u64::from(self.byte(at)))
    }

    fn byte(&self, at: u64) -> u8 {
        self.pages[&(at & !0xfff)][(at & 0xfff) as usize]
    }

    fn register(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.state[at..at + 8].try_into().unwrap())
    }

    /// Returns to what address the page tables lead from one.
    fn translated(&self, address: u64) -> u64 {
        let mut table = self.register(0xd0);
        for shift in [39, 30, 21] {
            let entry = self.number(table + (address >> shift & 511) * 8, 8);
            assert_eq!(entry & 3, 3, "{address:#x} is mapped");
            table = entry & 0x000f_ffff_ffff_f000;
            if entry & 0x80 != 0 {
                return table + (address & 0x1f_ffff);
            }
        }
        panic!("{address:#x} is in no large page");
    }
}

fn direct(kernel: &[u8]) -> Direct<'_> {
    Direct { kernel, flat: None, initrd: None, cmdline: "console=ttyS0", memory: 64 << 20 }
}

fn bytes(direct: Direct<'_>) -> Vec<u8> {
    build(&Guest::Direct(direct)).unwrap().bytes
}

#[test]
fn linux_is_told_what_its_boot_protocol_says() {
    let kernel = linux(&[0xf4; 0x1234]);
    let initrd = vec![7; 0x2801];
    let loaded = Loaded::of(&bytes(Direct { initrd: Some(&initrd), ..direct(&kernel) }));
    // Entered 0x200 behind its first byte, in 64-bit mode, with what it is told in RSI.
    assert_eq!(loaded.register(0x80), 0x100_0200);
    assert_eq!((loaded.byte(0x100_0000), loaded.byte(0x100_1233), loaded.byte(0x100_1234)), (0xf4, 0xf4, 0));
    let told = loaded.register(0x30);
    assert_eq!(loaded.number(told + 0x202, 4), u64::from(u32::from_le_bytes(*b"HdrS")));
    assert_eq!(loaded.number(told + 0x210, 1), 0xff);
    assert_eq!(loaded.number(told + 0x206, 2), 0x20f);
    let cmdline = loaded.number(told + 0x228, 4);
    let text: Vec<u8> = (cmdline..cmdline + 14).map(|at| loaded.byte(at)).collect();
    assert_eq!(text, b"console=ttyS0\0");
    let (start, size) = (loaded.number(told + 0x218, 4), loaded.number(told + 0x21c, 4));
    assert_eq!((start, size), ((64 << 20) - 0x3000, 0x2801));
    assert_eq!((loaded.byte(start), loaded.byte(start + size - 1), loaded.byte(start + size)), (7, 7, 0));
    // Memory: below the hole of a PC, and above.
    let entry = |number: u64| [0, 8].map(|at| loaded.number(told + 0x2d0 + number * 20 + at, 8));
    assert_eq!(loaded.number(told + 0x1e8, 1), 2);
    assert_eq!([entry(0), entry(1)], [[0, 0xa_0000], [0x10_0000, 63 << 20]]);
    // CR0, CR4 and EFER of 64-bit mode; selectors as Linux wants them, and what they lead to.
    assert_eq!([0xc8, 0xd8, 0xe0].map(|at| loaded.register(at)), [0x8000_0031, 0x20, 0x500]);
    assert_eq!((loaded.state[0xa8], loaded.state[0xb4]), (0x10, 0x18));
    let gdt = loaded.register(0xa0);
    assert_eq!(
        [0x10, 0x18].map(|at| loaded.number(gdt + at, 8)),
        [0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff]
    );
    for address in [0, 0x100_0200, 0x8000_1234, 0xffff_ffff] {
        assert_eq!(loaded.translated(address), address);
    }
}

#[test]
fn memory_above_4_gib_is_told() {
    let kernel = linux(&[0xf4; 0x1234]);
    let loaded = Loaded::of(&bytes(Direct { memory: 3 << 30, ..direct(&kernel) }));
    let told = loaded.register(0x30);
    assert_eq!(loaded.number(told + 0x1e8, 1), 3);
    let third = [0, 8].map(|at| loaded.number(told + 0x2d0 + 40 + at, 8));
    assert_eq!(third, [1 << 32, 1 << 30]);
}

#[test]
fn programs_lie_where_they_say() {
    // Two segments share a page, and the second one has zeros behind it.
    let (first, second) = ([1; 0x1800], [2; 0x10]);
    let kernel = elf(
        2,
        0xffff_8000_0020_0010,
        &[
            (0xffff_8000_0020_0000, 0x20_0000, &first, 0x1800),
            (0xffff_8000_0020_1900, 0x20_1900, &second, 0x3000),
        ],
    );
    let loaded = Loaded::of(&bytes(direct(&kernel)));
    // Entered at the physical address of what it is linked for.
    assert_eq!(loaded.register(0x80), 0x20_0010);
    let at = [0x20_0000, 0x20_17ff, 0x20_1800, 0x20_1900, 0x20_1910, 0x20_4000].map(|at| loaded.byte(at));
    assert_eq!(at, [1, 1, 0, 2, 0, 0]);
    let kernel = elf(2, 0x20_0004, &[(0x20_0000, 0x20_0000, &first, 0x1800)]);
    assert_eq!(Loaded::of(&bytes(direct(&kernel))).register(0x80), 0x20_0004);

    let flat = Some(Flat { address: 0x30_0000, entry: 0x30_0008 });
    let loaded = Loaded::of(&bytes(Direct { flat, ..direct(&[0xf4; 0x1001]) }));
    assert_eq!((loaded.register(0x80), loaded.byte(0x30_1000), loaded.byte(0x30_1001)), (0x30_0008, 0xf4, 0));
}

/// The bytes of a version do not change.
#[test]
fn bytes_are_pinned() {
    let kernel = linux(&[0xf4; 0x1234]);
    let digest = Sha256::digest(bytes(Direct { initrd: Some(&[7; 100]), ..direct(&kernel) }));
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "dd1500e5f816269f");
}
