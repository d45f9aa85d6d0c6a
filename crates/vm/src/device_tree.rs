//! The device tree of a machine, from the QEMU that would be the machine.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::complaints::Complaints;
use crate::process::StartError;
use crate::qemu::{self, Console, Engine};
use crate::spec::{Accelerator, Arch, Machine};

/// How long QEMU may take; it does not start the guest.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How many lines of QEMU's complaints are shown.
const SHOWN_COMPLAINTS: usize = 20;
/// What a device tree starts with: Devicetree Specification, 5.2.
const MAGIC: [u8; 4] = [0xd0, 0x0d, 0xfe, 0xed];

/// Why there is no device tree.
#[derive(Debug, thiserror::Error)]
pub enum DeviceTreeError {
    /// The board has none.
    #[error("an x86 machine has no device tree")]
    None,
    /// QEMU did not write it. The text is for people and ends with what QEMU said.
    #[error("could not get the device tree of the machine: {what}{}", quoted(.qemu))]
    Failed {
        /// What happened.
        what: String,
        /// What QEMU complained about.
        qemu: Vec<String>,
    },
    /// QEMU could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file could not be used, or QEMU not be waited for.
    #[error("could not {doing} `{}`", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes the device tree of `machine` to `file`. Files of regions and disks need not be there.
///
/// It is the tree of a machine on TCG unless the machine insists on KVM, and has no seeds for random numbers,
/// so that it is the same everywhere.
pub fn dump(machine: &Machine, file: &Path) -> Result<(), DeviceTreeError> {
    if machine.arch == Arch::X86_64 {
        return Err(DeviceTreeError::None);
    }
    let engine = match machine.accelerator {
        Accelerator::Kvm => Engine::Kvm,
        Accelerator::Auto | Accelerator::Tcg => Engine::Tcg,
    };
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| DeviceTreeError::Io { doing, path, source }
    };
    // What lies there from before must not be taken for what QEMU wrote.
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("replace", file)(error)),
        _ => {}
    }
    let program = Path::new(qemu::program(machine));
    let stderr = tempfile::tempfile().map_err(io("make a file for the complaints of", program))?;
    let writer = stderr.try_clone().map_err(io("make a file for the complaints of", program))?;
    let console = Console::Terminal { qmp_socket: None };
    let mut child = Command::new(program)
        .args(qemu::device_tree_arguments(machine, engine, &console, &file.to_string_lossy()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .map_err(|source| StartError::new(program, source))?;
    let status = wait(&mut child).map_err(io("wait for", program))?;
    let what = match status {
        Some(status) if !status.success() => format!("QEMU failed: {status}"),
        Some(_) if starts_with(file, MAGIC).map_err(io("read", file))? => return Ok(()),
        Some(_) => "QEMU wrote something else".to_owned(),
        None => format!("QEMU did not end within {} s", TIMEOUT.as_secs()),
    };
    Err(DeviceTreeError::Failed { what, qemu: Complaints::read(&stderr).lines(SHOWN_COMPLAINTS) })
}

/// Waits until QEMU has ended; `None` when it had to be killed.
#[allow(clippy::disallowed_methods, reason = "QEMU has a timeout")]
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < TIMEOUT {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(10));
    }
    // It may have ended by itself in between.
    let _ = child.kill();
    child.wait()?;
    Ok(None)
}

fn starts_with(file: &Path, magic: [u8; 4]) -> io::Result<bool> {
    let mut start = Vec::new();
    match File::open(file) {
        Ok(reader) => reader.take(4).read_to_end(&mut start)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(start == magic)
}

fn quoted(qemu: &[String]) -> String {
    qemu.iter().map(|line| format!("\n  qemu: {line}")).collect()
}
