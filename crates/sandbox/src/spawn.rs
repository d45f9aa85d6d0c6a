//! The caller's side: starting a sandbox, waiting for it, killing it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};

use crate::protocol::{INIT_NAME, MAX_FDS, Report, Request, World};
use crate::{Error, Sandbox, protocol};

/// The file descriptors that a command gets, and no others.
#[derive(Debug, Default)]
pub struct Files<'a> {
    /// Standard input, output and error.
    pub standard: Standard<'a>,
    /// Others, each with its number in the command, at least 3: a jobserver's pipe. At most 200.
    pub inherited: Vec<(RawFd, BorrowedFd<'a>)>,
}

/// Standard input, output and error of a command.
#[derive(Debug)]
pub enum Standard<'a> {
    /// Each for itself. A terminal among them is not the command's controlling terminal.
    Streams {
        /// Standard input.
        stdin: Stream<'a>,
        /// Standard output.
        stdout: Stream<'a>,
        /// Standard error.
        stderr: Stream<'a>,
    },
    /// A new terminal of the sandbox, see [`Child::terminal`]. Nothing written or done to it reaches ours.
    Terminal,
}

impl Default for Standard<'_> {
    fn default() -> Self {
        Self::Streams { stdin: Stream::Null, stdout: Stream::Null, stderr: Stream::Null }
    }
}

/// One of the standard streams.
#[derive(Clone, Copy, Debug)]
pub enum Stream<'a> {
    /// `/dev/null`.
    Null,
    /// An open file, pipe or terminal.
    File(BorrowedFd<'a>),
}

/// A running sandbox. Dropping it kills everything in it and waits until it is gone.
#[derive(Debug)]
pub struct Child {
    guard: std::process::Child,
    control: OwnedFd,
    terminal: Option<OwnedFd>,
    listener: Option<OwnedFd>,
    exit: Option<Exit>,
    ended: Option<Ended>,
}

/// How a sandbox ended, once nothing of it is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How the command ended.
    pub exit: Exit,
    /// What it cost with all its children.
    pub usage: Usage,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this exit code.
    Code(i32),
    /// Killed by this signal: 9 also after [`Child::kill`] and when the system was out of memory.
    Signal(i32),
    /// The program could not be executed; the error number says why (2: there is no such program).
    NotRun(i32),
}

impl Exit {
    /// Returns the exit code as a shell has it: 128 + the signal, 127 for a program that is not there, 126
    /// for one that cannot be executed.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
            Self::NotRun(libc::ENOENT) => 127,
            Self::NotRun(_) => 126,
        }
    }
}

/// What a command cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// From before the sandbox was made until it was gone.
    pub wall: Duration,
    /// User and system time of all its processes.
    pub cpu: Duration,
    /// The peak resident memory of its largest process, in bytes.
    pub peak_memory: u64,
}

/// Starts `sandbox`.
///
/// `init` is an executable that calls [`crate::init::run_if_requested`] first thing: the caller's own. When
/// this returns, the sandbox is set up and its command is being executed.
pub fn spawn(sandbox: &Sandbox, files: &Files<'_>, init: &Path) -> Result<Child, Error> {
    spawn_in(World::Own, sandbox, files, init)
}

pub(crate) fn spawn_in(
    world: World,
    sandbox: &Sandbox,
    files: &Files<'_>,
    init: &Path,
) -> Result<Child, Error> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|errno| Error::set_up("make the control socket", errno))?;
    let mut targets = Vec::new();
    let mut fds = Vec::new();
    if let Standard::Streams { stdin, stdout, stderr } = &files.standard {
        for (target, stream) in [(0, stdin), (1, stdout), (2, stderr)] {
            if let Stream::File(fd) = stream {
                targets.push(target);
                fds.push(*fd);
            }
        }
    }
    for &(target, fd) in &files.inherited {
        targets.push(target);
        fds.push(fd);
    }
    if fds.len() >= MAX_FDS || files.inherited.iter().any(|&(target, _)| target < 3) {
        let what = "pass on file descriptors that are too many or below 3";
        return Err(Error::set_up(what, io::Error::from(io::ErrorKind::InvalidInput)));
    }
    let terminal = matches!(files.standard, Standard::Terminal);
    let request = Request { sandbox: sandbox.clone(), world, targets, terminal };
    let request = write_to_memory(&request).map_err(|error| Error::set_up("write the description", error))?;
    fds.insert(0, request.as_fd());

    // A group of its own, or the terminal's ctrl-C would kill the guard before it can tidy up.
    let guard = Command::new(init)
        .arg0(INIT_NAME)
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| Error::set_up(format!("execute `{}`", init.display()), error))?;
    let mut child = Child { guard, control: ours, terminal: None, listener: None, exit: None, ended: None };
    protocol::send(&child.control, b"request", &fds)
        .map_err(|error| Error::set_up("pass the description to the init", error))?;
    match child.receive()? {
        Some((Report::Started, mut fds)) => {
            let carried = fds.pop();
            match world {
                World::Own => child.terminal = carried,
                World::Emulated => child.listener = carried,
            }
            Ok(child)
        }
        _ => Err(child.lost()),
    }
}

