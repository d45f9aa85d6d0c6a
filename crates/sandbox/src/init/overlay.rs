//! Overlay mounts, of any number of trees with any names.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, open, unlinkat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount,
};

use super::{Doing, Failure};
use crate::{Error, Overlay};

/// Mounts `overlay` on the directory `at`. The caller must be root of its mount namespace.
pub fn mount_overlay(overlay: &Overlay, at: &Path) -> Result<(), Error> {
    let name = at.display().to_string();
    directory(at)
        .and_then(|target| mount_on(overlay, None, target, &name))
        .map_err(|Failure { doing, errno, .. }| Error::reported(doing, errno, false))
}

/// Mounts `overlay`, with `bottom` as a further tree below all others, on the directory `target`, which
/// errors call `name`.
///
/// The trees are named by descriptors of this process, `/proc/self/fd/7`: these names are short, and
/// `/proc/mounts` of the sandbox tells nothing of the host.
pub(super) fn mount_on(
    overlay: &Overlay,
    bottom: Option<OwnedFd>,
    target: impl AsFd,
    name: &str,
) -> Result<(), Failure> {
    let mut lowers = Vec::with_capacity(overlay.lowers.len() + 1);
    let mut named = BTreeSet::new();
    for path in &overlay.lowers {
        // What a tree has is on top where it comes first; the kernel takes none twice (ELOOP).
        if named.insert(path) {
            lowers.push(directory(path)?);
        }
    }
    lowers.extend(bottom);
    let writable = match &overlay.writable {
        Some(writable) => {
            let (upper, work) = (directory(&writable.upper)?, directory(&writable.work)?);
            forget_earlier_mount(&work)
                .doing(|| format!("clear the overlay's work directory `{}`", writable.work.display()))?;
            Some((upper, work))
        }
        None => None,
    };
    match mount_with_new_calls(&lowers, writable.as_ref(), &target) {
        // Before 6.5 the kernel took all lower trees as one option, which `fsconfig` limits to 256 bytes.
        Err(Errno::INVAL) => mount_with_old_call(&lowers, writable.as_ref(), &target),
        result => result,
    }
    .doing(|| format!("mount an overlay of {} trees at `{name}`", overlay.lowers.len()))
}

fn directory(path: &Path) -> Result<OwnedFd, Failure> {
    open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open the directory `{}`", path.display()))
}

/// Removes the mark by which the kernel refuses to mount a work directory that an earlier mount did not
/// sync. That mount's upper directory is whole unless the machine crashed, and then nobody uses it again.
fn forget_earlier_mount(work: &OwnedFd) -> rustix::io::Result<()> {
    for (path, flags) in [
        (c"work/incompat/volatile/dirty", AtFlags::empty()),
        (c"work/incompat/volatile", AtFlags::REMOVEDIR),
        (c"work/incompat", AtFlags::REMOVEDIR),
    ] {
        match unlinkat(work, path, flags) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn name_of(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn mount_with_new_calls(
    lowers: &[OwnedFd],
    writable: Option<&(OwnedFd, OwnedFd)>,
    target: impl AsFd,
) -> rustix::io::Result<()> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    for lower in lowers {
        fsconfig_set_string(context, "lowerdir+", name_of(lower))?;
    }
    if let Some((upper, work)) = writable {
        fsconfig_set_string(context, "upperdir", name_of(upper))?;
        fsconfig_set_string(context, "workdir", name_of(work))?;
        fsconfig_set_flag(context, "volatile")?;
    }
    // Attributes of `user.overlay.` instead of `trusted.overlay.`, which only real root can set.
    fsconfig_set_flag(context, "userxattr")?;
    // Inode numbers that stay the same, also of directories, when the trees are on several file systems.
    fsconfig_set_string(context, "xino", "on")?;
    fsconfig_create(context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let overlay = fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&overlay, "", &target, "", flags)
}

/// One page holds all options. When there are too many trees for it, they are named relative to
/// `/proc/self/fd`, so that 500 of them fit; only the init has so many, and can move.
fn mount_with_old_call(
    lowers: &[OwnedFd],
    writable: Option<&(OwnedFd, OwnedFd)>,
    target: impl AsFd,
) -> rustix::io::Result<()> {
    let target = format!("/proc/self/fd/{}", target.as_fd().as_raw_fd());
    let mount = |name: &dyn Fn(&OwnedFd) -> String| {
        let names: Vec<String> = lowers.iter().map(name).collect();
        let mut options = format!("userxattr,xino=on,lowerdir={}", names.join(":"));
        if let Some((upper, work)) = writable {
            options.push_str(&format!(",upperdir={},workdir={},volatile", name(upper), name(work)));
        }
        let options = CString::new(options).expect("options have no zero byte");
        mount(
            "overlay",
            target.as_str(),
            "overlay",
            MountFlags::NOSUID | MountFlags::NODEV,
            options.as_c_str(),
        )
    };
    if lowers.len() <= 100 {
        return mount(&name_of);
    }
    let here = open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::chdir("/proc/self/fd")?;
    let result = mount(&|fd| fd.as_raw_fd().to_string());
    rustix::process::fchdir(here)?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_which_tree_is_missing() {
        let overlay = Overlay { lowers: vec!["/nonexistent".into()], writable: None };
        let error = mount_overlay(&overlay, Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), "could not open the directory `/nonexistent` for a sandbox");
    }
}
