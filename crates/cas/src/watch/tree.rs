//! One source that is watched: each of its directories that is not left out has a watch of inotify.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::events::{Event, read_events};
use super::file_systems::refused;
use super::{Answer, Changed, ChangedDirectory, Names, Token, WatchError};
use crate::Ignore;
use crate::glance::forget_below;

type Parts = Vec<String>;

/// All that may make a source another one. Links are made and removed, never changed.
const EVENTS: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Of more directories than this nobody wants to hear one by one.
const MANY: usize = 4096;

/// When something of a directory last changed, counted from when its source was first watched.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    /// What is in it.
    inside: u64,
    /// It was new, with everything below it; then something of what it is in changed, too.
    new: u64,
}

/// A source, and what changed in it since it is watched.
///
/// # Why nothing is missed
///
/// The kernel puts an event into the queue before the system call returns that changed something, so whoever asks
/// after a change finds it there: [`Tree::drain`] reads all that the queue holds when it is called. (A watcher that hears
/// of changes some time later, as those of other systems do, has to make a file and wait until it hears of that.)
/// A directory is watched first and listed then. One that is new or was moved here is reported with everything below
/// it, so what came into it before it was watched is looked at, too. When the queue was too short, all is watched anew,
/// and who asks by an old token is told that anything may have changed.
#[derive(Debug)]
pub(crate) struct Tree {
    inotify: Arc<OwnedFd>,
    root: PathBuf,
    ignore: Ignore,
    identity: (u64, u64),
    token: Token,
    /// By watch; several where one directory is seen in several places.
    paths: BTreeMap<i32, BTreeSet<Parts>>,
    watches: BTreeMap<Parts, i32>,
    changes: BTreeMap<Parts, Change>,
    /// File systems that tell of all changes.
    devices: BTreeSet<u64>,
    names: Names,
}

