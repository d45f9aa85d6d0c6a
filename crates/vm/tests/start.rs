//! What QEMU is started with, and what is told when it does not start: with a program in place of QEMU.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and may measure"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use vm::boot::{self, BootError};
use vm::device_tree;
use vm::host::Host;
use vm::spec::{Accelerator, Arch, Boot, Content, Ending, Entry, Machine, Place, Region, Talk};

struct World {
    directory: tempfile::TempDir,
    host: Host,
}

impl World {
    /// A machine whose QEMU leaves its arguments in the file `arguments`, one a line, and does `script`.
    fn new(script: &str) -> World {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let log = format!("for word; do echo \"$word\"; done > {}", path("arguments").display());
        fs::write(path("qemu"), format!("#!/bin/sh\n{log}\n{script}\n")).unwrap();
        fs::set_permissions(path("qemu"), fs::Permissions::from_mode(0o755)).unwrap();
        let host = Host { kvm: path("kvm"), note: path("note") };
        World { directory, host }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn machine(&self) -> Machine {
        Machine {
            arch: Arch::Arm64,
            accelerator: Accelerator::Tcg,
            virtualization: true,
            qemu: Some(self.path("qemu").to_string_lossy().into_owned()),
            ..Machine::default()
        }
    }

    fn with_hypervisor(&self, memory_mib: u64) -> Machine {
        fs::write(self.path("hv"), [0; 100]).unwrap();
        let file = self.path("hv").to_string_lossy().into_owned();
        let mut region = Region::new("hv", Content::Raw(file), Place::At(0x4000_0000));
        region.entry = Some(Entry::default());
        let guest = Region::new("guest", Content::Reserved(512 << 20), Place::At(0x4800_0000));
        Machine { regions: vec![region, guest], memory_mib, ..self.machine() }
    }

    fn boot(&self, machine: Machine) -> Result<(), BootError> {
        let script = vec![Talk::Expect("hello".to_owned())];
        let boot = Boot { machine, script, forbid: Vec::new(), ending: Ending::Running, timeout_seconds: 60 };
        boot::run(&boot, &self.host, self.directory.path(), &mut |_| {}).map(|_| ())
    }
}

#[test]
fn qemu_that_dies_at_once_is_heard() {
    let world = World::new("echo 'qemu: no such board' >&2; exit 1");
    let error = world.boot(world.machine()).unwrap_err();
    let start = format!(
        "QEMU failed: exit status: 1\n  the console is empty\n  qemu: qemu: no such board\n  it ran: {} -nodefaults ",
        world.path("qemu").display()
    );
    assert!(error.to_string().starts_with(&start), "{error}");
}

#[test]
fn qemu_that_complains_much_is_heard_to_its_end() {
    let world = World::new("yes 'qemu: slow' | head -200000 >&2; echo 'qemu: no memory' >&2; exit 1");
    let error = world.boot(world.machine()).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[2], "  qemu: qemu: slow", "{error}");
    assert_eq!(lines[7..9], ["  qemu: [and more]", "  qemu: qemu: slow"], "{error}");
    assert_eq!(lines[12], "  qemu: qemu: no memory", "{error}");
}

#[test]
fn a_guest_that_says_nothing_is_told_with_what_qemu_was_started_as() {
    let world = World::new("exec sleep 60");
    let boot = |timeout_seconds| {
        let script = vec![Talk::Expect("hello".to_owned())];
        let machine = world.machine();
        let boot = Boot { machine, script, forbid: Vec::new(), ending: Ending::Running, timeout_seconds };
        boot::run(&boot, &world.host, world.directory.path(), &mut |_| {}).unwrap_err().to_string()
    };
    let start = format!(
        "the console did not show `hello` within 1 s\n  the console is empty\n  it ran: {} -nodefaults ",
        world.path("qemu").display()
    );
    assert!(boot(1).starts_with(&start), "{}", boot(1));
}

#[test]
fn a_flood_is_kept_as_far_as_its_limit_and_seen_to_its_end() {
    // More than the log keeps, and then what fails the boot, whose trace is longer than a report.
    let world = World::new(
        "yes 0123456789abcdef | head -c 68000000; echo 'Kernel panic - not syncing: flooded'
yes 'a trace' | head -100; exec sleep 60",
    );
    let error = world.boot(world.machine()).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[0], "the console shows `Kernel panic - not syncing`");
    assert_eq!(lines[5], "  | Kernel panic - not syncing: flooded", "{error}");
    assert!(lines.len() < 30, "{error}");
    let log = fs::read(world.path("console.log")).unwrap();
    assert!(log.ends_with(b"\n[the guest wrote more than this]\n"));
    assert_eq!(log.len(), (64 << 20) + 34);
}

