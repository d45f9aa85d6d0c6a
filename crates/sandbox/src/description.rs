//! What a sandbox is, as plain data.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The name of every sandbox's host.
pub const HOSTNAME: &str = "bootwright";

/// A world and the command that runs in it.
///
/// Whatever is not said here is fixed: user, mount, PID, network, IPC, UTS and cgroup namespaces of its own,
/// [`HOSTNAME`], a loopback interface and no other, umask 022, no capabilities unless `user` is
/// [`User::Root`], no new privileges, a seccomp filter, default signal handling, a session of its own, and
/// no file descriptor but those passed to [`crate::spawn`].
///
/// All paths of the host must be UTF-8. With a single mapped user, the trees of overlays must belong to
/// the user and the group that spawn the sandbox: nobody else exists in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// What `/` is.
    pub root: Root,
    /// What is mounted in it, in this order.
    pub mounts: Vec<Mount>,
    /// Who runs the command.
    pub user: User,
    /// The program and its arguments. A program with a slash is a path in the sandbox, relative to
    /// `directory`; any other is looked up in `PATH` of `environment`.
    pub arguments: Vec<String>,
    /// The whole environment of the command.
    pub environment: Vec<(String, String)>,
    /// The absolute path where the command starts. It is made if it is not there.
    pub directory: String,
    /// Limits of the command and all its children, besides those of [`Limit::defaults`].
    pub limits: Vec<Limit>,
    /// What is not as in every other sandbox, to find out whether the command minds.
    pub variation: Variation,
}

impl Sandbox {
    /// Describes a sandbox with `/proc` and `/dev` in which the build user runs `arguments` in `/` with no
    /// environment.
    #[must_use]
    pub fn new(root: Root, arguments: Vec<String>) -> Self {
        Self {
            root,
            mounts: vec![Mount::proc(), Mount::dev(&[])],
            user: User::Build,
            arguments,
            environment: Vec::new(),
            directory: "/".to_owned(),
            limits: Vec::new(),
            variation: Variation::default(),
        }
    }
}

/// What differs from machine to machine, or could. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variation {
    /// The name of the host, instead of [`HOSTNAME`].
    pub hostname: Option<String>,
    /// The user and group of [`User::Build`], instead of 1000. The root of a sandbox stays 0.
    pub build_user: Option<u32>,
    /// The permission bits that new files lack, instead of 022.
    pub umask: Option<u32>,
    /// Seconds by which the clock that tells the time of day is ahead. Files that the kernel stamps keep the
    /// true time, and so do timers that were set to a time of day (`timerfd_settime`).
    pub clock_ahead: u64,
    /// Whether directories are listed in reverse: each answer of the kernel (32 KiB of names) for itself.
    pub reversed_directories: bool,
    /// How many processors the command may run on, at most: the last ones instead of all.
    pub processors: Option<NonZeroUsize>,
}

impl Variation {
    /// Returns whether system calls have to be changed on their way.
    pub(crate) fn needs_tracing(&self) -> bool {
        self.clock_ahead != 0 || self.reversed_directories
    }
}

/// What the command sees as `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// Trees over each other. Directories to mount on are made on the fly, below all of them, and leave no
    /// trace in what is writable.
    Overlay(Overlay),
    /// A directory as it is, writable, with what is mounted in it. Directories to mount on are made in it.
    Directory(PathBuf),
    /// Nothing but what is mounted in it. It can be written, and is in memory: for programs that need no more than
    /// themselves and what they read.
    Memory,
}

/// An overlay mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// Trees that are only read, the topmost first; at most 500.
    pub lowers: Vec<PathBuf>,
    /// Where writes go; without it they fail.
    pub writable: Option<Writable>,
}

/// Where an overlay keeps what was written: two directories of one file system that is not an overlay.
///
/// The kernel is told not to sync them. Whoever wants the result to last syncs what it takes out of `upper`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writable {
    /// What differs from the trees below. Its parent should be closed to other users (mode 0700): the
    /// command may leave files in it that are setuid to us.
    pub upper: PathBuf,
    /// For the kernel; empty at first. See [`crate::remove_tree`] for what it is like afterwards.
    pub work: PathBuf,
}

