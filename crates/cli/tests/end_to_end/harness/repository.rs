//! Git repositories that are made here: no `git` is needed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use gix_hash::ObjectId;
use gix_object::{Kind, Write as _};

/// A bare repository in a directory.
pub(crate) struct Repository<'a> {
    directory: &'a Path,
}

impl Repository<'_> {
    /// Makes one with no commit.
    pub(crate) fn create(directory: &Path) -> Repository<'_> {
        for name in ["objects/pack", "refs/heads", "refs/tags"] {
            fs::create_dir_all(directory.join(name)).unwrap();
        }
        fs::write(directory.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        Repository { directory }
    }

    fn object(&self, kind: Kind, data: &[u8]) -> ObjectId {
        let store = gix_odb::loose::Store::at(self.directory.join("objects"), gix_hash::Kind::Sha1);
        store.write_buf(kind, data).unwrap()
    }

    /// Makes a commit with one program, and returns it.
    pub(crate) fn commit(&self, program: &str) -> ObjectId {
        let blob = self.object(Kind::Blob, program.as_bytes());
        let tree = self.object(Kind::Tree, &[b"100755 run\0", blob.as_slice()].concat());
        self.commit_of(tree)
    }

    /// Makes a commit with these files, each by its path.
    pub(crate) fn commit_files(&self, files: &[(&str, &str)]) -> ObjectId {
        let files: Vec<(&str, &str)> = files.to_vec();
        let tree = self.tree(&files);
        self.commit_of(tree)
    }

    fn tree(&self, files: &[(&str, &str)]) -> ObjectId {
        let mut below: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        let mut entries: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut add = |name: &str, order: String, mode: &str, id: ObjectId| {
            entries.insert(order, [format!("{mode} {name}\0").as_bytes(), id.as_slice()].concat());
        };
        for (path, text) in files {
            match path.split_once('/') {
                Some((directory, rest)) => below.entry(directory).or_default().push((rest, text)),
                None => add(path, (*path).to_owned(), "100644", self.object(Kind::Blob, text.as_bytes())),
            }
        }
        for (name, files) in &below {
            // Git sorts directories as if they ended with a slash.
            add(name, format!("{name}/"), "40000", self.tree(files));
        }
        self.object(Kind::Tree, &entries.into_values().collect::<Vec<_>>().concat())
    }

    fn commit_of(&self, tree: ObjectId) -> ObjectId {
        let who = "T <t@a.example> 1000000000 +0000";
        let text = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\nmessage\n");
        self.object(Kind::Commit, text.as_bytes())
    }

    /// Has a name such as `refs/heads/main` mean a commit.
    pub(crate) fn set(&self, name: &str, id: ObjectId) {
        fs::write(self.directory.join(name), format!("{id}\n")).unwrap();
    }

    /// Removes a commit.
    pub(crate) fn forget(&self, id: ObjectId) {
        let hex = id.to_string();
        fs::remove_file(self.directory.join("objects").join(&hex[..2]).join(&hex[2..])).unwrap();
    }
}
