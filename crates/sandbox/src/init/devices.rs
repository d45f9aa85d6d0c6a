//! `/proc` and `/dev`: as little of the host as programs can do with.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::mounts::{NO_PROGRAMS, attach, clone_tree, make_directory, new_file_system, open_target};
use super::{Doing, Failure};
use crate::sys;

/// What in `/proc` sets something of the whole machine. When we are root outside, these files are ours.
const READ_ONLY: [&str; 11] = [
    "acpi",
    "bus",
    "driver",
    "dynamic_debug",
    "fs",
    "irq",
    "mtrr",
    "pressure",
    "scsi",
    "sys",
    "sysrq-trigger",
];

/// What in `/proc` tells of the whole machine what is nobody's business.
const HIDDEN: [&str; 13] = [
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "pagetypeinfo",
    "sched_debug",
    "slabinfo",
    "timer_list",
    "vmallocinfo",
];

const DEVICES: [&str; 6] = ["/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("pts/ptmx", "ptmx"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
];

/// What a device of the machine is mounted with: it can be written to, but its mode and owner are the machine's, and if we are
/// its root, the step is their owner.
const UNCHANGED: u64 = MountAttrFlags::MOUNT_ATTR_RDONLY.bits() as u64;

/// Mounts a new `/proc` on `target`.
pub(super) fn mount_proc(target: &OwnedFd) -> Result<(), Failure> {
    let what = || "mount a new `/proc`".to_owned();
    // Refused where something of `/proc` is hidden from us ourselves, as container engines do.
    let proc = new_file_system("proc", &[], NO_PROGRAMS).doing(what).map_err(Failure::privileged)?;
    attach(&proc, target).doing(what)?;
    for name in HIDDEN {
        cover(&proc, name, |_| clone_tree(CWD, Path::new("/dev/null")))?;
    }
    let read_only = |name: &str| cover(&proc, name, |name| clone_tree(proc.as_fd(), Path::new(name)));
    READ_ONLY.into_iter().try_for_each(read_only)?;
    // If it belongs to us, so do all others, and their modes are those of the whole machine.
    if rustix::fs::fstat(&proc).doing(what)?.st_uid == rustix::process::geteuid().as_raw() {
        let covered: Vec<&str> = READ_ONLY.into_iter().chain(HIDDEN).collect();
        for name in machine_entries(&proc).doing(what)? {
            if !covered.contains(&name.as_str()) {
                read_only(&name)?;
            }
        }
    }
    Ok(())
}

/// Puts a mount that cannot be changed over the entry `name` of `/proc`, if it has that.
fn cover(
    proc: &OwnedFd,
    name: &str,
    make: impl FnOnce(&str) -> rustix::io::Result<OwnedFd>,
) -> Result<(), Failure> {
    let what = || format!("cover `/proc/{name}`");
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = match openat(proc, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        result => result.doing(what)?,
    };
    let cover = match make(name) {
        // What a module had there goes with it.
        Err(Errno::NOENT) => return Ok(()),
        result => result.doing(what)?,
    };
    // A kernel that cannot do this is too old.
    sys::set_mount_attributes(cover.as_fd(), UNCHANGED).doing(what).map_err(Failure::privileged)?;
    match attach(&cover, place) {
        Err(Errno::NOENT) => Ok(()),
        result => result.doing(what),
    }
}

/// Returns the names of what in `/proc` is of no process, but for links.
fn machine_entries(proc: &OwnedFd) -> rustix::io::Result<Vec<String>> {
    let mut names = Vec::new();
    let listing = openat(proc, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for entry in Dir::new(listing)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        let is_of_process = name.starts_with(|first: char| first.is_ascii_digit() || first == '.');
        if !is_of_process && entry.file_type() != FileType::Symlink {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Mounts a minimal `/dev` on `target`, with `devices` of the host besides.
pub(super) fn mount_dev(target: &OwnedFd, devices: &[String]) -> Result<(), Failure> {
    let what = || "mount a minimal `/dev`".to_owned();
    let no_setuid = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let dev = new_file_system("tmpfs", &[("mode", "0755"), ("size", "1m")], no_setuid).doing(what)?;
    attach(&dev, target).doing(what)?;
    for path in DEVICES.into_iter().chain(devices.iter().map(String::as_str)) {
        let what = || format!("bind the device `{path}`");
        let Some(name) = path.strip_prefix("/dev/") else {
            return Err(Failure::new(what(), Errno::INVAL));
        };
        let device = clone_tree(CWD, Path::new(path)).doing(what)?;
        sys::set_mount_attributes(device.as_fd(), UNCHANGED).doing(what)?;
        let is_file =
            FileType::from_raw_mode(rustix::fs::fstat(&device).doing(what)?.st_mode) != FileType::Directory;
        attach(&device, open_target(&dev, name, is_file).doing(what)?).doing(what)?;
    }
    for (target, link) in LINKS {
        symlinkat(target, &dev, link).doing(what)?;
    }
    let what = || "mount `/dev/shm`".to_owned();
    let shm = new_file_system("tmpfs", &[("mode", "1777")], NO_PROGRAMS).doing(what)?;
    attach(&shm, make_directory(&dev, "shm").doing(what)?).doing(what)?;
    let what = || "mount `/dev/pts`".to_owned();
    let no_setuid = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let pts = new_file_system("devpts", &[("mode", "0620"), ("ptmxmode", "0666")], no_setuid).doing(what)?;
    attach(&pts, make_directory(&dev, "pts").doing(what)?).doing(what)
}
