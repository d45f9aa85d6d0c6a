//! The address map of a machine whose files are there, and what QEMU is started with.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::image::{self, ImageError};
use crate::map::{self, Board, Map, Measured, Problem, Problems};
use crate::qemu::{self, Console, Engine};
use crate::spec::{Arch, Machine};

/// Why a machine has no address map.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Files that cannot be loaded, all of them.
    #[error("{}", list(.0))]
    Files(Vec<ImageError>),
    /// A map that is wrong, or a machine that does not go with it.
    #[error(transparent)]
    Map(#[from] Problems),
}

/// Reads how large the files of the regions are and returns the map of the machine.
pub fn load(machine: &Machine) -> Result<Map, LayoutError> {
    let mut failed = Vec::new();
    let mut regions = Vec::new();
    for region in &machine.regions {
        match image::measure(&region.name, &region.content, machine.arch) {
            Ok(extent) => regions.push(Measured { region, extent }),
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() { Ok(resolve(machine, &regions)?) } else { Err(LayoutError::Files(failed)) }
}

/// Returns the map of the machine, or all that is wrong with it and with the machine.
fn resolve(machine: &Machine, regions: &[Measured<'_>]) -> Result<Map, Problems> {
    let mut wrong = machine_problems(machine);
    match map::resolve(&Board::new(machine.arch, machine.memory_mib), regions) {
        Ok(map) => {
            wrong.extend(device_tree_problem(machine, &map));
            if wrong.is_empty() { Ok(map) } else { Err(Problems::new(wrong, &map, regions)) }
        }
        Err(mut problems) => {
            problems.problems.extend(wrong);
            Err(problems)
        }
    }
}

/// Returns what this machine cannot have, wherever its regions lie.
fn machine_problems(machine: &Machine) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut push = |what: String, help| problems.push(Problem::Machine { what, help });
    if machine.virtualization && machine.arch != Arch::Arm64 {
        push("`virtualization` is something of arm64 machines only".to_owned(), None);
    }
    if let Some(dtb) = &machine.dtb
        && machine.arch == Arch::X86_64
    {
        push(format!("an x86 machine has no device tree, so `{dtb}` is of no use"), None);
    }
    let entry = machine.regions.iter().find(|region| region.entry.is_some());
    match (entry, &machine.kernel) {
        (Some(region), _) if machine.arch == Arch::X86_64 => push(
            format!(
                "the first processor cannot start in `{}`: an x86 machine starts its firmware",
                region.name
            ),
            Some("give what shall start as `kernel`"),
        ),
        (Some(region), Some(kernel)) => push(
            format!(
                "the first processor cannot start both in `{}` and in the kernel `{kernel}`",
                region.name
            ),
            Some("leave out the `kernel`, and make it a region if it shall be loaded"),
        ),
        (Some(_) | None, _) => {}
    }
    problems
}

fn device_tree_problem(machine: &Machine, map: &Map) -> Option<Problem> {
    let dtb = machine.dtb.as_ref().filter(|_| qemu::needs_bare_kernel(machine, map))?;
    Some(Problem::Machine {
        what: format!("QEMU would load the device tree `{dtb}` at the start of RAM, where a region lies"),
        help: Some("make it a region of its own"),
    })
}

/// Returns the arguments that make QEMU be `machine`, and leaves a file that they may need in `directory`.
pub fn arguments(
    machine: &Machine,
    map: &Map,
    directory: &Path,
    engine: Engine,
    console: &Console,
) -> io::Result<Vec<String>> {
    let bare_kernel = directory.join(qemu::BARE_KERNEL);
    if qemu::needs_bare_kernel(machine, map) {
        fs::write(&bare_kernel, qemu::bare_kernel(machine, map))?;
    }
    Ok(qemu::arguments_with_map(machine, map, &bare_kernel.to_string_lossy(), engine, console))
}

fn list(errors: &[ImageError]) -> String {
    let mut text = String::from("could not find out what is to be loaded");
    for error in errors {
        // Writing to a string does not fail.
        let _ = write!(text, "\n- {error}");
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        if let Some(help) = error.help() {
            let _ = write!(text, "\n  help: {help}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::Extent;
    use crate::spec::{Content, Entry, Place, Region};

    /// Compares the first line and the problems of a machine with one region, a file of 4 KiB at `start`.
    #[track_caller]
    fn check(machine: Machine, start: u64, expected: &[&str]) {
        let mut region = Region::new("hv", Content::Raw("in/hv".into()), Place::At(start));
        region.entry = Some(Entry::default());
        let machine = Machine { regions: vec![region], ..machine };
        let regions = [Measured { region: &machine.regions[0], extent: Extent::bytes(4096) }];
        let told = match resolve(&machine, &regions) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.problems.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn a_machine_is_told_what_it_cannot_have() {
        let arm = || Machine { arch: Arch::Arm64, virtualization: true, ..Machine::default() };
        check(arm(), 0x4000_0000, &[]);
        check(
            Machine { kernel: Some("in/Image".into()), ..arm() },
            0x4000_0000,
            &["the first processor cannot start both in `hv` and in the kernel `in/Image`"],
        );
        check(Machine { dtb: Some("in/dtb".into()), ..arm() }, 0x4020_0000, &[]);
        check(
            Machine { dtb: Some("in/dtb".into()), ..arm() },
            0x4000_0000,
            &["QEMU would load the device tree `in/dtb` at the start of RAM, where a region lies"],
        );
        check(
            Machine { arch: Arch::X86_64, dtb: Some("in/dtb".into()), ..arm() },
            0x10_0000,
            &[
                "`virtualization` is something of arm64 machines only",
                "an x86 machine has no device tree, so `in/dtb` is of no use",
                "the first processor cannot start in `hv`: an x86 machine starts its firmware",
            ],
        );
    }

    #[test]
    fn all_files_that_cannot_be_loaded_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
        fs::write(path("Image"), b"\x1f\x8b").unwrap();
        let regions = vec![
            Region::new("linux", Content::LinuxImage(path("Image")), Place::Free),
            Region::new("initrd", Content::Raw(path("initrd")), Place::Free),
        ];
        let error = load(&Machine { arch: Arch::Arm64, regions, ..Machine::default() }).unwrap_err();
        let expected = "could not find out what is to be loaded
- could not understand `DIR/Image` of region `linux` as a Linux kernel image: the file is compressed with gzip
  help: give the uncompressed file, for example `arch/arm64/boot/Image` of a kernel build
- could not read `DIR/initrd` of region `initrd`: No such file or directory (os error 2)";
        let shown = error.to_string().replace(&*directory.path().to_string_lossy(), "DIR");
        assert_eq!(shown, expected);
    }
}
