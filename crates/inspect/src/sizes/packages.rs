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
/// How much all lists together have: they may be names of one file.
const MOST_LISTS: u64 = 256 << 20;

/// Packages by the paths of their files.
#[derive(Default)]
pub(super) struct Owners {
    by_path: BTreeMap<Vec<u8>, Arc<str>>,
}

impl Owners {
    /// Reads the lists that are among `entries`.
    pub(super) fn of(container: &dyn Container, entries: &BTreeMap<Vec<u8>, Entry>) -> Result<Owners, Error> {
        Owners::within(MOST_LISTS, container, entries)
    }

    fn within(
        most: u64,
        container: &dyn Container,
        entries: &BTreeMap<Vec<u8>, Entry>,
    ) -> Result<Owners, Error> {
        let mut left = most;
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
            let list = whole(&entry.shown(), &container.open(entry)?, left.min(MOST))?;
            left -= list.len() as u64;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Place;
    use crate::source::Source;

    /// Of which every file has the same bytes.
    struct Same(Arc<Vec<u8>>);

    impl Container for Same {
        fn walk(&self, _: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
            Ok(())
        }

        fn lookup(&self, _: &[u8]) -> Result<Option<Entry>, Error> {
            Ok(None)
        }

        fn open(&self, _: &Entry) -> Result<Source, Error> {
            Ok(Arc::clone(&self.0) as Source)
        }
    }

    #[test]
    fn lists_have_one_budget() {
        let container = Same(Arc::new(b"/bin/sh\n".to_vec()));
        let paths =
            ["bin/sh".to_owned()].into_iter().chain((0..3).map(|number| format!("{INFO}p{number}.list")));
        let entry = |path: String| Entry::new(path, EntryKind::File, 8, Place::None);
        let entries: BTreeMap<_, _> = paths.map(|path| (path.clone().into_bytes(), entry(path))).collect();
        let owners = Owners::within(24, &container, &entries).unwrap();
        assert_eq!(owners.of_path(b"bin/sh").as_deref(), Some("p0"));
        let Err(error) = Owners::within(23, &container, &entries) else { panic!("it was taken") };
        assert!(error.to_string().ends_with("has 8 bytes, of which at most 7 are read at once"), "{error}");
    }
}
