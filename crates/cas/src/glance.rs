//! Whether anything of a local source may have changed, found out by looking at it without reading or remembering much.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};

use crate::files::{Stamp, changed, modified};
use crate::store::Doing as _;
use crate::watch::ChangedDirectory;
use crate::{Digest, Ignore, StoreError};

/// All that `stat` says of a source's entries.
#[derive(Debug)]
pub(crate) struct Glance {
    /// Another directory at the same path is another source: its device and inode.
    identity: (u64, u64),
    /// Its directories, each in front of those below it, the source itself first.
    pub(crate) directories: Vec<Seen>,
}

impl Glance {
    /// Returns the digest of names, kinds, sizes, times, inodes and devices of everything.
    pub(crate) fn digest(&self) -> Digest {
        let mut text = Vec::with_capacity(self.directories.len() * 64);
        text.extend(self.identity.0.to_le_bytes());
        text.extend(self.identity.1.to_le_bytes());
        for seen in &self.directories {
            text.extend(seen.parts.join("/").as_bytes());
            text.push(0);
            text.extend(seen.digest.hash());
        }
        Digest::of(&text)
    }

    /// Returns for each directory the place of the one that it is in, and 0 for the source itself.
    pub(crate) fn parents(&self) -> Vec<usize> {
        let mut above: Vec<usize> = Vec::new();
        let mut parents = Vec::with_capacity(self.directories.len());
        for (idx, seen) in self.directories.iter().enumerate() {
            // A directory has one part more than what it is in.
            above.truncate(seen.parts.len());
            parents.push(above.last().copied().unwrap_or(0));
            above.push(idx);
        }
        parents
    }
}

/// Returns a digest of what everything below `directory` looks like that `ignore` does not match.
///
/// Fails as [`crate::LocalStore::import_source`] does.
pub fn look(directory: &Path, ignore: &Ignore) -> Result<Digest, StoreError> {
    glance(directory, ignore).map(|glance| glance.digest())
}

/// Looks at every entry below `directory` that `ignore` does not match, on as many threads as there are processors.
///
/// Fails when something cannot be looked at, or has a name that is no UTF-8.
pub(crate) fn glance(directory: &Path, ignore: &Ignore) -> Result<Glance, StoreError> {
    let identity = identity(directory)?;
    let todo = Todo::default();
    todo.add(Below { path: directory.to_owned(), parts: Vec::new() });
    let mut directories = look_at(&todo, ignore, thread::available_parallelism().map_or(1, usize::from))?;
    directories.sort_unstable_by(|left, right| left.parts.cmp(&right.parts));
    Ok(Glance { identity, directories })
}

