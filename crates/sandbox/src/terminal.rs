//! Connects the user's terminal to a sandbox's, as `ssh` does: keys go in, what is printed comes out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::{Child, Ended, Error};

/// How often the size of the window is looked at.
const SIZE_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// Passes on what comes from `input` and to `output` until the command of `child`, which was spawned with
/// [`crate::Standard::Terminal`], ended.
///
/// When `input` is a terminal, it is raw meanwhile, so that ctrl-C goes to the command, and afterwards as
/// before. When `cancel` becomes true, everything in the sandbox is killed.
pub fn attach(
    child: &mut Child,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    cancel: &AtomicBool,
) -> Result<Ended, Error> {
    attach_with(child, input, output, cancel, Termios::make_raw)
}

/// Does the same while we go on to print lines on the same terminal, which still end where they should.
pub fn attach_shared(
    child: &mut Child,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    cancel: &AtomicBool,
) -> Result<Ended, Error> {
    attach_with(child, input, output, cancel, |termios| {
        let output_modes = termios.output_modes;
        termios.make_raw();
        termios.output_modes = output_modes;
    })
}

fn attach_with(
    child: &mut Child,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    cancel: &AtomicBool,
    make_raw: fn(&mut Termios),
) -> Result<Ended, Error> {
    let error = |error| Error::set_up("connect the terminal", error);
    let terminal = child.terminal().ok_or_else(|| error(io::Error::from(io::ErrorKind::InvalidInput)))?;
    let terminal = terminal.try_clone_to_owned().map_err(error)?;
    let _raw = Raw::enter(input, make_raw).map_err(error)?;
    let mut input_open = true;
    let mut size = None;
    loop {
        if cancel.load(Ordering::Relaxed) {
            child.kill();
        }
        if let Ok(now) = tcgetwinsize(output) {
            let now_pair = (now.ws_row, now.ws_col);
            if size != Some(now_pair) {
                // A terminal that has gone needs no size.
                let _gone = tcsetwinsize(&terminal, now);
                size = Some(now_pair);
            }
        }
        let (printed, ended, typed) = {
            let mut fds = [
                PollFd::new(&terminal, PollFlags::IN),
                PollFd::new(&*child, PollFlags::IN),
                PollFd::from_borrowed_fd(input, PollFlags::IN),
            ];
            let n_watched = if input_open { 3 } else { 2 };
            match poll(&mut fds[..n_watched], Some(&SIZE_INTERVAL)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(error(errno.into())),
            }
            let ready = |idx: usize| !fds[idx].revents().is_empty();
            (fds[0].revents().contains(PollFlags::IN), ready(1), input_open && ready(2))
        };
        if printed {
            copy(terminal.as_fd(), output).map_err(error)?;
        }
        if typed {
            input_open = copy(input, terminal.as_fd()).map_err(error)?;
        }
        if ended && let Some(ended) = child.wait_timeout(Duration::ZERO)? {
            // Every process of the sandbox is gone; what they printed last is still in the terminal.
            while copy(terminal.as_fd(), output).map_err(error)? {}
            return Ok(ended);
        }
    }
}

/// Copies what is there; returns whether there may be more.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let n = match rustix::io::read(from, &mut buffer) {
        // A terminal that nobody has open any more.
        Ok(0) | Err(Errno::IO) => return Ok(false),
        Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
        result => result?,
    };
    let mut bytes = &buffer[..n];
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::IO) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None)?;
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(true)
}

/// The user's terminal in raw mode, until dropped.
struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Option<Termios>,
}

impl<'a> Raw<'a> {
    fn enter(terminal: BorrowedFd<'a>, make_raw: fn(&mut Termios)) -> io::Result<Self> {
        if !isatty(terminal) {
            return Ok(Self { terminal, before: None });
        }
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        make_raw(&mut raw);
        tcsetattr(terminal, OptionalActions::Now, &raw)?;
        Ok(Self { terminal, before: Some(before) })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing can be done for a terminal that has gone.
            let _gone = tcsetattr(self.terminal, OptionalActions::Drain, before);
        }
    }
}
