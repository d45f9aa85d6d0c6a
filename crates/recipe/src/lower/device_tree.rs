//! Device trees as steps.

use engine::{Input, Placement, Requirements, Step, StepId};
use fdt::{Edit, Part, Reference};
use mkimg::spec::{DeviceTreeSpec, RamdiskSpec, Spec};
use vm::spec;

use super::{INPUTS, Lowering};
use crate::Problem;
use crate::device_tree::{Dtb, PropertyPart, PropertyValue, RegionRef};
use crate::scalar::Name;

impl Lowering<'_> {
    /// Returns the step that writes a device tree.
    pub(super) fn device_tree(&mut self, name: &Name, dtb: &Dtb) -> StepId {
        let mut inputs = Vec::new();
        let base = match (&dtb.machine, &dtb.base) {
            (Some(machine), _) => {
                let step = self.dumped(name, machine);
                Some(Input::Output { step, path: "machine.dtb".to_owned() })
            }
            (None, Some(base)) => Some(self.reference(base)),
            (None, None) => None,
        };
        let base = base.map(|input| {
            inputs.push(Placement { path: format!("{INPUTS}/base.dtb"), input });
            "in/base.dtb".to_owned()
        });
        let ramdisk = dtb.initrd.as_ref().and_then(|initrd| {
            let (file, address) = self.ramdisk(initrd)?;
            inputs.push(Placement { path: format!("{INPUTS}/initrd"), input: file });
            Some(RamdiskSpec { file: "in/initrd".to_owned(), address })
        });
        let labels = dtb.labels.iter().map(|(label, node)| (label.to_string(), node.as_str().to_owned()));
        let spec = Spec::DeviceTree(DeviceTreeSpec {
            output: format!("out/{name}.dtb"),
            source_output: format!("out/{name}.dts"),
            base,
            edits: edits(dtb),
            labels: labels.collect(),
            ramdisk,
        });
        self.image(name.to_string(), &spec, inputs)
    }

    /// Returns the step in which QEMU says what the devices of a machine are.
    fn dumped(&mut self, name: &Name, machine: &Name) -> StepId {
        let machine = &self.stack.machines[machine];
        let spec = spec::Machine {
            arch: super::boot::arch(machine.arch.value),
            cpus: machine.cpus.value,
            memory_mib: machine.memory.bytes() >> 20,
            virtualization: machine.virtualization,
            arguments: machine.arguments.clone(),
            accelerator: spec::Accelerator::Tcg,
            ..spec::Machine::default()
        };
        let environment = self.lowered.environments[machine.env.as_str()];
        let inputs = vec![
            Placement { path: String::new(), input: Input::Merged(environment) },
            self.tool("runvm"),
            Placement { path: format!("{INPUTS}/machine.json"), input: self.json(&spec) },
        ];
        self.step(Step {
            label: format!("{name}/machine"),
            arguments: ["tools/runvm", "dumpdtb", "in/machine.json", "out/machine.dtb"]
                .map(str::to_owned)
                .to_vec(),
            environment: self.environment.clone(),
            inputs,
            requirements: Requirements::default(),
        })
    }

    /// Returns the file of a region that is a ramdisk, and its address; nothing if it has none, which is reported.
    fn ramdisk(&mut self, region: &RegionRef) -> Option<(Input, u64)> {
        let found = &self.stack.machines[region.machine.as_str()].regions[region.region.as_str()];
        let (Some(file), Some(at)) = (found.content.file(), &found.rules.at) else {
            self.problems.push(
                Problem::at(
                    &region.region.place,
                    format!("region `{}` has no file at an address", region.region.as_str()),
                )
                .related(&found.place.clone(), "the region")
                .help("give it `raw` and `at`: a device tree says where things are before they are placed"),
            );
            return None;
        };
        let address = at.number();
        let file = file.clone();
        Some((self.reference(&file), address))
    }
}

/// Returns the changes: first what is removed, then what is set.
fn edits(dtb: &Dtb) -> Vec<Edit> {
    let deleted = dtb.delete.iter().map(|node| Edit::DeleteNode { node: node.as_str().to_owned() });
    let set = dtb.nodes.iter().flat_map(|(node, properties)| {
        properties.iter().map(|(property, value)| {
            let (node, property) = (node.as_str().to_owned(), property.as_str().to_owned());
            match &value.value {
                PropertyValue::Removed => Edit::DeleteProperty { node, property },
                PropertyValue::Parts(parts) => {
                    Edit::SetProperty { node, property, value: parts.iter().map(part).collect() }
                }
            }
        })
    });
    deleted.chain(set).collect()
}

fn part(part: &PropertyPart) -> Part {
    match part {
        PropertyPart::String(text) => Part::String(text.clone()),
        PropertyPart::Cell(cell) => Part::U32(vec![*cell]),
        PropertyPart::Numbers(numbers) => Part::U64(numbers.clone()),
        PropertyPart::Bytes(bytes) => Part::Bytes(bytes.clone()),
        PropertyPart::Phandle(to) if to.starts_with('/') => Part::Phandle(Reference::Path(to.clone())),
        PropertyPart::Phandle(to) => Part::Phandle(Reference::Label(to.clone())),
    }
}
