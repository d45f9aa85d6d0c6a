//! Where QEMU's boards have their RAM and their devices.

use crate::spec::{AddressRange, Arch};

/// What a board has at its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// The RAM, lowest first.
    pub memory: Vec<AddressRange>,
    /// Where devices answer. Empty where that is not known here.
    pub windows: Vec<Window>,
}

/// Addresses at which a device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// QEMU's word for it.
    pub name: &'static str,
    /// The addresses.
    pub range: AddressRange,
}

/// Where the RAM of QEMU's `virt` for arm64 starts: `VIRT_MEM` in `base_memmap` of hw/arm/virt.c.
const ARM64_MEMORY: u64 = 0x4000_0000;
/// Where the RAM of QEMU's `virt` for RISC-V starts: `VIRT_DRAM` in `virt_memmap` of hw/riscv/virt.c.
const RISCV64_MEMORY: u64 = 0x8000_0000;

/// `base_memmap` of hw/arm/virt.c in QEMU: start, size. Then what `extended_memmap` puts above RAM, as one.
const ARM64_WINDOWS: &[(&str, u64, u64)] = &[
    ("flash", 0x0000_0000, 0x0800_0000),
    ("gic-dist", 0x0800_0000, 0x0001_0000),
    ("gic-cpu", 0x0801_0000, 0x0001_0000),
    ("gic-v2m", 0x0802_0000, 0x0000_1000),
    ("gic-hyp", 0x0803_0000, 0x0001_0000),
    ("gic-vcpu", 0x0804_0000, 0x0001_0000),
    ("gic-its", 0x0808_0000, 0x0002_0000),
    ("gic-redist", 0x080a_0000, 0x00f6_0000),
    ("uart", 0x0900_0000, 0x0000_1000),
    ("rtc", 0x0901_0000, 0x0000_1000),
    ("fw-cfg", 0x0902_0000, 0x0000_0018),
    ("gpio", 0x0903_0000, 0x0000_1000),
    ("second-uart", 0x0904_0000, 0x0000_1000),
    ("smmu", 0x0905_0000, 0x0002_0000),
    ("virtio-mmio", 0x0a00_0000, 0x0000_4000),
    ("platform-bus", 0x0c00_0000, 0x0200_0000),
    ("pcie-mmio", 0x1000_0000, 0x2eff_0000),
    ("pcie-pio", 0x3eff_0000, 0x0001_0000),
    ("pcie-ecam", 0x3f00_0000, 0x0100_0000),
    ("above-ram", 0x40_0000_0000, 0xc0_0000_0000),
];

/// `virt_memmap` of hw/riscv/virt.c in QEMU: start, size.
const RISCV64_WINDOWS: &[(&str, u64, u64)] = &[
    ("debug", 0x0000_0000, 0x0000_0100),
    ("mrom", 0x0000_1000, 0x0000_f000),
    ("test", 0x0010_0000, 0x0000_1000),
    ("rtc", 0x0010_1000, 0x0000_1000),
    ("clint", 0x0200_0000, 0x0001_0000),
    ("aclint-sswi", 0x02f0_0000, 0x0000_4000),
    ("pcie-pio", 0x0300_0000, 0x0001_0000),
    ("platform-bus", 0x0400_0000, 0x0200_0000),
    ("plic", 0x0c00_0000, 0x0060_0000),
    ("aplic-s", 0x0d00_0000, 0x0000_8000),
    ("uart", 0x1000_0000, 0x0000_0100),
    ("virtio-mmio", 0x1000_1000, 0x0000_8000),
    ("fw-cfg", 0x1010_0000, 0x0000_0018),
    ("flash", 0x2000_0000, 0x0400_0000),
    ("imsic-m", 0x2400_0000, 0x0400_0000),
    ("imsic-s", 0x2800_0000, 0x0400_0000),
    ("pcie-ecam", 0x3000_0000, 0x1000_0000),
    ("pcie-mmio", 0x4000_0000, 0x4000_0000),
];

/// `pc_q35_init` of hw/i386/pc_q35.c in QEMU: the most RAM below 4 GiB, and how much of it stays there when
/// there is more.
const Q35_LOW_LIMIT: u64 = 0xb000_0000;
const Q35_LOW_WHEN_SPLIT: u64 = 0x8000_0000;
const FOUR_GIB: u64 = 1 << 32;
/// What a PC has for its display and its firmware: `pc_memory_init` of hw/i386/pc.c.
const PC_HOLE: AddressRange = AddressRange { start: 0xa_0000, end: 0x10_0000 };

impl Board {
    /// Returns the board that [`crate::qemu::arguments`] chooses for `arch`, with so much memory.
    pub fn new(arch: Arch, memory_mib: u64) -> Board {
        let bytes = memory_mib.saturating_mul(1 << 20);
        let windows = |table: &[(&'static str, u64, u64)]| {
            let windows = table.iter();
            windows
                .map(|&(name, start, size)| Window { name, range: AddressRange::new(start, size) })
                .collect()
        };
        match arch {
            Arch::Arm64 => Board {
                memory: vec![AddressRange::new(ARM64_MEMORY, bytes)],
                windows: windows(ARM64_WINDOWS),
            },
            Arch::Riscv64 => Board {
                memory: vec![AddressRange::new(RISCV64_MEMORY, bytes)],
                windows: windows(RISCV64_WINDOWS),
            },
            Arch::X86_64 => Board { memory: q35_memory(bytes), windows: Vec::new() },
        }
    }
}

fn q35_memory(bytes: u64) -> Vec<AddressRange> {
    let low = if bytes >= Q35_LOW_LIMIT { Q35_LOW_WHEN_SPLIT } else { bytes };
    let ranges = [
        AddressRange { start: 0, end: low.min(PC_HOLE.start) },
        AddressRange { start: PC_HOLE.end, end: low },
        AddressRange::new(FOUR_GIB, bytes - low),
    ];
    ranges.into_iter().filter(|range| range.size() > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arch: Arch, memory_mib: u64, expected: &str) {
        let memory = Board::new(arch, memory_mib).memory;
        let shown: Vec<String> = memory.iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn ram_is_where_qemu_puts_it() {
        check(Arch::Arm64, 1024, "0x40000000..0x80000000");
        check(Arch::Riscv64, 128, "0x80000000..0x88000000");
        check(Arch::X86_64, 512, "0x00000000..0x000a0000 0x00100000..0x20000000");
        check(Arch::X86_64, 2815, "0x00000000..0x000a0000 0x00100000..0xaff00000");
        check(Arch::X86_64, 4096, "0x00000000..0x000a0000 0x00100000..0x80000000 0x100000000..0x180000000");
        check(Arch::X86_64, 0, "");
        check(Arch::Arm64, u64::MAX, "0x40000000..0xffffffffffffffff");
    }

    #[test]
    fn windows_are_sorted_and_apart_from_each_other_and_from_ram() {
        for arch in [Arch::Arm64, Arch::Riscv64] {
            let board = Board::new(arch, 128);
            assert!(
                board.windows.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start),
                "{arch:?}"
            );
            assert!(board.windows.iter().all(|window| window.range.intersection(&board.memory[0]).is_none()));
        }
    }
}
