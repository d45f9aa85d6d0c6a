//! Who watches local sources all the time, and so knows what changed in them without looking.
//!
//! [`Watches`] has sources watched; a [`Server`] answers from it, over a socket, what changed since a question before; a
//! build asks with a [`Watcher`]. Without an answer, whatever the reason, a build looks for itself.

mod client;
mod events;
mod file_systems;
mod server;
mod set;
mod tree;
mod wire;

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

pub use client::{Asked, Watcher};
pub use server::Server;
pub use set::{Beat, Watches};

/// Since when changes are asked for. Good for one source, and only until its watcher ends or loses count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// Who began to count; nobody else ever has the same.
    pub(crate) instance: String,
    pub(crate) sequence: u64,
}

/// What changed, and what to ask by the next time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) token: Token,
    pub(crate) changed: Changed,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Nobody knows.
    Anything,
    /// What is in these directories, and nothing else.
    Directories(Vec<ChangedDirectory>),
}

/// A directory in which something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangedDirectory {
    /// Its path from the source's root, its names apart.
    pub(crate) parts: Vec<String>,
    /// Whether everything below it may be new, too.
    pub(crate) below: bool,
}

/// Names of what changed, for people: the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Paths from the source's root, each once.
    pub names: Vec<String>,
    /// How often something else changed.
    pub n_more: usize,
}

/// This many names are kept.
const MOST_NAMES: usize = 16;

impl Names {
    /// Returns whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn add(&mut self, name: String) {
        if self.names.contains(&name) {
            return;
        }
        if self.names.len() < MOST_NAMES {
            self.names.push(name);
        } else {
            self.n_more += 1;
        }
    }
}

/// Why a source is not watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There are more directories than the system lets a user watch.
    #[error("there are more directories below `{}` than may be watched", path.display())]
    Watches {
        /// Where the last one is.
        path: PathBuf,
    },
    /// Other programs of this user watch as much as the system lets a user.
    #[error("programs of this user watch as many things as the system allows; `{}` would be one more", path.display())]
    Instances {
        /// What was to be watched.
        path: PathBuf,
    },
    /// Others may change files there without this machine noticing.
    #[error("changes of `{}` are not all told: its file system is {name}", path.display())]
    FileSystem {
        /// What is on that file system.
        path: PathBuf,
        /// What it is.
        name: String,
    },
    /// The directory was removed, or is elsewhere now.
    #[error("`{}` has gone", path.display())]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// Another process answers already.
    #[error("another process watches this project already")]
    Served,
    /// The system refused something.
    #[error("could not watch `{}`", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl WatchError {
    fn of(errno: Errno, path: &Path) -> WatchError {
        let path = path.to_owned();
        match errno {
            // What inotify(7) says of its limits.
            Errno::NOSPC => WatchError::Watches { path },
            Errno::MFILE => WatchError::Instances { path },
            Errno::NOENT | Errno::NOTDIR => WatchError::Gone { path },
            errno => WatchError::Io { path, source: errno.into() },
        }
    }

    /// Returns what can be done about it.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            WatchError::Watches { .. } => {
                Some("allow more: `sudo sysctl fs.inotify.max_user_watches=1048576` (a watch takes 1 KB)")
            }
            WatchError::Instances { .. } => {
                Some("allow more: `sudo sysctl fs.inotify.max_user_instances=1024`")
            }
            WatchError::FileSystem { .. }
            | WatchError::Gone { .. }
            | WatchError::Served
            | WatchError::Io { .. } => None,
        }
    }
}
