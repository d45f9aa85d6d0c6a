//! Builds the tree of mounts that becomes the sandbox's `/`.
//!
//! Everything is put together while the host's root is still there, under a small file system in memory
//! that is mounted over it, and found by descriptors: paths in the sandbox are resolved in its root only.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, fstat, mkdirat, openat, openat2,
    readlinkat,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
    unmount,
};

use super::{Doing, Failure, devices, overlay};
use crate::protocol::World;
use crate::{Mount, Root, Sandbox, Source, sys};

/// No setuid program works in a sandbox, and no device but those bound from the host.
const PLAIN: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);
/// As [`PLAIN`], for what is no place for programs either.
pub(super) const NO_PROGRAMS: MountAttrFlags = PLAIN.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Makes the sandbox's root this process's, and everything else unreachable.
pub(super) fn enter_root(sandbox: &Sandbox, world: World) -> Result<(), Failure> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .doing(|| "make the mounts private".to_owned())
        .map_err(Failure::privileged)?;
    let sources = open_sources(sandbox, world)?;
    let scaffold = || "mount a scaffold".to_owned();
    let base = new_file_system("tmpfs", &[("mode", "0755")], PLAIN).doing(scaffold)?;
    attach(&base, open_directory(CWD, "/").doing(scaffold)?).doing(scaffold)?;
    let place = make_directory(&base, "root").doing(scaffold)?;
    match &sandbox.root {
        Root::Overlay(overlay) => {
            let skeleton = make_directory(&base, "skeleton").doing(scaffold)?;
            make_skeleton(&skeleton, sandbox, &sources).doing(scaffold)?;
            overlay::mount_on(overlay, Some(skeleton), &place, "/")?;
        }
        Root::Directory(path) => {
            let what = || format!("mount `{}` at `/`", path.display());
            let tree = clone_tree(CWD, path).doing(what)?;
            sys::set_mount_attributes(tree.as_fd(), u64::from(PLAIN.bits())).doing(what)?;
            attach(&tree, &place).doing(what)?;
        }
        // The scaffold is in memory already.
        Root::Memory => {
            let tree = clone_tree(base.as_fd(), Path::new("root")).doing(scaffold)?;
            attach(&tree, &place).doing(scaffold)?;
        }
    }
    let root = open_directory(&base, "root").doing(scaffold)?;
    for (mount, source) in sandbox.mounts.iter().zip(&sources) {
        let is_file = source.as_ref().is_some_and(|source| source.is_file);
        let target =
            open_target(&root, &mount.at, is_file).doing(|| format!("make `{}` to mount on", mount.at))?;
        attach_source(mount, source.as_ref(), &base, &target)?;
    }
    let directory = open_target(&root, &sandbox.directory, false)
        .doing(|| format!("make the directory `{}`", sandbox.directory))?;
    drop(directory);

    let what = || "enter the new root".to_owned();
    rustix::process::fchdir(&root).doing(what)?;
    rustix::process::pivot_root(".", ".").doing(what)?;
    // The old root now lies over the new one, with the scaffold over it; with it goes everything else.
    unmount(".", UnmountFlags::DETACH).doing(what)?;
    unmount(".", UnmountFlags::DETACH).doing(what)?;
    let mount_of = |path: &str| {
        let mount_id = StatxFlags::MNT_ID;
        rustix::fs::statx(&root, path, AtFlags::EMPTY_PATH, mount_id).map(|stat| stat.stx_mnt_id).doing(what)
    };
    // Going up from the root stays there, unless something lies over it.
    if mount_of("")? != mount_of("/..")? {
        return Err(Failure::new("leave the old root", Errno::BUSY));
    }
    rustix::process::chdir("/").doing(what)
}

/// A file or tree of the host, not yet attached.
struct Opened {
    tree: OwnedFd,
    is_file: bool,
}

/// Opens what is bound from the host, in the order of the mounts; `None` for what is not from there.
fn open_sources(sandbox: &Sandbox, world: World) -> Result<Vec<Option<Opened>>, Failure> {
    let open = |mount: &Mount| {
        let (path, attributes) = match (&mount.source, world) {
            (Source::ReadOnly(path), _) => (path.as_path(), PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY),
            (Source::ReadWrite(path), _) => (path.as_path(), PLAIN),
            // A new one is refused: the kernel shows a nested namespace nothing that is masked outside.
            (Source::Proc, World::Emulated) => (Path::new("/proc"), NO_PROGRAMS),
            (Source::Dev { .. }, World::Emulated) => (Path::new("/dev"), MountAttrFlags::MOUNT_ATTR_NOSUID),
            _ => return Ok(None),
        };
        let what = || format!("bind `{}` to `{}`", path.display(), mount.at);
        let tree = clone_tree(CWD, path).doing(what)?;
        let set = sys::set_mount_attributes(tree.as_fd(), u64::from(attributes.bits()));
        // A kernel that cannot do this is too old.
        set.doing(what).map_err(Failure::privileged)?;
        let file_type = FileType::from_raw_mode(fstat(&tree).doing(what)?.st_mode);
        Ok(Some(Opened { tree, is_file: file_type != FileType::Directory }))
    };
    sandbox.mounts.iter().map(open).collect()
}

