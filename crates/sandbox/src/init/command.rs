//! Becomes the command.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, ioctl_tiocsctty, set_dumpable_behavior, setsid};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags, set_capabilities, set_no_new_privs};

use super::world::Terminal;
use super::{Doing, Failure, map_user};
use crate::protocol::{Report, Request, World};
use crate::{Limit, Resource, Sandbox, User, filter, protocol, sys};

/// The build user's number inside.
const BUILD_USER: u32 = 1000;

/// Where programs are looked up when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Executes the command of `request` in this process, a child of pid 1.
pub(super) fn run(request: &Request, fds: Vec<OwnedFd>, terminal: Option<Terminal>, control: &OwnedFd) -> ! {
    // Everything that is ours goes above all targets, so that placing one replaces nothing.
    let least = request.targets.iter().copied().max().unwrap_or(0).max(2) + 1;
    let what = || "place the file descriptors".to_owned();
    let control = match sys::move_above(control, least).doing(what) {
        Ok(control) => control,
        Err(failure) => failure.report(control),
    };
    match prepare(request, fds, terminal, least) {
        Ok(carried) => {
            let carried: Vec<_> = carried.iter().map(AsFd::as_fd).collect();
            protocol::report(&control, &Report::Started, &carried);
        }
        Err(failure) => failure.report(&control),
    }
    let error = execute(&request.sandbox);
    let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
    protocol::report(&control, &Report::NotRun { errno }, &[]);
    sys::exit(127)
}

/// Does everything but execute; returns what the caller gets of it.
fn prepare(
    request: &Request,
    fds: Vec<OwnedFd>,
    terminal: Option<Terminal>,
    least: RawFd,
) -> Result<Option<OwnedFd>, Failure> {
    let sandbox = &request.sandbox;
    setsid().doing(|| "start a session".to_owned())?;
    let what = || "place the file descriptors".to_owned();
    let move_all = |fds: Vec<OwnedFd>| {
        fds.into_iter().map(|fd| sys::move_above(fd, least)).collect::<Result<Vec<_>, _>>()
    };
    let mut carried = None;
    let fds = move_all(fds).doing(what)?;
    if let Some(Terminal { controlling, terminal }) = terminal {
        ioctl_tiocsctty(&terminal).doing(|| "take the terminal".to_owned())?;
        let [controlling, terminal] = [controlling, terminal].map(|fd| sys::move_above(fd, least));
        let terminal = terminal.doing(what)?;
        for target in 0..=2 {
            sys::place(terminal.as_fd(), target).doing(what)?;
        }
        carried = Some(controlling.doing(what)?);
    }
    // Whatever else is open is closed when the program is executed: all our descriptors are so marked, and
    // 0, 1 and 2 have been null devices from the start.
    for (&target, fd) in request.targets.iter().zip(&fds) {
        sys::place(fd.as_fd(), target).doing(what)?;
    }

    limit(sandbox)?;
    let variation = &sandbox.variation;
    rustix::process::umask(Mode::from_raw_mode(variation.umask.unwrap_or(0o022)));
    if let Some(n_processors) = variation.processors {
        use_processors(n_processors.get()).doing(|| "choose processors".to_owned())?;
    }
    sys::reset_signals();
    // Writing its own user mapping needs a process that others may look into; there are none yet.
    set_dumpable_behavior(DumpableBehavior::Dumpable).doing(|| "open the command to others".to_owned())?;
    if request.world == World::Own {
        become_user(sandbox)?;
    }
    rustix::process::chdir(sandbox.directory.as_str())
        .doing(|| format!("start in the directory `{}`", sandbox.directory))?;
    let what = || "install the system call filter".to_owned();
    set_no_new_privs(true).doing(what)?;
    if variation.needs_tracing() {
        sys::install_filter(&filter::variation(variation), false).doing(what)?;
    }
    let listener = match request.world {
        World::Own => sys::install_filter(&filter::policy(sandbox.user), false).doing(what)?,
        World::Emulated => sys::install_filter(&filter::emulation(), true).doing(what)?,
    };
    Ok(carried.or(listener))
}

