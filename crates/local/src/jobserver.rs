//! The GNU make jobserver that all running steps share.
//!
//! A pipe with one byte for every job that may run. Its two ends are inherited by every step under fixed
//! numbers and named in `MAKEFLAGS` as `--jobserver-auth=R,W`: the form that make 4.2 to 4.4, cargo and
//! rustc understand. (A named FIFO, which make 4.4 prefers and ninja 1.13 insists on, makes make 4.3, that
//! of Debian 12, fail. ninja runs on its own then, as older ones do anyway.)

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The tokens of all steps.
///
/// Every running step holds one token from its start to its end, and passes on to its tools that there are
/// others. Tokens that a step held when it was killed, or that it made up, are put right when no step holds one of its own.
#[derive(Debug)]
pub struct Jobserver {
    /// What steps inherit.
    read: OwnedFd,
    write: OwnedFd,
    /// The same pipe, opened again: steps change whether theirs blocks, and these must not.
    own_read: OwnedFd,
    own_write: OwnedFd,
    n_tokens: usize,
    /// How many steps have a token.
    n_holders: Mutex<usize>,
}

/// A running step's own token. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Token<'j> {
    jobserver: &'j Jobserver,
}

/// Numbers that shells and `configure` scripts do not redirect: those take the low ones.
const READ_END: RawFd = 200;
const WRITE_END: RawFd = 201;

/// How often a waiting step looks whether it is cancelled.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

impl Jobserver {
    /// Makes a jobserver for that many jobs at once.
    pub fn new(n_jobs: NonZeroUsize) -> io::Result<Jobserver> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let open = |end: &OwnedFd, flags| {
            let path = format!("/proc/self/fd/{}", end.as_raw_fd());
            rustix::fs::open(path, flags | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
        };
        let (own_read, own_write) = (open(&read, OFlags::RDONLY)?, open(&write, OFlags::WRONLY)?);
        // More would not fit into a pipe, and nobody has as many processors.
        let n_tokens = n_jobs.get().min(4096);
        Ok(Jobserver { read, write, own_read, own_write, n_tokens, n_holders: Mutex::new(0) })
    }

    /// Waits for a token. `None` when `cancel` becomes true first.
    pub(crate) fn acquire(&self, cancel: &AtomicBool) -> io::Result<Option<Token<'_>>> {
        while !cancel.load(Ordering::Relaxed) {
            if self.take()? {
                return Ok(Some(Token { jobserver: self }));
            }
            match poll(&mut [PollFd::new(&self.own_read, PollFlags::IN)], Some(&PATIENCE)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Takes a byte out of the pipe, if there is one.
    fn take(&self) -> io::Result<bool> {
        // Who fills the pipe again must not do that while somebody takes from it.
        let mut n_holders = self.n_holders.lock().unwrap_or_else(PoisonError::into_inner);
        if *n_holders == 0 {
            self.refill()?;
        }
        match rustix::io::read(&self.own_read, &mut [0]) {
            Ok(1) => {
                *n_holders += 1;
                Ok(true)
            }
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the value of `MAKEFLAGS` that tells tools of the jobserver.
    pub(crate) fn makeflags(&self) -> String {
        format!(" -j{} --jobserver-auth={READ_END},{WRITE_END}", self.n_tokens)
    }

    /// Returns what a step inherits, with the numbers that [`Jobserver::makeflags`] names.
    pub(crate) fn files(&self) -> Vec<(RawFd, BorrowedFd<'_>)> {
        vec![(READ_END, self.read.as_fd()), (WRITE_END, self.write.as_fd())]
    }

    /// Has every process that is started from now on inherit the pipe, and returns the value of `MAKEFLAGS` that tells it
    /// so.
    pub(crate) fn hand_down(&self) -> io::Result<String> {
        for end in [&self.read, &self.write] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::empty())?;
        }
        let (read, write) = (self.read.as_raw_fd(), self.write.as_raw_fd());
        Ok(format!(" -j{} --jobserver-auth={read},{write}", self.n_tokens))
    }

    /// Makes the pipe hold every token again; no step has one.
    fn refill(&self) -> io::Result<()> {
        let mut buffer = [0; 512];
        loop {
            match rustix::io::read(&self.own_read, &mut buffer) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut left = self.n_tokens;
        while left > 0 {
            match rustix::io::write(&self.own_write, &vec![b'+'; left]) {
                Ok(n_bytes) => left -= n_bytes,
                // Something that was left running writes to it, too.
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        *self.jobserver.n_holders.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        // A step may have filled the pipe with what it never took; then there is no room, and no need.
        let _ = rustix::io::write(&self.jobserver.own_write, b"+");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_tokens_as_jobs_and_lost_ones_come_back() {
        let go = AtomicBool::new(false);
        let cancelled = AtomicBool::new(true);
        let jobserver = Jobserver::new(NonZeroUsize::new(2).unwrap()).unwrap();
        let count = || {
            let mut n_tokens = 0;
            while rustix::io::read(&jobserver.own_read, &mut [0]) == Ok(1) {
                n_tokens += 1;
            }
            n_tokens
        };
        assert!(jobserver.acquire(&cancelled).unwrap().is_none());
        {
            let _one = jobserver.acquire(&go).unwrap().unwrap();
            let _two = jobserver.acquire(&go).unwrap().unwrap();
            assert_eq!(count(), 0);
        }
        let one = jobserver.acquire(&go).unwrap().unwrap();
        // A step that is killed with a token in its hand.
        assert_eq!(count(), 1);
        drop(one);
        let one = jobserver.acquire(&go).unwrap().unwrap();
        assert_eq!(count(), 1);
        // One that gives back what it never had, until no more fits.
        while rustix::io::write(&jobserver.own_write, &[b'+'; 4096]).is_ok() {}
        drop(one);
        let one = jobserver.acquire(&go).unwrap().unwrap();
        assert_eq!(count(), 1);
        // Somebody who waits while one that lost the other token goes on.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| jobserver.acquire(&go).unwrap().unwrap());
            std::thread::sleep(std::time::Duration::from_millis(20));
            drop(one);
            let _other = waiting.join().unwrap();
            assert_eq!(count(), 1);
        });
        assert_eq!(jobserver.makeflags(), " -j2 --jobserver-auth=200,201");
    }
}