fn write_to_memory(request: &Request) -> io::Result<OwnedFd> {
    let bytes = serde_json::to_vec(request).map_err(io::Error::other)?;
    let fd = rustix::fs::memfd_create("request", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(fd);
    file.write_all(&bytes)?;
    Ok(file.into())
}

impl Child {
    /// Waits until nothing is left of the sandbox.
    pub fn wait(&mut self) -> Result<Ended, Error> {
        loop {
            if let Some(ended) = self.ended {
                return Ok(ended);
            }
            self.take_report()?;
        }
    }

    /// Waits as [`Child::wait`] does, but no longer than `timeout`: then returns `None`, and the sandbox goes
    /// on.
    #[allow(clippy::disallowed_methods, reason = "this waits; what it returns does not depend on the clock")]
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<Ended>, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            if self.ended.is_some() {
                return Ok(self.ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let left = rustix::event::Timespec::try_from(left)
                .map_err(|_| Error::set_up("wait that long", io::Error::from(io::ErrorKind::InvalidInput)))?;
            let mut fds = [PollFd::new(&self.control, PollFlags::IN)];
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return Ok(None),
                Ok(_) => self.take_report()?,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::set_up("wait for the end", errno)),
            }
        }
    }

    /// Has everything in the sandbox killed. [`Child::wait`] says when it is gone.
    pub fn kill(&mut self) {
        // It fails when the guard is gone already, and with it everything else.
        let _already_gone = shutdown(&self.control, Shutdown::Write);
    }

    /// Returns the controlling side of the sandbox's terminal, when it has one: what the user typed is
    /// written to it, what the command printed is read from it. See [`crate::terminal`].
    #[must_use]
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn take_listener(&mut self) -> Option<OwnedFd> {
        self.listener.take()
    }

    fn take_report(&mut self) -> Result<(), Error> {
        match self.receive()? {
            Some((Report::Exited { code }, _)) => _ = self.exit.get_or_insert(Exit::Code(code)),
            Some((Report::Signalled { signal }, _)) => _ = self.exit.get_or_insert(Exit::Signal(signal)),
            Some((Report::NotRun { errno }, _)) => self.exit = Some(Exit::NotRun(errno)),
            Some((Report::Ended { wall_us, cpu_us, peak_memory }, _)) => {
                // Without a report of the command, pid 1 was killed before it could say anything: by us.
                let exit = self.exit.unwrap_or(Exit::Signal(libc::SIGKILL));
                let usage = Usage {
                    wall: Duration::from_micros(wall_us),
                    cpu: Duration::from_micros(cpu_us),
                    peak_memory,
                };
                self.ended = Some(Ended { exit, usage });
                let _killed_from_outside = self.guard.wait();
            }
            Some((Report::Started | Report::Failed { .. }, _)) | None => return Err(self.lost()),
        }
        Ok(())
    }

    /// Receives a report; `None` when there will be no more.
    fn receive(&mut self) -> Result<Option<(Report, Vec<OwnedFd>)>, Error> {
        let (bytes, fds) = match protocol::receive(&self.control) {
            Ok(received) => received,
            // The guard died with our packet unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(Error::set_up("receive the init's report", error)),
        };
        match serde_json::from_slice(&bytes) {
            Ok(Report::Failed { doing, errno, privileged }) => {
                self.kill();
                let _the_report_says_more = self.guard.wait();
                Err(Error::reported(doing, errno, privileged))
            }
            Ok(report) => Ok(Some((report, fds))),
            Err(_) => Ok(None),
        }
    }

    fn lost(&mut self) -> Error {
        self.kill();
        match self.guard.wait() {
            Ok(status) => Error::Lost { status },
            Err(error) => Error::set_up("wait for the init", error),
        }
    }
}

impl AsFd for Child {
    /// Becomes readable when [`Child::wait_timeout`] has something to look at.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
            let _nothing_to_tell = self.guard.wait();
        }
    }
}
