//! The registers that a processor starts with, as each platform writes them down.

use igvm_defs::{IgvmNativeVpContextX64, VbsVpContextHeader, VbsVpContextRegister};
use zerocopy::FromBytes as _;

use crate::file::{ContextFormat, VpContext};

/// How many bytes the registers of `ContextFormat::Native` have.
pub(crate) const NATIVE_LEN: usize = size_of::<IgvmNativeVpContextX64>();

/// A register and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// As the processor's manual calls it, in small letters.
    pub name: String,
    /// A number, or the parts of a segment.
    pub value: String,
}

/// What is at a place of a save area.
#[derive(Clone, Copy)]
enum Shape {
    U8,
    U16,
    U32,
    U64,
    /// A selector, attributes, a limit and a base.
    Segment,
}

use Shape::{Segment, U8, U16, U32, U64};

/// The save area of SEV-ES and SEV-SNP: AMD64 Architecture Programmer's Manual, volume 2, table B-4. What a processor
/// writes when a guest stops is left out, as are registers of the floating-point unit beside its control words.
const VMSA: &[(usize, Shape, &str)] = &[
    (0x000, Segment, "es"),
    (0x010, Segment, "cs"),
    (0x020, Segment, "ss"),
    (0x030, Segment, "ds"),
    (0x040, Segment, "fs"),
    (0x050, Segment, "gs"),
    (0x060, Segment, "gdtr"),
    (0x070, Segment, "ldtr"),
    (0x080, Segment, "idtr"),
    (0x090, Segment, "tr"),
    (0x0a0, U64, "pl0_ssp"),
    (0x0a8, U64, "pl1_ssp"),
    (0x0b0, U64, "pl2_ssp"),
    (0x0b8, U64, "pl3_ssp"),
    (0x0c0, U64, "u_cet"),
    (0x0ca, U8, "vmpl"),
    (0x0cb, U8, "cpl"),
    (0x0d0, U64, "efer"),
    (0x140, U64, "xss"),
    (0x148, U64, "cr4"),
    (0x150, U64, "cr3"),
    (0x158, U64, "cr0"),
    (0x160, U64, "dr7"),
    (0x168, U64, "dr6"),
    (0x170, U64, "rflags"),
    (0x178, U64, "rip"),
    (0x180, U64, "dr0"),
    (0x188, U64, "dr1"),
    (0x190, U64, "dr2"),
    (0x198, U64, "dr3"),
    (0x1a0, U64, "dr0_addr_mask"),
    (0x1a8, U64, "dr1_addr_mask"),
    (0x1b0, U64, "dr2_addr_mask"),
    (0x1b8, U64, "dr3_addr_mask"),
    (0x1d8, U64, "rsp"),
    (0x1e0, U64, "s_cet"),
    (0x1e8, U64, "ssp"),
    (0x1f0, U64, "isst_addr"),
    (0x1f8, U64, "rax"),
    (0x200, U64, "star"),
    (0x208, U64, "lstar"),
    (0x210, U64, "cstar"),
    (0x218, U64, "sfmask"),
    (0x220, U64, "kernel_gs_base"),
    (0x228, U64, "sysenter_cs"),
    (0x230, U64, "sysenter_esp"),
    (0x238, U64, "sysenter_eip"),
    (0x240, U64, "cr2"),
    (0x268, U64, "g_pat"),
    (0x270, U64, "dbgctl"),
    (0x2e0, U64, "spec_ctrl"),
    (0x2e8, U32, "pkru"),
    (0x2ec, U32, "tsc_aux"),
    (0x2f0, U64, "guest_tsc_scale"),
    (0x2f8, U64, "guest_tsc_offset"),
    (0x300, U64, "reg_prot_nonce"),
    (0x308, U64, "rcx"),
    (0x310, U64, "rdx"),
    (0x318, U64, "rbx"),
    (0x328, U64, "rbp"),
    (0x330, U64, "rsi"),
    (0x338, U64, "rdi"),
    (0x340, U64, "r8"),
    (0x348, U64, "r9"),
    (0x350, U64, "r10"),
    (0x358, U64, "r11"),
    (0x360, U64, "r12"),
    (0x368, U64, "r13"),
    (0x370, U64, "r14"),
    (0x378, U64, "r15"),
    (0x3b0, U64, "sev_features"),
    (0x3b8, U64, "vintr_ctrl"),
    (0x3c8, U64, "virtual_tom"),
    (0x3e0, U64, "eventinj"),
    (0x3e8, U64, "xcr0"),
    (0x408, U32, "mxcsr"),
    (0x40c, U16, "x87_ftw"),
    (0x40e, U16, "x87_fsw"),
    (0x410, U16, "x87_fcw"),
];