#[test]
fn a_guest_that_panics_fails_at_once() {
    let world = World::new("echo 'Kernel panic - not syncing: no init'; exec sleep 60");
    let start = Instant::now();
    let error = world.boot(world.machine()).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert!(error.to_string().starts_with("the console shows `Kernel panic - not syncing`"), "{error}");
}

#[test]
fn regions_are_given_to_qemu_where_they_lie() {
    // Sees the file that QEMU is given as the kernel while it is there.
    let world = World::new(
        "cat \"$(dirname \"$0\")\"/hv > /dev/null && while [ $# -gt 0 ]; do
  if [ \"$1\" = -kernel ]; then head -c 4 \"$2\" | tail -c 3; echo hello; exec sleep 60; fi; shift; done",
    );
    world.boot(world.with_hypervisor(1024)).unwrap();
    let arguments = fs::read_to_string(world.path("arguments")).unwrap();
    let hv = world.path("hv");
    let loader = format!(
        "\n-device\nloader,file={},addr=0x40000000,force-raw=on\n-device\nloader,addr=0x40000000,cpu-num=0\n",
        hv.display()
    );
    assert!(arguments.contains(&loader), "{arguments}");
    assert!(arguments.contains("virt,gic-version=3,virtualization=on\n"), "{arguments}");
    let console = fs::read_to_string(world.path("console.log")).unwrap();
    assert_eq!(console, "ELFhello\n");
}

#[test]
fn qemu_is_not_started_when_the_map_is_wrong() {
    let world = World::new("exit 1");
    let error = world.boot(world.with_hypervisor(512)).unwrap_err();
    assert!(matches!(error, BootError::Layout(_)));
    let text = error.to_string();
    assert!(text.contains("past the end of RAM at 0x60000000: 128 MiB are missing"), "{text}");
    assert!(text.contains("(PAST THE END)"), "{text}");
    assert!(!world.path("arguments").exists());
}

/// Dumps the device tree of a machine with a QEMU that does `script`, and compares what is told, or
/// `written`.
#[track_caller]
fn check_dump(arch: Arch, script: &str, expected: &str) {
    let world = World::new(&format!("cd \"$(dirname \"$0\")\"\n{script}"));
    let file = world.path("dtb");
    fs::write(&file, "from before").unwrap();
    let machine = Machine { arch, ..world.with_hypervisor(1024) };
    let told = match device_tree::dump(&machine, &file) {
        Ok(()) => "written".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(told, expected);
}

#[test]
fn a_device_tree_is_dumped_or_it_is_told_why_not() {
    check_dump(Arch::Arm64, r"printf '\320\015\376\355' > dtb", "written");
    check_dump(
        Arch::Arm64,
        "echo 'qemu: no dtb' >&2; exit 1",
        "could not get the device tree of the machine: QEMU failed: exit status: 1\n  qemu: qemu: no dtb",
    );
    let other = "could not get the device tree of the machine: QEMU wrote something else";
    check_dump(Arch::Riscv64, "exit 0", other);
    check_dump(Arch::Riscv64, "echo text > dtb", other);
    check_dump(Arch::X86_64, "exit 0", "an x86 machine has no device tree");
}

#[test]
fn a_qemu_that_reads_no_igvm_files_is_told_before_it_starts() {
    let machine = |world: &World| Machine {
        arch: Arch::X86_64,
        virtualization: false,
        igvm: Some("guest.igvm".to_owned()),
        ..world.machine()
    };
    let world = World::new("echo 'List of user creatable objects:'; echo '  iothread'");
    let error = world.boot(machine(&world)).unwrap_err().to_string();
    let start =
        format!("`{}` knows nothing of IGVM files: it is older than 10.1", world.path("qemu").display());
    assert!(error.starts_with(&start), "{error}");
    assert_eq!(fs::read_to_string(world.path("arguments")).unwrap(), "-object\nhelp\n");

    let world = World::new("echo 'qemu: libpixman is missing' >&2; exit 127");
    let error = world.boot(machine(&world)).unwrap_err().to_string();
    assert!(error.starts_with("QEMU failed: exit status: 127"), "{error}");
    assert!(error.contains("qemu: libpixman is missing"), "{error}");

    // One that does is started with it, and let go once somebody listens.
    let known = "case \"$*\" in '-object help') echo igvm-cfg ;; *) echo hello; sleep 60 ;; esac";
    let world = World::new(known);
    world.boot(machine(&world)).unwrap();
    let arguments = fs::read_to_string(world.path("arguments")).unwrap();
    assert!(arguments.contains("-object\nigvm-cfg,id=igvm,file=guest.igvm\n"), "{arguments}");
}
