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
    pub bootargs: Option<String>,
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

/// The root's own properties. `compatible` names the machine, the most exact name first.
pub fn root(model: &str, compatible: &[&str]) -> Vec<Edit> {
    let mut edits = cells();
    edits.push(set("/", "model", [string(model)]));
    edits.push(set_list("/", "compatible", compatible));
    edits
}

/// How many cells addresses and sizes have that the other parts of a machine are told by.
pub fn cells() -> Vec<Edit> {
    vec![set("/", "#address-cells", [cell(2)]), set("/", "#size-cells", [cell(2)])]
}

/// Memory (3.4 of the specification).
pub fn memory(region: Region) -> Vec<Edit> {
    let node = format!("/memory@{:x}", region.address);
    vec![set(&node, "device_type", [string("memory")]), set(&node, "reg", [regions(&[region])])]
}

/// Processors that PSCI starts (`arm/cpus.yaml`). Their numbers are those that KVM gives: 16 to a cluster. `compatible`
/// names what they are, the most exact name first.
pub fn cpus(n_cpus: u16, compatible: &[&str]) -> Vec<Edit> {
    let mut edits = vec![set("/cpus", "#address-cells", [cell(1)]), set("/cpus", "#size-cells", [cell(0)])];
    for cpu in (0..n_cpus).map(u32::from) {
        // MPIDR_EL1 has eight bits for each level of affinity, of which interrupts reach 16 on the lowest.
        let affinity = cpu & 0xf | (cpu >> 4 & 0xff) << 8 | (cpu >> 12) << 16;
        let node = format!("/cpus/cpu@{affinity:x}");
        edits.extend([
            set(&node, "device_type", [string("cpu")]),
            set_list(&node, "compatible", compatible),
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
    let bootargs = chosen.bootargs.iter();
    let mut edits: Vec<Edit> =
        bootargs.map(|bootargs| set("/chosen", "bootargs", [string(bootargs)])).collect();
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
    gic("arm,gic-v3", distributor, redistributors)
}

/// The interrupt controller of the generation before (`interrupt-controller/arm,gic.yaml`), which has room for eight
/// processors and becomes the interrupt parent of everything.
pub fn gic_v2(distributor: Region, processor_interface: Region) -> Vec<Edit> {
    gic("arm,cortex-a15-gic", distributor, processor_interface)
}

/// Returns the path of the node that [`gic_v3`] and [`gic_v2`] make.
pub fn gic_path(distributor: Region) -> String {
    format!("/interrupt-controller@{:x}", distributor.address)
}

fn gic(compatible: &str, distributor: Region, other: Region) -> Vec<Edit> {
    let node = gic_path(distributor);
    vec![
        set(&node, "compatible", [string(compatible)]),
        set(&node, "#interrupt-cells", [cell(3)]),
        set(&node, "#address-cells", [cell(0)]),
        set(&node, "interrupt-controller", []),
        set(&node, "reg", [regions(&[distributor, other])]),
        set("/", "interrupt-parent", [phandle(&node)]),
    ]
}

/// The generic timer (`timer/arm,arch_timer.yaml`), which runs while processors sleep. `gic_v2_cpus` is how many of these
/// a GICv2 interrupts, which is told with each interrupt; 0 for a GICv3.
pub fn timer(gic_v2_cpus: u32) -> Vec<Edit> {
    // A bit for each of at most eight processors (`arm,gic.yaml`, cell 3).
    let cpus = (1_u32 << gic_v2_cpus.min(8)) - 1;
    // Secure, non-secure, virtual, hypervisor.
    let interrupts = [13, 14, 11, 10].iter().flat_map(|ppi| [PPI, *ppi, cpus << 8 | LEVEL_HIGH]);
    vec![
        set("/timer", "compatible", [string("arm,armv8-timer")]),
        set("/timer", "interrupts", [Part::U32(interrupts.collect())]),
        set("/timer", "always-on", []),
    ]
}

/// Returns the path of the node that [`pl011`] makes.
pub fn pl011_path(region: Region) -> String {
    format!("/serial@{:x}", region.address)
}

/// A serial port (`serial/pl011.yaml`) with this shared interrupt and a clock of so many hertz
/// (`clock/fixed-clock.yaml`), which ports of the same speed share.
pub fn pl011(region: Region, spi: u32, clock_frequency: u32) -> Vec<Edit> {
    let node = pl011_path(region);
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

fn set_list(node: &str, property: &str, strings: &[&str]) -> Edit {
    let value = strings.iter().map(|text| string(text)).collect();
    Edit::SetProperty { node: node.to_owned(), property: property.to_owned(), value }
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