fn limit(sandbox: &Sandbox) -> Result<(), Failure> {
    for Limit { resource, soft, hard } in Limit::defaults().iter().chain(&sandbox.limits) {
        let number = match resource {
            Resource::AddressSpace => libc::RLIMIT_AS,
            Resource::Core => libc::RLIMIT_CORE,
            Resource::Cpu => libc::RLIMIT_CPU,
            Resource::FileSize => libc::RLIMIT_FSIZE,
            Resource::OpenFiles => libc::RLIMIT_NOFILE,
            Resource::Processes => libc::RLIMIT_NPROC,
            Resource::Stack => libc::RLIMIT_STACK,
        };
        sys::limit(number as libc::c_int, *soft, *hard).doing(|| format!("limit {resource:?}"))?;
    }
    Ok(())
}

/// Leaves this process the last `n_processors` of those that it may run on, if it has that many.
fn use_processors(n_processors: usize) -> rustix::io::Result<()> {
    let mut set = rustix::thread::sched_getaffinity(None)?;
    let numbers: Vec<usize> =
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|&number| set.is_set(number)).collect();
    for &number in &numbers[..numbers.len().saturating_sub(n_processors)] {
        set.unset(number);
    }
    rustix::thread::sched_setaffinity(None, &set)
}

/// Moves this process into a user namespace of its own, as the user of `sandbox`.
fn become_user(sandbox: &Sandbox) -> Result<(), Failure> {
    let what = || "become the sandbox's user".to_owned();
    match sandbox.user {
        User::Build => {
            sys::unshare(UnshareFlags::NEWUSER).doing(what).map_err(Failure::privileged)?;
            let number = sandbox.variation.build_user.unwrap_or(BUILD_USER);
            map_user(number, 0, number, 0)?;
            let none = CapabilitySet::empty();
            let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
            set_capabilities(None, sets).doing(what)
        }
        User::Root => {
            sys::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)
                .doing(what)
                .map_err(Failure::privileged)?;
            map_user(0, 0, 0, 0)
        }
    }
}

/// Executes the program at `path`. Returns why that failed.
///
/// A program that was just put there may still be open for writing in a process that is about to execute another one:
/// whoever wrote it has closed it, but a thread beside it made that process meanwhile. So this is not the end of it.
fn start(path: &CString, arguments: &[CString], environment: &[CString]) -> io::Error {
    const N_ATTEMPTS: u32 = 9;
    for attempt in 0..N_ATTEMPTS {
        let error = sys::execute(path, arguments, environment);
        if error.raw_os_error() != Some(libc::ETXTBSY) {
            return error;
        }
        std::thread::sleep(std::time::Duration::from_millis(1 << attempt));
    }
    sys::execute(path, arguments, environment)
}

/// Executes the program, looked up as a shell would. Returns why that failed.
fn execute(sandbox: &Sandbox) -> io::Error {
    let strings = |strings: Vec<String>| strings.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>();
    let environment = sandbox.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (Ok(arguments), Ok(environment)) = (strings(sandbox.arguments.clone()), strings(environment)) else {
        return Errno::INVAL.into();
    };
    let Some(program) = sandbox.arguments.first().filter(|program| !program.is_empty()) else {
        return Errno::NOENT.into();
    };
    if program.contains('/') {
        return start(&arguments[0], &arguments, &environment);
    }
    let path = sandbox.environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(DEFAULT_PATH, |(_, path)| path);
    let mut found = None;
    for directory in path.split(':') {
        let candidate = if directory.is_empty() { program.clone() } else { format!("{directory}/{program}") };
        let Ok(candidate) = CString::new(candidate) else { continue };
        let error = start(&candidate, &arguments, &environment);
        if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) {
            found.get_or_insert(error);
        }
    }
    found.unwrap_or_else(|| Errno::NOENT.into())
}
