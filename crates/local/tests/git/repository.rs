//! Repositories for tests: in memory, on the disk, as packs, also such as no `git` would make.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;

use gix_hash::ObjectId;
use gix_object::{Kind, Write as _};

/// A repository in memory.
#[derive(Clone, Default)]
pub(crate) struct Repository {
    pub(crate) objects: BTreeMap<ObjectId, (Kind, Vec<u8>)>,
    /// By full name.
    pub(crate) references: BTreeMap<String, ObjectId>,
}

/// When everything is committed.
pub(crate) const DATE: i64 = 1_000_000_000;
pub(crate) const FILE: &str = "100644";
pub(crate) const PROGRAM: &str = "100755";
pub(crate) const LINK: &str = "120000";
pub(crate) const TREE: &str = "40000";
pub(crate) const MODULE: &str = "160000";

impl Repository {
    pub(crate) fn object(&mut self, kind: Kind, data: &[u8]) -> ObjectId {
        let id = gix_object::compute_hash(gix_hash::Kind::Sha1, kind, data).unwrap();
        self.objects.insert(id, (kind, data.to_vec()));
        id
    }

    pub(crate) fn blob(&mut self, data: &[u8]) -> ObjectId {
        self.object(Kind::Blob, data)
    }

    /// Adds a directory with these entries as they are.
    pub(crate) fn tree(&mut self, entries: &[(&str, &[u8], ObjectId)]) -> ObjectId {
        let mut data = Vec::new();
        for (mode, name, id) in entries {
            data.extend_from_slice(&[mode.as_bytes(), b" ", name, b"\0", id.as_slice()].concat());
        }
        self.object(Kind::Tree, &data)
    }

    pub(crate) fn commit(&mut self, tree: ObjectId, parents: &[ObjectId]) -> ObjectId {
        let mut text = format!("tree {tree}\n");
        for parent in parents {
            text.push_str(&format!("parent {parent}\n"));
        }
        let who = format!("T <t@a.example> {DATE} +0200");
        text.push_str(&format!("author {who}\ncommitter {who}\n\nmessage {}\n", self.objects.len()));
        self.object(Kind::Commit, text.as_bytes())
    }

    pub(crate) fn tag(&mut self, target: ObjectId) -> ObjectId {
        let kind = self.objects[&target].0;
        let text = format!(
            "object {target}\ntype {kind}\ntag t\ntagger T <t@a.example> 1000000000 +0000\n\nmessage\n"
        );
        self.object(Kind::Tag, text.as_bytes())
    }

    pub(crate) fn set(&mut self, name: &str, id: ObjectId) {
        self.references.insert(name.to_owned(), id);
    }

    /// A commit with one file, as the branch `main`.
    pub(crate) fn with_file(content: &[u8]) -> (Repository, ObjectId) {
        let mut repository = Repository::default();
        let blob = repository.blob(content);
        let tree = repository.tree(&[(FILE, b"file", blob)]);
        let commit = repository.commit(tree, &[]);
        repository.set("refs/heads/main", commit);
        (repository, commit)
    }

    /// What a tag stands for in the end.
    pub(crate) fn peeled(&self, id: ObjectId) -> ObjectId {
        match &self.objects[&id] {
            (Kind::Tag, data) => self.peeled(ObjectId::from_hex(&data[7..47]).unwrap()),
            _ => id,
        }
    }

    /// Everything that `id` needs, of commits their history too or not.
    pub(crate) fn closure(&self, id: ObjectId, with_history: bool, all: &mut BTreeSet<ObjectId>) {
        // The commits of submodules are elsewhere.
        let Some((kind, data)) = self.objects.get(&id) else { return };
        if !all.insert(id) {
            return;
        }
        let hex = |line: &str| ObjectId::from_hex(line.split(' ').nth(1).unwrap().as_bytes()).unwrap();
        match kind {
            Kind::Blob => {}
            Kind::Tag => self.closure(ObjectId::from_hex(&data[7..47]).unwrap(), with_history, all),
            Kind::Commit => {
                let text = std::str::from_utf8(data).unwrap();
                for line in text.lines().take_while(|line| !line.is_empty()) {
                    if line.starts_with("tree ") || (with_history && line.starts_with("parent ")) {
                        self.closure(hex(line), with_history, all);
                    }
                }
            }
            Kind::Tree => {
                for entry in gix_object::TreeRefIter::from_bytes(data, gix_hash::Kind::Sha1) {
                    self.closure(entry.unwrap().oid.to_owned(), with_history, all);
                }
            }
        }
    }

    /// Writes it as a bare repository.
    pub(crate) fn write(&self, directory: &Path) {
        for name in ["objects/pack", "refs"] {
            fs::create_dir_all(directory.join(name)).unwrap();
        }
        fs::write(directory.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(directory.join("config"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
            .unwrap();
        let store = gix_odb::loose::Store::at(directory.join("objects"), gix_hash::Kind::Sha1);
        for (kind, data) in self.objects.values() {
            store.write_buf(*kind, data).unwrap();
        }
        for (name, id) in &self.references {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{id}\n")).unwrap();
        }
    }

    /// Returns the objects as a pack, each on its own.
    pub(crate) fn pack(&self, ids: &BTreeSet<ObjectId>) -> Vec<u8> {
        let entries = ids.iter().map(|id| {
            let (kind, data) = &self.objects[id];
            entry(type_number(*kind), data.len() as u64, &[], data)
        });
        pack(&entries.collect::<Vec<_>>())
    }
}

/// The number of a kind of object in packs.
pub(crate) fn type_number(kind: Kind) -> u8 {
    match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    }
}

/// An entry of a pack that claims to have `size` bytes, and has `data`.
pub(crate) fn entry(kind: u8, size: u64, base: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = size >> 4;
    let mut byte = kind << 4 | (size & 15) as u8;
    while rest > 0 {
        bytes.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    bytes.push(byte);
    bytes.extend_from_slice(base);
    let mut encoder = flate2::write::ZlibEncoder::new(&mut bytes, flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap();
    bytes
}

/// A pack of these entries.
pub(crate) fn pack(entries: &[Vec<u8>]) -> Vec<u8> {
    sealed([&b"PACK\0\0\0\x02"[..], &(entries.len() as u32).to_be_bytes(), &entries.concat()].concat())
}

/// The bytes, and their checksum.
pub(crate) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut hasher = gix_hash::hasher(gix_hash::Kind::Sha1);
    hasher.update(&bytes);
    bytes.extend_from_slice(hasher.try_finalize().unwrap().as_slice());
    bytes
}
