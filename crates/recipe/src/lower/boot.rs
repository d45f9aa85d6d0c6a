//! Machines and tests as inputs and specifications of `runvm`.

use std::time::Duration;

use engine::{Input, Placement, Requirements, Step, StepId};
use vm::spec;

use super::{INPUTS, Lowering, MachineOutput, Pushed};
use crate::Spanned;
use crate::firmware::Firmware;
use crate::machine::{Accel, End, Machine, Talk, Test};
use crate::region::{Address, Region, RegionContent};
use crate::scalar::{Arch, Name, TargetRef};

/// What a test's step may take beyond the test itself, to start and to write its logs.
const GRACE: Duration = Duration::from_secs(30);

impl Lowering<'_> {
    /// Adds a machine to what can be run.
    pub(super) fn machine(&mut self, name: &Name) {
        let machine = &self.stack.machines[name];
        let (spec, mut inputs) = self.machine_spec(name, machine, None);
        let boot = spec::Boot {
            machine: spec.clone(),
            script: Vec::new(),
            forbid: Vec::new(),
            ending: spec::Ending::PowerOff,
            timeout_seconds: 0,
        };
        inputs.push(Placement { path: format!("{INPUTS}/boot.json"), input: self.json(&boot) });
        let push = machine.pushed().map(|(path, file)| {
            let (input, executable) = self.content(file);
            let mode = file.mode.map(|mode| mode.bits()).or(executable.then_some(0o755));
            Pushed { path: path.as_str().to_owned(), input, mode, owner: (file.uid, file.gid) }
        });
        let push = push.collect();
        let output = MachineOutput {
            push,
            then: machine.push.as_ref().and_then(|push| push.then.as_ref()).map(|then| then.value.clone()),
            inputs,
            arguments: ["tools/runvm", "console", "in/boot.json"].map(str::to_owned).to_vec(),
            environment: self.environment.clone(),
            requirements: Requirements { kvm: machine.accel != Accel::Tcg, ..Requirements::default() },
            machine: spec,
        };
        self.lowered.machines.insert(name.clone(), output);
    }

    /// Adds the step of a test, behind that of the test that it follows.
    pub(super) fn test(&mut self, name: &Name) {
        // Chains may be long, so the way up is a list and not the call stack.
        let mut chain = vec![name];
        while let Some(after) = &self.stack.tests[chain[chain.len() - 1]].after {
            chain.push(after);
        }
        for name in chain.into_iter().rev() {
            if !self.lowered.tests.contains_key(name) {
                self.one_test(name);
            }
        }
    }

    fn one_test(&mut self, name: &Name) {
        let test = &self.stack.tests[name];
        let machine = &self.stack.machines[test.machine.as_str()];
        let (spec, mut inputs) = self.machine_spec(&test.machine, machine, Some((name, test)));
        let script = test.expect.iter().map(|talk| match &talk.value {
            Talk::Expect(text) => spec::Talk::Expect(text.clone()),
            Talk::Send(text) => spec::Talk::Send(text.clone()),
        });
        let boot = spec::Boot {
            machine: spec,
            script: script.collect(),
            forbid: test.forbid.clone(),
            ending: match test.end {
                End::PowerOff => spec::Ending::PowerOff,
                End::Reset => spec::Ending::Reset,
                End::Running => spec::Ending::Running,
            },
            timeout_seconds: test.timeout.duration().as_secs(),
        };
        inputs.push(Placement { path: format!("{INPUTS}/boot.json"), input: self.json(&boot) });
        let step = self.step(Step {
            label: format!("test {name}"),
            arguments: ["tools/runvm", "boot", "in/boot.json", "out"].map(str::to_owned).to_vec(),
            environment: self.environment.clone(),
            inputs,
            requirements: Requirements {
                kvm: machine.accel != Accel::Tcg,
                timeout: Some(test.timeout.duration().saturating_add(GRACE)),
                ..Requirements::default()
            },
        });
        self.lowered.tests.insert(name.clone(), step);
    }

    /// Returns the machine as `runvm` is told it, and what it reads: the environment with QEMU, the tool and
    /// the images. The disks of a test may be those of another one.
    fn machine_spec(
        &mut self,
        name: &Name,
        machine: &Machine,
        test: Option<(&Name, &Test)>,
    ) -> (spec::Machine, Vec<Placement>) {
        let environment = self.lowered.environments[machine.env.as_str()];
        let mut inputs =
            vec![Placement { path: String::new(), input: Input::Merged(environment) }, self.tool("runvm")];
        let mut place = |lowering: &mut Self, name: &str, file: &TargetRef| {
            let input = lowering.reference(file);
            inputs.push(Placement { path: format!("{INPUTS}/{name}"), input });
            format!("in/{name}")
        };
        let kernel = machine.kernel.as_ref().map(|file| place(self, "kernel", file));
        let initrd = machine.initrd.as_ref().map(|file| place(self, "initrd", file));
        let firmware = machine.firmware.as_ref().map(|firmware| {
            let arch = arch(machine.arch.value);
            let Firmware::Files(files) = &firmware.value else {
                return spec::Firmware::packaged(arch, false);
            };
            let mut spec = spec::Firmware::packaged(arch, files.secure_boot);
            if let Some(code) = &files.code {
                spec.code = place(self, "firmware", code);
                // Variables of another firmware would be none to it.
                spec.variables = None;
            }
            if let Some(variables) = &files.variables {
                spec.variables = Some(place(self, "variables", variables));
            }
            spec
        });
        let dtb = machine.dtb.as_ref().map(|file| place(self, "dtb", file));
        let igvm = machine.igvm.as_ref().map(|file| place(self, "igvm", file));
        let boot = machine.network.as_ref().and_then(|network| network.boot.as_ref());
        let regions = machine.regions.iter().map(|(name, region)| {
            let file = region.content.file().map(|file| place(self, &format!("regions/{name}"), file));
            region_spec(name, region, file.unwrap_or_default())
        });
        let regions = regions.collect();
        let boot = boot.map(|file| {
            let (placed, file) = self.beside("network", file);
            inputs.push(placed);
            spec::NetworkBoot { directory: "in/network".to_owned(), file }
        });
        let qemu = machine.qemu.as_ref().map(|file| self.qemu(file, &mut inputs));
        let network = machine.network.as_ref().map(|_| spec::Network { boot });
        let (disks, placed) = self.disks_of(machine, test);
        inputs.extend(placed);
        let spec = spec::Machine {
            arch: arch(machine.arch.value),
            cpus: machine.cpus.value,
            memory_mib: machine.memory.bytes() >> 20,
            kernel,
            initrd,
            cmdline: machine.cmdline.clone(),
            disks,
            accelerator: match machine.accel {
                Accel::Auto => spec::Accelerator::Auto,
                Accel::Kvm => spec::Accelerator::Kvm,
                Accel::Tcg => spec::Accelerator::Tcg,
            },
            arguments: machine.arguments.clone(),
            virtualization: machine.virtualization,
            dtb,
            firmware,
            igvm,
            qemu,
            network,
            regions,
            gdb: None,
            agent: machine.push.as_ref().map(|_| spec::Agent::Nobody),
        };
        if let Some(map) = self.map(name, machine, &spec) {
            // Nothing reads it. Without it nothing is started.
            let input = Input::Output { step: map, path: String::new() };
            inputs.push(Placement { path: format!("{INPUTS}/map"), input });
        }
        (spec, inputs)
    }

    /// Places a QEMU that a target leaves, and returns where it is then.
    pub(super) fn qemu(&mut self, file: &TargetRef, inputs: &mut Vec<Placement>) -> String {
        let (placed, file) = self.beside("qemu", file);
        inputs.push(placed);
        format!("in/qemu/{file}")
    }

    /// Returns a file with all that lies beside it in the target's results, and where it is in these.
    fn beside(&mut self, name: &str, file: &TargetRef) -> (Placement, String) {
        let (input, file) = match self.reference(file) {
            Input::Output { step, path } => (Input::Output { step, path: String::new() }, path),
            other => (other, String::new()),
        };
        (Placement { path: format!("{INPUTS}/{name}"), input }, file)
    }

    /// Returns the step that finds out what lies where in a machine with regions, and whether it can.
    ///
    /// It alone knows the lines of the recipe: when these move it runs again, which takes no time, and comes to
    /// the same map, with which nothing else runs again.
    fn map(&mut self, name: &Name, machine: &Machine, spec: &spec::Machine) -> Option<StepId> {
        if machine.regions.is_empty() {
            return None;
        }
        if let Some(step) = self.lowered.maps.get(name) {
            return Some(*step);
        }
        let regions = machine.regions.values().zip(&spec.regions).map(|(region, spec)| {
            let place = &region.place;
            let declared = format!("{}:{}", place.file().name, place.line_and_column().0);
            spec::Region { declared: Some(declared), ..spec.clone() }
        });
        let spec = spec::Machine {
            arch: spec.arch,
            memory_mib: spec.memory_mib,
            virtualization: spec.virtualization,
            dtb: spec.dtb.clone(),
            regions: regions.collect(),
            ..spec::Machine::default()
        };
        let mut inputs = vec![Placement { path: format!("{INPUTS}/machine.json"), input: self.json(&spec) }];
        for (name, region) in &machine.regions {
            if let Some(file) = region.content.file() {
                let input = self.reference(file);
                inputs.push(Placement { path: format!("{INPUTS}/regions/{name}"), input });
            }
        }
        let arguments = ["runvm", "map", "in/machine.json", "out"];
        let step = self.tool_step(format!("map {name}"), &arguments, inputs, Requirements::default());
        self.lowered.maps.insert(name.clone(), step);
        Some(step)
    }
}

