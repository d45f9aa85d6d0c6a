//! Whether anything of a local source may have changed, found out by looking at it without reading or remembering much.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Stat, openat, readlinkat, statat};

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
    let place = Place { directory, ignore, known: &BTreeMap::new() };
    let n_threads = thread::available_parallelism().map_or(1, usize::from);
    let mut directories = look_at(&place, vec![Vec::new()], n_threads)?;
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
    // What is new is found in what it is in.
    let todo = changed.iter().map(|changed| &changed.parts).filter(|parts| known.contains_key(*parts));
    let todo = todo.cloned().collect();
    // Several threads look sooner at what came all at once and at many directories, and not at a few.
    let is_much = changed.len() > MOST_ALONE || changed.iter().any(|changed| changed.below);
    let n_threads = if is_much { thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let looked_at = match look_at(&Place { directory, ignore, known: &known }, todo, n_threads) {
        Ok(looked_at) => looked_at,
        Err(StoreError::Io { source, .. }) if is_gone(&source) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut all = known;
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

/// Looks at the directories `todo` and those below them, on so many threads.
fn look_at(place: &Place<'_>, todo: Vec<Vec<String>>, n_threads: usize) -> Result<Vec<Seen>, StoreError> {
    let doing = || format!("list `{}`", place.directory.display());
    let root = openat(CWD, place.directory, DIRECTORY, Mode::empty()).doing(doing)?;
    let todo = Todo::new(todo, n_threads);
    let results = thread::scope(|scope| {
        let others: Vec<_> = (1..n_threads).map(|_| scope.spawn(|| work(place, &root, &todo))).collect();
        let mut results = vec![work(place, &root, &todo)];
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

/// Up to so many directories are not worth another thread.
const MOST_ALONE: usize = 32;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What is looked at.
struct Place<'a> {
    /// The source.
    directory: &'a Path,
    ignore: &'a Ignore,
    /// Directories at which nobody looks for being found where they are.
    known: &'a BTreeMap<Vec<String>, Seen>,
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

/// The directories that nobody looks at yet, by their paths. It ends when there are none and everybody waits.
struct Todo {
    state: Mutex<State>,
    changed: Condvar,
    n_threads: usize,
    /// Whether somebody waits, for those who have too much to do.
    is_wanted: AtomicBool,
}

struct State {
    directories: Vec<Vec<String>>,
    n_waiting: usize,
    is_over: bool,
}

impl Todo {
    fn new(directories: Vec<Vec<String>>, n_threads: usize) -> Todo {
        let state = Mutex::new(State { directories, n_waiting: 0, is_over: false });
        Todo { state, changed: Condvar::new(), n_threads, is_wanted: AtomicBool::new(false) }
    }

    /// Gives some of what is in `own` to others, if they have nothing to do.
    fn share(&self, own: &mut Vec<Vec<String>>) {
        if own.len() > 1 && self.is_wanted.load(Ordering::Relaxed) {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            // Those found first have the most below them.
            let half = own.len() / 2;
            state.directories.extend(own.drain(..half));
            self.is_wanted.store(false, Ordering::Relaxed);
            self.changed.notify_all();
        }
    }

    /// Waits for a directory; `None` at the end.
    fn next(&self) -> Option<Vec<String>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.is_over {
                return None;
            }
            if let Some(directory) = state.directories.pop() {
                return Some(directory);
            }
            if state.n_waiting + 1 == self.n_threads {
                state.is_over = true;
                self.changed.notify_all();
                return None;
            }
            state.n_waiting += 1;
            self.is_wanted.store(true, Ordering::Relaxed);
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.n_waiting -= 1;
        }
    }

    fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
        self.changed.notify_all();
    }
}

fn work(place: &Place<'_>, root: &OwnedFd, todo: &Todo) -> Result<Vec<Seen>, StoreError> {
    let mut all = Vec::new();
    let mut own = Vec::new();
    let mut scratch = Scratch::default();
    while let Some(parts) = own.pop().or_else(|| todo.next()) {
        match look_into(place, root, parts, &mut own, &mut scratch) {
            Ok(seen) => all.push(seen),
            Err(error) => {
                todo.end();
                return Err(error);
            }
        }
        todo.share(&mut own);
    }
    Ok(all)
}

/// Buffers that are used for one directory after the other.
struct Scratch {
    /// What the kernel lists.
    listing: Vec<MaybeUninit<u8>>,
    /// What is known of each entry, and where its name begins and ends in it.
    text: Vec<u8>,
    entries: Vec<(usize, usize)>,
    sorted: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        /// Most directories are listed at once.
        const LISTING: usize = 32 << 10;
        let listing = vec![MaybeUninit::uninit(); LISTING];
        Scratch { listing, text: Vec::new(), entries: Vec::new(), sorted: Vec::new() }
    }
}

/// Looks at the directory with the path `parts`, and adds those in it to `todo`.
fn look_into(
    place: &Place<'_>,
    root: &OwnedFd,
    mut parts: Vec<String>,
    todo: &mut Vec<Vec<String>>,
    scratch: &mut Scratch,
) -> Result<Seen, StoreError> {
    let below = parts.join("/");
    let path = || place.directory.join(&below);
    let doing = || format!("list `{}`", path().display());
    let name = if below.is_empty() { "." } else { &below };
    let fd = openat(root, name, DIRECTORY, Mode::empty()).doing(doing)?;
    let mut latest = Stamp::default();
    let mut has_links = false;
    let mut children = Vec::new();
    let Scratch { listing, text, entries, sorted } = scratch;
    text.clear();
    entries.clear();
    let mut list = RawDir::new(&fd, listing);
    while let Some(entry) = list.next() {
        let entry = entry.doing(doing)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let full = || path().join(OsStr::from_bytes(name.to_bytes()));
        let attributes = || format!("read the attributes of `{}`", full().display());
        let stat = || statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW).doing(attributes);
        let name_text = name.to_str().map_err(|_| StoreError::NotUtf8 { path: full() })?;
        let mut kind = entry.file_type();
        let mut about = None;
        if kind == FileType::Unknown {
            let found = stat()?;
            kind = FileType::from_raw_mode(found.st_mode);
            about = Some(found);
        }
        if !place.ignore.is_empty() {
            parts.push(name_text.to_owned());
            let is_ignored = place.ignore.matches(&parts, kind == FileType::Directory);
            parts.pop();
            if is_ignored {
                continue;
            }
        }
        let start = text.len();
        text.extend(name.to_bytes_with_nul());
        if kind == FileType::Directory {
            text.push(b'd');
            children.push(name_text.to_owned());
            let mut child = Vec::with_capacity(parts.len() + 1);
            child.extend_from_slice(&parts);
            child.push(name_text.to_owned());
            if !place.known.contains_key(&child) {
                todo.push(child);
            }
        } else if kind == FileType::Symlink {
            text.push(b'l');
            let target = readlinkat(&fd, name, Vec::new());
            let target = target.doing(|| format!("read link `{}`", full().display()))?;
            text.extend(target.to_bytes_with_nul());
        } else {
            let about = match about {
                Some(about) => about,
                None => stat()?,
            };
            has_links |= about.st_nlink > 1;
            latest = latest.max(write(&about, text));
        }
        entries.push((start, text.len()));
    }
    // The order of names is the file system's, which may be another one tomorrow.
    entries.sort_unstable_by(|left, right| text[left.0..left.1].cmp(&text[right.0..right.1]));
    sorted.clear();
    for (start, end) in entries {
        sorted.extend_from_slice(&text[*start..*end]);
    }
    Ok(Seen { parts, digest: Digest::of(sorted), latest, has_links, is_old: false, children })
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
