//! Trees that are little more than others: an environment with one more package, or a source with another version of a
//! file, is checked out as what is new in it, over the checkout of the one before.

use std::sync::{Mutex, PoisonError};

use cas::{Digest, Directory, LocalStore, Node, Record, Store as _, StoreError};
use serde::{Deserialize, Serialize};

/// The kind of record that remembers across processes what was checked out.
const KIND: &str = "checkouts";
/// How many trees are remembered, those that were used last.
const MAX_KNOWN: usize = 32;
/// How many of them are compared with a new one.
const MAX_COMPARED: usize = 16;
/// How many checkouts lie over each other at most. Each makes every file that is not found a little slower.
const MAX_PARTS: usize = 8;
/// A tree that has this many new entries and directories with such is better checked out as a whole.
const MAX_NEW: usize = 20_000;

/// A tree, and what it is made of when checked out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    tree: Digest,
    /// The trees whose checkouts lie over each other, the topmost first.
    parts: Vec<Digest>,
}

/// The trees that were checked out lately. What it says is only advice: whoever finds nothing in it checks out all.
#[derive(Debug, Default)]
pub(crate) struct Checkouts {
    /// The one that was used last comes last. Nothing until it is asked for.
    known: Mutex<Option<Vec<Known>>>,
}

impl Checkouts {
    /// Returns trees that make `tree` when they lie over each other, the topmost first, all of them checked out.
    pub(crate) fn parts(&self, store: &LocalStore, tree: &Digest) -> Result<Vec<Digest>, StoreError> {
        let known = self.change(store, |known| known.clone())?;
        if let Some(found) = known.iter().find(|known| known.tree == *tree)
            && are_there(store, &found.parts)?
        {
            return Ok(found.parts.clone());
        }
        let mut parts = vec![*tree];
        let others = known.iter().rev().filter(|known| known.tree != *tree && known.parts.len() < MAX_PARTS);
        for other in others.take(MAX_COMPARED) {
            if let Some(difference) = difference(store, tree, &other.tree)?
                && are_there(store, &other.parts)?
            {
                parts = vec![difference];
                parts.extend(&other.parts);
                break;
            }
        }
        for part in &parts {
            store.shared_checkout(part)?;
        }
        let payload = self.change(store, |known| {
            known.retain(|known| known.tree != *tree);
            known.push(Known { tree: *tree, parts: parts.clone() });
            let n_old = known.len().saturating_sub(MAX_KNOWN);
            known.drain(..n_old);
            serde_json::to_vec(known).expect("digests can be encoded")
        })?;
        // The note keeps nothing from being collected.
        store.put_record(KIND, &key(), &Record { references: Vec::new(), payload })?;
        Ok(parts)
    }

    /// Changes what is known, which at first is what earlier processes noted in `store`.
    fn change<T>(
        &self,
        store: &LocalStore,
        change: impl FnOnce(&mut Vec<Known>) -> T,
    ) -> Result<T, StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match &mut *known {
            Some(known) => known,
            unread => {
                let record = store.record(KIND, &key())?;
                // What cannot be understood was written by another version, and is replaced.
                let noted = record.and_then(|record| serde_json::from_slice(&record.payload).ok());
                unread.insert(noted.unwrap_or_default())
            }
        };
        Ok(change(known))
    }
}

fn key() -> Digest {
    Digest::of(KIND.as_bytes())
}

/// Returns whether all of `parts` are checked out now; what a collector took away cannot be.
fn are_there(store: &LocalStore, parts: &[Digest]) -> Result<bool, StoreError> {
    for part in parts {
        match store.shared_checkout(part) {
            Err(StoreError::Missing { .. }) => return Ok(false),
            result => _ = result?,
        }
    }
    Ok(true)
}