/// Returns the instruction set by the name that `runvm` knows.
pub(super) fn arch(arch: Arch) -> spec::Arch {
    match arch {
        Arch::Amd64 => spec::Arch::X86_64,
        Arch::Arm64 => spec::Arch::Arm64,
        Arch::Riscv64 => spec::Arch::Riscv64,
    }
}

fn region_spec(name: &Name, region: &Region, file: String) -> spec::Region {
    let rules = &region.rules;
    let number = |address: &Option<Spanned<Address>>| address.as_ref().map(|address| address.number());
    let place = match (&rules.at, &rules.after) {
        (Some(at), _) => spec::Place::At(at.number()),
        (None, Some(after)) => spec::Place::After(after.to_string()),
        (None, None) => spec::Place::Free,
    };
    let content = match &region.content {
        RegionContent::Linux(_) => spec::Content::LinuxImage(file),
        RegionContent::Raw(_) => spec::Content::Raw(file),
        RegionContent::Elf(_) => spec::Content::Elf(file),
        RegionContent::Reserve(size) => spec::Content::Reserved(size.number()),
        RegionContent::Device(size) => spec::Content::Device(size.number()),
    };
    spec::Region {
        inside: rules.inside.as_ref().map(|inside| inside.to_string()),
        within: rules
            .within
            .as_ref()
            .map(|within| spec::AddressRange { start: within.start.number(), end: within.end.number() }),
        align: number(&rules.align),
        max: number(&rules.max),
        entry: rules.entry.then(|| spec::Entry { offset: rules.entry_offset.number() }),
        ..spec::Region::new(name.as_str(), content, place)
    }
}