/// Does the same when everything is as in `known` except what is in the directories `changed`.
///
/// `None` when that cannot be put together, such as when a directory has gone meanwhile: only a whole glance helps then.
pub(crate) fn glance_again(
    directory: &Path,
    ignore: &Ignore,
    known: Vec<Seen>,
    changed: &[ChangedDirectory],
) -> Result<Option<Glance>, StoreError> {
    let identity = identity(directory)?;
    let mut known: BTreeMap<Vec<String>, Seen> =
        known.into_iter().map(|seen| (seen.parts.clone(), seen)).collect();
    for changed in changed.iter().filter(|changed| changed.below) {
        forget_below(&mut known, &changed.parts);
    }
    let is_new = |parts: &[String]| changed.iter().any(|new| new.below && parts.starts_with(&new.parts));
    for ChangedDirectory { parts, below } in changed {
        let is_found = match parts.split_last() {
            Some((_, parent)) if *below => {
                is_new(parent) || changed.iter().any(|changed| changed.parts == *parent)
            }
            _ => known.contains_key(parts) || is_new(parts),
        };
        if !is_found {
            return Ok(None);
        }
    }
    let mut todo = Todo::default();
    for ChangedDirectory { parts, .. } in changed {
        // What is new is found in what it is in.
        if known.contains_key(parts) {
            let path = parts.iter().fold(directory.to_owned(), |path, part| path.join(part));
            todo.add(Below { path, parts: parts.clone() });
        }
    }
    // Two threads look sooner at what came all at once, and not at a few directories.
    let n_threads = match changed.iter().any(|changed| changed.below) {
        true => thread::available_parallelism().map_or(1, usize::from),
        false => 1,
    };
    todo.known = known;
    let looked_at = match look_at(&todo, ignore, n_threads) {
        Ok(looked_at) => looked_at,
        Err(StoreError::Io { source, .. }) if is_gone(&source) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut all = todo.known;
    all.extend(looked_at.into_iter().map(|seen| (seen.parts.clone(), seen)));
    let mut directories: BTreeMap<Vec<String>, Seen> = BTreeMap::new();
    let mut named: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    // Directories come in front of those below them.
    for (parts, seen) in all {
        if let Some((name, parent)) = parts.split_last() {
            let is_there = directories.contains_key(parent)
                && named.get(parent).is_none_or(|names| names.contains(name));
            if !is_there {
                continue;
            }
        }
        if !seen.is_old {
            named.insert(parts.clone(), seen.children.clone());
        }
        directories.insert(parts, seen);
    }
    // Each directory that was seen must be there: one that nobody looked at would be taken for an empty one.
    let is_whole = directories.contains_key(&[][..])
        && named.iter().all(|(parent, names)| {
            names.iter().all(|name| {
                let parts: Vec<String> = parent.iter().chain([name]).cloned().collect();
                directories.contains_key(&parts)
            })
        });
    let directories = directories.into_values().collect();
    Ok(is_whole.then_some(Glance { identity, directories }))
}

/// Removes a directory and everything below it.
pub(crate) fn forget_below<T>(known: &mut BTreeMap<Vec<String>, T>, parts: &[String]) -> Vec<T> {
    let below = known.range(parts.to_vec()..).map(|(found, _)| found);
    let below: Vec<Vec<String>> = below.take_while(|found| found.starts_with(parts)).cloned().collect();
    below.iter().filter_map(|parts| known.remove(parts)).collect()
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns what tells one directory from another one at the same path: its device and inode.
pub(crate) fn identity(directory: &Path) -> Result<(u64, u64), StoreError> {
    let about = rustix::fs::stat(directory).map_err(io::Error::from);
    let about = about.doing(|| format!("list `{}`", directory.display()))?;
    Ok((about.st_dev, about.st_ino))
}

/// Looks at what is to be done, on so many threads.
fn look_at(todo: &Todo, ignore: &Ignore, n_threads: usize) -> Result<Vec<Seen>, StoreError> {
    let results = thread::scope(|scope| {
        let others: Vec<_> = (1..n_threads).map(|_| scope.spawn(|| work(todo, ignore))).collect();
        let mut results = vec![work(todo, ignore)];
        results.extend(others.into_iter().map(|other| {
            // A panic in a worker is our bug, and goes on as one.
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        }));
        results
    });
    let mut directories = Vec::new();
    for seen in results {
        directories.extend(seen?);
    }
    Ok(directories)
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A directory to look at.
struct Below {
    path: PathBuf,
    /// Its path from the source's root, its names apart.
    parts: Vec<String>,
}

/// A directory that was looked at.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Its path from the source's root, its names apart.
    pub(crate) parts: Vec<String>,
    /// The digest of what is in it by itself: of what is below it, only the names of directories.
    pub(crate) digest: Digest,
    /// When a file in it last changed, content or attributes.
    pub(crate) latest: Stamp,
    /// Whether a file in it has other names, by which it can change without anything happening here.
    pub(crate) has_links: bool,
    /// Whether it was not looked at now, since it is as it was before.
    pub(crate) is_old: bool,
    /// The names of the directories in it, if it was looked at.
    pub(crate) children: Vec<String>,
}

/// The directories that are to be looked at. It ends when none is left and none is being looked at.
#[derive(Default)]
struct Todo {
    state: Mutex<State>,
    changed: Condvar,
    /// Directories at which nobody looks for being found where they are.
    known: BTreeMap<Vec<String>, Seen>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Below>,
    n_open: usize,
    failed: bool,
}

impl Todo {
    fn add(&self, below: Below) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.push(below);
        state.n_open += 1;
        self.changed.notify_one();
    }

    /// Waits for a directory; `None` at the end.
    fn next(&self) -> Option<Below> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.failed {
                return None;
            }
            if let Some(below) = state.waiting.pop() {
                return Some(below);
            }
            if state.n_open == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, failed: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.n_open -= 1;
        state.failed |= failed;
        if state.n_open == 0 || failed {
            self.changed.notify_all();
        }
    }
}