/// Where CR0 is in a save area.
const VMSA_CR0: usize = 0x158;

/// Registers of x86-64 as `IgvmNativeVpContextX64` has them.
const NATIVE: &[(usize, Shape, &str)] = &[
    (0x00, U64, "rax"),
    (0x08, U64, "rcx"),
    (0x10, U64, "rdx"),
    (0x18, U64, "rbx"),
    (0x20, U64, "rsp"),
    (0x28, U64, "rbp"),
    (0x30, U64, "rsi"),
    (0x38, U64, "rdi"),
    (0x40, U64, "r8"),
    (0x48, U64, "r9"),
    (0x50, U64, "r10"),
    (0x58, U64, "r11"),
    (0x60, U64, "r12"),
    (0x68, U64, "r13"),
    (0x70, U64, "r14"),
    (0x78, U64, "r15"),
    (0x80, U64, "rip"),
    (0x88, U64, "rflags"),
    (0x90, U64, "idtr base"),
    (0x98, U16, "idtr limit"),
    (0x9e, U16, "gdtr limit"),
    (0xa0, U64, "gdtr base"),
    (0xa8, U16, "cs selector"),
    (0xaa, U16, "cs attributes"),
    (0xac, U32, "cs base"),
    (0xb0, U32, "cs limit"),
    (0xb4, U16, "data selector"),
    (0xb6, U16, "data attributes"),
    (0xb8, U32, "data base"),
    (0xbc, U32, "data limit"),
    (0xc0, U64, "gs base"),
    (0xc8, U64, "cr0"),
    (0xd0, U64, "cr3"),
    (0xd8, U64, "cr4"),
    (0xe0, U64, "efer"),
];

/// What the realm manager takes.
const CCA: &[(usize, Shape, &str)] = &[
    (0x00, U64, "x0"),
    (0x08, U64, "x1"),
    (0x10, U64, "x2"),
    (0x18, U64, "x3"),
    (0x20, U64, "x4"),
    (0x28, U64, "x5"),
    (0x30, U64, "x6"),
    (0x38, U64, "x7"),
    (0x40, U64, "pc"),
    (0x48, U64, "flags"),
];

/// Registers of Hyper-V on x86-64 (Top-Level Functional Specification, "Virtual processor register names").
const HYPERV_X64: &[(u32, &str)] = &[
    (0x20000, "rax"),
    (0x20001, "rcx"),
    (0x20002, "rdx"),
    (0x20003, "rbx"),
    (0x20004, "rsp"),
    (0x20005, "rbp"),
    (0x20006, "rsi"),
    (0x20007, "rdi"),
    (0x20008, "r8"),
    (0x20009, "r9"),
    (0x2000a, "r10"),
    (0x2000b, "r11"),
    (0x2000c, "r12"),
    (0x2000d, "r13"),
    (0x2000e, "r14"),
    (0x2000f, "r15"),
    (0x20010, "rip"),
    (0x20011, "rflags"),
    (0x40000, "cr0"),
    (0x40001, "cr2"),
    (0x40002, "cr3"),
    (0x40003, "cr4"),
    (0x40004, "cr8"),
    (0x60000, "es"),
    (0x60001, "cs"),
    (0x60002, "ss"),
    (0x60003, "ds"),
    (0x60004, "fs"),
    (0x60005, "gs"),
    (0x60006, "ldtr"),
    (0x60007, "tr"),
    (0x70000, "idtr"),
    (0x70001, "gdtr"),
    (0x80001, "efer"),
    (0x80002, "kernel_gs_base"),
    (0x80003, "apic_base"),
    (0x80004, "pat"),
    (0x8000e, "mtrr_def_type"),
    (0x80010, "mtrr_phys_base0"),
    (0x80011, "mtrr_phys_base1"),
    (0x80012, "mtrr_phys_base2"),
    (0x80013, "mtrr_phys_base3"),
    (0x80014, "mtrr_phys_base4"),
    (0x80040, "mtrr_phys_mask0"),
    (0x80041, "mtrr_phys_mask1"),
    (0x80042, "mtrr_phys_mask2"),
    (0x80043, "mtrr_phys_mask3"),
    (0x80044, "mtrr_phys_mask4"),
    (0x80070, "mtrr_fix64k_00000"),
    (0x80071, "mtrr_fix16k_80000"),
    (0x80072, "mtrr_fix16k_a0000"),
    (0x80073, "mtrr_fix4k_c0000"),
    (0x80074, "mtrr_fix4k_c8000"),
    (0x80075, "mtrr_fix4k_d0000"),
    (0x80076, "mtrr_fix4k_d8000"),
    (0x80077, "mtrr_fix4k_e0000"),
    (0x80078, "mtrr_fix4k_e8000"),
    (0x80079, "mtrr_fix4k_f0000"),
    (0x8007a, "mtrr_fix4k_f8000"),
];

