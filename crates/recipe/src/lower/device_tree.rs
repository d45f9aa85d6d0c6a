//! Device trees as steps.

use engine::{Input, Placement, Requirements, Step, StepId};
use mkimg::spec::{DeviceTreeSourceSpec, DeviceTreeSourcesSpec, DeviceTreeSpec, RamdiskSpec, Spec};
use vm::spec;

use super::{INPUTS, Imported, Lowering, SOURCES};
use crate::device_tree::{Dtb, Origin, RegionRef, edits};
use crate::scalar::Name;
use crate::{Problem, Spanned};

/// What the source of a base is compiled to.
const BASE: &str = "base.dtb";

/// Returns what the overlay of that index is compiled to.
fn overlay(idx: usize) -> String {
    format!("overlay{idx}.dtbo")
}

impl Lowering<'_> {
    /// Returns the step that writes a device tree.
    pub(super) fn device_tree(&mut self, name: &Name, dtb: &Dtb) -> StepId {
        let mut inputs = Vec::new();
        let compiled = dtb.env.as_ref().map(|env| self.compiled(name, dtb, env));
        let compiled = |path: String| Some(Input::Output { step: compiled?, path });
        let base = match (&dtb.machine, &dtb.base, &dtb.dts) {
            (Some(machine), ..) => {
                let step = self.dumped(name, machine);
                Some(Input::Output { step, path: "machine.dtb".to_owned() })
            }
            (None, Some(base), _) => Some(self.reference(base)),
            (None, None, Some(_)) => compiled(BASE.to_owned()),
            (None, None, None) => None,
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
        let mut overlays = Vec::new();
        for (idx, input) in (0..dtb.overlays.len()).filter_map(|idx| Some((idx, compiled(overlay(idx))?))) {
            inputs.push(Placement { path: format!("{INPUTS}/{}", overlay(idx)), input });
            overlays.push(format!("in/{}", overlay(idx)));
        }
        let spec = Spec::DeviceTree(DeviceTreeSpec {
            output: format!("out/{name}.dtb"),
            source_output: format!("out/{name}.dts"),
            base,
            strict: dtb.dts.is_some(),
            overlays,
            drop_symbols: dtb.dts.is_some() && !dtb.symbols,
            edits: edits::edits(dtb).into_iter().map(|(edit, _)| edit).collect(),
            labels: edits::labels(dtb),
            ramdisk,
        });
        self.image(name.to_string(), &spec, inputs)
    }

    /// Returns the step that compiles the source of a device tree and its overlays.
    fn compiled(&mut self, name: &Name, dtb: &Dtb, env: &Name) -> StepId {
        let environment = self.lowered.environments[env];
        let mut inputs =
            vec![Placement { path: String::new(), input: Input::Merged(environment) }, self.tool("mkimg")];
        let mut sources = Vec::new();
        let files = dtb.dts.iter().map(|dts| (dts, BASE.to_owned()));
        let files = files.chain(dtb.overlays.iter().enumerate().map(|(idx, file)| (file, overlay(idx))));
        for (idx, (file, output)) in files.enumerate() {
            let source = self.placed(file, &format!("source/{idx}"), &mut inputs);
            sources.push(DeviceTreeSourceSpec { source, output: format!("out/{output}") });
        }
        let includes = dtb.includes.iter().enumerate();
        let includes = includes
            .map(|(idx, directory)| self.placed(directory, &format!("include/{idx}"), &mut inputs))
            .collect();
        let spec = Spec::DeviceTreeSources(DeviceTreeSourcesSpec { sources, includes });
        inputs.push(Placement { path: format!("{INPUTS}/spec.json"), input: self.json(&spec) });
        self.step(Step {
            label: format!("{name}/source"),
            arguments: ["tools/mkimg", "in/spec.json"].map(str::to_owned).to_vec(),
            environment: self.environment.clone(),
            inputs,
            requirements: Requirements::default(),
        })
    }

    /// Adds what source is made of to the inputs of a step, and returns its path there.
    fn placed(&mut self, origin: &Spanned<Origin>, at: &str, inputs: &mut Vec<Placement>) -> String {
        let (input, path) = match &origin.value {
            Origin::Source(of) => {
                let path = format!("{SOURCES}/{}", of.source.as_str());
                if !inputs.iter().any(|input| input.path == path) {
                    let input = self.source(&of.source);
                    inputs.push(Placement { path, input });
                }
                return format!("src/{}/{}", of.source.as_str(), of.path.as_str());
            }
            Origin::Target(reference) => (self.reference(reference), reference.path.as_deref()),
            Origin::Project(path) => {
                let input = match self.resolved.paths[path] {
                    Imported::File { digest, executable } => Input::File { digest, executable },
                    Imported::Tree(digest) => Input::Tree(digest),
                };
                (input, Some(path.as_str()))
            }
        };
        // The name is what complaints are about.
        let file = path.and_then(|path| path.rsplit('/').next()).filter(|file| *file != ".");
        let path = format!("{at}/{}", file.unwrap_or("of-target"));
        inputs.push(Placement { path: format!("{INPUTS}/{path}"), input });
        format!("in/{path}")
    }

    /// Returns the step in which QEMU says what the devices of a machine are.
    fn dumped(&mut self, name: &Name, machine: &Name) -> StepId {
        let machine = &self.stack.machines[machine];
        let environment = self.lowered.environments[machine.env.as_str()];
        let mut inputs =
            vec![Placement { path: String::new(), input: Input::Merged(environment) }, self.tool("runvm")];
        let spec = spec::Machine {
            arch: super::boot::arch(machine.arch.value),
            cpus: machine.cpus.value,
            memory_mib: machine.memory.bytes() >> 20,
            virtualization: machine.virtualization,
            arguments: machine.arguments.clone(),
            accelerator: spec::Accelerator::Tcg,
            qemu: machine.qemu.as_ref().map(|file| self.qemu(file, &mut inputs)),
            ..spec::Machine::default()
        };
        inputs.push(Placement { path: format!("{INPUTS}/machine.json"), input: self.json(&spec) });
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