/// Puts the tree into the store that makes `new` when it lies over `old`, and returns it. `None` when there is none,
/// since something of `old` is gone, or when it would be large.
fn difference(store: &LocalStore, new: &Digest, old: &Digest) -> Result<Option<Digest>, StoreError> {
    let mut comparison = Comparison { store, n_left: MAX_NEW };
    match comparison.compare(new, old) {
        Ok(Some(directory)) => store.write(&directory.encode()).map(Some),
        Ok(None) => Ok(None),
        // The old tree is not needed, so it may be gone.
        Err(StoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

struct Comparison<'s> {
    store: &'s LocalStore,
    n_left: usize,
}

impl Comparison<'_> {
    /// Returns what `new` has beyond `old`, if that is all.
    fn compare(&mut self, new: &Digest, old: &Digest) -> Result<Option<Directory>, StoreError> {
        let (new, old) = (self.store.read_directory(new)?, self.store.read_directory(old)?);
        if !old.entries.keys().all(|name| new.entries.contains_key(name)) {
            return Ok(None);
        }
        let mut difference = Directory::default();
        for (name, node) in new.entries {
            let node = match (&node, old.entries.get(&name)) {
                (new, Some(old)) if new == old => continue,
                (Node::Directory { digest: new }, Some(Node::Directory { digest: old })) => {
                    if !self.count() {
                        return Ok(None);
                    }
                    let Some(directory) = self.compare(new, old)? else { return Ok(None) };
                    Node::Directory { digest: self.store.write(&directory.encode())? }
                }
                (Node::Directory { digest }, _) if !self.count_all(digest)? => return Ok(None),
                _ if !self.count() => return Ok(None),
                _ => node,
            };
            difference.entries.insert(name, node);
        }
        Ok(Some(difference))
    }

    /// Counts one more and returns whether that is not too many.
    fn count(&mut self) -> bool {
        self.n_left = self.n_left.saturating_sub(1);
        self.n_left > 0
    }

    fn count_all(&mut self, tree: &Digest) -> Result<bool, StoreError> {
        for node in self.store.read_directory(tree)?.entries.values() {
            let counted = match node {
                Node::Directory { digest } => self.count_all(digest)?,
                Node::File { .. } | Node::Symlink { .. } => self.count(),
            };
            if !counted {
                return Ok(false);
            }
        }
        Ok(self.count())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A store, and trees of so many files in a directory each, with others beside them.
    struct World {
        _scratch: tempfile::TempDir,
        store: LocalStore,
    }

    impl World {
        fn new() -> World {
            let scratch = tempfile::tempdir().unwrap();
            let store = LocalStore::open(&scratch.path().join("store")).unwrap();
            World { _scratch: scratch, store }
        }

        fn tree(&self, others: &[(&str, &str)]) -> Digest {
            let names: Vec<String> = (0..300).map(|number| format!("d{}/f{number}", number % 7)).collect();
            let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "many")).collect();
            files.retain(|(name, _)| !others.iter().any(|(other, _)| name == other));
            files.extend(others.iter().filter(|(_, content)| *content != "gone"));
            testkit::make_tree(&self.store, &files)
        }

        /// What is found in the first of the parts that has it.
        fn read(&self, parts: &[Digest], path: &str) -> Option<String> {
            let part =
                |part: &Digest| fs::read_to_string(self.store.shared_checkout(part).unwrap().join(path));
            parts.iter().find_map(|digest| part(digest).ok())
        }
    }

    #[test]
    fn what_is_new_lies_over_what_was_there() {
        let world = World::new();
        let checkouts = Checkouts::default();
        let first = world.tree(&[]);
        assert_eq!(checkouts.parts(&world.store, &first).unwrap(), [first]);
        let second = world.tree(&[("d1/new", "1"), ("d2/f2", "2"), ("new/a", "3")]);
        let parts = checkouts.parts(&world.store, &second).unwrap();
        assert_eq!((parts.len(), parts[1]), (2, first));
        let n_new = fs::read_dir(world.store.shared_checkout(&parts[0]).unwrap().join("d2")).unwrap().count();
        assert_eq!(n_new, 1);
        for (path, content) in [("d1/new", "1"), ("d2/f2", "2"), ("new/a", "3"), ("d2/f9", "many")] {
            assert_eq!(world.read(&parts, path).as_deref(), Some(content), "{path}");
        }
        let third = world.tree(&[("d1/new", "1"), ("d2/f2", "2"), ("new/a", "4")]);
        assert_eq!(checkouts.parts(&world.store, &third).unwrap()[1..], parts);
        // Another process knows it, too.
        assert_eq!(Checkouts::default().parts(&world.store, &second).unwrap(), parts);
    }

    #[test]
    fn what_is_gone_is_not_there() {
        let world = World::new();
        let checkouts = Checkouts::default();
        for others in [&[("a", "1"), ("b", "2")][..], &[("b", "2")], &[("b", "2"), ("d3/f3", "gone")]] {
            let tree = world.tree(others);
            assert_eq!(checkouts.parts(&world.store, &tree).unwrap(), [tree], "{others:?}");
        }
    }

    #[test]
    fn only_so_many_lie_over_each_other() {
        let world = World::new();
        let checkouts = Checkouts::default();
        let lens = (0..12).map(|number| {
            let content = number.to_string();
            checkouts.parts(&world.store, &world.tree(&[("last", &content)])).unwrap().len()
        });
        let lens: Vec<usize> = lens.collect();
        assert_eq!(lens, [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8]);
    }

    #[test]
    fn what_a_collector_took_is_made_again() {
        let world = World::new();
        let checkouts = Checkouts::default();
        let (first, second) = (world.tree(&[]), world.tree(&[("new", "1")]));
        checkouts.parts(&world.store, &first).unwrap();
        let parts = checkouts.parts(&world.store, &second).unwrap();
        sandbox::remove_tree(&world.store.shared_checkout(&first).unwrap()).unwrap();
        assert_eq!(checkouts.parts(&world.store, &second).unwrap(), parts);
        assert_eq!(world.read(&parts, "d2/f9").as_deref(), Some("many"));
        // Without the tree itself, the other one is no help.
        sandbox::remove_tree(&world.store.shared_checkout(&first).unwrap()).unwrap();
        let hex = first.hex();
        fs::remove_file(world.store.root().join("blobs").join(&hex[..2]).join(&hex[2..])).unwrap();
        assert_eq!(checkouts.parts(&world.store, &second).unwrap(), [second]);
    }
}
