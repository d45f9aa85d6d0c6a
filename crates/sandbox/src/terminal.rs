//! Connects the user's terminal to a sandbox's, as `ssh` does: keys go in, what is printed comes out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
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
    // Whoever pastes much waits until it is read, and what is printed meanwhile must not wait for that.
    rustix::fs::fcntl_setfl(&terminal, OFlags::NONBLOCK).map_err(|errno| error(errno.into()))?;
    let _raw = Raw::enter(input, make_raw).map_err(error)?;
    let mut input_open = true;
    let mut typed = Vec::new();
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
        let (may_print, may_type, ended, may_read) = {
            let waits = if typed.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            let mut fds = [
                PollFd::new(&terminal, PollFlags::IN | waits),
                PollFd::new(&*child, PollFlags::IN),
                PollFd::from_borrowed_fd(input, PollFlags::IN),
            ];
            let reads = input_open && typed.is_empty();
            match poll(&mut fds[..if reads { 3 } else { 2 }], Some(&SIZE_INTERVAL)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(error(errno.into())),
            }
            let of_terminal = fds[0].revents();
            let ready = |idx: usize| !fds[idx].revents().is_empty();
            let may_type = of_terminal.contains(PollFlags::OUT);
            (of_terminal.contains(PollFlags::IN), may_type, ready(1), reads && ready(2))
        };
        if may_print {
            copy(terminal.as_fd(), output).map_err(error)?;
        }
        if may_read {
            input_open = read(input, &mut typed).map_err(error)? != Read::End;
        }
        if may_type || may_read {
            match rustix::io::write(&terminal, &typed) {
                Ok(n_bytes) => _ = typed.drain(..n_bytes),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Nobody reads any more.
                Err(Errno::IO) => typed.clear(),
                Err(errno) => return Err(error(errno.into())),
            }
        }
        if ended && let Some(ended) = child.wait_timeout(Duration::ZERO)? {
            // Every process of the sandbox is gone; what they printed last is still in the terminal.
            while copy(terminal.as_fd(), output).map_err(error)? == Read::Some {}
            return Ok(ended);
        }
    }
}

/// What came of reading.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Some,
    /// There is nothing at the moment.
    Nothing,
    /// There will be nothing any more.
    End,
}

/// Reads what is there, but not much.
fn read(from: BorrowedFd<'_>, bytes: &mut Vec<u8>) -> io::Result<Read> {
    let mut buffer = [0; 4096];
    match rustix::io::read(from, &mut buffer) {
        // A terminal that nobody has open any more.
        Ok(0) | Err(Errno::IO) => Ok(Read::End),
        Err(Errno::INTR) => Ok(Read::Some),
        Err(Errno::AGAIN) => Ok(Read::Nothing),
        result => {
            bytes.extend_from_slice(&buffer[..result?]);
            Ok(Read::Some)
        }
    }
}

/// Copies what is there, but not much.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<Read> {
    let mut bytes = Vec::new();
    let read = read(from, &mut bytes)?;
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(n) => rest = &rest[n..],
            Err(Errno::IO) => return Ok(Read::End),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None)?;
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(read)
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
