//! Trees as text, both ways.

use std::collections::BTreeMap;

use cas::{Digest, Directory, Node, Store};

/// Writes a tree of files to `store` and returns the digest of its root.
///
/// Each entry is a path and a content. A path that ends in `*` is executable, one that ends in `@` is a
/// symbolic link to the content, and one that ends in `/` is an empty directory.
///
/// # Panics
/// When the store fails, or a path is both a file and a directory.
pub fn make_tree(store: &dyn Store, entries: &[(&str, &str)]) -> Digest {
    let mut root = Branch::default();
    for (path, content) in entries {
        let write = || store.write(content.as_bytes()).expect("the store takes a file");
        if let Some(path) = path.strip_suffix('/') {
            root.branch(path.split('/'));
        } else if let Some(path) = path.strip_suffix('@') {
            root.insert(path, Node::Symlink { target: (*content).to_owned() });
        } else if let Some(path) = path.strip_suffix('*') {
            root.insert(path, Node::File { digest: write(), executable: true });
        } else {
            root.insert(path, Node::File { digest: write(), executable: false });
        }
    }
    root.write(store)
}

/// Returns the tree as text: a line for each entry, sorted by path, in the notation of [`make_tree`] with a
/// blank before the content. Only empty directories are listed.
///
/// # Panics
/// When part of the tree is not in the store.
pub fn describe_tree(store: &dyn Store, root: &Digest) -> String {
    let mut text = String::new();
    describe(store, root, "", &mut text);
    text
}

/// Returns the content of the file at `path`, or `None` when there is none.
///
/// # Panics
/// When part of the tree on the way is not in the store.
pub fn read_path(store: &dyn Store, root: &Digest, path: &str) -> Option<String> {
    let mut node = Node::Directory { digest: *root };
    for name in path.split('/') {
        let Node::Directory { digest } = node else { return None };
        node = read_directory(store, &digest).entries.remove(name)?;
    }
    let Node::File { digest, .. } = node else { return None };
    let content = store.read(&digest).expect("the file is in the store");
    Some(String::from_utf8_lossy(&content).into_owned())
}

fn describe(store: &dyn Store, digest: &Digest, prefix: &str, text: &mut String) {
    for (name, node) in &read_directory(store, digest).entries {
        let path = format!("{prefix}{name}");
        match node {
            Node::Directory { digest } if digest.size() == 0 => text.push_str(&format!("{path}/\n")),
            Node::Directory { digest } => describe(store, digest, &format!("{path}/"), text),
            Node::Symlink { target } => text.push_str(&format!("{path}@ {target}\n")),
            Node::File { digest, executable } => {
                let content = store.read(digest).expect("the file is in the store");
                let mark = if *executable { "*" } else { "" };
                text.push_str(&format!("{path}{mark} {}\n", String::from_utf8_lossy(&content)));
            }
        }
    }
}

fn read_directory(store: &dyn Store, digest: &Digest) -> Directory {
    if digest.size() == 0 {
        return Directory::default();
    }
    let bytes = store.read(digest).expect("the directory is in the store");
    Directory::decode(&bytes).expect("the blob is a directory")
}

#[derive(Default)]
struct Branch {
    branches: BTreeMap<String, Branch>,
    leaves: BTreeMap<String, Node>,
}

impl Branch {
    fn branch<'p>(&mut self, names: impl Iterator<Item = &'p str>) -> &mut Branch {
        names.fold(self, |branch, name| branch.branches.entry(name.to_owned()).or_default())
    }

    fn insert(&mut self, path: &str, node: Node) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.branch(parent.split('/').filter(|name| !name.is_empty()));
        parent.leaves.insert(name.to_owned(), node);
    }

    fn write(self, store: &dyn Store) -> Digest {
        let mut directory = Directory { entries: self.leaves };
        for (name, branch) in self.branches {
            let digest = branch.write(store);
            let earlier = directory.entries.insert(name, Node::Directory { digest });
            assert!(earlier.is_none(), "a path is both a file and a directory");
        }
        store.write(&directory.encode()).expect("the store takes a directory")
    }
}
