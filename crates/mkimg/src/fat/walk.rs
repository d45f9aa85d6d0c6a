//! Walking through the tree of a file system that is read.

use std::collections::BTreeSet;

use layer::ReadAt;

use super::directory::{self, DIRECTORY, Entry, HIDDEN, LABEL, READ_ONLY, SYSTEM};
use super::error::ReadError;
use super::name::{folded, shown};
use super::options::Kind;
use super::read::{Data, Reader};
use super::time::DosTime;

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

/// How deep directories can be: paths have at most 260 characters to Windows, and 4096 to others.
const MOST_DEPTH: usize = 2048;

impl<R: ReadAt> Reader<R> {
    /// Calls `visit` for everything but the root, each directory before what is in it, in the order of the image.
    pub fn walk(&self, visit: &mut dyn FnMut(&Visit) -> Result<(), ReadError>) -> Result<(), ReadError> {
        let mut seen = BTreeSet::new();
        if self.boot().kind == Kind::Fat32 {
            seen.insert(self.boot().root_cluster);
        }
        // What is to be visited, the next one last: a directory's cluster, its depth and its path.
        let mut pending: Vec<(Visit, usize, u32)> = self.list(None, "", 0, 0)?;
        while let Some((found, depth, parent)) = pending.pop() {
            visit(&found)?;
            if found.data.is_some() {
                continue;
            }
            if !seen.insert(found.cluster) {
                return Err(ReadError::corrupt(&found.path, "the directory is at two places"));
            }
            if depth > MOST_DEPTH {
                return Err(ReadError::corrupt(&found.path, "it lies too deep in directories"));
            }
            pending.extend(self.list(Some(found.cluster), &found.path, depth, parent)?);
        }
        Ok(())
    }

    /// Returns the label in the root directory, if there is one.
    pub fn label(&self) -> Result<Option<String>, ReadError> {
        let entries = self.entries(None, "/")?;
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

    fn entries(&self, cluster: Option<u32>, what: &str) -> Result<Vec<(Vec<u16>, Entry)>, ReadError> {
        let bytes = self.directory(cluster, what)?;
        directory::parse(&bytes).map_err(|problem| ReadError::corrupt(what, problem))
    }

    /// Returns what is in a directory, last first. `parent` is the cluster of the one above.
    fn list(
        &self,
        cluster: Option<u32>,
        path: &str,
        depth: usize,
        parent: u32,
    ) -> Result<Vec<(Visit, usize, u32)>, ReadError> {
        let what = if path.is_empty() { "/" } else { path };
        let mut entries = self.entries(cluster, what)?;
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
            let path = format!("{path}/{name}");
            let has = |bit: u8| entry.attributes & bit != 0;
            let data =
                if has(DIRECTORY) { None } else { Some(self.data(entry.cluster, entry.size, &path)?) };
            let visit = Visit {
                short: shown(&entry.short),
                modified: entry.modified,
                created: entry.created,
                is_read_only: has(READ_ONLY),
                is_hidden: has(HIDDEN),
                is_system: has(SYSTEM),
                data,
                cluster: entry.cluster,
                path,
            };
            found.push((visit, depth + 1, cluster.unwrap_or(0)));
        }
        found.reverse();
        Ok(found)
    }
}
