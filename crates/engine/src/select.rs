//! Leaves files out of trees, without touching any.

use cas::{Digest, Directory, Node};

use crate::tree::{Blobs, MAX_DEPTH, TreeError, Trees};

/// Which files of a tree are taken, by their paths alone. Symbolic links are taken everywhere but in what is left out
/// whole; directories in which nothing is are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Paths of directories of which everything is taken.
    pub whole: Vec<String>,
    /// Paths of directories that are left out whole.
    pub never: Vec<String>,
    /// What ends the names of files that are left out elsewhere, behind their last dot: `c` of `main.c`, and nothing of
    /// `.c`.
    pub without: Vec<String>,
}

impl Selection {
    /// Returns the words that tell this selection from others.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        let lists = [("whole", &self.whole), ("never", &self.never), ("without", &self.without)];
        lists
            .into_iter()
            .flat_map(|(name, list)| std::iter::once(name).chain(list.iter().map(String::as_str)))
    }

    /// Returns the digest of what is taken of the tree `root`, and pushes the directories that may be new.
    pub(crate) fn of(
        &self,
        trees: &mut Trees<'_>,
        root: &Digest,
        blobs: &mut Blobs,
    ) -> Result<Digest, TreeError> {
        let directory = self.directory(trees, root, "", 0, blobs)?.unwrap_or_default();
        Ok(blobs.push(|buffer| buffer.extend(directory.encode())))
    }

    /// Returns what is taken of the directory at `path`; nothing if that is nothing.
    fn directory(
        &self,
        trees: &mut Trees<'_>,
        digest: &Digest,
        path: &str,
        depth: usize,
        blobs: &mut Blobs,
    ) -> Result<Option<Directory>, TreeError> {
        if depth > MAX_DEPTH {
            return Err(TreeError::TooDeep);
        }
        let directory = trees.directory(digest)?;
        let mut taken = Directory::default();
        for (name, node) in &directory.entries {
            let node = match node {
                Node::Directory { digest } => {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                    if self.never.contains(&path) {
                        continue;
                    }
                    if self.whole.contains(&path) {
                        node.clone()
                    } else {
                        let Some(inner) = self.directory(trees, digest, &path, depth + 1, blobs)? else {
                            continue;
                        };
                        Node::Directory { digest: blobs.push(|buffer| buffer.extend(inner.encode())) }
                    }
                }
                Node::File { .. } if !self.takes(name) => continue,
                Node::File { .. } | Node::Symlink { .. } => node.clone(),
            };
            taken.entries.insert(name.clone(), node);
        }
        Ok((!taken.entries.is_empty()).then_some(taken))
    }

    fn takes(&self, name: &str) -> bool {
        !name
            .rsplit_once('.')
            .is_some_and(|(stem, end)| !stem.is_empty() && self.without.iter().any(|without| without == end))
    }
}

#[cfg(test)]
mod tests {
    use cas::{MemoryStore, Store as _};

    use super::*;

    /// Puts files into a store and returns the tree that they make.
    fn tree(store: &MemoryStore, files: &[&str]) -> Digest {
        let mut directory = Directory::default();
        let mut seen = Vec::new();
        for file in files {
            let (name, node) = match file.split_once('/') {
                Some((name, _)) if seen.contains(&name) => continue,
                Some((name, _)) => {
                    seen.push(name);
                    let inner: Vec<&str> =
                        files.iter().filter_map(|file| file.strip_prefix(name)?.strip_prefix('/')).collect();
                    (name, Node::Directory { digest: tree(store, &inner) })
                }
                None => match file.split_once("->") {
                    Some((name, target)) => (name, Node::Symlink { target: target.to_owned() }),
                    None => (*file, Node::File { digest: Digest::of(file.as_bytes()), executable: false }),
                },
            };
            directory.entries.insert(name.to_owned(), node);
        }
        store.write(&directory.encode()).unwrap()
    }

    #[test]
    fn what_is_left_out_leaves_no_empty_directories() {
        let store = MemoryStore::default();
        let selection = Selection {
            whole: vec!["scripts".to_owned()],
            never: vec!["tools/testing".to_owned()],
            without: vec!["c".to_owned()],
        };
        let all = tree(
            &store,
            &[
                "Makefile",
                "main.c",
                ".c",
                "link.c->main.c",
                "a/b/x.c",
                "a/Kconfig",
                "b/y.c",
                "scripts/z.c",
                "tools/testing/Makefile",
                "tools/Makefile",
            ],
        );
        let kept = ["Makefile", ".c", "link.c->main.c", "a/Kconfig", "scripts/z.c", "tools/Makefile"];
        let mut blobs = Blobs::default();
        let taken = selection.of(&mut Trees::new(&store), &all, &mut blobs).unwrap();
        assert_eq!(taken, tree(&store, &kept));
        let none = Selection { without: vec!["c".to_owned()], ..Selection::default() };
        let nothing = none.of(&mut Trees::new(&store), &tree(&store, &["d/x.c"]), &mut blobs).unwrap();
        assert_eq!(nothing, Digest::of(b""));
    }

    #[test]
    fn other_words_are_another_selection() {
        let list = |text: &str| vec![text.to_owned()];
        let one = Selection { whole: list("a"), ..Selection::default() };
        let other = Selection { never: list("a"), ..Selection::default() };
        assert!(!one.words().eq(other.words()));
    }
}
