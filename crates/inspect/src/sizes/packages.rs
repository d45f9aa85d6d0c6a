//! Which package a file belongs to, as Debian's package manager lists it in the image.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::container::Container;
use crate::dpkg::{INFO, merged, package};
use crate::entry::{Entry, EntryKind};
use crate::error::Error;
use crate::source::whole;

/// The largest list that is read.
const MOST: u64 = 64 << 20;

/// Packages by the paths of their files.
#[derive(Default)]
pub(super) struct Owners {
    by_path: BTreeMap<Vec<u8>, Arc<str>>,
}

impl Owners {
    /// Reads the lists that are among `entries`.
    pub(super) fn of(container: &dyn Container, entries: &BTreeMap<Vec<u8>, Entry>) -> Result<Owners, Error> {
        let mut owners = Owners::default();
        let lists = INFO.as_bytes();
        let in_lists = entries.range(lists.to_vec()..).take_while(|(path, _)| path.starts_with(lists));
        for (path, entry) in in_lists.filter(|(_, entry)| entry.kind == EntryKind::File) {
            let name = path.get(lists.len()..).unwrap_or_default();
            let Some(package) = std::str::from_utf8(name).ok().and_then(package) else { continue };
            let package: Arc<str> = package.into();
            owners.by_path.insert(path.clone(), Arc::clone(&package));
            if !name.ends_with(b".list") {
                continue;
            }
            let list = whole(&entry.shown(), &container.open(entry)?, MOST)?;
            for line in list.split(|byte| *byte == b'\n') {
                let Some(path) = line.strip_prefix(b"/") else { continue };
                let path = merged(path, |path| Some(entries.get(path)?.kind.clone()));
                // Directories belong to many.
                if entries.get(&path).is_some_and(|entry| entry.kind != EntryKind::Directory) {
                    owners.by_path.entry(path).or_insert_with(|| Arc::clone(&package));
                }
            }
        }
        Ok(owners)
    }

    /// Returns the package of a file.
    pub(super) fn of_path(&self, path: &[u8]) -> Option<Arc<str>> {
        self.by_path.get(path).cloned()
    }
}
