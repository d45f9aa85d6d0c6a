//! What a recipe says of a device tree, as edits, each with where it is said.

use fdt::{Edit, Labels, Part, Reference, Region, machine};

use super::{Dtb, GicV2, GicV3, PropertyPart, PropertyValue, PsciMethod, VirtioMmio, Window};
use crate::region::Address;
use crate::{Place, Spanned};

/// The name by which references know the interrupt controller.
const GIC: &str = "gic";

/// What processors are called that nothing more is known of.
const ARMV8: &str = "arm,armv8";

/// Returns the changes in the order in which they are made.
pub(crate) fn edits(dtb: &Dtb) -> Vec<(Edit, &Place)> {
    let mut edits: Vec<(Edit, &Place)> = Vec::new();
    for node in &dtb.delete {
        edits.push((Edit::DeleteNode { node: node.as_str().to_owned() }, &node.place));
    }
    // What is inside comes before what it is in, whose name is a part of its path.
    for (node, name) in dtb.rename.iter().rev() {
        let edit = Edit::RenameNode { node: node.as_str().to_owned(), name: name.as_str().to_owned() };
        edits.push((edit, &name.place));
    }
    parts(dtb, &mut |part, place| edits.extend(part.into_iter().map(|edit| (edit, place))));
    for (node, properties) in &dtb.nodes {
        for (property, value) in &properties.value {
            let (node, property) = (node.as_str().to_owned(), property.as_str().to_owned());
            let edit = match &value.value {
                PropertyValue::Removed => Edit::DeleteProperty { node, property },
                PropertyValue::Parts(parts) => {
                    Edit::SetProperty { node, property, value: parts.iter().map(part).collect() }
                }
            };
            edits.push((edit, &value.place));
        }
    }
    edits
}

/// Returns the labels that references may use.
pub(crate) fn labels(dtb: &Dtb) -> Labels {
    let mut labels = Labels::new();
    if let Some(distributor) = distributor(dtb) {
        labels.insert(GIC.to_owned(), machine::gic_path(region(distributor)));
    }
    labels.extend(dtb.labels.iter().map(|(label, node)| (label.to_string(), node.as_str().to_owned())));
    labels
}

/// Says whether the tree starts as nothing.
pub(crate) fn has_no_base(dtb: &Dtb) -> bool {
    dtb.machine.is_none() && dtb.base.is_none() && dtb.dts.is_none()
}

/// Gives `add` the parts of an Arm machine, each with its edits.
fn parts<'a>(dtb: &'a Dtb, add: &mut impl FnMut(Vec<Edit>, &'a Place)) {
    if let Some(root) = &dtb.root {
        add(machine::root(&root.model, &strings(&root.compatible)), &root.place);
    } else if has_no_base(dtb)
        && let Some(place) = first_place(dtb)
    {
        add(machine::cells(), place);
    }
    for memory in &dtb.memory {
        add(machine::memory(region(memory)), &memory.place);
    }
    if let Some(cpus) = &dtb.cpus {
        let compatible = strings(&cpus.compatible);
        let compatible = if compatible.is_empty() { vec![ARMV8] } else { compatible };
        // More than there can be is reported by the check.
        let count = u16::try_from(cpus.count.value).unwrap_or(0);
        add(machine::cpus(count, &compatible), &cpus.place);
    }
    if let Some(psci) = &dtb.psci {
        let method = match psci.value {
            PsciMethod::Hvc => machine::PsciMethod::Hvc,
            PsciMethod::Smc => machine::PsciMethod::Smc,
        };
        add(machine::psci(method), &psci.place);
    }
    if let Some(gic) = &dtb.gic_v3 {
        let GicV3 { distributor, redistributors } = &gic.value;
        add(machine::gic_v3(region(distributor), region(redistributors)), &gic.place);
    }
    if let Some(gic) = &dtb.gic_v2 {
        let GicV2 { distributor, cpu_interface } = &gic.value;
        add(machine::gic_v2(region(distributor), region(cpu_interface)), &gic.place);
    }
    if let Some(place) = dtb.timer.then(|| first_place(dtb)).flatten() {
        let n_cpus = dtb.cpus.as_ref().map_or(1, |cpus| cpus.count.value);
        add(machine::timer(if dtb.gic_v2.is_some() { n_cpus } else { 0 }), place);
    }
    for port in &dtb.pl011 {
        add(machine::pl011(at(&port.at, &port.size), port.spi.value, port.clock), &port.place);
    }
    for device in &dtb.virtio_mmio {
        let VirtioMmio { at: first, size, spi, count } = &device.value;
        for index in 0..count.value {
            // What would leave the address space or the interrupts is reported by the check.
            let address = u64::from(index).wrapping_mul(size.number()).wrapping_add(first.number());
            let region = Region { address, size: size.number() };
            add(machine::virtio_mmio(region, spi.value.wrapping_add(index)), &device.place);
        }
    }
    if let Some(chosen) = &dtb.chosen {
        let edits = machine::chosen(&machine::Chosen {
            bootargs: chosen.bootargs.clone(),
            initrd: None,
            stdout_path: chosen.stdout_path.clone(),
        });
        add(edits, &chosen.place);
    }
}

/// Returns where a part of an Arm machine is asked for, if one is.
fn first_place(dtb: &Dtb) -> Option<&Place> {
    let gic = dtb.gic_v3.iter().map(|gic| &gic.place).chain(dtb.gic_v2.iter().map(|gic| &gic.place));
    let cpus = dtb.cpus.iter().map(|cpus| &cpus.place).chain(dtb.psci.iter().map(|psci| &psci.place));
    let devices = dtb.pl011.iter().map(|port| &port.place);
    let devices = devices.chain(dtb.virtio_mmio.iter().map(|device| &device.place));
    let memory = dtb.memory.iter().map(|memory| &memory.place);
    gic.chain(cpus).chain(memory).chain(devices).next()
}

/// Returns the first window of the interrupt controller.
fn distributor(dtb: &Dtb) -> Option<&Window> {
    let v3 = dtb.gic_v3.as_ref().map(|gic| &gic.distributor.value);
    v3.or(dtb.gic_v2.as_ref().map(|gic| &gic.distributor.value))
}

fn region(window: &Window) -> Region {
    at(&window.at, &window.size)
}

fn at(at: &Address, size: &Address) -> Region {
    Region { address: at.number(), size: size.number() }
}

fn strings(list: &[Spanned<String>]) -> Vec<&str> {
    list.iter().map(|text| text.value.as_str()).collect()
}

fn part(part: &PropertyPart) -> Part {
    match part {
        PropertyPart::String(text) => Part::String(text.clone()),
        PropertyPart::Cells(cells) => Part::U32(cells.clone()),
        PropertyPart::Numbers(numbers) => Part::U64(numbers.clone()),
        PropertyPart::Bytes(bytes) => Part::Bytes(bytes.clone()),
        PropertyPart::Phandle(to) if to.starts_with('/') => Part::Phandle(Reference::Path(to.clone())),
        PropertyPart::Phandle(to) => Part::Phandle(Reference::Label(to.clone())),
    }
}
