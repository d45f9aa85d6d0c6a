//! Which package a file belongs to, as Debian's package manager lists it in the image.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::container::Container;
use crate::entry::{Entry, EntryKind};
use crate::error::Error;
use crate::source::whole;

/// Where the lists are: `PACKAGE.list`, or `PACKAGE:ARCH.list`, has a path on each line.
const LISTS: &[u8] = b"var/lib/dpkg/info/";
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
        let in_lists = entries.range(LISTS.to_vec()..).take_while(|(path, _)| path.starts_with(LISTS));
        for (path, entry) in in_lists.filter(|(_, entry)| entry.kind == EntryKind::File) {
            let name = path.get(LISTS.len()..).unwrap_or_default();
            let Some(package) = package(name) else { continue };
            owners.by_path.insert(path.clone(), Arc::clone(&package));
            if !name.ends_with(b".list") {
                continue;
            }
            let list = whole(&entry.shown(), &container.open(entry)?, MOST)?;
            for line in list.split(|byte| *byte == b'\n') {
                let Some(path) = line.strip_prefix(b"/") else { continue };
                let path = merged(path, entries);
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

/// Returns the package that a file of the package manager's is about.
fn package(name: &[u8]) -> Option<Arc<str>> {
    let name = std::str::from_utf8(name).ok()?;
    let stem = name.rsplit_once('.').map(|(stem, _)| stem)?;
    let package = stem.split_once(':').map_or(stem, |(package, _)| package);
    (!package.is_empty()).then(|| package.into())
}

/// Returns a path as the image has it, where `/bin` and its like are links: what packages call `/bin/sh` is there as
/// `/usr/bin/sh`.
fn merged(path: &[u8], entries: &BTreeMap<Vec<u8>, Entry>) -> Vec<u8> {
    let (first, rest) = match path.iter().position(|byte| *byte == b'/') {
        Some(at) => path.split_at(at),
        None => return path.to_vec(),
    };
    match entries.get(first).map(|entry| &entry.kind) {
        Some(EntryKind::Symlink(target)) => {
            let target = target.strip_prefix(b"/").unwrap_or(target);
            [target, rest].concat()
        }
        _ => path.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_named_after_packages() {
        assert_eq!(package(b"libc6:amd64.list").as_deref(), Some("libc6"));
        assert_eq!(package(b"bash.postinst").as_deref(), Some("bash"));
        assert_eq!(package(b"libstdc++6:i386.md5sums").as_deref(), Some("libstdc++6"));
        assert_eq!(package(b"format"), None);
        assert_eq!(package(b".list"), None);
    }
}
