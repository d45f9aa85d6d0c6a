//! Trees whose contents are in memory, and what makes images of them.

use mkimg::Sink;
use mkimg::fat::{Builder, Error, Fat, Image, Kind, Metadata, Node, Options, ROOT, Reader, Size, Timestamp};

#[path = "../shared/tree.rs"]
pub(crate) mod shared;

#[path = "../shared/sealed.rs"]
mod sealed;

use shared::Contents;

pub(crate) use shared::{noise, scratch};

#[path = "../tool/mod.rs"]
mod tool;

pub(crate) use tool::tool;

pub(crate) const EPOCH: i64 = 1_700_000_001;
pub(crate) const MIB: u64 = 1 << 20;

pub(crate) type Tree = shared::Tree<Fat>;
pub(crate) type Sealed = sealed::Sealed<Image>;

impl sealed::Image for Image {
    fn size(&self) -> u64 {
        self.size()
    }

    fn write(&self, contents: &Contents, sink: &mut dyn Sink) {
        self.write(&mut |node, offset, buffer| contents.read(node, offset, buffer), sink).unwrap();
    }
}

/// Metadata of what is `mtime` seconds old.
pub(crate) fn aged(mtime: i64) -> Metadata {
    Metadata { mtime: Timestamp::saturating(mtime), ..Metadata::default() }
}

pub(crate) fn options(size: Size) -> Options {
    let mut options = Options::new(size, 0x1234_abcd, EPOCH);
    options.label = Some("TEST".to_owned());
    options
}

impl Tree {
    pub(crate) fn new(options: Options) -> Tree {
        Tree::of(Builder::new(options).unwrap(), [EPOCH + 60, EPOCH + 5].map(Timestamp::saturating))
    }

    pub(crate) fn file_of(&mut self, parent: Node, name: &str, mtime: i64, content: Vec<u8>) -> Node {
        self.file_with(parent, name.as_bytes(), aged(mtime), content)
    }

    pub(crate) fn seal(self) -> Result<Sealed, Error> {
        Ok(Sealed { image: self.builder.seal()?, contents: self.contents })
    }

    /// Returns the image's bytes.
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.seal().unwrap().bytes()
    }
}

/// Opens and checks an image in memory.
#[track_caller]
pub(crate) fn read(bytes: Vec<u8>) -> Reader<Vec<u8>> {
    let reader = Reader::open(bytes).unwrap();
    reader.check().unwrap();
    reader
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
