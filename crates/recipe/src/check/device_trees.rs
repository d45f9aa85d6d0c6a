//! Device trees: what they start as, and parts that do not make a machine.

use super::Checker;
use crate::device_tree::{Dtb, Origin, Window, edits};
use crate::region::Address;
use crate::scalar::Name;
use crate::{Place, Problem, Spanned, Target, suggest};

/// How many shared interrupts a GIC has: numbers 32 to 1019 (`arm,gic-v3.yaml`).
const N_SPIS: u32 = 988;
/// How many processors a GICv2 knows.
const GIC_V2_CPUS: u64 = 8;
/// What a GICv3 takes for each of its processors, without what virtual interrupts add (GIC architecture, 12.10).
const REDISTRIBUTOR: u64 = 0x2_0000;
/// So many numbers for processors there are; more than any machine has.
const MAX_CPUS: u32 = 4096;
/// So many devices have room in the interrupts.
const MAX_DEVICES: u32 = N_SPIS;

impl Checker<'_> {
    pub(super) fn device_tree(&mut self, target: &Spanned<Target>, dtb: &Dtb) {
        self.bases(target, dtb);
        for (origin, what) in dtb
            .dts
            .iter()
            .map(|dts| (dts, "source"))
            .chain(dtb.overlays.iter().map(|overlay| (overlay, "an overlay")))
        {
            if let Origin::Target(reference) = &origin.value {
                self.one_file(reference, what);
            }
        }
        for origin in &dtb.includes {
            if let Origin::Target(reference) = &origin.value {
                self.file_reference(reference);
            }
        }
        if let Some(base) = &dtb.base {
            self.one_file(base, "a device tree");
        }
        if let Some(initrd) = &dtb.initrd
            && let Some(machine) = self.recipe.machine.get(initrd.machine.as_str())
            && !machine.regions.contains_key(&initrd.region.value)
        {
            let message =
                format!("machine `{}` has no region `{}`", initrd.machine.as_str(), initrd.region.as_str());
            let known = machine.regions.keys().map(Name::as_str);
            self.report(Problem::at(&initrd.region.place, message).help(suggest::help(
                initrd.region.as_str(),
                "regions",
                known,
            )));
        }
        let n_problems = self.problems.len();
        self.parts(dtb);
        // What is known to be wrong would be told twice.
        if self.problems.len() == n_problems && edits::has_no_base(dtb) && dtb.overlays.is_empty() {
            self.tree(target, dtb);
        }
    }

    /// Reports several bases, and what compiling needs and has not, or has and does not need.
    fn bases(&mut self, target: &Spanned<Target>, dtb: &Dtb) {
        let bases = [
            ("machine", dtb.machine.as_ref().map(|machine| &machine.place)),
            ("base", dtb.base.as_ref().map(|base| &base.place)),
            ("dts", dtb.dts.as_ref().map(|dts| &dts.place)),
        ];
        let mut given = bases.into_iter().filter_map(|(key, place)| Some((key, place?)));
        if let Some((first, first_place)) = given.next() {
            for (other, place) in given {
                let problem = Problem::at(place, format!("`{first}` and `{other}` exclude each other"));
                let help = "a device tree starts as one of them: keep one, or none to start with nothing";
                self.report(problem.related(first_place, "given here").help(help));
            }
        }
        let compiled = dtb.dts.iter().chain(&dtb.overlays).next();
        match (compiled, &dtb.env) {
            (Some(compiled), None) => self.report(
                Problem::at(&compiled.place, "source without an environment to compile it in")
                    .help("name one that has `device-tree-compiler` and `cpp`: `env = …`"),
            ),
            (None, Some(env)) => self.report(
                Problem::at(&env.place, "there is nothing to compile in this environment")
                    .help("`env` is for `dts` and `overlays`: leave it out"),
            ),
            _ => {}
        }
        if let (None, Some(include)) = (compiled, dtb.includes.first()) {
            self.report(
                Problem::at(&include.place, "there is no source that would include anything")
                    .help("`includes` is for `dts` and `overlays`: leave it out"),
            );
        }
        if dtb.symbols && dtb.dts.is_none() {
            self.report(
                Problem::at(&target.place, "`symbols` keeps the labels of source, and there is none")
                    .help("give it `dts`, or leave `symbols` out: another base keeps what it has"),
            );
        }
    }

    /// Reports parts of an Arm machine that cannot be.
    fn parts(&mut self, dtb: &Dtb) {
        let gics = dtb.gic_v3.iter().flat_map(|gic| [&gic.distributor, &gic.redistributors]);
        let gics = gics.chain(dtb.gic_v2.iter().flat_map(|gic| [&gic.distributor, &gic.cpu_interface]));
        for Spanned { value: Window { at, size }, .. } in dtb.memory.iter().chain(gics) {
            self.window(at, size, 1);
        }
        for port in &dtb.pl011 {
            self.window(&port.at, &port.size, 1);
            self.interrupts(&port.spi, 1);
        }
        for device in &dtb.virtio_mmio {
            if !(1..=MAX_DEVICES).contains(&device.count.value) {
                let message = format!("{} devices are out of range", device.count.value);
                let help = format!("the range is 1 to {MAX_DEVICES}");
                self.report(Problem::at(&device.count.place, message).help(help));
                continue;
            }
            self.window(&device.at, &device.size, device.count.value);
            self.interrupts(&device.spi, device.count.value);
        }
        if let (Some(v3), Some(v2)) = (&dtb.gic_v3, &dtb.gic_v2) {
            let problem = Problem::at(&v2.place, "`gic-v3` and `gic-v2` exclude each other");
            self.report(problem.related(&v3.place, "given here").help("keep one of them"));
        }
        let has_gic = dtb.gic_v3.is_some() || dtb.gic_v2.is_some() || !edits::has_no_base(dtb);
        let devices = dtb.pl011.iter().map(|port| &port.place);
        let device = devices.chain(dtb.virtio_mmio.iter().map(|device| &device.place)).next();
        if let (false, Some(place)) = (has_gic, device) {
            self.report(
                Problem::at(place, "a device whose interrupt goes nowhere")
                    .help("give the tree an interrupt controller: `gic-v3` or `gic-v2`"),
            );
        }
        let Some(cpus) = &dtb.cpus else { return };
        let count = &cpus.count;
        let room = match (&dtb.gic_v3, &dtb.gic_v2) {
            (Some(gic), _) => {
                Some((&gic.redistributors.place, gic.redistributors.size.number() / REDISTRIBUTOR))
            }
            (None, Some(gic)) => Some((&gic.place, GIC_V2_CPUS)),
            (None, None) => None,
        };
        if !(1..=MAX_CPUS).contains(&count.value) {
            let message = format!("{} processors are out of range", count.value);
            self.report(Problem::at(&count.place, message).help(format!("the range is 1 to {MAX_CPUS}")));
        } else if let Some((place, room)) = room.filter(|(_, room)| u64::from(count.value) > *room) {
            let message = format!("{} processors, and an interrupt controller for {room}", count.value);
            self.report(Problem::at(&count.place, message).related(place, "this is what it has room for"));
        }
        if dtb.psci.is_none() && edits::has_no_base(dtb) {
            self.report(
                Problem::at(&cpus.place, "processors that nothing starts")
                    .help("say how PSCI is called: `psci = \"hvc\"` or `psci = \"smc\"`"),
            );
        }
    }

    fn window(&mut self, at: &Spanned<Address>, size: &Spanned<Address>, count: u32) {
        if size.number() == 0 {
            self.report(Problem::at(&size.place, "nothing fits into no bytes"));
        }
        let end = size.number().checked_mul(u64::from(count)).and_then(|size| at.number().checked_add(size));
        if end.is_none() {
            self.report(Problem::at(&at.place, "this ends behind the last address that there is"));
        }
    }

    fn interrupts(&mut self, spi: &Spanned<u32>, count: u32) {
        if spi.value.checked_add(count).is_none_or(|end| end > N_SPIS) {
            let message = format!("interrupt {} is out of range", spi.value.saturating_add(count - 1));
            let help = format!("shared interrupts are counted from 0 to {}", N_SPIS - 1);
            self.report(Problem::at(&spi.place, message).help(help));
        }
    }

    /// Reports what is wrong with a tree of which all is said in the recipe.
    fn tree(&mut self, target: &Spanned<Target>, dtb: &Dtb) {
        let edits = edits::edits(dtb);
        let place = |node: &str, property: Option<&str>| -> &Place {
            let is_it = |edit: &fdt::Edit| edit.node() == node && edit.property() == property;
            let found = edits.iter().rev().find(|(edit, _)| is_it(edit));
            // What is missing in a node is told where something of it is.
            let near = || edits.iter().find(|(edit, _)| edit.node() == node);
            found.or_else(near).map_or(&target.place, |(_, place)| place)
        };
        let all: Vec<fdt::Edit> = edits.iter().map(|(edit, _)| edit.clone()).collect();
        match fdt::Tree::default().edited(&all, &edits::labels(dtb)) {
            Err(error) => {
                let message = format!("could not {}: {}", error.doing, error.source);
                let problem = Problem::at(place(&error.node, error.property.as_deref()), message);
                self.report(match error.help() {
                    Some(help) => problem.help(help),
                    None => problem,
                });
            }
            Ok(tree) => {
                for problem in fdt::check(&tree) {
                    let place = place(&problem.node, Some(&problem.property));
                    self.report(Problem::at(place, problem.to_string()));
                }
            }
        }
    }
}