fn attach_source(
    mount: &Mount,
    source: Option<&Opened>,
    base: &OwnedFd,
    target: &OwnedFd,
) -> Result<(), Failure> {
    let what = || format!("mount on `{}`", mount.at);
    match (&mount.source, source) {
        (_, Some(source)) => attach(&source.tree, target).doing(what),
        (Source::Overlay(description), None) => {
            // The kernel wants two trees, unless one can be written.
            let alone = description.lowers.len() < 2 && description.writable.is_none();
            let bottom = if alone { Some(empty_directory(base).doing(what)?) } else { None };
            overlay::mount_on(description, bottom, target, &mount.at)
        }
        (Source::Tmpfs, None) => {
            let tree = new_file_system("tmpfs", &[("mode", "1777")], PLAIN).doing(what)?;
            attach(&tree, target).doing(what)
        }
        (Source::Proc, None) => devices::mount_proc(target),
        (Source::Dev { devices }, None) => devices::mount_dev(target, devices),
        (Source::ReadOnly(_) | Source::ReadWrite(_), None) => Err(Failure::new(what(), Errno::NOENT)),
    }
}

fn empty_directory(base: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    match make_directory(base, "empty") {
        Err(Errno::EXIST) => open_directory(base, "empty"),
        result => result,
    }
}

/// Makes, below all trees of the root, the directories and files that are mounted on.
fn make_skeleton(
    skeleton: &OwnedFd,
    sandbox: &Sandbox,
    sources: &[Option<Opened>],
) -> rustix::io::Result<()> {
    let mounted =
        |at: &str, earlier: &[Mount]| earlier.iter().any(|mount| Path::new(at).starts_with(&mount.at));
    for (idx, (mount, source)) in sandbox.mounts.iter().zip(sources).enumerate() {
        if !mounted(&mount.at, &sandbox.mounts[..idx]) {
            let is_file = source.as_ref().is_some_and(|source| source.is_file);
            open_target(skeleton, &mount.at, is_file)?;
        }
    }
    if !mounted(&sandbox.directory, &sandbox.mounts) {
        open_target(skeleton, &sandbox.directory, false)?;
    }
    Ok(())
}

/// Opens `path` as seen in `root`, making it and the directories above it where they are missing, also at
/// the end of symbolic links.
pub(super) fn open_target(root: impl AsFd, path: &str, is_file: bool) -> rustix::io::Result<OwnedFd> {
    open_or_make(root.as_fd(), path, is_file, 0)
}

/// As many links as the kernel follows in a path.
const MAX_LINKS: u32 = 40;

fn open_or_make(
    root: BorrowedFd<'_>,
    path: &str,
    is_file: bool,
    n_links: u32,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let open = |path: &str| openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
    let path = path.trim_matches('/');
    let path = if path.is_empty() { "." } else { path };
    match open(path) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let (parent_path, name) = path.rsplit_once('/').unwrap_or((".", path));
    let parent = open_or_make(root, parent_path, false, n_links)?;
    let made = if is_file {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(&parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
    } else {
        mkdirat(&parent, name, Mode::from_raw_mode(0o755))
    };
    match made {
        Ok(()) => open(path),
        // A link whose end is missing.
        Err(Errno::EXIST) if n_links < MAX_LINKS => {
            let link = readlinkat(&parent, name, Vec::new())?;
            let link = link.to_str().map_err(|_| Errno::ILSEQ)?;
            let end = if link.starts_with('/') { link.to_owned() } else { format!("{parent_path}/{link}") };
            open_or_make(root, &end, is_file, n_links + 1)
        }
        Err(errno) => Err(errno),
    }
}

/// Makes a file system without a device, mounted nowhere.
pub(super) fn new_file_system(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for &(key, value) in options {
        fsconfig_set_string(context.as_fd(), key, value)?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Makes another mount of the tree at `path` with all that is mounted in it, itself mounted nowhere.
pub(super) fn clone_tree(parent: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(parent, path, flags)
}

/// Mounts `tree` on `target`.
pub(super) fn attach(tree: impl AsFd, target: impl AsFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", target, "", flags)
}

/// Opens a directory with what is mounted there.
pub(super) fn open_directory(parent: impl AsFd, path: &str) -> rustix::io::Result<OwnedFd> {
    openat(parent, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Makes a directory and opens it.
pub(super) fn make_directory(parent: impl AsFd, path: &str) -> rustix::io::Result<OwnedFd> {
    mkdirat(&parent, path, Mode::from_raw_mode(0o755))?;
    open_directory(parent, path)
}
