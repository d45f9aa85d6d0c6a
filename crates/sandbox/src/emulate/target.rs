//! What the arguments of a waiting system call mean: strings in its memory, files by its paths.

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, open, openat};
use rustix::io::Errno;

use super::notify::{Call, Listener};
use crate::sys;

/// A thread's view of the file system, taken on by the supervisor's own thread: with the same root and the
/// same working directory, the kernel resolves a path for us just as for it.
pub(super) struct View {
    /// `/proc`, which the root that we take on may not have.
    proc: OwnedFd,
}

/// The longest path, with its final zero (linux/limits.h).
const PATH_MAX: usize = 4096;

/// The longest name of an extended attribute, with its final zero (linux/limits.h).
pub(super) const XATTR_NAME_MAX: usize = 256;

impl View {
    /// Must be called by a thread that shares its root and working directory with no other.
    pub(super) fn new() -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { proc: open("/proc", flags, Mode::empty())? })
    }

    /// Opens, without any access to its content, what descriptor `fd` of the caller is.
    pub(super) fn descriptor(
        &self,
        call: &Call,
        fd: u64,
        listener: &Listener,
    ) -> rustix::io::Result<OwnedFd> {
        // A descriptor is an `int`, whatever is in the register's upper half.
        let fd = fd as i32;
        let opened = self.open(call, &format!("fd/{fd}")).map_err(|errno| match errno {
            Errno::NOENT => Errno::BADF,
            errno => errno,
        })?;
        still_waits(call, listener)?;
        Ok(opened)
    }

    /// Opens, without any access to its content, what the caller means by `path` relative to `directory`.
    pub(super) fn path(
        &self,
        call: &Call,
        directory: u64,
        path: CString,
        flags: AtFlags,
        listener: &Listener,
    ) -> rustix::io::Result<OwnedFd> {
        if path.is_empty() {
            if !flags.contains(AtFlags::EMPTY_PATH) {
                return Err(Errno::NOENT);
            }
            if directory as i32 != libc::AT_FDCWD {
                return self.descriptor(call, directory, listener);
            }
        }
        let path =
            if path.is_empty() { c".".to_owned() } else { self.take_on(call, directory, path, listener)? };
        let mut open_flags = OFlags::PATH | OFlags::CLOEXEC;
        if flags.contains(AtFlags::SYMLINK_NOFOLLOW) {
            open_flags |= OFlags::NOFOLLOW;
        }
        openat(CWD, path, open_flags, Mode::empty())
    }

    /// Takes on the root of the caller, and the directory that `path` is relative to. Returns the path under
    /// which the supervisor finds what the caller means.
    pub(super) fn take_on(
        &self,
        call: &Call,
        directory: u64,
        path: CString,
        listener: &Listener,
    ) -> rustix::io::Result<CString> {
        let root = self.open(call, "root")?;
        let start = match directory as i32 {
            libc::AT_FDCWD => self.open(call, "cwd")?,
            fd => self.open(call, &format!("fd/{fd}")).map_err(|_| Errno::BADF)?,
        };
        still_waits(call, listener)?;
        rustix::process::fchdir(root)?;
        rustix::process::chroot(".")?;
        if !path.to_bytes().starts_with(b"/") {
            rustix::process::fchdir(start)?;
        }
        // These links mean whoever looks at them.
        let mut bytes = path.into_bytes();
        for link in ["/proc/self/", "/proc/thread-self/"] {
            if bytes.starts_with(link.as_bytes()) {
                bytes.splice(..link.len(), format!("/proc/{}/", call.pid).into_bytes());
                break;
            }
        }
        CString::new(bytes).map_err(|_| Errno::INVAL)
    }

    /// Changes the mode of `inode`; also when it stays the same, an overlay then has it in its upper tree.
    pub(super) fn change_mode(&self, inode: &OwnedFd, mode: Mode) -> rustix::io::Result<()> {
        use std::os::fd::AsRawFd;
        let link = format!("self/fd/{}", inode.as_raw_fd());
        rustix::fs::chmodat(&self.proc, link, mode, AtFlags::empty())
    }

    /// Returns the mask that the caller's new files lack.
    pub(super) fn umask(&self, call: &Call) -> rustix::io::Result<u32> {
        let status = openat(&self.proc, format!("{}/status", call.pid), OFlags::CLOEXEC, Mode::empty())?;
        let status = std::io::read_to_string(fs::File::from(status)).map_err(|_| Errno::SRCH)?;
        let mask = status.lines().find_map(|line| line.strip_prefix("Umask:")).ok_or(Errno::NOSYS)?;
        u32::from_str_radix(mask.trim(), 8).map_err(|_| Errno::NOSYS)
    }

    fn open(&self, call: &Call, what: &str) -> rustix::io::Result<OwnedFd> {
        let path = PathBuf::from(format!("{}/{what}", call.pid));
        openat(&self.proc, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
    }
}

/// Fails unless the caller still waits; then what was just opened or read through its number was its own.
pub(super) fn still_waits(call: &Call, listener: &Listener) -> rustix::io::Result<()> {
    if listener.is_valid(call) { Ok(()) } else { Err(Errno::SRCH) }
}

/// Reads a path argument.
pub(super) fn read_path(call: &Call, address: u64) -> rustix::io::Result<CString> {
    read_string(call, address, PATH_MAX, Errno::NAMETOOLONG)
}

/// Reads a string of at most `max` bytes with its final zero; fails with `too_long` when it is longer.
pub(super) fn read_string(
    call: &Call,
    address: u64,
    max: usize,
    too_long: Errno,
) -> rustix::io::Result<CString> {
    let mut bytes = Vec::new();
    while bytes.len() < max {
        // Memory may end after the string, so no read crosses a page.
        let next = address.wrapping_add(bytes.len() as u64);
        let len = (4096 - (next % 4096) as usize).min(max - bytes.len());
        let chunk = read_bytes(call, next, len)?;
        if let Some(end) = chunk.iter().position(|&byte| byte == 0) {
            bytes.extend_from_slice(&chunk[..end]);
            return CString::new(bytes).map_err(|_| Errno::FAULT);
        }
        bytes.extend_from_slice(&chunk);
    }
    Err(too_long)
}

/// Reads exactly `len` bytes.
pub(super) fn read_bytes(call: &Call, address: u64, len: usize) -> rustix::io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    match sys::read_memory(call.pid, address, &mut bytes) {
        Ok(n) if n == len => Ok(bytes),
        _ => Err(Errno::FAULT),
    }
}
