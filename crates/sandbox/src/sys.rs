//! System calls that `rustix` has no safe function for. All but the emulation's ioctls (see
//! `emulate::notify`) are here, each with the reason why it is sound.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::thread::UnshareFlags;

/// Turns the return value of a libc function into a result.
fn check(value: libc::c_int) -> io::Result<libc::c_int> {
    if value < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// The two sides of a fork.
pub(crate) enum Fork {
    Child,
    Parent(libc::pid_t),
}

/// Forks this process, which has a single thread: only the init calls it, before any thread is made.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: with a single thread no lock of the allocator or of the standard library can be held by a
    // thread that is missing in the child, so the child may go on like any program.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Ends this process at once, without running anything registered for its end.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// What `wait4` says of a process.
pub(crate) struct Waited {
    pub(crate) pid: libc::pid_t,
    /// The exit code, or the signal that killed it.
    pub(crate) status: Result<i32, i32>,
    pub(crate) cpu: Duration,
    pub(crate) peak_memory: u64,
}

/// Waits for `pid`, or for any child when it is -1.
pub(crate) fn wait4(pid: libc::pid_t) -> io::Result<Waited> {
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which zero is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let pid = loop {
        // SAFETY: both pointers are to locals that outlive the call.
        match check(unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    let status =
        if libc::WIFEXITED(status) { Ok(libc::WEXITSTATUS(status)) } else { Err(libc::WTERMSIG(status)) };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    Ok(Waited { pid, status, cpu, peak_memory: usage.ru_maxrss.unsigned_abs() * 1024 })
}

/// Moves this process, or its children for a PID namespace, into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: only `CLONE_FILES` is unsafe, because it separates threads' descriptor tables; no caller asks
    // for it.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags - UnshareFlags::FILES) }?)
}

/// Closes every descriptor from `first` on. Only for the start of the init, when it owns none of them.
pub(crate) fn close_inherited_from(first: RawFd) -> io::Result<()> {
    // SAFETY: nothing in this process owns a descriptor from `first` on: it was just executed.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) } as libc::c_int)?;
    Ok(())
}

/// Makes `target` a copy of `fd` that stays open when a program is executed.
pub(crate) fn place(fd: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    // SAFETY: the caller has moved every descriptor it owns above all targets, so none is replaced.
    check(unsafe { libc::dup2(fd.as_raw_fd(), target) })?;
    Ok(())
}

/// Changes attributes of the mount `mount` and all mounts below it.
pub(crate) fn set_mount_attributes(mount: BorrowedFd<'_>, set: u64) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the path is a literal and `attributes` outlives the call, with its size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result as libc::c_int)?;
    Ok(())
}

/// Brings the loopback interface of this network namespace up.
pub(crate) fn bring_loopback_up() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: `ifreq` is plain numbers, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request names a whole `ifreq`, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })?;
    Ok(())
}

/// Gives every signal its default action and blocks none.
pub(crate) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: the default action runs no code of ours. It fails for KILL, STOP and libc's own two.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set is initialised by `sigemptyset` before it is used; both outlive the calls.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Installs a seccomp filter on this thread. With `listener`, returns the descriptor on which calls that the
/// filter does not decide are to be answered.
pub(crate) fn install_filter(program: &[libc::sock_filter], listener: bool) -> io::Result<Option<OwnedFd>> {
    let Ok(len) = libc::c_ushort::try_from(program.len()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let install = |flags: libc::c_ulong| {
        // SAFETY: the kernel copies the `len` instructions that `program` points to and writes nothing.
        check(unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        } as libc::c_int)
    };
    if !listener {
        install(0)?;
        return Ok(None);
    }
    // A signal that comes while a call is being answered would have it answered twice, unless the kernel
    // (5.19) lets only fatal ones through.
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let fd = match install(flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install(flags),
        result => result,
    }?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Executes a program in this process. Returns only the error.
pub(crate) fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both arrays end with a null pointer and point to strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Sets a limit of this process, lowering it to what this process may have.
pub(crate) fn limit(resource: libc::c_int, soft: Option<u64>, hard: Option<u64>) -> io::Result<()> {
    let number = |limit: Option<u64>| limit.unwrap_or(libc::RLIM_INFINITY);
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local that outlives the call.
    check(unsafe { libc::getrlimit(resource as _, &raw mut now) })?;
    let hard = number(hard).min(now.rlim_max);
    let limit = libc::rlimit { rlim_cur: number(soft).min(hard), rlim_max: hard };
    // SAFETY: the pointer is to a local that outlives the call.
    check(unsafe { libc::setrlimit(resource as _, &raw const limit) })?;
    Ok(())
}

/// Reads up to `buffer.len()` bytes at `address` of another process, fewer where its memory ends.
pub(crate) fn read_memory(pid: libc::pid_t, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let ours = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let theirs = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: `ours` is exactly `buffer`; `theirs` is checked by the kernel and only read.
    let n = unsafe { libc::process_vm_readv(pid, &raw const ours, 1, &raw const theirs, 1, 0) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// Writes `bytes` at `address` of another process.
pub(crate) fn write_memory(pid: libc::pid_t, address: u64, bytes: &[u8]) -> io::Result<()> {
    let ours = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let theirs = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: `ours` is exactly `bytes` and only read; `theirs` is checked by the kernel and belongs to a
    // process that shares no memory with us.
    let n = unsafe { libc::process_vm_writev(pid, &raw const ours, 1, &raw const theirs, 1, 0) };
    match usize::try_from(n) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Returns a copy of `fd` that is numbered `least` or higher.
pub(crate) fn move_above(fd: impl AsFd, least: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, least)?)
}

/// Takes a lease on a file or gives it back; see fcntl(2), `F_SETLEASE`.
pub(crate) fn set_lease(file: BorrowedFd<'_>, lease: libc::c_int) -> io::Result<()> {
    /// Of `linux/fcntl.h`, the same on every architecture.
    const F_SETSIG: libc::c_int = 10;
    // Who opens the file has a signal sent here: one that does nothing, not the usual one, which ends a process.
    // SAFETY: both commands take a number and touch no memory of this process.
    check(unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) })?;
    // SAFETY: as above.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, lease) })?;
    Ok(())
}