fn work(todo: &Todo, ignore: &Ignore) -> Result<Vec<Seen>, StoreError> {
    let mut all = Vec::new();
    let mut scratch = Scratch::default();
    while let Some(below) = todo.next() {
        let seen = directory(below, todo, ignore, &mut scratch);
        todo.done(seen.is_err());
        all.push(seen?);
    }
    Ok(all)
}

/// Buffers that are used for one directory after the other.
#[derive(Default)]
struct Scratch {
    /// What is known of each entry, and where its name begins and ends in it.
    text: Vec<u8>,
    entries: Vec<(usize, usize)>,
}

fn directory(below: Below, todo: &Todo, ignore: &Ignore, scratch: &mut Scratch) -> Result<Seen, StoreError> {
    let Below { path, mut parts } = below;
    let doing = || format!("list `{}`", path.display());
    let fd = openat(CWD, &path, DIRECTORY, Mode::empty()).map_err(io::Error::from).doing(doing)?;
    let mut latest = Stamp::default();
    let mut has_links = false;
    let mut children = Vec::new();
    scratch.text.clear();
    scratch.entries.clear();
    for entry in Dir::read_from(&fd).map_err(io::Error::from).doing(doing)? {
        let entry = entry.map_err(io::Error::from).doing(doing)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let full = || path.join(OsStr::from_bytes(name.to_bytes()));
        let attributes = || format!("read the attributes of `{}`", full().display());
        let stat = || statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from).doing(attributes);
        let text = name.to_str().map_err(|_| StoreError::NotUtf8 { path: full() })?;
        let mut kind = entry.file_type();
        let mut about = None;
        if kind == FileType::Unknown {
            let found = stat()?;
            kind = FileType::from_raw_mode(found.st_mode);
            about = Some(found);
        }
        parts.push(text.to_owned());
        if ignore.matches(&parts, kind == FileType::Directory) {
            parts.pop();
            continue;
        }
        let start = scratch.text.len();
        scratch.text.extend(name.to_bytes_with_nul());
        if kind == FileType::Directory {
            scratch.text.push(b'd');
            children.push(text.to_owned());
            if !todo.known.contains_key(&parts) {
                todo.add(Below { path: path.join(text), parts: parts.clone() });
            }
        } else if kind == FileType::Symlink {
            scratch.text.push(b'l');
            let target = readlinkat(&fd, name, Vec::new()).map_err(io::Error::from);
            let target = target.doing(|| format!("read link `{}`", full().display()))?;
            scratch.text.extend(target.to_bytes_with_nul());
        } else {
            let about = match about {
                Some(about) => about,
                None => stat()?,
            };
            has_links |= about.st_nlink > 1;
            latest = latest.max(write(&about, &mut scratch.text));
        }
        scratch.entries.push((start, scratch.text.len()));
        parts.pop();
    }
    // The order of names is the file system's, which may be another one tomorrow.
    let all = &scratch.text;
    scratch.entries.sort_unstable_by(|left, right| all[left.0..left.1].cmp(&all[right.0..right.1]));
    let mut sorted = Vec::with_capacity(all.len());
    for (start, end) in &scratch.entries {
        sorted.extend_from_slice(&all[*start..*end]);
    }
    Ok(Seen { parts, digest: Digest::of(&sorted), latest, has_links, is_old: false, children })
}

/// Writes what a file can be recognised by, and returns when it last changed.
fn write(about: &Stat, text: &mut Vec<u8>) -> Stamp {
    let (modified, changed) = (modified(about), changed(about));
    text.push(b'f');
    text.extend(about.st_mode.to_le_bytes());
    text.extend(about.st_size.to_le_bytes());
    for number in [modified.0, modified.1, changed.0, changed.1] {
        text.extend(number.to_le_bytes());
    }
    text.extend(about.st_ino.to_le_bytes());
    text.extend(about.st_dev.to_le_bytes());
    modified.max(changed)
}
