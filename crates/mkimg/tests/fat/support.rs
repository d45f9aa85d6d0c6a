//! Trees whose contents are in memory, and what makes images of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use mkimg::fat::{Builder, Error, Image, Kind, Node, Options, ROOT, Reader, Size};
use mkimg::{MemorySink, Sink, SparseFile};

#[path = "../tool/mod.rs"]
mod tool;

pub(crate) use tool::tool;

pub(crate) const EPOCH: i64 = 1_700_000_001;
pub(crate) const MIB: u64 = 1 << 20;

/// A builder and the contents of its files.
pub(crate) struct Tree {
    pub(crate) builder: Builder,
    contents: BTreeMap<Node, Vec<u8>>,
}

pub(crate) fn options(size: Size) -> Options {
    let mut options = Options::new(size, 0x1234_abcd, EPOCH);
    options.label = Some("TEST".to_owned());
    options
}

/// Bytes that are not all the same and depend on the seed.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(next).collect()
}

impl Tree {
    pub(crate) fn new(options: Options) -> Tree {
        Tree { builder: Builder::new(options).unwrap(), contents: BTreeMap::new() }
    }

    pub(crate) fn directory(&mut self, parent: Node, name: &str) -> Node {
        self.builder.directory(parent, name.as_bytes(), EPOCH + 60)
    }

    pub(crate) fn file(&mut self, parent: Node, name: &str, content: Vec<u8>) -> Node {
        self.file_of(parent, name, EPOCH + 5, content)
    }

    pub(crate) fn file_of(&mut self, parent: Node, name: &str, mtime: i64, content: Vec<u8>) -> Node {
        let node = self.builder.file(parent, name.as_bytes(), mtime, content.len() as u64);
        self.contents.insert(node, content);
        node
    }

    pub(crate) fn seal(self) -> Result<Sealed, Error> {
        Ok(Sealed { image: self.builder.seal()?, contents: self.contents })
    }

    /// Returns the image's bytes.
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.seal().unwrap().bytes()
    }
}

/// An image and the contents of its files.
pub(crate) struct Sealed {
    pub(crate) image: Image,
    contents: BTreeMap<Node, Vec<u8>>,
}

impl Sealed {
    pub(crate) fn write(&self, sink: &mut dyn Sink) {
        let mut read = |node: Node, offset: u64, buffer: &mut [u8]| {
            let content = &self.contents[&node];
            let start = usize::try_from(offset).unwrap();
            buffer.copy_from_slice(&content[start..start + buffer.len()]);
            Ok(())
        };
        self.image.write(&mut read, sink).unwrap();
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut sink = MemorySink::default();
        self.write(&mut sink);
        let bytes = sink.into_bytes();
        assert_eq!(bytes.len() as u64, self.image.size());
        bytes
    }

    /// Writes the image into a new sparse file.
    pub(crate) fn save(&self, path: &Path) {
        let file = File::create_new(path).unwrap();
        let mut sink = SparseFile::new(&file);
        self.write(&mut sink);
        assert_eq!(sink.finish().unwrap(), self.image.size());
    }
}

/// Opens and checks an image in memory.
#[track_caller]
pub(crate) fn read(bytes: Vec<u8>) -> Reader<Vec<u8>> {
    let reader = Reader::open(bytes).unwrap();
    reader.check().unwrap();
    reader
}

/// A directory for images, next to everything else that is built.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A tree with one of everything, in the smallest image of a kind.
pub(crate) fn everything(kind: Kind) -> Tree {
    let mut options = options(Size::Fit { slack: 100_000 });
    options.kind = Some(kind);
    let mut tree = Tree::new(options);
    let efi = tree.directory(ROOT, "EFI");
    let boot = tree.directory(efi, "BOOT");
    tree.file(boot, "BOOTX64.EFI", noise(70_000, 1));
    tree.file(boot, "grub.cfg", b"search --label TEST\n".to_vec());
    for (name, length) in [("empty", 0), ("one", 1), ("less", 2047), ("cluster", 2048), ("more", 2049)] {
        tree.file(ROOT, name, noise(length, length as u32));
    }
    tree.directory(ROOT, "empty directory");
    tree.file(ROOT, "LONGNA~1.TXT", b"not an alias".to_vec());
    tree.file(ROOT, "long name of a text.txt", b"gets another alias".to_vec());
    tree.file(ROOT, "long name of a text, too.txt", b"and another".to_vec());
    tree.file(ROOT, "grüße \u{1f600}.html", b"<p>".to_vec());
    tree.file(ROOT, ".hidden", vec![0; 5000]);
    tree.file(ROOT, &"x".repeat(255), b"the longest".to_vec());
    tree.file_of(ROOT, "OLD", -5, b"before all time".to_vec());
    tree.file_of(ROOT, "NEW", i64::MAX, b"after all time".to_vec());
    let many = tree.directory(ROOT, "many");
    for index in 0..300 {
        tree.file(many, &format!("file number {index}"), vec![index as u8; index % 7]);
    }
    tree
}
