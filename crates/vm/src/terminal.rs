//! A machine with a person at its console: QEMU has the terminal, we only watch.

use std::io;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::Duration;

use crate::accelerator;
use crate::boot::{BootError, GAVE_UP, can_start};
use crate::host::{Host, Verdict};
use crate::layout;
use crate::map::Map;
use crate::process::StartError;
use crate::qemu::{self, Console, Engine};
use crate::qmp::{Monitor, Stop};
use crate::spec::{Accelerator, Machine};

/// How often QEMU is looked after.
const INTERVAL: Duration = Duration::from_millis(20);

/// Runs the machine on `host` with our standard streams as its console, and returns how QEMU ended.
///
/// `notice` is told what [`crate::boot::run`] tells. A guest that KVM gives up on is started again on TCG, once
/// and only if the machine leaves the choice.
pub fn run(machine: &Machine, host: &Host, notice: &mut dyn FnMut(&str)) -> Result<ExitStatus, BootError> {
    let map = layout::load(machine)?;
    can_start(machine)?;
    let choice = accelerator::choose(machine, host).map_err(|reason| BootError::NoKvm { reason })?;
    if let Some(reason) = choice.reason {
        notice(&format!("the guest runs on TCG: {reason}"));
    }
    match attempt(machine, &map, choice.engine)? {
        Some(status) => Ok(status),
        None => {
            host.note(&Verdict::Unusable(GAVE_UP.to_owned()));
            notice(&format!("{GAVE_UP}: starting it again on TCG"));
            let again = attempt(machine, &map, Engine::Tcg)?;
            Ok(again.expect("only KVM gives up"))
        }
    }
}

/// Returns how QEMU ended; `None` when KVM gave up and another engine may do.
fn attempt(machine: &Machine, map: &Map, engine: Engine) -> Result<Option<ExitStatus>, BootError> {
    let io = |doing| move |source: io::Error| BootError::Io { doing, source };
    let sockets = tempfile::tempdir().map_err(io("make a directory for the QMP socket"))?;
    let socket = sockets.path().join("qmp");
    let console = Console::Terminal { qmp_socket: Some(socket.to_string_lossy().into_owned()) };
    let arguments = layout::arguments(machine, map, sockets.path(), engine, &console)
        .map_err(io("write the bare kernel"))?;
    let program = qemu::program(machine);
    let mut child = Command::new(program)
        .args(arguments)
        .spawn()
        .map_err(|source| StartError::new(program.as_ref(), source))?;
    let monitor = Monitor::connect(&socket);
    let may_give_up = engine == Engine::Kvm && machine.accelerator == Accelerator::Auto;
    loop {
        if let Some(status) = child.try_wait().map_err(io("wait for QEMU"))? {
            return Ok(Some(status));
        }
        if may_give_up && monitor.stop() == Some(Stop::InternalError) {
            // The terminal stays as QEMU set it: the next one wants it just so.
            child.kill().and_then(|()| child.wait()).map_err(io("end QEMU"))?;
            return Ok(None);
        }
        thread::sleep(INTERVAL);
    }
}