/// Registers of Hyper-V on arm64 whose names are not `x` and a number.
const HYPERV_ARM64: &[(u32, &str)] = &[
    (0x2001d, "fp"),
    (0x2001e, "lr"),
    (0x2001f, "sp"),
    (0x20022, "pc"),
    (0x20023, "cpsr"),
    (0x40002, "sctlr_el1"),
    (0x40005, "ttbr0_el1"),
    (0x40006, "ttbr1_el1"),
    (0x40007, "tcr_el1"),
    (0x4000b, "mair_el1"),
    (0x4000c, "vbar_el1"),
];

/// Returns the number that `N` bytes at `at` are, the least significant one first.
fn number(bytes: &[u8], at: usize, n_bytes: usize) -> u64 {
    let bytes = bytes.get(at..at + n_bytes).unwrap_or_default();
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn segment(selector: u64, attributes: u64, limit: u64, base: u64) -> String {
    format!("selector {selector:#x}, attributes {attributes:#x}, limit {limit:#x}, base {base:#x}")
}

/// Returns what is not zero of a table of registers.
fn of_table(bytes: &[u8], table: &[(usize, Shape, &str)]) -> Vec<Register> {
    let registers = table.iter().filter_map(|(at, shape, name)| {
        let n_bytes = match shape {
            U8 => 1,
            U16 => 2,
            U32 => 4,
            U64 => 8,
            Segment => 16,
        };
        let all = bytes.get(*at..at + n_bytes)?;
        if all.iter().all(|byte| *byte == 0) {
            return None;
        }
        let value = match shape {
            Segment => segment(number(all, 0, 2), number(all, 2, 2), number(all, 4, 4), number(all, 8, 8)),
            _ => format!("{:#x}", number(all, 0, n_bytes)),
        };
        Some(Register { name: (*name).to_owned(), value })
    });
    registers.collect()
}

/// Returns the registers that Hyper-V's list has; `bytes` begin with its header.
pub(crate) fn vbs(bytes: &[u8]) -> impl Iterator<Item = VbsVpContextRegister> {
    let list = bytes.get(size_of::<VbsVpContextHeader>()..).unwrap_or_default();
    let pieces = list.chunks_exact(size_of::<VbsVpContextRegister>());
    pieces.filter_map(|piece| VbsVpContextRegister::read_from_bytes(piece).ok())
}

fn of_vbs(bytes: &[u8], is_arm64: bool) -> Vec<Register> {
    let mut found: Vec<Register> = Vec::new();
    for (idx, register) in vbs(bytes).enumerate() {
        if idx == 0 {
            found.push(Register { name: "vtl".to_owned(), value: register.vtl.to_string() });
        }
        let id = register.register_name.get();
        let value = &register.register_value;
        let names = if is_arm64 { HYPERV_ARM64 } else { HYPERV_X64 };
        let known = names.iter().find(|(number, _)| *number == id).map(|(_, name)| (*name).to_owned());
        let numbered = (is_arm64 && (0x20000..0x2001d).contains(&id)).then(|| format!("x{}", id - 0x20000));
        let name = known.or(numbered).unwrap_or_else(|| format!("register {id:#x}"));
        let value = match id {
            0x60000..=0x60007 if !is_arm64 => {
                segment(number(value, 12, 2), number(value, 14, 2), number(value, 8, 4), number(value, 0, 8))
            }
            0x70000..=0x70001 if !is_arm64 => {
                format!("limit {:#x}, base {:#x}", number(value, 6, 2), number(value, 8, 8))
            }
            _ => format!("{:#x}", u128::from_le_bytes(*value)),
        };
        found.push(Register { name, value });
    }
    found
}

impl VpContext<'_> {
    /// Returns the registers that are set: those of a save area or a table if they are not zero, and all of a list.
    pub fn registers(&self, architecture: crate::Architecture) -> Vec<Register> {
        match self.format {
            ContextFormat::Vmsa => of_table(self.data.bytes, VMSA),
            ContextFormat::Native => of_table(self.data.bytes, NATIVE),
            ContextFormat::Cca => of_table(self.data.bytes, CCA),
            ContextFormat::Vbs => of_vbs(self.data.bytes, architecture == crate::Architecture::Aarch64),
        }
    }

    /// Returns what CR0 is in a save area.
    pub(crate) fn vmsa_cr0(&self) -> u64 {
        number(self.data.bytes, VMSA_CR0, 8)
    }
}
