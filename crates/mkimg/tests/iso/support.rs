//! Trees whose contents are in memory, and what makes images of them.

use mkimg::Sink;
use mkimg::iso::{
    BootEntry, Builder, Error, Hybrid, HybridTable, Image, Iso, MbrPatch, Metadata, Node, Options, Platform,
    ROOT, Reader, Timestamp,
};

#[path = "../shared/random.rs"]
pub(crate) mod random;
#[path = "../shared/sealed.rs"]
mod sealed;
#[path = "../shared/tree.rs"]
pub(crate) mod shared;
#[path = "../shared/sparse.rs"]
pub(crate) mod sparse;

#[path = "../tool/mod.rs"]
mod tool;

use shared::Contents;
pub(crate) use shared::{mode, noise, scratch};
pub(crate) use tool::tool;

pub(crate) const EPOCH: i64 = 1_700_000_000;

pub(crate) type Tree = shared::Tree<Iso>;
pub(crate) type Sealed = sealed::Sealed<Image>;

impl sealed::Image for Image {
    fn size(&self) -> u64 {
        self.size()
    }

    fn write(&self, contents: &Contents, sink: &mut dyn Sink) {
        self.write(&mut |node, offset, buffer| contents.read(node, offset, buffer), sink).unwrap();
    }
}

pub(crate) fn options() -> Options {
    let mut options = Options::new("TEST", Timestamp::new(EPOCH, 0).unwrap());
    options.labels.publisher = "Someone".to_owned();
    options.labels.application = "a test".to_owned();
    options
}

impl Tree {
    pub(crate) fn new(options: Options) -> Tree {
        Tree::of(Builder::new(options).unwrap(), [mode(0).mtime; 2])
    }

    pub(crate) fn boot(&mut self, entry: BootEntry) {
        self.builder.boot(entry).unwrap();
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

/// Returns what GRUB would have before the file system.
pub(crate) fn hybrid(table: HybridTable) -> Hybrid {
    Hybrid { code: noise(440, 99), patch: MbrPatch::Grub2, table }
}

/// A tree with one of everything.
pub(crate) fn everything(options: Options) -> Tree {
    let mut tree = Tree::new(options);
    let boot = tree.directory(ROOT, "boot");
    let eltorito = tree.file(boot, "eltorito.img", noise(30_001, 8));
    let efi = tree.builder.hidden(60_000).unwrap();
    tree.fill(efi, noise(60_000, 9));
    tree.boot(BootEntry { info_table: true, grub2: true, ..BootEntry::new(Platform::Bios, eltorito) });
    tree.boot(BootEntry::new(Platform::Efi, efi));

    let etc = tree.directory(ROOT, "etc");
    let passwd = tree.file(etc, "passwd", b"root:x:0:0::/root:/bin/sh\n".to_vec());
    tree.builder.link(ROOT, b"hard", passwd).unwrap();
    for (name, length) in [("empty", 0), ("one", 1), ("less", 2047), ("sector", 2048), ("more", 2049)] {
        tree.file(etc, name, noise(length, length as u32));
    }
    let mut above = etc;
    for depth in 0..12 {
        above = tree.directory(above, &format!("level {depth}"));
    }
    tree.file(above, "deep", b"deeper than ECMA-119 has it".to_vec());
    tree.file(ROOT, &"long name ".repeat(25), b"NM in two fields".to_vec());
    tree.file(ROOT, &format!("{}.tar.gz", "x".repeat(100)), Vec::new());
    tree.file(ROOT, &format!("{}.tar.xz", "x".repeat(100)), Vec::new());
    tree.file(ROOT, "grüße \u{1f600}?.html", b"<p>".to_vec());

    tree.builder.symlink(ROOT, b"short", mode(0o777), b"etc/passwd").unwrap();
    tree.builder.symlink(ROOT, b"absolute", mode(0o777), b"/./..//usr/").unwrap();
    tree.builder.symlink(ROOT, b"root", mode(0o777), b"/").unwrap();
    tree.builder.symlink(ROOT, b"long", mode(0o777), &b"../".repeat(300)).unwrap();
    tree.builder.symlink(ROOT, b"pieces", mode(0o777), &[b'y'; 600]).unwrap();
    let dev = tree.directory(ROOT, "dev");
    let device = Metadata { uid: 70_000, gid: 80_000, ..mode(0o620) };
    tree.builder.char_device(dev, b"console", device, (5, 1)).unwrap();
    tree.builder.block_device(dev, b"nvme", device, (259, 300)).unwrap();
    tree.builder.fifo(dev, b"pipe", mode(0o600)).unwrap();
    tree.builder.socket(dev, b"log", mode(0o666)).unwrap();
    let old = Metadata { mtime: Timestamp::new(-1, 5).unwrap(), ..mode(0o7777) };
    tree.builder.directory(ROOT, b"old\xff\x01", old).unwrap();
    let many = tree.directory(ROOT, "many");
    for index in 0..300 {
        tree.file(many, &format!("file number {index}"), vec![index as u8; index % 7]);
    }
    tree
}

/// The number of a node, for messages of tests.
pub(crate) fn sector_of(sealed: &Sealed, node: Node) -> u64 {
    sealed.image.sector(node).into()
}
