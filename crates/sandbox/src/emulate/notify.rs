//! The listener of a seccomp filter: system calls that wait for an answer (seccomp_unotify(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A descriptor on which the kernel asks about system calls.
pub(super) struct Listener(OwnedFd);

/// A system call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) id: u64,
    /// The thread that made it, in our PID namespace.
    pub(super) pid: libc::pid_t,
    pub(super) number: libc::c_long,
    pub(super) arguments: [u64; 6],
}

/// What a system call is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It returns 0.
    Success,
    /// It fails.
    Error(i32),
    /// The kernel executes it as if nobody had been asked.
    Continue,
}

impl From<rustix::io::Errno> for Answer {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Error(errno.raw_os_error())
    }
}

/// Both sides are woken on the same processor (Linux 6.6).
const SYNC_WAKE_UP: libc::c_ulong = 1;

impl Listener {
    pub(super) fn new(fd: OwnedFd) -> Self {
        // SAFETY: the argument is a number. That an older kernel refuses it costs some microseconds a call.
        unsafe { libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS as _, SYNC_WAKE_UP) };
        Self(fd)
    }

    /// Takes a call, or `None` when the one that was announced is over because its thread was killed.
    pub(super) fn receive(&self) -> io::Result<Option<Call>> {
        // SAFETY: the struct is plain numbers, for which zero is valid, and the kernel wants it zeroed.
        let mut notification: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the request names a whole `seccomp_notif`, which outlives the call.
        let result = unsafe {
            libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, &raw mut notification)
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::EINTR) => Ok(None),
                _ => Err(error),
            };
        }
        Ok(Some(Call {
            id: notification.id,
            pid: notification.pid.cast_signed(),
            number: notification.data.nr.into(),
            arguments: notification.data.args,
        }))
    }

    /// Returns whether the thread still waits for the answer. While it does, its number means the same thread,
    /// so what was opened through it before is its own.
    pub(super) fn is_valid(&self, call: &Call) -> bool {
        // SAFETY: the request names a `u64`, which outlives the call.
        unsafe {
            libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const call.id) == 0
        }
    }

    /// Answers `call`. That nobody waits for it any more is no error.
    pub(super) fn answer(&self, call: &Call, answer: Answer) -> io::Result<()> {
        let mut response = libc::seccomp_notif_resp { id: call.id, val: 0, error: 0, flags: 0 };
        match answer {
            Answer::Success => {}
            Answer::Error(errno) => response.error = -errno,
            // What may be continued is not secret and changes nothing that we guard, so that the arguments
            // may change meanwhile is no danger.
            Answer::Continue => response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        }
        // SAFETY: the request names a whole `seccomp_notif_resp`, which outlives the call.
        let result = unsafe {
            libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw mut response)
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::ENOENT) {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
