//! Pid 1 of a sandbox with a variation: changes what system calls return, by tracing the command and all
//! that it starts.
//!
//! A filter (`filter::variation`) has only those calls traced that matter; between them, programs run at
//! full speed. Programs that ask the kernel's page of code for the time (vDSO) make no call, so they are not
//! told that there is one.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use crate::ptrace::{self, Call, Event};
use crate::{Variation, sys};

/// The tracer of one sandbox, made before the command is forked.
pub(super) struct Tracer {
    clock_ahead: i64,
    /// The command begins when something comes out of it.
    gate: (OwnedFd, OwnedFd),
    /// The calls that threads are in.
    calls: HashMap<libc::pid_t, Call>,
}

impl Tracer {
    pub(super) fn new(variation: &Variation) -> io::Result<Tracer> {
        let gate = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let clock_ahead = i64::try_from(variation.clock_ahead).unwrap_or(i64::MAX);
        Ok(Tracer { clock_ahead, gate, calls: HashMap::new() })
    }

    /// In the forked child: returns when it is traced.
    pub(super) fn wait_in_child(self) -> io::Result<()> {
        let (reader, writer) = self.gate;
        drop(writer);
        match rustix::io::read(&reader, &mut [0])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Traces the child `command` and all that it starts until it ends. Returns its exit code or the signal
    /// that killed it.
    pub(super) fn run(mut self, command: libc::pid_t) -> io::Result<Result<i32, i32>> {
        ptrace::seize(command)?;
        rustix::io::write(&self.gate.1, &[1])?;
        loop {
            let (pid, event) = ptrace::wait()?;
            let resumed = match event {
                Event::Ended(status) if pid == command => return Ok(status),
                Event::Ended(_) => {
                    self.calls.remove(&pid);
                    Ok(())
                }
                Event::Call => self.enter(pid),
                Event::Return => self.leave(pid),
                Event::Executed => {
                    self.calls.remove(&pid);
                    if self.clock_ahead != 0 {
                        hide_vdso(pid)?;
                    }
                    ptrace::resume(pid, 0)
                }
                Event::Halted => ptrace::leave_halted(pid),
                Event::Signal(signal) => ptrace::resume(pid, signal),
                Event::Other => ptrace::resume(pid, 0),
            };
            match resumed {
                // It was killed meanwhile; that will be told, too.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                result => result?,
            }
        }
    }

    /// A thread is about to make a traced call.
    fn enter(&mut self, pid: libc::pid_t) -> io::Result<()> {
        let call = ptrace::call(pid)?;
        if let Some(address) = deadline(&call) {
            self.shift(pid, address, -self.clock_ahead);
        }
        self.calls.insert(pid, call);
        ptrace::resume_to_return(pid)
    }

    /// The traced call of a thread is over.
    fn leave(&mut self, pid: libc::pid_t) -> io::Result<()> {
        if let Some(call) = self.calls.remove(&pid) {
            let returned = ptrace::returned(pid)?;
            if let Some(address) = deadline(&call) {
                self.shift(pid, address, self.clock_ahead);
            } else if returned >= 0 {
                self.change(pid, &call, returned)?;
            }
        }
        ptrace::resume(pid, 0)
    }

    /// Changes what a call that succeeded has returned.
    fn change(&self, pid: libc::pid_t, call: &Call, returned: i64) -> io::Result<()> {
        let [first, second, ..] = call.arguments;
        match call.number {
            libc::SYS_clock_gettime => self.shift(pid, second, self.clock_ahead),
            libc::SYS_gettimeofday => self.shift(pid, first, self.clock_ahead),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_time => {
                self.shift(pid, first, self.clock_ahead);
                ptrace::set_returned(pid, returned.saturating_add(self.clock_ahead))?;
            }
            _ => {
                // Both calls that list directories; they return how many bytes they have written.
                let mut bytes = vec![0; usize::try_from(returned).unwrap_or_default()];
                if sys::read_memory(pid, second, &mut bytes).is_ok_and(|n| n == bytes.len())
                    && let Some(reversed) = reversed(&bytes)
                {
                    // Another thread may have closed that memory meanwhile, which is its own affair.
                    let _as_it_was_listed = sys::write_memory(pid, second, &reversed);
                }
            }
        }
        Ok(())
    }

    /// Adds `seconds` to the 64-bit count of seconds at `address`, with which all structures of times begin. Where
    /// there is none that can be written, the kernel has refused or ignored it as well.
    fn shift(&self, pid: libc::pid_t, address: u64, seconds: i64) {
        let mut bytes = [0; 8];
        if address != 0 && sys::read_memory(pid, address, &mut bytes).is_ok_and(|n| n == bytes.len()) {
            let shifted = i64::from_ne_bytes(bytes).saturating_add(seconds);
            let _the_caller_cannot_either = sys::write_memory(pid, address, &shifted.to_ne_bytes());
        }
    }
}

/// Returns where the time of day is until which a call waits.
fn deadline(call: &Call) -> Option<u64> {
    match call.number {
        libc::SYS_futex => Some(call.arguments[3]),
        libc::SYS_clock_nanosleep => Some(call.arguments[2]),
        _ => None,
    }
}

/// Returns directory entries (`struct linux_dirent64` of getdents(2)) in reverse. The positions in the
/// directory that they carry stay in their order: reading goes on after the last one.
fn reversed(bytes: &[u8]) -> Option<Vec<u8>> {
    const POSITION: std::ops::Range<usize> = 8..16;
    const LENGTH: std::ops::Range<usize> = 16..18;
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = usize::from(u16::from_ne_bytes(rest.get(LENGTH)?.try_into().ok()?));
        if length < LENGTH.end {
            return None;
        }
        let (entry, after) = rest.split_at_checked(length)?;
        entries.push(entry);
        rest = after;
    }
    let mut reversed = Vec::with_capacity(bytes.len());
    for (entry, in_its_place) in entries.iter().rev().zip(&entries) {
        let start = reversed.len();
        reversed.extend_from_slice(entry);
        reversed[start..][POSITION].copy_from_slice(&in_its_place[POSITION]);
    }
    Some(reversed)
}

