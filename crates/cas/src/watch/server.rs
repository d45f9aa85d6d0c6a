//! The one who answers.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::set::Watches;
use super::wire::{PROTOCOL, is_ours, receive, send, with_short_path};
use super::{Answer, Changed, Token, WatchError};
use crate::Ignore;
use crate::proto::{WatchAnswer, WatchQuestion, WatchedDirectory};

/// A client that takes longer than this to ask has died.
const PATIENCE: Duration = Duration::from_millis(200);

/// Answers on a thread of its own until it is dropped.
///
/// Sources that nobody watches yet are watched from when they are first asked for.
#[derive(Debug)]
pub struct Server {
    socket: PathBuf,
    stop: Arc<OwnedFd>,
    n_questions: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    _lock: File,
}

impl Server {
    /// Begins to answer at `socket`, in a directory that is there. Only processes of this user can ask.
    ///
    /// Fails with [`WatchError::Served`] when another process does so.
    pub fn start(socket: &Path, watches: &Arc<Watches>) -> Result<Server, WatchError> {
        let failed = |source: io::Error| WatchError::Io { path: socket.to_owned(), source };
        let lock = File::create(socket.with_extension("lock")).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Err(WatchError::Served),
            Err(errno) => return Err(failed(errno.into())),
        }
        // Nobody is there, so it was left by one who was killed.
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = with_short_path(socket, |path| UnixListener::bind(path)).map_err(failed)?;
        fs::set_permissions(socket, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let stop = Arc::new(stop.map_err(|errno| failed(errno.into()))?);
        let n_questions = Arc::new(AtomicU64::new(0));
        let (watches, stopped, counter) = (Arc::clone(watches), Arc::clone(&stop), Arc::clone(&n_questions));
        let thread = thread::spawn(move || serve(&listener, &stopped, &counter, &watches));
        Ok(Server { socket: socket.to_owned(), stop, n_questions, thread: Some(thread), _lock: lock })
    }

    /// Returns whether a process answers at `socket`, or was told to end and has not ended yet.
    pub fn is_there(socket: &Path) -> bool {
        let lock = File::open(socket.with_extension("lock"));
        lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared) == Err(Errno::AGAIN))
    }

    /// Returns how often it was asked.
    pub fn n_questions(&self) -> u64 {
        self.n_questions.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A build that asks now looks for itself.
        let _gone = fs::remove_file(&self.socket);
        let _written = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn serve(listener: &UnixListener, stop: &OwnedFd, n_questions: &AtomicU64, watches: &Arc<Watches>) {
    loop {
        let mut fds = [PollFd::new(listener, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        if !fds[1].revents().is_empty() {
            return;
        }
        if let Ok((stream, _)) = listener.accept() {
            n_questions.fetch_add(1, Ordering::Relaxed);
            // One who does not understand the answer, or has gone, is none of our business.
            let _answered = answer(&stream, watches);
        }
    }
}

fn answer(stream: &UnixStream, watches: &Arc<Watches>) -> io::Result<()> {
    if !is_ours(stream) {
        return Ok(());
    }
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let question: WatchQuestion = receive(stream)?;
    if question.protocol != PROTOCOL {
        return Ok(());
    }
    let directory = Path::new(OsStr::from_bytes(&question.directory));
    let ignore = Ignore::new(question.ignore.iter().map(String::as_str));
    let identity = (question.device, question.inode);
    let since = Token { instance: question.instance, sequence: question.sequence };
    let found = watches.answer(directory, &ignore, identity, Some(&since));
    send(stream, &found.map(message).unwrap_or(WatchAnswer { protocol: PROTOCOL, ..WatchAnswer::default() }))
}

fn message(answer: Answer) -> WatchAnswer {
    let Answer { token, changed } = answer;
    let (anything, directories) = match changed {
        Changed::Anything => (true, Vec::new()),
        Changed::Directories(directories) => (false, directories),
    };
    let directories = directories.into_iter();
    WatchAnswer {
        protocol: PROTOCOL,
        instance: token.instance,
        sequence: token.sequence,
        anything,
        directories: directories
            .map(|found| WatchedDirectory { parts: found.parts, below: found.below })
            .collect(),
    }
}