impl Tree {
    /// Begins to watch `root`, except what `ignore` says.
    pub(crate) fn new(root: &Path, ignore: &Ignore) -> Result<Tree, WatchError> {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).map_err(|errno| WatchError::of(errno, root))?;
        let mut tree = Tree {
            inotify: Arc::new(inotify),
            root: root.to_owned(),
            ignore: ignore.clone(),
            identity: (0, 0),
            token: Token { instance: unique()?, sequence: 0 },
            paths: BTreeMap::new(),
            watches: BTreeMap::new(),
            changes: BTreeMap::new(),
            devices: BTreeSet::new(),
            names: Names::default(),
        };
        tree.cover(Vec::new())?;
        if !tree.watches.contains_key(&[][..]) {
            return Err(WatchError::of(Errno::NOENT, root));
        }
        Ok(tree)
    }

    /// Returns what becomes readable when something changes.
    pub(crate) fn inotify(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.inotify)
    }

    /// Returns the device and inode of the directory that is watched.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Returns how often something changed.
    pub(crate) fn sequence(&self) -> u64 {
        self.token.sequence
    }

    /// Returns what changed since the last time that this was called, for people.
    pub(crate) fn take_names(&mut self) -> Names {
        std::mem::take(&mut self.names)
    }

    /// Returns what changed since `since`, of what [`Tree::drain`] has read.
    pub(crate) fn answer(&self, since: Option<&Token>) -> Answer {
        let since = since.filter(|since| since.instance == self.token.instance);
        let changed = match since {
            None => Changed::Anything,
            Some(since) => {
                let new = self.changes.iter().filter(|(_, change)| change.inside > since.sequence);
                let new = new.map(|(parts, change)| ChangedDirectory {
                    parts: parts.clone(),
                    below: change.new > since.sequence,
                });
                let new: Vec<ChangedDirectory> = new.take(MANY + 1).collect();
                if new.len() > MANY { Changed::Anything } else { Changed::Directories(new) }
            }
        };
        Answer { token: self.token.clone(), changed }
    }

    /// Takes note of everything that the queue holds now. Fails when the source can be watched no more.
    pub(crate) fn drain(&mut self) -> Result<(), WatchError> {
        let inotify = Arc::clone(&self.inotify);
        let mut has_overflowed = false;
        let read = read_events(&inotify, &mut |event| {
            has_overflowed |= event.flags.contains(ReadFlags::QUEUE_OVERFLOW);
            if has_overflowed { Ok(()) } else { self.note(&event) }
        });
        read.map_err(|error| match error {
            Ok(error) => error,
            Err(errno) => WatchError::of(errno, &self.root),
        })?;
        if has_overflowed {
            let before = self.token.sequence;
            let mut names = self.take_names();
            names.add("more than the system keeps count of".to_owned());
            *self = Tree::new(&self.root, &self.ignore)?;
            self.token.sequence = before + 1;
            self.names = names;
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) -> Result<(), WatchError> {
        // Of watches that were taken away, what was on its way before.
        let Some(directories) = self.paths.get(&event.watch).cloned() else { return Ok(()) };
        for directory in &directories {
            match &event.name {
                None => self.note_itself(directory, event)?,
                Some(name) => self.note_entry(directory, name, event.flags)?,
            }
        }
        Ok(())
    }

    /// What happened to a directory that is watched.
    fn note_itself(&mut self, directory: &Parts, event: &Event) -> Result<(), WatchError> {
        let has_gone =
            event.flags.intersects(ReadFlags::IGNORED | ReadFlags::UNMOUNT | ReadFlags::DELETE_SELF);
        if directory.is_empty() && (has_gone || event.flags.contains(ReadFlags::MOVE_SELF)) {
            return Err(WatchError::Gone { path: self.root.clone() });
        }
        if event.flags.contains(ReadFlags::UNMOUNT) {
            // What was below comes to light.
            self.change(&directory[..directory.len() - 1], None);
            self.appear(directory)?;
        } else if has_gone {
            self.forget(directory);
        } else if event.flags.contains(ReadFlags::ATTRIB) {
            self.change(directory, None);
        }
        Ok(())
    }

    /// What happened to an entry of a directory that is watched.
    fn note_entry(&mut self, directory: &Parts, name: &OsStr, flags: ReadFlags) -> Result<(), WatchError> {
        let Some(text) = name.to_str() else {
            // Nobody imports it, which is an error that comes again with each build.
            self.change(directory, None);
            return Ok(());
        };
        let mut parts = directory.clone();
        parts.push(text.to_owned());
        let is_directory = flags.contains(ReadFlags::ISDIR);
        if self.ignore.matches(&parts, is_directory) {
            return Ok(());
        }
        self.change(directory, Some(text));
        let came_or_went =
            ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
        // It may have been watched, and only now become one in which the others can be reached.
        let may_be_reached = flags.contains(ReadFlags::ATTRIB);
        // Of another event it may just have become one that can be read.
        let is_unwatched = !self.watches.contains_key(&parts);
        if is_directory && (flags.intersects(came_or_went) || may_be_reached || is_unwatched) {
            self.appear(&parts)?;
        }
        Ok(())
    }

    /// Takes note of what is at a path where a directory was or is, in one that was said to have changed.
    ///
    /// What is there now need not be what the event was about: when two directories change places, the one that came is
    /// told before the one that went.
    fn appear(&mut self, parts: &Parts) -> Result<(), WatchError> {
        self.forget(parts);
        self.cover(parts.clone())?;
        if self.watches.contains_key(parts) {
            self.change(parts, None);
            if let Some(change) = self.changes.get_mut(parts) {
                change.new = change.inside;
            }
        }
        Ok(())
    }

    fn change(&mut self, directory: &[String], name: Option<&str>) {
        self.token.sequence += 1;
        self.changes.entry(directory.to_vec()).or_default().inside = self.token.sequence;
        if let Some(name) = name {
            let name = directory.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/");
            self.names.add(name);
        }
    }

    /// Watches a directory and all below it that are not left out. What has gone already is left to the events that
    /// say so.
    fn cover(&mut self, parts: Parts) -> Result<(), WatchError> {
        let mut waiting = vec![parts];
        while let Some(parts) = waiting.pop() {
            let path = parts.iter().fold(self.root.clone(), |path, part| path.join(part));
            // The root itself may be a link.
            let follow = if parts.is_empty() { OFlags::empty() } else { OFlags::NOFOLLOW };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | follow;
            let fd = match openat(CWD, &path, flags, Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) if !parts.is_empty() => {
                    continue;
                }
                Err(errno) => return Err(WatchError::of(errno, &path)),
            };
            let about = fstat(&fd).map_err(|errno| WatchError::of(errno, &path))?;
            if parts.is_empty() {
                self.identity = (about.st_dev, about.st_ino);
            }
            if !self.devices.contains(&about.st_dev) {
                refused(&fd, &path)?;
                self.devices.insert(about.st_dev);
            }
            // What is watched is what is listed, whatever the path leads to meanwhile.
            let opened = format!("/proc/self/fd/{}", fd.as_raw_fd());
            let watch = inotify::add_watch(&self.inotify, opened, EVENTS)
                .map_err(|errno| WatchError::of(errno, &path))?;
            self.paths.entry(watch).or_default().insert(parts.clone());
            if let Some(before) = self.watches.insert(parts.clone(), watch)
                && before != watch
            {
                self.release(before, &parts);
            }
            let list = Dir::read_from(&fd).map_err(|errno| WatchError::of(errno, &path))?;
            for entry in list {
                let entry = entry.map_err(|errno| WatchError::of(errno, &path))?;
                let bytes = entry.file_name().to_bytes();
                let Some(name) =
                    OsStr::from_bytes(bytes).to_str().filter(|name| !matches!(*name, "." | ".."))
                else {
                    continue;
                };
                let is_directory = match entry.file_type() {
                    FileType::Directory => true,
                    FileType::Unknown => {
                        fs::symlink_metadata(path.join(name)).is_ok_and(|metadata| metadata.is_dir())
                    }
                    _ => false,
                };
                if is_directory {
                    let below: Parts = parts.iter().cloned().chain([name.to_owned()]).collect();
                    if !self.ignore.matches(&below, true) {
                        waiting.push(below);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes the watches of a directory and all below it away, and what was known to have changed there: the directory
    /// that it was in has changed.
    fn forget(&mut self, parts: &Parts) {
        let below = self.watches.range(parts.clone()..).map(|(found, watch)| (found.clone(), *watch));
        let below: Vec<(Parts, i32)> = below.take_while(|(found, _)| found.starts_with(parts)).collect();
        for (found, watch) in below {
            self.watches.remove(&found);
            self.release(watch, &found);
        }
        forget_below(&mut self.changes, parts);
    }

    fn release(&mut self, watch: i32, parts: &Parts) {
        let Some(paths) = self.paths.get_mut(&watch) else { return };
        paths.remove(parts);
        if paths.is_empty() {
            self.paths.remove(&watch);
            // The kernel has taken it away already when the directory is gone.
            let _gone = inotify::remove_watch(&self.inotify, watch);
        }
    }
}

/// Returns a text that nobody else has.
fn unique() -> Result<String, WatchError> {
    let path = Path::new("/proc/sys/kernel/random/uuid");
    let text = fs::read_to_string(path);
    text.map(|text| text.trim().to_owned())
        .map_err(|source: io::Error| WatchError::Io { path: path.to_owned(), source })
}
