//! The disks of machines: what a guest finds on them, and what becomes of that.

use std::collections::BTreeSet;

use engine::{Input, Placement, Requirements, StepId};
use mkimg::spec::{BlankSpec, InputFormat, OverSpec, Spec};
use vm::spec;

use super::{INPUTS, Lowering};
use crate::Spanned;
use crate::machine::{Disk, DiskAccess, DiskBus, DiskFormat, Machine, Test};
use crate::scalar::{Name, TargetRef};

impl Lowering<'_> {
    /// Returns the disks of a machine as `runvm` is told them, and what it reads for that. With a test, what its guest
    /// writes is kept on the disks that the next test has, and those of the test before are as that left them.
    pub(super) fn disks_of(
        &mut self,
        machine: &Machine,
        test: Option<(&Name, &Test)>,
    ) -> (Vec<spec::Disk>, Vec<Placement>) {
        let mut inputs = Vec::new();
        let before = test.and_then(|(_, test)| test.after.as_ref());
        let before = before.map(|after| (self.lowered.tests[after.as_str()], self.names_of(after.as_str())));
        let kept = test.map(|(name, _)| self.read_behind(name)).unwrap_or_default();
        let mut disks = Vec::with_capacity(machine.disks.len());
        for (disk_idx, (name, disk)) in machine.named_disks().enumerate() {
            let begun = before.as_ref().filter(|(_, names)| names.contains(&name)).map(|(step, _)| *step);
            let is_kept = kept.contains(&name) && disk.is_written();
            let mut place = |path: String, input| {
                inputs.push(Placement { path: format!("{INPUTS}/{path}"), input });
                format!("in/{path}")
            };
            let (file, format) = if begun.is_some() || is_kept {
                if let Some(target) = &disk.target {
                    // What lies over it knows it by this path.
                    let input = self.reference(target);
                    place(format!("disks/{name}"), input);
                }
                let input = match (begun, &disk.target) {
                    (Some(test), _) => Input::Output { step: test, path: kept_at(&name) },
                    (None, Some(target)) => self.over(&name, disk, target),
                    (None, None) => self.blank(disk),
                };
                (place(format!("overlays/{name}.qcow2"), input), spec::DiskFormat::Qcow2)
            } else if let Some(target) = &disk.target {
                let format = match disk.format {
                    DiskFormat::Raw => spec::DiskFormat::Raw,
                    DiskFormat::Qcow2 => spec::DiskFormat::Qcow2,
                };
                let input = self.reference(target);
                (place(format!("disk{disk_idx}"), input), format)
            } else {
                let input = self.blank(disk);
                (place(format!("disk{disk_idx}"), input), spec::DiskFormat::Qcow2)
            };
            disks.push(spec::Disk {
                file,
                format,
                access: match disk.access {
                    DiskAccess::Snapshot => spec::DiskAccess::Snapshot,
                    DiskAccess::ReadOnly => spec::DiskAccess::ReadOnly,
                },
                bus: match disk.bus.value {
                    DiskBus::Pci => spec::DiskBus::Pci,
                    DiskBus::Mmio => spec::DiskBus::Mmio,
                    DiskBus::Sata => spec::DiskBus::Sata,
                },
                cd: disk.cd,
                keep: is_kept.then(|| format!("out/{}", kept_at(&name))),
            });
        }
        (disks, inputs)
    }

    /// Returns the names of the disks of a test's machine that it keeps.
    fn names_of(&self, test: &str) -> BTreeSet<String> {
        let (name, test) =
            self.stack.tests.get_key_value(test).expect("references of a stack lead somewhere");
        let machine = &self.stack.machines[test.machine.as_str()];
        let kept = self.read_behind(name);
        let disks = machine.named_disks().filter(|(_, disk)| disk.is_written());
        disks.map(|(name, _)| name).filter(|name| kept.contains(name)).collect()
    }

    /// Returns the names of the disks that tests behind this one have, whether these are wanted now or not: what a test
    /// does must not depend on that.
    fn read_behind(&self, test: &Name) -> BTreeSet<String> {
        let behind = self
            .stack
            .tests
            .values()
            .filter(|next| next.after.as_ref().is_some_and(|after| after.as_str() == test.as_str()));
        let machines = behind.map(|next| &self.stack.machines[next.machine.as_str()]);
        machines.flat_map(|machine| machine.named_disks().map(|(name, _)| name)).collect()
    }

    /// Returns a disk on which nothing is.
    fn blank(&mut self, disk: &Spanned<Disk>) -> Input {
        let size = disk.blank.as_ref().map_or(0, |size| size.bytes());
        let spec = Spec::Blank(BlankSpec { output: "out/blank.qcow2".to_owned(), size });
        let step = self.shared_disk(format!("blank {size}"), &spec, Vec::new());
        Input::Output { step, path: "blank.qcow2".to_owned() }
    }

    /// Returns a disk that lies over that of a target, and that is the same as long as nobody writes.
    fn over(&mut self, name: &str, disk: &Disk, target: &TargetRef) -> Input {
        let input = self.reference(target);
        let spec = Spec::Over(OverSpec {
            output: "out/over.qcow2".to_owned(),
            below: "in/disk".to_owned(),
            format: match disk.format {
                DiskFormat::Raw => InputFormat::Raw,
                DiskFormat::Qcow2 => InputFormat::Qcow2,
            },
            name: format!("/{INPUTS}/disks/{name}"),
        });
        let inputs = vec![Placement { path: format!("{INPUTS}/disk"), input }];
        let step = self.shared_disk(format!("{name} over {target}"), &spec, inputs);
        Input::Output { step, path: "over.qcow2".to_owned() }
    }

    /// Adds the step that makes a disk, or returns the one that does already.
    fn shared_disk(&mut self, label: String, spec: &Spec, mut inputs: Vec<Placement>) -> StepId {
        if let Some(step) = self.disks.get(&label) {
            return *step;
        }
        inputs.push(Placement { path: format!("{INPUTS}/spec.json"), input: self.json(spec) });
        let step = self.tool_step(label.clone(), &["mkimg", "in/spec.json"], inputs, Requirements::default());
        self.disks.insert(label, step);
        step
    }
}

/// Returns where a test leaves a disk that is kept, in its output directory.
fn kept_at(name: &str) -> String {
    format!("disks/{name}.qcow2")
}
