//! What a `watch` waits for: files that the project is read from, files and directories that are imported.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cas::{Beat, Digest, Ignore, Names, WatchError, Watches};
use recipe::Lock;

use crate::environment::Clock;
use crate::imports::Places;
use crate::ui::Ui;

/// Editors save in several steps. What follows within this time belongs to it.
const QUIET: Duration = Duration::from_millis(100);
/// Longer than this nobody is waited for who changes something all the time.
const LONGEST: Duration = Duration::from_secs(2);
/// How often is looked at what cannot be watched, and at single files, which may be links to elsewhere.
const INTERVAL: Duration = Duration::from_secs(1);
/// Looking takes at most this part of the time.
const SHARE: u32 = 10;

/// What a file looks like: its device, inode, size and times; `None` where there is none.
type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    let (modified, changed) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    Some((found.dev(), found.ino(), found.size(), modified.0, modified.1, changed.0, changed.1))
}

/// A directory that cannot be watched.
struct Looked {
    /// What it looked like; nothing if nobody could look.
    digest: Option<Digest>,
    /// When it is looked at next.
    next: Duration,
}

/// All that a build reads from the project, and what it last looked like.
pub(super) struct Inputs<'a> {
    watches: &'a Arc<Watches>,
    root: &'a Path,
    ui: &'a Ui,
    clock: Clock,
    places: Places,
    /// The files that the project is read from.
    project: BTreeSet<PathBuf>,
    stamps: BTreeMap<PathBuf, Stamp>,
    looked: BTreeMap<(String, String), Looked>,
    beat: Beat,
    next_files: Duration,
}

/// Leaves every directory out: only what is directly in one is watched.
fn shallow() -> Ignore {
    Ignore::new(["*/"])
}

