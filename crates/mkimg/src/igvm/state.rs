//! The states that processors start in.

use crate::bytes::{put_u16, put_u32, put_u64};

/// How many bytes a state has.
const SIZE: usize = super::PAGE as usize;

/// Where a processor starts after a reset.
pub(super) const RESET: u32 = 0xffff_fff0;

/// Returns the save area (VMSA) of a processor of SEV-SNP that starts in real mode at `address`: what QEMU and KVM make of
/// one that was reset. `signature` is what CPUID says of family, model and stepping.
///
/// The layout is that of AMD64 Architecture Programmer's Manual, volume 2, table B-4; the values are those of "Initial
/// Processor State" there, with the bits that KVM sets: EFER.SVME, CR4.MCE, and CR0 without CD and NW.
pub fn vmsa(address: u32, signature: u32) -> Vec<u8> {
    let mut area = vec![0; SIZE];
    // Selector, attributes, limit, base.
    let mut segment = |at: usize, selector: u16, attributes: u16, base: u64| {
        put_u16(&mut area, at, selector);
        put_u16(&mut area, at + 2, attributes);
        put_u32(&mut area, at + 4, 0xffff);
        put_u64(&mut area, at + 8, base);
    };
    for data in [0x000, 0x020, 0x030, 0x040, 0x050] {
        segment(data, 0, 0x93, 0);
    }
    segment(0x010, 0xf000, 0x9b, u64::from(address & 0xffff_0000));
    for (at, attributes) in [(0x060, 0), (0x070, 0x82), (0x080, 0), (0x090, 0x8b)] {
        segment(at, 0, attributes, 0);
    }
    let registers = [
        ("efer", 0x0d0, 0x1000),
        ("cr4", 0x148, 0x40),
        ("cr0", 0x158, 0x10),
        ("dr7", 0x160, 0x400),
        ("dr6", 0x168, 0xffff_0ff0),
        ("rflags", 0x170, 2),
        ("rip", 0x178, u64::from(address & 0xffff)),
        ("g_pat", 0x268, 0x0007_0406_0007_0406),
        ("rdx", 0x310, signature.into()),
        ("sev_features: SNP is active", 0x3b0, 1),
        ("xcr0", 0x3e8, 1),
    ];
    for (_, at, value) in registers {
        put_u64(&mut area, at, value);
    }
    put_u32(&mut area, 0x408, 0x1f80);
    put_u16(&mut area, 0x410, 0x37f);
    area
}

/// Segments and registers as `IgvmNativeVpContextX64` of the IGVM format has them.
struct Native {
    area: Vec<u8>,
}

impl Native {
    fn set(&mut self, registers: &[(&str, usize, u64)]) {
        for (_, at, value) in registers {
            put_u64(&mut self.area, *at, *value);
        }
    }

    /// Sets code or data: selector, attributes, base, limit.
    fn segment(&mut self, at: usize, selector: u16, attributes: u16, base: u32, limit: u32) {
        put_u16(&mut self.area, at, selector);
        put_u16(&mut self.area, at + 2, attributes);
        put_u32(&mut self.area, at + 4, base);
        put_u32(&mut self.area, at + 8, limit);
    }
}

/// Where a state has its segments, and the limits of its tables.
const CODE: usize = 0xa8;
const DATA: usize = 0xb4;
const IDTR_LIMIT: usize = 0x98;
const GDTR_LIMIT: usize = 0x9e;

/// Returns the state after a reset.
pub(super) fn native_reset() -> Vec<u8> {
    let mut native = Native { area: vec![0; SIZE] };
    native.set(&[("rip", 0x80, u64::from(RESET & 0xffff)), ("rflags", 0x88, 2), ("cr0", 0xc8, 0x6000_0010)]);
    native.segment(CODE, 0xf000, 0x9b, RESET & 0xffff_0000, 0xffff);
    native.segment(DATA, 0, 0x93, 0, 0xffff);
    put_u16(&mut native.area, IDTR_LIMIT, 0xffff);
    put_u16(&mut native.area, GDTR_LIMIT, 0xffff);
    native.area
}

/// What a processor in 64-bit mode starts with.
pub(super) struct Long {
    /// Where it starts.
    pub(super) entry: u64,
    /// What it is told.
    pub(super) boot_params: u64,
    /// The end of its stack.
    pub(super) stack: u64,
    /// Its page tables.
    pub(super) page_tables: u64,
    /// Its segments, and how many bytes they have.
    pub(super) gdt: (u64, u16),
}

/// The selectors that Linux asks for ("64-bit BOOT PROTOCOL" in Documentation/arch/x86/boot.rst).
pub(super) const CODE_SELECTOR: u16 = 0x10;
pub(super) const DATA_SELECTOR: u16 = 0x18;

/// Returns the state of a processor in 64-bit mode.
pub(super) fn native_long(long: &Long) -> Vec<u8> {
    let mut native = Native { area: vec![0; SIZE] };
    native.set(&[
        ("rsp", 0x20, long.stack),
        ("rsi", 0x30, long.boot_params),
        ("rip", 0x80, long.entry),
        ("rflags", 0x88, 2),
        ("gdtr base", 0xa0, long.gdt.0),
        // Protected mode, with paging and errors of the floating-point unit as exceptions.
        ("cr0", 0xc8, 0x8000_0031),
        ("cr3", 0xd0, long.page_tables),
        ("cr4: physical address extension", 0xd8, 0x20),
        ("efer: long mode is enabled and active", 0xe0, 0x500),
    ]);
    put_u16(&mut native.area, GDTR_LIMIT, long.gdt.1 - 1);
    native.segment(CODE, CODE_SELECTOR, 0xa09b, 0, 0xffff_ffff);
    native.segment(DATA, DATA_SELECTOR, 0xc093, 0, 0xffff_ffff);
    native.area
}