/// Lets the program that a thread has just executed find no page with the kernel's own code: its entry in the
/// auxiliary vector (getauxval(3)), which lies on the stack behind arguments and environment, is marked as one
/// to be ignored.
fn hide_vdso(pid: libc::pid_t) -> io::Result<()> {
    let stack = ptrace::stack_pointer(pid)?;
    let mut words = Words { pid, address: stack, ahead: Vec::new() };
    let n_arguments = words.next()?;
    for _ in 0..=n_arguments {
        words.next()?;
    }
    while words.next()? != 0 {}
    loop {
        let address = words.address;
        match words.next()? {
            libc::AT_NULL => return Ok(()),
            libc::AT_SYSINFO_EHDR => {
                return sys::write_memory(pid, address, &libc::AT_IGNORE.to_ne_bytes());
            }
            _ => _ = words.next()?,
        }
    }
}

/// The words of another process's memory, one after the other.
struct Words {
    pid: libc::pid_t,
    /// Of the next one.
    address: u64,
    /// What has been read already, the next one last.
    ahead: Vec<u64>,
}

impl Words {
    fn next(&mut self) -> io::Result<u64> {
        if self.ahead.is_empty() {
            // No read crosses a page, after which there may be nothing.
            let mut bytes = vec![0; 4096 - (self.address % 4096) as usize];
            let n = sys::read_memory(self.pid, self.address, &mut bytes)?;
            let (words, _) = bytes[..n].as_chunks::<8>();
            self.ahead = words.iter().rev().map(|&word| u64::from_ne_bytes(word)).collect();
        }
        let word = self.ahead.pop().ok_or_else(|| io::Error::from_raw_os_error(libc::EFAULT))?;
        self.address += 8;
        Ok(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(position: u64, name: &str) -> Vec<u8> {
        let mut bytes = vec![0; 19];
        bytes[8..16].copy_from_slice(&position.to_ne_bytes());
        bytes.extend(name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let length = u16::try_from(bytes.len()).unwrap();
        bytes[16..18].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    /// One entry, in memory that cannot be written to.
    static LISTED: [u8; 24] = {
        let mut entry = [0; 24];
        [entry[16], entry[17]] = 24_u16.to_ne_bytes();
        entry
    };

    #[test]
    fn memory_that_was_closed_meanwhile_is_left_alone() {
        let tracer = Tracer::new(&Variation::default()).unwrap();
        let pid = libc::pid_t::try_from(std::process::id()).unwrap();
        let arguments = [0, LISTED.as_ptr() as u64, 0, 0, 0, 0];
        assert!(sys::write_memory(pid, arguments[1], &LISTED).is_err());
        tracer.change(pid, &Call { number: libc::SYS_getdents64, arguments }, LISTED.len() as i64).unwrap();
    }

    #[test]
    fn entries_are_reversed_and_positions_are_not() {
        let listed = [entry(1, "a"), entry(2, "a-longer-name"), entry(9, "c")].concat();
        let expected = [entry(1, "c"), entry(2, "a-longer-name"), entry(9, "a")].concat();
        assert_eq!(reversed(&listed), Some(expected));
        assert_eq!(reversed(&[]), Some(vec![]));
        assert_eq!(reversed(&listed[..listed.len() - 1]), None);
        assert_eq!(reversed(&[0; 24]), None);
    }
}
