//! Edits that describe an Arm virtual machine, with the values of the bindings in the Linux kernel.
//!
//! They expect `#address-cells` and `#size-cells` of the root to be 2, as [`root`] sets them, and each makes its
//! nodes below the root. Interrupts are numbered as the GIC counts them: shared ones from 0.

use crate::edit::{Edit, Part, Reference};
use crate::tree::Region;

/// How a guest calls the firmware (`arm/psci.yaml`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsciMethod {
    /// The hypervisor answers.
    Hvc,
    /// The secure monitor answers.
    Smc,
}

/// What the boot program tells the system (3.6 of the specification).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The command line.
    pub bootargs: String,
    /// Where the initial ramdisk is.
    pub initrd: Option<Region>,
    /// The path of the console's node, or its alias, and perhaps `:` and options.
    pub stdout_path: Option<String>,
}

/// The first cell of an interrupt of the GIC: shared, or private to a processor (`arm,gic-v3.yaml`).
const SPI: u32 = 0;
const PPI: u32 = 1;
/// The last cell: when the interrupt is asserted.
const EDGE_RISING: u32 = 1;
const LEVEL_HIGH: u32 = 4;

/// The root's own properties.
pub fn root(model: &str, compatible: &str) -> Vec<Edit> {
    vec![
        set("/", "#address-cells", [cell(2)]),
        set("/", "#size-cells", [cell(2)]),
        set("/", "model", [string(model)]),
        set("/", "compatible", [string(compatible)]),
    ]
}

/// Memory (3.4 of the specification).
pub fn memory(region: Region) -> Vec<Edit> {
    let node = format!("/memory@{:x}", region.address);
    vec![set(&node, "device_type", [string("memory")]), set(&node, "reg", [regions(&[region])])]
}

/// Processors that PSCI starts (`arm/cpus.yaml`). Their numbers are those that KVM gives: 16 to a cluster.
pub fn cpus(n_cpus: u16) -> Vec<Edit> {
    let mut edits = vec![set("/cpus", "#address-cells", [cell(1)]), set("/cpus", "#size-cells", [cell(0)])];
    for cpu in (0..n_cpus).map(u32::from) {
        // MPIDR_EL1 has eight bits for each level of affinity, of which interrupts reach 16 on the lowest.
        let affinity = cpu & 0xf | (cpu >> 4 & 0xff) << 8 | (cpu >> 12) << 16;
        let node = format!("/cpus/cpu@{affinity:x}");
        edits.extend([
            set(&node, "device_type", [string("cpu")]),
            set(&node, "compatible", [string("arm,armv8")]),
            set(&node, "reg", [cell(affinity)]),
            set(&node, "enable-method", [string("psci")]),
        ]);
    }
    edits
}

/// The firmware that starts processors (`arm/psci.yaml`), with the numbers for 64-bit callers for the drivers that
/// do not know them.
pub fn psci(method: PsciMethod) -> Vec<Edit> {
    let method = match method {
        PsciMethod::Hvc => "hvc",
        PsciMethod::Smc => "smc",
    };
    vec![
        set("/psci", "compatible", [string("arm,psci-1.0"), string("arm,psci-0.2")]),
        set("/psci", "method", [string(method)]),
        set("/psci", "cpu_suspend", [cell(0xc400_0001)]),
        set("/psci", "cpu_off", [cell(0x8400_0002)]),
        set("/psci", "cpu_on", [cell(0xc400_0003)]),
    ]
}

/// What the boot program tells the system. A ramdisk that ends beyond the last address ends there.
pub fn chosen(chosen: &Chosen) -> Vec<Edit> {
    let mut edits = vec![set("/chosen", "bootargs", [string(&chosen.bootargs)])];
    if let Some(initrd) = chosen.initrd {
        let end = initrd.address.saturating_add(initrd.size);
        edits.push(set("/chosen", "linux,initrd-start", [Part::U64(vec![initrd.address])]));
        edits.push(set("/chosen", "linux,initrd-end", [Part::U64(vec![end])]));
    }
    if let Some(path) = &chosen.stdout_path {
        edits.push(set("/chosen", "stdout-path", [string(path)]));
    }
    edits
}

/// A virtio device in memory (`virtio/mmio.yaml`) with this shared interrupt.
pub fn virtio_mmio(region: Region, spi: u32) -> Vec<Edit> {
    let node = format!("/virtio@{:x}", region.address);
    vec![
        set(&node, "compatible", [string("virtio,mmio")]),
        set(&node, "reg", [regions(&[region])]),
        set(&node, "interrupts", [Part::U32(vec![SPI, spi, EDGE_RISING])]),
        set(&node, "dma-coherent", []),
    ]
}

/// The interrupt controller (`interrupt-controller/arm,gic-v3.yaml`), which becomes the interrupt parent of
/// everything.
pub fn gic_v3(distributor: Region, redistributors: Region) -> Vec<Edit> {
    let node = format!("/interrupt-controller@{:x}", distributor.address);
    vec![
        set(&node, "compatible", [string("arm,gic-v3")]),
        set(&node, "#interrupt-cells", [cell(3)]),
        set(&node, "#address-cells", [cell(0)]),
        set(&node, "interrupt-controller", []),
        set(&node, "reg", [regions(&[distributor, redistributors])]),
        set("/", "interrupt-parent", [phandle(&node)]),
    ]
}

/// The generic timer (`timer/arm,arch_timer.yaml`), which runs while processors sleep.
pub fn timer() -> Vec<Edit> {
    // Secure, non-secure, virtual, hypervisor.
    let interrupts = [13, 14, 11, 10].iter().flat_map(|ppi| [PPI, *ppi, LEVEL_HIGH]);
    vec![
        set("/timer", "compatible", [string("arm,armv8-timer")]),
        set("/timer", "interrupts", [Part::U32(interrupts.collect())]),
        set("/timer", "always-on", []),
    ]
}

/// A serial port (`serial/pl011.yaml`) with this shared interrupt and a clock of so many hertz
/// (`clock/fixed-clock.yaml`), which ports of the same speed share.
pub fn pl011(region: Region, spi: u32, clock_frequency: u32) -> Vec<Edit> {
    let node = format!("/serial@{:x}", region.address);
    let clock = format!("/clock-{clock_frequency}");
    vec![
        set(&clock, "compatible", [string("fixed-clock")]),
        set(&clock, "#clock-cells", [cell(0)]),
        set(&clock, "clock-frequency", [cell(clock_frequency)]),
        set(&node, "compatible", [string("arm,pl011"), string("arm,primecell")]),
        set(&node, "reg", [regions(&[region])]),
        set(&node, "interrupts", [Part::U32(vec![SPI, spi, LEVEL_HIGH])]),
        set(&node, "clocks", [phandle(&clock), phandle(&clock)]),
        set(&node, "clock-names", [string("uartclk"), string("apb_pclk")]),
    ]
}

fn set<const N: usize>(node: &str, property: &str, value: [Part; N]) -> Edit {
    Edit::SetProperty { node: node.to_owned(), property: property.to_owned(), value: value.into() }
}

fn cell(number: u32) -> Part {
    Part::U32(vec![number])
}

fn string(text: &str) -> Part {
    Part::String(text.to_owned())
}

fn regions(regions: &[Region]) -> Part {
    Part::U64(regions.iter().flat_map(|region| [region.address, region.size]).collect())
}

fn phandle(path: &str) -> Part {
    Part::Phandle(Reference::Path(path.to_owned()))
}
