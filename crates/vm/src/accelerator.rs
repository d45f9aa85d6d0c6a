//! Which engine executes a guest: decided by trying, not by the presence of a file.
//!
//! `/dev/kvm` may exist, open, and still be useless: a nested host without hardware help executes guests
//! thousands of times too slowly. So a tiny guest that needs some 20 ms of a real processor must finish within
//! two seconds of processor time. What came of it is noted for later boots, see [`crate::host`].

use std::fs;
use std::io::{self, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::host::{Host, Verdict};
use crate::qemu::{self, Engine};
use crate::spec::{Accelerator, Arch, Machine};

/// How much of a processor the probe may use. On a busy machine it may have to wait for that, which says
/// nothing about KVM.
const PROBE_CPU: Duration = Duration::from_secs(2);
/// How long the probe may take in all.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
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

/// Returns the engine for the guest of `machine`: what the machine demands, what was noted, or what probing finds.
///
/// Fails when KVM is demanded and cannot run such a guest; the text says why.
pub fn choose(machine: &Machine, host: &Host) -> Result<Choice, String> {
    let demand = machine.demand();
    let verdict = match demand {
        Accelerator::Tcg => return Ok(Choice { engine: Engine::Tcg, reason: None }),
        Accelerator::Auto => kvm(machine, host),
        // Whoever insists wants to know how it is now.
        Accelerator::Kvm => try_kvm(machine, host),
    };
    match (verdict, demand) {
        (Verdict::Usable, _) => Ok(Choice { engine: Engine::Kvm, reason: None }),
        (Verdict::Unusable(reason), Accelerator::Kvm) => Err(reason),
        (Verdict::Unusable(reason), _) => Ok(Choice { engine: Engine::Tcg, reason: Some(reason) }),
    }
}

/// Returns whether KVM can run the guest of `machine` here, as far as possible from what was noted.
pub fn kvm(machine: &Machine, host: &Host) -> Verdict {
    match obstacle(machine.arch, host) {
        Some(reason) => Verdict::Unusable(reason),
        None => host.recall().unwrap_or_else(|| try_kvm(machine, host)),
    }
}

/// Finds out whether KVM can run the guest of `machine` here, and notes it.
fn try_kvm(machine: &Machine, host: &Host) -> Verdict {
    if let Some(reason) = obstacle(machine.arch, host) {
        return Verdict::Unusable(reason);
    }
    let probed = match machine.arch {
        Arch::X86_64 => probe_x86(qemu::program(machine)),
        // There is no published case of a KVM on these that opens and does not execute.
        Arch::Arm64 | Arch::Riscv64 => return Verdict::Usable,
    };
    match probed {
        Ok(verdict) => {
            host.note(&verdict);
            verdict
        }
        // That is soon found out again, and may be the fault of this QEMU alone.
        Err(reason) => Verdict::Unusable(reason),
    }
}

/// Returns what is seen at once to be in the way of KVM.
fn obstacle(arch: Arch, host: &Host) -> Option<String> {
    let own = match std::env::consts::ARCH {
        "x86_64" => Some(Arch::X86_64),
        "aarch64" => Some(Arch::Arm64),
        "riscv64" => Some(Arch::Riscv64),
        _ => None,
    };
    if own != Some(arch) {
        return Some(format!("this machine is {}", std::env::consts::ARCH));
    }
    let device = host.kvm.display();
    match fs::OpenOptions::new().read(true).write(true).open(&host.kvm) {
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!("there is no {device}")),
        Err(error) => Some(format!("{device} cannot be opened: {error}")),
    }
}

/// Runs the tiny guest. Fails when it could not be run at all.
fn probe_x86(program: &str) -> Result<Verdict, String> {
    let failed = |error: io::Error| format!("the probe could not be run: {error}");
    let mut firmware = tempfile::NamedTempFile::new().map_err(failed)?;
    firmware.write_all(&probe_firmware()).map_err(failed)?;
    let mut child = Command::new(program)
        .args(["-accel", "kvm", "-machine", "q35", "-m", "16", "-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-bios"])
        .arg(firmware.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let ended = wait_a_little(&mut child);
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    match ended.map_err(failed)? {
        Some(status) if status.code() == Some(PROBE_EXIT) => Ok(Verdict::Usable),
        Some(status) => Err(format!("KVM did not run the probe guest: {status}")),
        None => {
            let seconds = PROBE_CPU.as_secs();
            Ok(Verdict::Unusable(format!("KVM is too slow here (a guest of 20 ms took over {seconds} s)")))
        }
    }
}

/// Waits until the child ended; `None` when it used more than its time.
#[allow(clippy::disallowed_methods, reason = "the probe measures time")]
fn wait_a_little(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let elapsed = start.elapsed();
        if elapsed > PROBE_TIMEOUT || elapsed > PROBE_CPU && used_cpu(child.id()) > PROBE_CPU {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the processor time that a process has used, its guest's included; where the system does not tell,
/// the longest there is.
fn used_cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    parse_cpu(&stat).unwrap_or(Duration::MAX)
}

/// Reads `utime` and `stime`, fields 14 and 15 of proc_pid_stat(5), in hundredths of a second.
fn parse_cpu(stat: &str) -> Option<Duration> {
    // The name of the program, field 2, may have spaces and parentheses in it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10).saturating_mul(u32::try_from(ticks()?.checked_add(ticks()?)?).ok()?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_after_the_name() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 100 0 0 0 150 75 0 0 20 0 1 0 99 1000 10";
        assert_eq!(parse_cpu(stat), Some(Duration::from_millis(2250)));
        for damaged in ["", "7 (a) R", "7 (a) R 1 7 7 0 -1 4194304 100 0 0 0 x 75"] {
            assert_eq!(parse_cpu(damaged), None, "{damaged}");
        }
        assert!(used_cpu(std::process::id()) < Duration::MAX);
    }
}
