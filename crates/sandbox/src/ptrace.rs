//! Tracing of other processes (ptrace(2)): the few requests that a variation needs, on any machine.

use std::io;

/// What a traced thread, or one that ended, has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It exited, or was killed by a signal.
    Ended(Result<i32, i32>),
    /// A filter traces the system call that it is about to make.
    Call,
    /// That call is over; only after [`resume_to_return`].
    Return,
    /// It executes another program from now on.
    Executed,
    /// It is stopped by job control.
    Halted,
    /// A signal is about to be delivered.
    Signal(i32),
    /// Nothing that anybody waits for: it was made, or made another one.
    Other,
}

/// A system call, as its thread made it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: libc::c_long,
    pub(crate) arguments: [u64; 6],
}

const OPTIONS: libc::c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_EXITKILL;

/// Traces `pid` and everything that it starts from now on, without stopping it.
pub(crate) fn seize(pid: libc::pid_t) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, pid, 0, OPTIONS as usize)
}

/// Waits for a child or a traced thread to end or to stop.
pub(crate) fn wait() -> io::Result<(libc::pid_t, Event)> {
    let mut status = 0;
    let pid = loop {
        // SAFETY: the pointer is to a local that outlives the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
        if pid >= 0 {
            break pid;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    Ok((pid, event_of(status)))
}

fn event_of(status: libc::c_int) -> Event {
    /// What `PTRACE_O_TRACESYSGOOD` marks stops at system calls with.
    const AT_CALL: libc::c_int = libc::SIGTRAP | 0x80;
    if libc::WIFEXITED(status) {
        return Event::Ended(Ok(libc::WEXITSTATUS(status)));
    }
    if libc::WIFSIGNALED(status) {
        return Event::Ended(Err(libc::WTERMSIG(status)));
    }
    match (status >> 16, libc::WSTOPSIG(status)) {
        (libc::PTRACE_EVENT_SECCOMP, _) => Event::Call,
        (libc::PTRACE_EVENT_EXEC, _) => Event::Executed,
        (libc::PTRACE_EVENT_STOP, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) => {
            Event::Halted
        }
        (0, AT_CALL) => Event::Return,
        (0, signal) => Event::Signal(signal),
        _ => Event::Other,
    }
}

/// Lets a stopped thread go on until something traced happens, and delivers `signal` unless it is 0.
pub(crate) fn resume(pid: libc::pid_t, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, pid, 0, signal as usize)
}

/// The same after [`Event::Call`], but it stops again when that call is over.
pub(crate) fn resume_to_return(pid: libc::pid_t) -> io::Result<()> {
    request(libc::PTRACE_SYSCALL, pid, 0, 0)
}

/// Leaves a thread halted until job control lets it go on.
pub(crate) fn leave_halted(pid: libc::pid_t) -> io::Result<()> {
    request(libc::PTRACE_LISTEN, pid, 0, 0)
}

/// Returns the call that a thread is about to make, after [`Event::Call`].
pub(crate) fn call(pid: libc::pid_t) -> io::Result<Call> {
    let info = information(pid)?;
    if info.op != libc::PTRACE_SYSCALL_INFO_SECCOMP {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: `op` says that this variant of the union was written.
    let seccomp = unsafe { info.u.seccomp };
    Ok(Call { number: seccomp.nr as libc::c_long, arguments: seccomp.args })
}

/// Returns what the call of a thread returned, negative for an error number, after [`Event::Return`].
pub(crate) fn returned(pid: libc::pid_t) -> io::Result<i64> {
    let info = information(pid)?;
    if info.op != libc::PTRACE_SYSCALL_INFO_EXIT {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: `op` says that this variant of the union was written.
    Ok(unsafe { info.u.exit }.sval)
}

/// Returns the stack pointer of a stopped thread.
pub(crate) fn stack_pointer(pid: libc::pid_t) -> io::Result<u64> {
    Ok(information(pid)?.stack_pointer)
}

/// Has the call of a thread return `value`, after [`Event::Return`].
#[cfg(target_arch = "x86_64")]
pub(crate) fn set_returned(pid: libc::pid_t, value: i64) -> io::Result<()> {
    request(libc::PTRACE_POKEUSER, pid, std::mem::offset_of!(libc::user, regs.rax), value as usize)
}

fn information(pid: libc::pid_t) -> io::Result<libc::ptrace_syscall_info> {
    // SAFETY: the struct and its union are plain numbers, for which zero is valid.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::ptrace_syscall_info>();
    request(libc::PTRACE_GET_SYSCALL_INFO, pid, size, (&raw mut info).addr())?;
    Ok(info)
}

/// Makes a request whose answer, if it has one, is written to the local that `data` is the address of.
fn request(request: libc::c_uint, pid: libc::pid_t, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: the requests of this module take numbers, save for one that writes at most `address` bytes to
    // a struct of that size which outlives the call.
    let result = unsafe { libc::ptrace(request, pid, address, data) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_statuses() {
        let stopped = |event: i32, signal: i32| event_of(event << 16 | signal << 8 | 0x7f);
        assert_eq!(event_of(3 << 8), Event::Ended(Ok(3)));
        assert_eq!(event_of(9), Event::Ended(Err(9)));
        assert_eq!(stopped(0, libc::SIGTERM), Event::Signal(libc::SIGTERM));
        assert_eq!(stopped(0, libc::SIGTRAP | 0x80), Event::Return);
        assert_eq!(stopped(libc::PTRACE_EVENT_SECCOMP, libc::SIGTRAP), Event::Call);
        assert_eq!(stopped(libc::PTRACE_EVENT_EXEC, libc::SIGTRAP), Event::Executed);
        assert_eq!(stopped(libc::PTRACE_EVENT_STOP, libc::SIGTRAP), Event::Other);
        assert_eq!(stopped(libc::PTRACE_EVENT_STOP, libc::SIGTSTP), Event::Halted);
        assert_eq!(stopped(libc::PTRACE_EVENT_CLONE, libc::SIGTRAP), Event::Other);
    }
}
