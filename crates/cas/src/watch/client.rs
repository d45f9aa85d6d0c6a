//! The one who asks.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::Pid;

use super::wire::{PROTOCOL, is_ours, receive, send, with_short_path};
use super::{Answer, Changed, ChangedDirectory, Token};
use crate::Ignore;
use crate::proto::{WatchAnswer, WatchQuestion};

/// Longer than this nobody waits for an answer: to look at 80,000 files takes about as long.
const PATIENCE: Duration = Duration::from_millis(100);

/// Asks whoever watches sources what changed in them.
#[derive(Debug, Default)]
pub struct Watcher {
    socket: Option<PathBuf>,
    patience: Duration,
    /// Whether it did not answer in time, so that nobody waits again.
    is_silent: AtomicBool,
    n_unchanged: AtomicUsize,
    n_partly: AtomicUsize,
    n_looked: AtomicUsize,
}

/// How many sources came of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The watcher said that nothing changed, and nobody looked.
    pub unchanged: usize,
    /// It said where something changed, and nobody looked elsewhere.
    pub partly: usize,
    /// Everything was looked at.
    pub looked: usize,
}

impl Watcher {
    /// Returns one that knows nothing: everything is looked at.
    pub fn nobody() -> Watcher {
        Watcher::default()
    }

    /// Returns one that asks the [`super::Server`] at `socket`, if there is one.
    pub fn at(socket: &Path) -> Watcher {
        Watcher::patient(socket, PATIENCE)
    }

    /// Does the same and waits longer, or shorter, for an answer.
    pub fn patient(socket: &Path, patience: Duration) -> Watcher {
        Watcher { socket: Some(socket.to_owned()), patience, ..Watcher::default() }
    }

    /// Returns the process that answers, if there is one and it is not in another world of processes.
    pub fn process(&self) -> Option<Pid> {
        let stream = self.socket.as_ref().and_then(|socket| connected(socket).ok())?;
        let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
        (peer.uid == rustix::process::geteuid()).then_some(peer.pid)
    }

    /// Returns what came of the questions until now.
    pub fn asked(&self) -> Asked {
        let number = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        Asked {
            unchanged: number(&self.n_unchanged),
            partly: number(&self.n_partly),
            looked: number(&self.n_looked),
        }
    }

    pub(crate) fn count_unchanged(&self) {
        self.n_unchanged.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_partly(&self) {
        self.n_partly.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_looked(&self) {
        self.n_looked.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns what changed of the directory of that device and inode since `since`; `None` if nobody knows.
    pub(crate) fn ask(
        &self,
        directory: &Path,
        identity: (u64, u64),
        ignore: &Ignore,
        since: Option<&Token>,
    ) -> Option<Answer> {
        let socket = self.socket.as_ref()?;
        if self.is_silent.load(Ordering::Relaxed) {
            return None;
        }
        let question = WatchQuestion {
            protocol: PROTOCOL,
            directory: directory.as_os_str().as_bytes().to_vec(),
            ignore: ignore.patterns(),
            device: identity.0,
            inode: identity.1,
            instance: since.map(|since| since.instance.clone()).unwrap_or_default(),
            sequence: since.map(|since| since.sequence).unwrap_or_default(),
        };
        match exchange(socket, self.patience, &question) {
            Ok(answer) => understand(answer),
            Err(error) => {
                let is_silent = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                self.is_silent.fetch_or(is_silent, Ordering::Relaxed);
                None
            }
        }
    }
}

fn connected(socket: &Path) -> io::Result<UnixStream> {
    with_short_path(socket, |path| {
        // Where nobody accepts any more, and many wait for that, connecting would wait, too.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&fd, &SocketAddrUnix::new(path)?)?;
        Ok(UnixStream::from(fd))
    })
}

fn exchange(socket: &Path, patience: Duration, question: &WatchQuestion) -> io::Result<WatchAnswer> {
    let stream = connected(socket)?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    if !is_ours(&stream) {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    send(&stream, question)?;
    receive(&stream)
}

fn understand(answer: WatchAnswer) -> Option<Answer> {
    if answer.protocol != PROTOCOL || answer.instance.is_empty() {
        return None;
    }
    let token = Token { instance: answer.instance, sequence: answer.sequence };
    let directories = answer.directories.into_iter();
    let changed = match answer.anything {
        true => Changed::Anything,
        false => Changed::Directories(
            directories.map(|found| ChangedDirectory { parts: found.parts, below: found.below }).collect(),
        ),
    };
    Some(Answer { token, changed })
}
