//! Walking through the tree of a file system that is read.

use std::collections::BTreeSet;
use std::rc::Rc;

use layer::ReadAt;

use super::directory::{self, DIRECTORY, Entry, HIDDEN, LABEL, READ_ONLY, SYSTEM};
use super::error::ReadError;
use super::name::{folded, shown};
use super::options::Kind;
use super::read::{Data, Reader};
use super::time::DosTime;
use crate::tree::descent::{MOST_PATH, TOO_DEEP};

/// A file or directory on the way.
pub struct Visit {
    /// Its path, which begins with a slash.
    pub path: String,
    /// The short form of its name.
    pub short: String,
    /// When it was changed.
    pub modified: DosTime,
    /// When it was made.
    pub created: DosTime,
    /// Whether nobody should write to it.
    pub is_read_only: bool,
    /// Whether it should not be listed.
    pub is_hidden: bool,
    /// Whether it is the system's.
    pub is_system: bool,
    /// The contents of a file, `None` for a directory.
    pub data: Option<Data>,
    pub(super) cluster: u32,
}

/// An entry on the way, which is not visited yet.
struct Found {
    name: String,
    entry: Entry,
    /// The path of the directory that it is in, and its cluster.
    directory: Rc<str>,
    parent: u32,
}

/// How many clusters are left for what has not been visited: all of them, if no two files have the same.
struct Left(u64);

impl Left {
    fn take(&mut self, size: u64, cluster_len: u64, what: &str) -> Result<(), ReadError> {
        let left = self.0.checked_sub(size.div_ceil(cluster_len));
        self.0 = left.ok_or_else(|| {
            ReadError::corrupt(what, "it and what comes before it have more clusters than there are")
        })?;
        Ok(())
    }
}

impl<R: ReadAt> Reader<R> {
    /// Calls `visit` for everything but the root, each directory before what is in it, in the order of the image.
    pub fn walk(&self, visit: &mut dyn FnMut(&Visit) -> Result<(), ReadError>) -> Result<(), ReadError> {
        let mut seen = BTreeSet::new();
        if self.boot().kind == Kind::Fat32 {
            seen.insert(self.boot().root_cluster);
        }
        let mut left = Left(self.boot().clusters.into());
        // What is to be visited, the next one last.
        let mut pending = self.list(None, "", 0, &mut left)?;
        while let Some(found) = pending.pop() {
            let visited = self.visit(&found, &mut left)?;
            visit(&visited)?;
            if visited.data.is_some() {
                continue;
            }
            if !seen.insert(visited.cluster) {
                return Err(ReadError::corrupt(&visited.path, "the directory is at two places"));
            }
            pending.extend(self.list(Some(visited.cluster), &visited.path, found.parent, &mut left)?);
        }
        Ok(())
    }

    fn visit(&self, found: &Found, left: &mut Left) -> Result<Visit, ReadError> {
        let entry = &found.entry;
        let path = format!("{}/{}", found.directory, found.name);
        if path.len() > MOST_PATH {
            return Err(ReadError::corrupt(&*found.directory, TOO_DEEP));
        }
        let has = |bit: u8| entry.attributes & bit != 0;
        let data = if has(DIRECTORY) {
            None
        } else {
            left.take(entry.size.into(), self.boot().cluster_len(), &path)?;
            Some(self.data(entry.cluster, entry.size, &path)?)
        };
        Ok(Visit {
            short: shown(&entry.short),
            modified: entry.modified,
            created: entry.created,
            is_read_only: has(READ_ONLY),
            is_hidden: has(HIDDEN),
            is_system: has(SYSTEM),
            data,
            cluster: entry.cluster,
            path,
        })
    }

    /// Returns the label in the root directory, if there is one.
    pub fn label(&self) -> Result<Option<String>, ReadError> {
        let entries = parsed(&self.directory(None, "/")?, "/")?;
        let mut labels = entries.iter().filter(|(_, entry)| entry.attributes & LABEL != 0);
        let label = labels.next().map(|(_, entry)| {
            let label = entry.short.escape_ascii().to_string();
            label.trim_end().to_owned()
        });
        if labels.next().is_some() {
            return Err(ReadError::corrupt("/", "there are two labels"));
        }
        Ok(label)
    }

    /// Returns what is in a directory, last first. `parent` is the cluster of the one above.
    fn list(
        &self,
        cluster: Option<u32>,
        path: &str,
        parent: u32,
        left: &mut Left,
    ) -> Result<Vec<Found>, ReadError> {
        let what = if path.is_empty() { "/" } else { path };
        let bytes = self.directory(cluster, what)?;
        if cluster.is_some() {
            left.take(bytes.len() as u64, self.boot().cluster_len(), what)?;
        }
        let mut entries = parsed(&bytes, what)?;
        if let Some(cluster) = cluster {
            let own = [(b".          ", cluster), (b"..         ", parent)];
            let has = |(at, (name, cluster)): (usize, (&[u8; 11], u32))| {
                entries.get(at).is_some_and(|(_, entry)| {
                    entry.short == *name && entry.cluster == cluster && entry.attributes & DIRECTORY != 0
                })
            };
            if !own.into_iter().enumerate().all(has) {
                return Err(ReadError::corrupt(
                    what,
                    "it does not begin with itself and the directory above",
                ));
            }
            entries.drain(..2);
        }
        let mut names = BTreeSet::new();
        let mut shorts = BTreeSet::new();
        let mut found = Vec::new();
        let directory: Rc<str> = path.into();
        for (long, entry) in entries {
            if entry.attributes & LABEL != 0 {
                if cluster.is_some() {
                    return Err(ReadError::corrupt(what, "there is a label outside of the root"));
                }
                continue;
            }
            let units = if long.is_empty() { entry.shown_short().encode_utf16().collect() } else { long };
            let name = String::from_utf16_lossy(&units);
            let is_name = !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
            if !is_name || !names.insert(folded(&units)) || !shorts.insert(entry.short) {
                let problem = format!("the name `{}` is no name, or is there twice", name.escape_debug());
                return Err(ReadError::corrupt(what, problem));
            }
            let directory = Rc::clone(&directory);
            found.push(Found { name, entry, directory, parent: cluster.unwrap_or(0) });
        }
        found.reverse();
        Ok(found)
    }
}

/// Returns the entries of a directory whose bytes these are, each with its long name.
fn parsed(bytes: &[u8], what: &str) -> Result<Vec<(Vec<u16>, Entry)>, ReadError> {
    directory::parse(bytes).map_err(|problem| ReadError::corrupt(what, problem))
}
