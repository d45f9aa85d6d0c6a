//! Machines, what lies where in them, and what is expected of them.

use std::collections::BTreeMap;

use super::{Checker, kernel_arch};
use crate::machine::{Disk, DiskBus, DiskFormat};
use crate::scalar::{Arch, Name};
use crate::{Firmware, Machine, Place, Problem, Spanned, Talk, Test, suggest};

/// How many disks QEMU's `q35` has SATA for.
const SATA_PORTS: usize = 6;

impl Checker<'_> {
    pub(super) fn machine(&mut self, name: &Name, machine: &Spanned<Machine>) {
        if machine.cpus.value == 0 {
            self.report(Problem::at(&machine.cpus.place, format!("machine `{name}` has no processor")));
        }
        if !machine.memory.bytes().is_multiple_of(1 << 20) || machine.memory.bytes() == 0 {
            self.report(
                Problem::at(&machine.memory.place, "memory comes in whole MiB")
                    .help("write it as in `512M` or `2G`"),
            );
        }
        for file in machine.files() {
            self.one_file(file, "what a machine loads, starts or has as a disk");
        }
        for (_, file) in machine.pushed() {
            self.content(file);
        }
        if let Some(push) = &machine.push
            && push.files.is_empty()
        {
            self.report(
                Problem::at(&push.place, format!("nothing is pushed into machine `{name}`"))
                    .help("name files: `files = { \"/usr/bin/tool\" = { target = \"tool\" } }`"),
            );
        }
        if let Some(network) = &machine.network
            && let Some(boot) = &network.boot
            && machine.arch.value != Arch::Amd64
            && machine.firmware.is_none()
        {
            let message = "nothing in this machine starts what a network has";
            self.report(Problem::at(&boot.place, message).help("give it a `firmware`: `\"uefi\"`"));
        }
        if let Some(firmware) = &machine.firmware
            && let Firmware::Files(files) = &firmware.value
            && files.secure_boot
            && machine.arch.value == Arch::Riscv64
        {
            let message = format!("no firmware for {} checks signatures here", machine.arch.as_str());
            self.report(Problem::at(&firmware.place, message).help("`secure-boot` is for amd64 and arm64"));
        }
        self.disks_of(machine);
        self.regions(name, machine);
        self.igvm_of(machine);
        match &machine.kernel {
            None => {
                if let Some(initrd) = &machine.initrd {
                    self.report(
                        Problem::at(&initrd.place, "an initrd without a kernel")
                            .help("give the machine a `kernel`, too"),
                    );
                }
                if !machine.cmdline.is_empty() {
                    self.report(
                        Problem::at(&machine.place, "a kernel command line without a kernel")
                            .help("give the machine a `kernel`, too"),
                    );
                }
            }
            Some(reference) => {
                if let Some(arch) =
                    self.recipe.target.get(&reference.target).and_then(|target| kernel_arch(target))
                    && arch.value != machine.arch.value
                {
                    let message = format!(
                        "machine `{name}` is {} and its kernel {}",
                        machine.arch.as_str(),
                        arch.as_str()
                    );
                    self.report(Problem::at(&reference.place, message).related(&arch.place, "of the kernel"));
                }
            }
        }
    }

    /// Reports what says beside an IGVM file how the guest starts.
    fn igvm_of(&mut self, machine: &Machine) {
        let Some(igvm) = &machine.igvm else { return };
        if machine.arch.value != Arch::Amd64 {
            let message = format!("QEMU starts no {} guest from an IGVM file", machine.arch.as_str());
            self.report(Problem::at(&igvm.place, message).help("they are for `arch = \"amd64\"`"));
        }
        let firmware = machine.firmware.iter().map(|firmware| ("firmware", &firmware.place));
        let kernel = machine.kernel.iter().map(|kernel| ("kernel", &kernel.place));
        let dtb = machine.dtb.iter().map(|dtb| ("dtb", &dtb.place));
        let regions = machine.regions.values().take(1).map(|region| ("regions", &region.place));
        for (key, place) in firmware.chain(kernel).chain(dtb).chain(regions) {
            let problem = Problem::at(place, format!("`{key}` and `igvm` exclude each other"));
            let problem = problem.related(&igvm.place, "given here");
            self.report(problem.help("what the guest starts from is in the IGVM file"));
        }
    }

    /// Reports disks that are nothing, or have one name.
    fn disks_of(&mut self, machine: &Machine) {
        let mut seen: BTreeMap<String, &Place> = BTreeMap::new();
        let mut n_sata = 0;
        for (name, disk) in machine.named_disks() {
            match (&disk.target, &disk.blank) {
                (None, None) => self.report(
                    Problem::at(&disk.place, "a disk of nothing")
                        .help("give it a `target`, or the size of an empty one: `blank = \"8G\"`"),
                ),
                (Some(_), Some(blank)) => {
                    self.report(Problem::at(&blank.place, "`target` and `blank` exclude each other"));
                }
                (None, Some(size)) if size.bytes() == 0 || !size.bytes().is_multiple_of(512) => {
                    self.report(
                        Problem::at(&size.place, "a disk is one or more sectors of 512 bytes")
                            .help("write its size as in `8G`"),
                    );
                }
                (None, Some(_)) if !disk.is_written() => {
                    self.report(Problem::at(&disk.place, "nobody can write to this blank disk"));
                }
                (None, Some(_)) if disk.format != DiskFormat::Raw => {
                    self.report(Problem::at(&disk.place, "what is blank has no `format`"));
                }
                _ => {}
            }
            if disk.bus.value == DiskBus::Sata && machine.arch.value != Arch::Amd64 {
                let message = format!("a machine for {} has no SATA here", machine.arch.as_str());
                self.report(
                    Problem::at(&disk.bus.place, message).help("leave `bus` out: it is on virtio then"),
                );
            }
            n_sata += usize::from(disk.bus.value == DiskBus::Sata);
            if disk.bus.value == DiskBus::Sata && n_sata > SATA_PORTS {
                let message = format!("the board has SATA for {SATA_PORTS} disks");
                self.report(
                    Problem::at(&disk.bus.place, message).help("leave `bus` out: it is on virtio then"),
                );
            }
            if let Some(first) = seen.insert(name.clone(), &disk.place) {
                let problem = Problem::at(&disk.place, format!("two disks are called `{name}`"));
                self.report(problem.related(first, "the other one"));
            }
        }
    }

    /// Reports a test that follows another one, of whose disks it has none, or not as they were.
    pub(super) fn disks_that_stay(&mut self, test: &Spanned<Test>) {
        let Some(after) = &test.after else { return };
        let Some(first) = self.recipe.test.get(after.as_str()) else { return };
        let machines = &self.recipe.machine;
        let (Some(theirs), Some(ours)) =
            (machines.get(first.machine.as_str()), machines.get(test.machine.as_str()))
        else {
            return;
        };
        let theirs: BTreeMap<String, &Spanned<Disk>> = theirs.named_disks().collect();
        let mut stay = 0;
        for (name, disk) in ours.named_disks() {
            let Some(before) = theirs.get(&name) else { continue };
            let is_same = disk.target.as_deref() == before.target.as_deref()
                && disk.blank.as_deref() == before.blank.as_deref()
                && disk.format == before.format
                && disk.cd == before.cd;
            if is_same {
                stay += usize::from(disk.is_written());
            } else {
                let message =
                    format!("`{name}` is another disk than in the machine of test `{}`", after.as_str());
                let problem = Problem::at(&disk.place, message).related(&before.place, "it is this there");
                self.report(problem.help("give disks that have nothing to do with each other a `name`"));
            }
        }
        if stay == 0 {
            let message = format!("nothing that test `{}` leaves is used here", after.as_str());
            let problem = Problem::at(&after.place, message);
            self.report(
                problem.help("machines of tests that follow each other have a disk of the same name"),
            );
        }
    }

    /// Reports regions that refer to others that are not there, and several at which the first processor starts.
    fn regions(&mut self, name: &Name, machine: &Machine) {
        let mut first: Option<&Place> = None;
        for region in machine.regions.values() {
            let rules = &region.rules;
            for other in rules.after.iter().chain(&rules.inside) {
                if !machine.regions.contains_key(&other.value) {
                    let known = machine.regions.keys().map(Name::as_str);
                    let message = format!("machine `{name}` has no region `{}`", other.as_str());
                    self.report(Problem::at(&other.place, message).help(suggest::help(
                        other.as_str(),
                        "regions",
                        known,
                    )));
                }
            }
            if let (Some(at), Some(after)) = (&rules.at, &rules.after) {
                let problem = Problem::at(&after.place, "`at` and `after` exclude each other");
                self.report(problem.related(&at.place, "given here").help("keep one of them"));
            }
            if rules.entry
                && let Some(first) = first.replace(&region.place)
            {
                let problem = Problem::at(&region.place, "the first processor cannot start in two regions");
                self.report(problem.related(first, "it starts here, too"));
            }
        }
        if machine.regions.is_empty() {
            return;
        }
        if let Some(firmware) = &machine.firmware {
            let problem = Problem::at(&firmware.place, "`firmware` and `regions` exclude each other");
            self.report(problem.help("what lies where is either the firmware's business or yours"));
        }
        if let Some(kernel) = &machine.kernel {
            let problem = Problem::at(&kernel.place, "`kernel` and `regions` exclude each other");
            self.report(
                problem.help("make the kernel a region: `linux = …`, with `entry = true` where it starts"),
            );
        }
    }

    pub(super) fn test(&mut self, test: &Spanned<Test>) {
        for talk in &test.expect {
            if let Talk::Expect(text) = &talk.value
                && text.is_empty()
            {
                self.report(
                    Problem::at(&talk.place, "an empty text is always there")
                        .help("name what the console must show"),
                );
            }
        }
        if test.timeout.duration().is_zero() {
            self.report(Problem::at(&test.timeout.place, "a test that may take no time cannot pass"));
        }
    }
}
