//! IGVM files: something to start, on platforms on which it can.

use super::Checker;
use crate::igvm::{Igvm, IgvmPlatform};
use crate::{Place, Problem, Spanned, Target};

/// As many processors as a file can have states of.
const MOST_CPUS: u32 = u16::MAX as u32;

impl Checker<'_> {
    pub(super) fn igvm(&mut self, target: &Spanned<Target>, igvm: &Igvm) {
        igvm.files().for_each(|file| self.file(file, "a part of an IGVM file"));
        if let Some(cmdline) = igvm.cmdline.as_ref().filter(|text| text.contains(['\0', '\n'])) {
            self.report(Problem::at(&cmdline.place, "this is one line"));
        }
        let platforms = igvm.platforms.as_slice();
        for (number, platform) in platforms.iter().enumerate() {
            let before = &platforms[..number];
            if let Some(first) = before.iter().find(|first| first.value == platform.value) {
                let message = format!("`{}` is listed twice", platform.as_str());
                self.report(Problem::at(&platform.place, message).related(&first.place, "first here"));
            }
        }
        match (&igvm.firmware, &igvm.kernel) {
            (None, None) => {
                self.report(
                    Problem::at(&target.place, "nothing starts in this guest")
                        .help("give it `firmware`, or a `kernel` to start without any"),
                );
            }
            (None, Some(_)) => self.without_firmware(target, igvm),
            (Some(_), _) => self.with_firmware(igvm),
        }
        let of_kernel: [Option<(&str, &Place)>; 2] = [
            igvm.initrd.as_ref().map(|initrd| ("initrd", &initrd.place)),
            igvm.cmdline.as_ref().map(|cmdline| ("cmdline", &cmdline.place)),
        ];
        if igvm.kernel.is_none() {
            for (key, place) in of_kernel.into_iter().flatten() {
                self.report(Problem::at(place, format!("`{key}` is for a kernel, and there is no `kernel`")));
            }
        }
        let of_snp: [Option<(&str, &Place)>; 3] = [
            igvm.policy.as_ref().map(|policy| ("policy", &policy.place)),
            igvm.cpus.as_ref().map(|cpus| ("cpus", &cpus.place)),
            igvm.cpu.as_ref().map(|cpu| ("cpu", &cpu.place)),
        ];
        if igvm.platform(IgvmPlatform::Snp).is_none() {
            for (key, place) in of_snp.into_iter().flatten() {
                self.report(
                    Problem::at(place, format!("`{key}` is for the platform `snp`, which is not listed"))
                        .help("list it in `platforms`, or leave this out"),
                );
            }
        }
        if let Some(cpus) = igvm.cpus.as_ref().filter(|cpus| !(1..=MOST_CPUS).contains(&cpus.value)) {
            self.report(
                Problem::at(&cpus.place, format!("a guest cannot have {} processors", cpus.value))
                    .help(format!("it has 1 to {MOST_CPUS}")),
            );
        }
        if let (Some(entry), None) = (&igvm.entry, &igvm.load_address) {
            self.report(
                Problem::at(&entry.place, "`entry` is in a kernel of which nobody knows where it lies")
                    .help("say it with `load-address`"),
            );
        }
    }

    fn without_firmware(&mut self, target: &Spanned<Target>, igvm: &Igvm) {
        for platform in
            igvm.platforms.as_slice().iter().filter(|platform| platform.value != IgvmPlatform::Native)
        {
            let message = format!("a guest of `{}` does not start without firmware", platform.as_str());
            self.report(
                Problem::at(&platform.place, message)
                    .help("nobody would accept its memory for the kernel: give it OVMF as `firmware`"),
            );
        }
        if igvm.memory.is_none() {
            self.report(
                Problem::at(&target.place, "the kernel has to be told how much memory there is")
                    .help("say it, as in `memory = \"512M\"`, and start the guest with as much"),
            );
        }
    }

    fn with_firmware(&mut self, igvm: &Igvm) {
        let tdx = igvm.platform(IgvmPlatform::Tdx);
        if let (Some(kernel), None) = (&igvm.kernel, igvm.platform(IgvmPlatform::Snp)) {
            self.report(
                Problem::at(
                    &kernel.place,
                    "of a kernel behind firmware only SEV-SNP is told anything: its hashes",
                )
                .help("list `snp` in `platforms`, or leave the `kernel` out"),
            );
        }
        match (tdx, &igvm.memory) {
            (Some(tdx), None) => self.report(
                Problem::at(
                    &tdx.place,
                    "firmware of a guest of `tdx` has to be told how much memory there is",
                )
                .help("say it, as in `memory = \"2G\"`, and start the guest with as much"),
            ),
            (None, Some(memory)) => self.report(
                Problem::at(&memory.place, "nobody is told of this: the firmware finds the memory itself")
                    .help("leave it out"),
            ),
            _ => {}
        }
        for address in igvm.load_address.iter().chain(&igvm.entry) {
            self.report(
                Problem::at(&address.place, "a kernel behind firmware is loaded by that")
                    .help("leave this out, or the `firmware`"),
            );
        }
    }
}
