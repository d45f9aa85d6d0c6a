//! What becomes of a boot when KVM works, is of no use, or gives up: with a program in place of QEMU.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use vm::boot::{self, BootError};
use vm::host::Host;
use vm::qemu::Engine;
use vm::spec::{Accelerator, Arch, Boot, Ending, Machine, Talk};

/// The architecture of this machine: KVM runs no other.
const ARCH: Arch = if cfg!(target_arch = "aarch64") {
    Arch::Arm64
} else if cfg!(target_arch = "riscv64") {
    Arch::Riscv64
} else {
    Arch::X86_64
};

struct World {
    directory: tempfile::TempDir,
    host: Host,
}

impl World {
    /// A machine whose QEMU does `probe` when it is probed and `kvm` when a guest is to run on KVM; on TCG the
    /// guest says hello. Each run of it is counted in the file `runs`.
    fn new(probe: &str, kvm: &str) -> World {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let script = format!(
            "#!/bin/sh\nruns={}\ncase \"$*\" in\n  *isa-debug-exit*) echo probe >> $runs; {probe} ;;\n  \
             *'-accel kvm'*) echo kvm >> $runs; {kvm} ;;\n  *) echo tcg >> $runs; echo hello; sleep 60 ;;\nesac\n",
            path("runs").display()
        );
        fs::write(path("qemu"), script).unwrap();
        fs::set_permissions(path("qemu"), fs::Permissions::from_mode(0o755)).unwrap();
        for file in ["kvm", "note"] {
            fs::write(path(file), "").unwrap();
        }
        let host = Host { kvm: path("kvm"), note: path("note") };
        World { directory, host }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Boots a guest that is to say hello, and returns what executed it and what was noticed.
    fn boot(&self, accelerator: Accelerator) -> (Result<Engine, BootError>, Vec<String>) {
        let qemu = Some(self.path("qemu").to_string_lossy().into_owned());
        let machine = Machine { arch: ARCH, memory_mib: 64, accelerator, qemu, ..Machine::default() };
        let boot = Boot {
            machine,
            script: vec![Talk::Expect("hello".to_owned())],
            forbid: Vec::new(),
            ending: Ending::Running,
            timeout_seconds: 60,
        };
        let mut notices = Vec::new();
        let done =
            boot::run(&boot, &self.host, self.directory.path(), &mut |text| notices.push(text.to_owned()));
        (done.map(|success| success.engine), notices)
    }

    #[track_caller]
    fn check(&self, accelerator: Accelerator, engine: Engine, notices: &[&str]) {
        let (done, noticed) = self.boot(accelerator);
        assert_eq!(done.unwrap(), engine);
        assert_eq!(noticed, notices);
    }

    /// What QEMU was started for, in order.
    fn runs(&self) -> String {
        fs::read_to_string(self.path("runs")).unwrap_or_default().replace('\n', " ")
    }

    fn noted(&self) -> String {
        fs::read_to_string(self.path("note")).unwrap()
    }
}

const FAST: &str = "exit 33";
const SLOW: &str = "while :; do :; done";
const HELLO: &str = "echo hello; sleep 60";

/// Whether KVM of this architecture is probed at all.
const IS_PROBED: bool = cfg!(target_arch = "x86_64");

#[test]
fn kvm_that_works_is_used_and_noted() {
    let world = World::new(FAST, HELLO);
    world.check(Accelerator::Auto, Engine::Kvm, &[]);
    world.check(Accelerator::Auto, Engine::Kvm, &[]);
    if IS_PROBED {
        assert_eq!((world.noted().as_str(), world.runs().as_str()), ("kvm\n", "probe kvm kvm "));
    }
}

#[test]
fn slow_kvm_is_found_out_once() {
    if !IS_PROBED {
        return;
    }
    let world = World::new(SLOW, HELLO);
    let notice = "the guest runs on TCG: KVM is too slow here (a guest of 20 ms took over 2 s)";
    world.check(Accelerator::Auto, Engine::Tcg, &[notice]);
    world.check(Accelerator::Auto, Engine::Tcg, &[notice]);
    assert_eq!(world.runs(), "probe tcg tcg ");
    // Whoever insists has it tried again.
    let (done, _) = world.boot(Accelerator::Kvm);
    assert!(matches!(done, Err(BootError::NoKvm { reason }) if reason.starts_with("KVM is too slow here")));
    assert_eq!(world.runs(), "probe tcg tcg probe ");
}

#[test]
fn kvm_that_gives_up_is_replaced_once_and_for_later_boots() {
    let world = World::new(FAST, "echo 'KVM internal error. Suberror: 1' >&2; exit 1");
    world.check(Accelerator::Auto, Engine::Tcg, &["KVM gave up on a guest: trying once more on TCG"]);
    assert_eq!(world.noted(), "tcg: KVM gave up on a guest\n");
    world.check(Accelerator::Auto, Engine::Tcg, &["the guest runs on TCG: KVM gave up on a guest"]);
    let probe = if IS_PROBED { "probe " } else { "" };
    assert_eq!(world.runs(), format!("{probe}kvm tcg tcg "));
}

#[test]
fn a_probe_that_cannot_run_is_no_verdict() {
    if !IS_PROBED {
        return;
    }
    let world = World::new("exit 1", HELLO);
    let notice = "the guest runs on TCG: KVM did not run the probe guest: exit status: 1";
    world.check(Accelerator::Auto, Engine::Tcg, &[notice]);
    assert_eq!(world.noted(), "");
}

#[test]
fn a_note_from_somebody_else_is_not_believed() {
    let world = World::new(FAST, HELLO);
    fs::write(world.path("note"), "rm -rf /\n").unwrap();
    world.check(Accelerator::Auto, Engine::Kvm, &[]);
}

#[test]
fn without_kvm_there_is_nothing_to_find_out() {
    let world = World::new(FAST, HELLO);
    fs::write(world.path("note"), "kvm\n").unwrap();
    fs::remove_file(world.path("kvm")).unwrap();
    let notice = format!("the guest runs on TCG: there is no {}", world.path("kvm").display());
    world.check(Accelerator::Auto, Engine::Tcg, &[&notice]);
    world.check(Accelerator::Tcg, Engine::Tcg, &[]);
    assert_eq!(world.runs(), "tcg tcg ");
}
