//! The sandbox's own processes, all of them the caller's program executed again.
//!
//! ```text
//! guard    in the caller's PID namespace; makes the namespaces, waits for pid 1, kills it when the caller
//!          says so or is gone, and tells the caller when nothing is left
//! pid 1    makes the world (`world`), reaps, and ends when the command does: the kernel then kills the rest
//! command  becomes the build user or root in a user namespace of its own, and executes (`command`)
//! ```
//!
//! Nothing in the sandbox can reach the guard, which is in no namespace of it, nor pid 1: it cannot be
//! killed from inside, and because its memory was made in the caller's user namespace and is not dumpable,
//! not even root of the sandbox can trace it. The guard's death is pid 1's.
//!
//! The command's user namespace is a second one. So the mounts of the world are locked for root in it, and
//! what else belongs to the first (network, cgroup view, host name) is out of its reach.

mod command;
mod devices;
mod mounts;
pub(crate) mod overlay;
mod tracer;
mod world;

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::UnshareFlags;

use crate::protocol::{INIT_NAME, Report, Request, World};
use crate::{protocol, sys};

/// Becomes the init of a sandbox if that is what this program was executed for; then it never returns.
///
/// Must be called before anything else in `main`, above all before any thread is made.
pub fn run_if_requested() {
    if std::env::args_os().next().is_none_or(|name| name != INIT_NAME) {
        return;
    }
    guard();
}

/// Setting up failed: what was being done, and what the kernel said.
#[derive(Debug)]
struct Failure {
    doing: String,
    errno: i32,
    /// Only a user with working namespaces can do it: see [`crate::Error::Unavailable`].
    privileged: bool,
}

impl Failure {
    fn new(doing: impl Into<String>, error: impl Into<io::Error>) -> Self {
        let errno = error.into().raw_os_error().unwrap_or(libc::EINVAL);
        Self { doing: doing.into(), errno, privileged: false }
    }

    fn privileged(self) -> Self {
        Self { privileged: true, ..self }
    }

    /// Tells the caller and ends this process.
    fn report(self, control: impl AsFd) -> ! {
        let Self { doing, errno, privileged } = self;
        protocol::report(control, &Report::Failed { doing, errno, privileged }, &[]);
        sys::exit(1)
    }
}

/// Makes a [`Failure`] of an error, saying what was being done.
trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(what(), error))
    }
}

#[allow(clippy::disallowed_methods, reason = "what a step cost is measured here and reaches no digest")]
fn guard() -> ! {
    let start = Instant::now();
    // Standard input is the control socket; anything else was leaked by the caller.
    let _without_it_nothing_is_leaked = sys::close_inherited_from(3);
    let Ok(control) = sys::move_above(rustix::stdio::stdin(), 3) else { sys::exit(1) };
    // Everything that is mounted is open at once. The command gets limits of its own.
    let _or_opening_says_so = sys::limit(libc::RLIMIT_NOFILE as libc::c_int, None, None);
    if let Err(failure) = place_null_devices() {
        failure.report(&control);
    }
    let (request, fds) = match receive_request(&control) {
        Ok(received) => received,
        Err(failure) => failure.report(&control),
    };
    if let Err(failure) = make_namespaces(request.world) {
        failure.report(&control);
    }
    let (alive, held) = match rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC) {
        Ok(ends) => ends,
        Err(errno) => Failure::new("make a pipe", errno).report(&control),
    };
    let pid = match sys::fork() {
        Ok(sys::Fork::Child) => {
            drop(held);
            world::run(request, fds, &control, &alive)
        }
        Ok(sys::Fork::Parent(pid)) => pid,
        Err(error) => Failure::new("start pid 1", error).privileged().report(&control),
    };
    drop((request, fds, alive));
    if let Err(errno) = wait_for_end(&control, pid) {
        Failure::new("watch pid 1", errno).report(&control);
    }
    match sys::wait4(pid) {
        Ok(waited) => {
            let micros =
                |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            let report = Report::Ended {
                wall_us: micros(start.elapsed()),
                cpu_us: micros(waited.cpu),
                peak_memory: waited.peak_memory,
            };
            protocol::report(&control, &report, &[]);
            drop(held);
            sys::exit(0)
        }
        Err(error) => Failure::new("wait for pid 1", error).report(&control),
    }
}

