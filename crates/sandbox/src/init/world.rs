//! Pid 1: makes the world, starts the command in it, and reaps until the command ends.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};

use super::tracer::Tracer;
use super::{Doing, Failure, command, is_closed, mounts};
use crate::protocol::{Report, Request, World};
use crate::{HOSTNAME, Sandbox, Source, protocol, sys};

/// The two sides of the sandbox's terminal.
pub(super) struct Terminal {
    pub(super) controlling: OwnedFd,
    pub(super) terminal: OwnedFd,
}

/// Is pid 1. `alive` is closed when the guard is gone.
pub(super) fn run(request: Request, fds: Vec<OwnedFd>, control: &OwnedFd, alive: &OwnedFd) -> ! {
    let terminal = match set_up(&request, alive) {
        Ok(terminal) => terminal,
        Err(failure) => failure.report(control),
    };
    let tracer = request.sandbox.variation.needs_tracing().then(|| Tracer::new(&request.sandbox.variation));
    let tracer = match tracer.transpose() {
        Ok(tracer) => tracer,
        Err(error) => Failure::new("make a tracer", error).report(control),
    };
    if tracer.is_none()
        && let Err(failure) = close_to_others()
    {
        failure.report(control)
    }
    let command = match sys::fork() {
        Ok(sys::Fork::Child) => {
            if let Some(tracer) = tracer
                && let Err(error) = tracer.wait_in_child()
            {
                Failure::new("be traced", error).report(control)
            }
            command::run(&request, fds, terminal, control)
        }
        Ok(sys::Fork::Parent(pid)) => pid,
        Err(error) => Failure::new("start the command", error).report(control),
    };
    drop((fds, terminal));
    let ended = match tracer {
        // Of memory that is closed, the child would have a copy that is, and nobody could trace it.
        Some(tracer) => match close_to_others() {
            Ok(()) => tracer.run(command),
            Err(failure) => failure.report(control),
        },
        None => reap(command),
    };
    let report = match ended {
        Ok(Ok(code)) => Report::Exited { code },
        Ok(Err(signal)) => Report::Signalled { signal },
        Err(error) => Failure::new("wait for the command", error).report(control),
    };
    protocol::report(control, &report, &[]);
    sys::exit(0)
}

/// Waits for children, orphans among them, until `command` ended. Returns its exit code or the signal that
/// killed it.
fn reap(command: libc::pid_t) -> io::Result<Result<i32, i32>> {
    loop {
        let waited = sys::wait4(-1)?;
        if waited.pid == command {
            return Ok(waited.status);
        }
    }
}

fn set_up(request: &Request, alive: &OwnedFd) -> Result<Option<Terminal>, Failure> {
    let what = || "tie pid 1 to its guard".to_owned();
    set_parent_process_death_signal(Some(Signal::KILL)).doing(what)?;
    if is_closed(alive.as_fd()) {
        sys::exit(1);
    }
    if request.world == World::Own {
        // The domain is the kernel's own value for none, which is not always the host's.
        let hostname = request.sandbox.variation.hostname.as_deref().unwrap_or(HOSTNAME);
        rustix::system::sethostname(hostname.as_bytes())
            .doing(|| "set the host name".to_owned())
            .map_err(Failure::privileged)?;
        rustix::system::setdomainname(b"(none)").doing(|| "set the domain name".to_owned())?;
        sys::bring_loopback_up().doing(|| "bring the loopback interface up".to_owned())?;
    }
    rustix::process::umask(Mode::empty());
    mounts::enter_root(&request.sandbox, request.world)?;
    if request
        .sandbox
        .mounts
        .iter()
        .any(|mount| matches!(mount.source, Source::Dev { .. }) && mount.at == "/dev")
    {
        super::place_null_devices()?;
    }
    let terminal = if request.terminal { Some(open_terminal(&request.sandbox)?) } else { None };
    Ok(terminal)
}

/// From here on nothing of the sandbox may look into this process.
fn close_to_others() -> Result<(), Failure> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).doing(|| "close pid 1 to others".to_owned())
}

fn open_terminal(sandbox: &Sandbox) -> Result<Terminal, Failure> {
    let what = || format!("open a terminal for `{}`", sandbox.arguments.first().map_or("", |name| name));
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let controlling = rustix::pty::openpt(flags).doing(what)?;
    unlockpt(&controlling).doing(what)?;
    let terminal = ioctl_tiocgptpeer(&controlling, flags).doing(what)?;
    Ok(Terminal { controlling, terminal })
}