impl<'a> Inputs<'a> {
    pub(super) fn new(watches: &'a Arc<Watches>, root: &'a Path, ui: &'a Ui) -> Inputs<'a> {
        Inputs {
            watches,
            root,
            ui,
            clock: Clock::start(),
            places: Places::default(),
            project: BTreeSet::new(),
            stamps: BTreeMap::new(),
            looked: BTreeMap::new(),
            beat: watches.beat(),
            next_files: Duration::ZERO,
        }
    }

    /// A build begins: it sees everything that changed until now.
    pub(super) fn begin(&mut self) {
        self.changed(true);
        self.project.clear();
    }

    /// The file is about to be read, to find out what the project is.
    pub(super) fn reads(&mut self, path: &Path) {
        self.project.insert(path.to_owned());
        self.stamps.insert(path.to_owned(), stamp(path));
    }

    /// Waits for the files that the project is read from, of which this is the first, and for what was waited for before.
    pub(super) fn watch_project(&mut self, file: &Path) {
        self.project.insert(file.to_owned());
        let places = std::mem::take(&mut self.places);
        self.watch(places);
    }

    /// Waits for these, and for the files that the project is read from. They are read after this.
    pub(super) fn watch(&mut self, places: Places) {
        self.project.insert(self.root.join(Lock::FILE_NAME));
        self.places = places;
        let files: BTreeSet<PathBuf> =
            self.project.iter().chain(self.places.files.values()).cloned().collect();
        self.stamps.retain(|path, _| files.contains(path));
        for path in &files {
            self.stamps.entry(path.clone()).or_insert_with(|| stamp(path));
        }
        let parents = files.iter().filter_map(|path| path.parent().map(Path::to_path_buf));
        for parent in parents.collect::<BTreeSet<_>>() {
            // Where that is not possible, the files are looked at now and then.
            let _not_watched = self.watches.add(&parent, &shallow());
        }
        self.looked.retain(|key, _| self.places.directories.contains_key(key));
        for key in self.places.directories.keys().cloned().collect::<Vec<_>>() {
            self.watch_directory(&key);
        }
        self.beat = self.watches.beat();
    }

    fn watch_directory(&mut self, key: &(String, String)) {
        let Some((directory, ignore)) = self.places.directories.get(key) else { return };
        if self.looked.contains_key(key) {
            return;
        }
        if let Err(error) = self.watches.add(directory, ignore) {
            // It may come again, and the build says that it is not there.
            if !matches!(error, WatchError::Gone { .. }) {
                let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
                self.ui.note(&format!("`{}` is looked at every second: {error}{help}", key.0));
            }
            let digest = cas::look(directory, ignore).ok();
            self.looked.insert(key.clone(), Looked { digest, next: self.clock.elapsed() + INTERVAL });
        }
    }

    /// Waits until something changed and nothing more does. `None` when `is_over`, which is asked at least every
    /// `patience`.
    pub(super) fn wait(&mut self, patience: Duration, is_over: &dyn Fn() -> bool) -> Option<Vec<String>> {
        self.wait_for(patience, is_over, false)
    }

    /// Does the same for what a build did not do itself.
    pub(super) fn wait_while_building(
        &mut self,
        patience: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Option<Vec<String>> {
        self.wait_for(patience, is_over, true)
    }

    /// Returns what changed until now that the build that has ended did not do itself.
    pub(super) fn changed_while_building(&mut self) -> Option<Vec<String>> {
        let changed = self.changed(true);
        (!changed.is_empty()).then_some(changed)
    }

    fn wait_for(
        &mut self,
        patience: Duration,
        is_over: &dyn Fn() -> bool,
        is_building: bool,
    ) -> Option<Vec<String>> {
        let mut changed = Vec::new();
        while changed.is_empty() {
            if is_over() {
                return None;
            }
            if self.watches.wait(self.beat, patience) || self.clock.elapsed() >= self.next_files {
                changed = self.changed(is_building);
            }
        }
        let start = self.clock.elapsed();
        while !is_over() && self.clock.elapsed() - start < LONGEST && self.watches.wait(self.beat, QUIET) {
            for name in self.changed(is_building) {
                if !changed.contains(&name) {
                    changed.push(name);
                }
            }
        }
        Some(changed)
    }

    /// Returns what changed since the last time that this was asked.
    fn changed(&mut self, is_building: bool) -> Vec<String> {
        self.beat = self.watches.beat();
        let now = self.clock.elapsed();
        let mut changed = Vec::new();
        for key in self.places.directories.keys().cloned().collect::<Vec<_>>() {
            let (directory, ignore) = &self.places.directories[&key];
            let name = &key.0;
            if let Some(looked) = self.looked.get_mut(&key) {
                if now >= looked.next {
                    let digest = cas::look(directory, ignore).ok();
                    let took = self.clock.elapsed().saturating_sub(now);
                    looked.next = now + INTERVAL.max(took * SHARE);
                    if std::mem::replace(&mut looked.digest, digest) != digest {
                        changed.push(name.clone());
                    }
                }
            } else if self.watches.has(directory, ignore) {
                let Names { names, n_more } = self.watches.take_names(directory, ignore);
                let prefix = if name == "." { String::new() } else { format!("{name}/") };
                changed.extend(names.iter().map(|below| format!("{prefix}{below}")));
                if n_more > 0 {
                    changed.push(format!("{n_more} more in `{name}`"));
                }
            } else {
                // It has gone, or another directory has its place, or it could not be watched any more.
                self.watch_directory(&key);
                changed.push(name.clone());
            }
        }
        self.next_files = now + INTERVAL;
        for (path, known) in &mut self.stamps {
            let found = stamp(path);
            if *known != found {
                *known = found;
                let name = path.strip_prefix(self.root).unwrap_or(path);
                changed.push(name.to_string_lossy().into_owned());
            }
        }
        let mut seen = BTreeSet::new();
        // A build completes the lock itself.
        changed.retain(|name| !(is_building && name == Lock::FILE_NAME) && seen.insert(name.clone()));
        changed
    }
}
