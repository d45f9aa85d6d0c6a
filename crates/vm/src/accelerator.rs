//! Which engine executes a guest: decided by trying, not by the presence of a file.
//!
//! `/dev/kvm` may exist, open, and still be useless: a nested host without hardware help executes guests
//! thousands of times too slowly. So a tiny guest that needs some 20 ms of a real processor must finish in
//! two seconds.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::qemu::{Engine, program};
use crate::spec::{Accelerator, Arch};

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// What QEMU exits with when the probe writes 0x10 to the `isa-debug-exit` device.
const PROBE_EXIT: i32 = (0x10 << 1) | 1;

/// An engine, and why it is not the faster one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The engine.
    pub engine: Engine,
    /// Why KVM is not used although it may be; `None` when it is used, or was not asked for.
    pub reason: Option<String>,
}

/// Returns the engine for a guest of `arch`: what the machine demands, or by probing.
///
/// Fails when KVM is demanded and cannot run such a guest; the text says why.
pub fn choose(demand: Accelerator, arch: Arch) -> Result<Choice, String> {
    if demand == Accelerator::Tcg {
        return Ok(Choice { engine: Engine::Tcg, reason: None });
    }
    match (kvm_unusable(arch), demand) {
        (None, _) => Ok(Choice { engine: Engine::Kvm, reason: None }),
        (Some(reason), Accelerator::Kvm) => Err(reason),
        (Some(reason), _) => Ok(Choice { engine: Engine::Tcg, reason: Some(reason) }),
    }
}

/// Returns why KVM cannot run a guest of `arch` here, or `None` when it can.
pub fn kvm_unusable(arch: Arch) -> Option<String> {
    let host = match std::env::consts::ARCH {
        "x86_64" => Some(Arch::X86_64),
        "aarch64" => Some(Arch::Arm64),
        "riscv64" => Some(Arch::Riscv64),
        _ => None,
    };
    if host != Some(arch) {
        return Some(format!("this machine is {}", std::env::consts::ARCH));
    }
    if let Err(error) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        return Some(match error.kind() {
            io::ErrorKind::NotFound => "there is no /dev/kvm".to_owned(),
            _ => format!("/dev/kvm cannot be opened: {error}"),
        });
    }
    match arch {
        Arch::X86_64 => probe_x86().err(),
        // There is no published case of a KVM on these that opens and does not execute.
        Arch::Arm64 | Arch::Riscv64 => None,
    }
}

#[allow(clippy::disallowed_methods, reason = "the probe measures time")]
fn probe_x86() -> Result<(), String> {
    let failed = |error: io::Error| format!("the probe could not be run: {error}");
    let mut firmware = tempfile::NamedTempFile::new().map_err(failed)?;
    firmware.write_all(&probe_firmware()).map_err(failed)?;
    let mut child = Command::new(program(Arch::X86_64))
        .args(["-accel", "kvm", "-machine", "q35", "-m", "16", "-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-bios"])
        .arg(firmware.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let start = Instant::now();
    loop {
        match child.try_wait().map_err(failed)? {
            Some(status) if status.code() == Some(PROBE_EXIT) => return Ok(()),
            Some(status) => return Err(format!("KVM did not run the probe guest: {status}")),
            None if start.elapsed() > PROBE_TIMEOUT => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("KVM is too slow here (probe guest over {PROBE_TIMEOUT:?})"));
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Returns 64 KiB of firmware, mapped at the top of the first 4 GiB, that counts 50 million times and exits.
fn probe_firmware() -> Vec<u8> {
    const CODE: &[u8] = &[
        // 16-bit: load the segment table, set CR0.PE, jump into a flat 32-bit segment. Real mode itself is
        // interpreted on processors without "unrestricted guest", and would be measured instead.
        0xfa, // cli
        0x2e, 0x66, 0x0f, 0x01, 0x16, 0x30, 0x00, // lgdtl cs:[0x30]
        0x0f, 0x20, 0xc0, // mov eax, cr0
        0x0c, 0x01, // or al, 1
        0x0f, 0x22, 0xc0, // mov cr0, eax
        0x66, 0xea, 0x36, 0x00, 0xff, 0xff, 0x08, 0x00, // ljmpl 8:0xffff0036
        // 0x18: the table: null, flat code, flat data.
        0, 0, 0, 0, 0, 0, 0, 0, //
        0xff, 0xff, 0, 0, 0, 0x9a, 0xcf, 0, //
        0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0, //
        // 0x30: its limit and address.
        0x17, 0x00, 0x18, 0x00, 0xff, 0xff, //
        // 0x36, 32-bit: count 50,000,000 down to zero, then write 0x10 to port 0xf4.
        0xb9, 0x80, 0xf0, 0xfa, 0x02, // mov ecx, 50000000
        0x49, 0x75, 0xfd, // dec ecx; jnz
        0x66, 0xba, 0xf4, 0x00, // mov dx, 0xf4
        0xb0, 0x10, 0xee, // mov al, 0x10; out dx, al
        0xf4, 0xeb, 0xfd, // hlt; jmp
    ];
    let mut firmware = vec![0; 64 * 1024];
    firmware[..CODE.len()].copy_from_slice(CODE);
    // The reset vector, 16 bytes below the top: jmp to offset 0.
    firmware[0xfff0..0xfff3].copy_from_slice(&[0xe9, 0x0d, 0x00]);
    firmware
}
