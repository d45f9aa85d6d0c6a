//! Machines, what lies where in them, and what is expected of them.

use super::{Checker, kernel_arch};
use crate::scalar::Name;
use crate::{Machine, Place, Problem, Spanned, Talk, Test, suggest};

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
            self.one_file(file, "what a machine loads or has as a disk");
        }
        self.regions(name, machine);
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