/// Something mounted in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The absolute path in the sandbox, without `.` and `..`. Symbolic links in it are followed inside.
    pub at: String,
    /// What.
    pub source: Source,
}

impl Mount {
    /// `/proc` of the sandbox's own processes.
    #[must_use]
    pub fn proc() -> Self {
        Self { at: "/proc".to_owned(), source: Source::Proc }
    }

    /// A minimal `/dev`, with `devices` of the host (`/dev/kvm`) besides.
    #[must_use]
    pub fn dev(devices: &[&str]) -> Self {
        let devices = devices.iter().map(|&path| path.to_owned()).collect();
        Self { at: "/dev".to_owned(), source: Source::Dev { devices } }
    }

    /// A file or directory of the host, and what is mounted below it, that can only be read.
    pub fn read_only(host: impl Into<PathBuf>, at: impl Into<String>) -> Self {
        Self { at: at.into(), source: Source::ReadOnly(host.into()) }
    }

    /// A file or directory of the host that can be written.
    pub fn read_write(host: impl Into<PathBuf>, at: impl Into<String>) -> Self {
        Self { at: at.into(), source: Source::ReadWrite(host.into()) }
    }

    /// An overlay.
    pub fn overlay(overlay: Overlay, at: impl Into<String>) -> Self {
        Self { at: at.into(), source: Source::Overlay(overlay) }
    }

    /// An empty file system in memory, at most half of it, with mode 1777.
    pub fn tmpfs(at: impl Into<String>) -> Self {
        Self { at: at.into(), source: Source::Tmpfs }
    }
}

/// What can be mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// See [`Mount::read_only`].
    ReadOnly(PathBuf),
    /// See [`Mount::read_write`].
    ReadWrite(PathBuf),
    /// See [`Mount::overlay`].
    Overlay(Overlay),
    /// See [`Mount::tmpfs`].
    Tmpfs,
    /// See [`Mount::proc`]. In an emulation it is the caller's.
    Proc,
    /// See [`Mount::dev`]: `null`, `zero`, `full`, `random`, `urandom`, `tty`, `ptmx`, `pts`, `shm`, `fd`,
    /// `stdin`, `stdout`, `stderr`. In an emulation it is the caller's.
    Dev {
        /// Absolute paths of the host's devices that are put at the same place.
        devices: Vec<String>,
    },
}

/// Who runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum User {
    /// The build's own user: user and group 1000, no capability.
    Build,
    /// User and group 0 of the sandbox with every capability there. It can mount, but make no further user
    /// namespace.
    Root,
}

/// A limit of a process, as in `setrlimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Of what.
    pub resource: Resource,
    /// The limit that counts; `None` is unlimited. Lowered to what we may have ourselves.
    pub soft: Option<u64>,
    /// What the command may raise it to. Lowered likewise.
    pub hard: Option<u64>,
}

impl Limit {
    /// What every sandbox starts from, so that no step sees the caller's: no core dumps, 1024 file
    /// descriptors (524288 if asked for), 8 MiB of stack.
    ///
    /// Of core dumps it is one byte, not none: only that keeps the kernel from starting a handler of dumps,
    /// which would run outside of the sandbox and read what crashed inside.
    #[must_use]
    pub fn defaults() -> [Self; 3] {
        [
            Self { resource: Resource::Core, soft: Some(1), hard: Some(1) },
            Self { resource: Resource::OpenFiles, soft: Some(1024), hard: Some(524_288) },
            Self { resource: Resource::Stack, soft: Some(8 << 20), hard: None },
        ]
    }
}

/// What a [`Limit`] is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    /// Bytes of address space of a process.
    AddressSpace,
    /// Bytes of a core dump.
    Core,
    /// Seconds of CPU time of a process.
    Cpu,
    /// Bytes of a file.
    FileSize,
    /// Open file descriptors of a process.
    OpenFiles,
    /// Processes of our user, in this sandbox and outside.
    Processes,
    /// Bytes of stack.
    Stack,
}