/// What the command gets as standard streams unless it is given others. Once in the sandbox it has those of there: they are
/// mounted so that nobody changes the mode of the machine's.
fn place_null_devices() -> Result<(), Failure> {
    let what = || "open `/dev/null`".to_owned();
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).doing(what)?;
    (0..=2).try_for_each(|target| sys::place(null.as_fd(), target)).doing(what)
}

fn receive_request(control: &OwnedFd) -> Result<(Request, Vec<OwnedFd>), Failure> {
    let what = || "receive its description".to_owned();
    let (_, mut fds) = protocol::receive(control).doing(what)?;
    if fds.is_empty() {
        return Err(Failure::new(what(), Errno::NOMSG));
    }
    let memory = fds.remove(0);
    let mut bytes = Vec::new();
    let mut offset = 0;
    let mut chunk = vec![0; 64 << 10];
    loop {
        let n = rustix::io::pread(&memory, &mut chunk, offset).doing(what)?;
        if n == 0 {
            break;
        }
        bytes.extend_from_slice(&chunk[..n]);
        offset += n as u64;
    }
    let request: Request = serde_json::from_slice(&bytes).map_err(io::Error::from).doing(what)?;
    if request.targets.len() != fds.len() {
        return Err(Failure::new(what(), Errno::BADMSG));
    }
    Ok((request, fds))
}

/// Waits until pid 1 ended, killing it when the caller says so or is gone.
fn wait_for_end(control: &OwnedFd, pid: i32) -> rustix::io::Result<()> {
    let pid = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let mut killed = false;
    loop {
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(control, PollFlags::IN)];
        let n_watched = if killed { 1 } else { 2 };
        match poll(&mut fds[..n_watched], None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if !fds[0].revents().is_empty() {
            return Ok(());
        }
        if !killed && !fds[1].revents().is_empty() {
            // All that can come is the end of the caller's side. Once killed, pid 1 takes the rest along.
            let _ended_meanwhile = pidfd_send_signal(&pidfd, Signal::KILL);
            killed = true;
        }
    }
}

fn make_namespaces(world: World) -> Result<(), Failure> {
    let what = || "make namespaces".to_owned();
    match world {
        World::Own => {
            let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            let flags = UnshareFlags::NEWUSER
                | UnshareFlags::NEWNS
                | UnshareFlags::NEWPID
                | UnshareFlags::NEWNET
                | UnshareFlags::NEWIPC
                | UnshareFlags::NEWUTS
                | UnshareFlags::NEWCGROUP;
            sys::unshare(flags).doing(what).map_err(Failure::privileged)?;
            map_user(0, user, 0, group).map_err(Failure::privileged)
        }
        World::Emulated => sys::unshare(UnshareFlags::NEWNS | UnshareFlags::NEWPID).doing(what),
    }
}

/// Maps one user and one group into this process's new user namespace.
fn map_user(user: u32, outer_user: u32, group: u32, outer_group: u32) -> Result<(), Failure> {
    let write = |file: &str, text: &str| {
        fs::write(format!("/proc/self/{file}"), text).doing(|| format!("write `/proc/self/{file}`"))
    };
    // Without a privilege outside, groups can be mapped only when nobody can drop one.
    write("setgroups", "deny")?;
    write("uid_map", &format!("{user} {outer_user} 1"))?;
    write("gid_map", &format!("{group} {outer_group} 1"))
}

/// Returns whether the other end of the pipe is gone.
fn is_closed(pipe: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(&pipe, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::HUP)
}
