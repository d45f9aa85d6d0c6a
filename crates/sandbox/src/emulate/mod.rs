//! Root emulation: `chown`, `mknod` of devices and `setcap` succeed for a root that is none, and are
//! recorded, so that an image can have the owners that a maintainer script asked for.
//!
//! It works inside a sandbox, for a program that is root there ([`crate::User::Root`]). The commands that
//! it runs get a seccomp filter under which the kernel asks us, the supervisor, about those calls
//! (seccomp_unotify(2)). Owners are recorded by inode, see [`Records`]. The calls that read are not intercepted,
//! so a program that copies owners from `stat` copies what the disk has, 0:0. Where such a copy replaces the
//! file that it was made of, it inherits the owners that are recorded for that.
//!
//! Answered without a record are calls that change who the process is (`setuid`, `setgroups`, `capset`):
//! they succeed and change nothing, since nobody else exists. So are `fsync` and its kin: what is emulated
//! becomes a layer, and is made durable as that.

mod notify;
mod records;
mod supervisor;
mod target;

use std::io;
use std::path::Path;

pub use records::{Device, DeviceKind, Record, Records};

use crate::protocol::World;
use crate::spawn::spawn_in;
use crate::{Ended, Error, Files, Sandbox, User};

/// Runs the command of `sandbox` to its end under root emulation, and adds to `records` what it asked for.
///
/// The caller must be root of its user namespace and single-user there. Namespaces besides mount and PID
/// are the caller's; `sandbox.user` must be [`User::Root`]; `/proc` and `/dev` of the mounts are the
/// caller's own. For records to be found afterwards, `sandbox.root` is to be a [`crate::Root::Directory`]
/// that the caller sees too, such as a mount of [`crate::mount_overlay`].
///
/// `init` is as for [`crate::spawn`]. A command that fails is no error, and its records count.
pub fn run(sandbox: &Sandbox, files: &Files<'_>, init: &Path, records: &mut Records) -> Result<Ended, Error> {
    let root = rustix::process::geteuid().is_root();
    if !root || sandbox.user != User::Root {
        let source = io::Error::from_raw_os_error(libc::EPERM);
        return Err(Error::set_up("emulate root for somebody who is not root of a sandbox", source));
    }
    // Every recorded inode is held open.
    crate::sys::limit(libc::RLIMIT_NOFILE as libc::c_int, None, None)
        .map_err(|error| Error::set_up("raise the limit of open files", error))?;
    let mut child = spawn_in(World::Emulated, sandbox, files, init)?;
    let Some(listener) = child.take_listener() else {
        let source = io::Error::from_raw_os_error(libc::ENOSYS);
        return Err(Error::set_up("listen to system calls", source));
    };
    std::thread::scope(|scope| {
        let supervisor = scope.spawn(|| supervisor::run(listener, records));
        let ended = child.wait();
        let supervised = supervisor.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        supervised.map_err(|error| Error::set_up("answer system calls", error))?;
        ended
    })
}
