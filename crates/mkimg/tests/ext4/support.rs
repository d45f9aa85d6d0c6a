//! Trees whose contents are in memory, and what makes images of them.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use mkimg::Sink;
use mkimg::ext4::{
    BlockSize, Builder, Error, Ext4, Image, Metadata, Node, Options, ROOT, Reader, Size, Timestamp,
};

#[path = "../shared/tree.rs"]
pub(crate) mod shared;

#[path = "../shared/sealed.rs"]
mod sealed;

use shared::Contents;

#[path = "../shared/random.rs"]
pub(crate) mod random;

pub(crate) use shared::{mode, noise, scratch};

pub(crate) const EPOCH: i64 = 1_700_000_000;
pub(crate) const MIB: u64 = 1 << 20;

pub(crate) type Tree = shared::Tree<Ext4>;
pub(crate) type Sealed = sealed::Sealed<Image>;

impl sealed::Image for Image {
    fn size(&self) -> u64 {
        self.size()
    }

    fn write(&self, contents: &Contents, sink: &mut dyn Sink) {
        self.write(&mut |node, offset, buffer| contents.read(node, offset, buffer), sink).unwrap();
    }
}

pub(crate) fn options(block_size: BlockSize, size: Size) -> Options {
    let epoch = Timestamp::new(EPOCH, 0).unwrap();
    let mut options = Options::new(size, *b"uuid-of-an-image", *b"seed-of-the-hash", epoch);
    options.block_size = block_size;
    options.label = b"test".to_vec();
    options
}

impl Tree {
    pub(crate) fn new(options: Options) -> Tree {
        Tree::of(Builder::new(options).unwrap(), [mode(0).mtime; 2])
    }

    pub(crate) fn sparse(&mut self, parent: Node, name: &str, content: Vec<u8>, data: &[Range<u64>]) -> Node {
        let size = content.len() as u64;
        let node = self.builder.sparse_file(parent, name.as_bytes(), mode(0o644), size, data).unwrap();
        self.fill(node, content)
    }

    pub(crate) fn xattrs(&mut self, node: Node, xattrs: &[(&str, &[u8])]) {
        let xattrs = xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
        self.builder.set_xattrs(node, &xattrs).unwrap();
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

#[path = "../shared/sparse.rs"]
pub(crate) mod sparse;

#[path = "../tool/mod.rs"]
mod tool;

pub(crate) use tool::tool;

/// Says what `e2fsck` says unless it finds nothing to complain about.
#[track_caller]
pub(crate) fn fsck(path: &Path) {
    if let Some((code, text)) = tool("e2fsck", &["-fn", path.to_str().unwrap()]) {
        assert_eq!(code, 0, "{text}");
        assert!(!text.contains("IGNORED") && !text.contains("Fix?") && !text.contains("Optimize?"), "{text}");
    }
}

/// Saves an image, checks it with our reader and with `e2fsck`, and returns its reader.
#[track_caller]
pub(crate) fn judge(tree: Tree) -> Reader<File> {
    let directory = scratch();
    let path = directory.path().join("image");
    let file = tree.seal().unwrap().save(&path);
    fsck(&path);
    let reader = Reader::open(file).unwrap();
    reader.check().unwrap();
    reader
}

/// A tree with one of everything.
pub(crate) fn everything(block_size: BlockSize) -> Tree {
    const ACL: &[u8] = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xe9\x03\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x06\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff";
    let block = block_size.bytes() as usize;
    let mut tree = Tree::new(options(block_size, Size::Fixed(16 * MIB)));
    let etc = tree.directory(ROOT, "etc");
    let passwd = tree.file(etc, "passwd", b"root:x:0:0::/root:/bin/sh\n".to_vec());
    tree.builder.link(ROOT, b"hard", passwd).unwrap();
    for (name, length) in
        [("empty", 0), ("one", 1), ("less", block - 1), ("block", block), ("more", block + 1)]
    {
        tree.file(etc, name, noise(length, length as u32));
    }
    let mut holes = noise(20 * block, 7);
    holes[block..5 * block].fill(0);
    holes[6 * block..18 * block].fill(0);
    let length = block as u64;
    tree.sparse(ROOT, "holes", holes, &[0..length, 5 * length..6 * length, 18 * length..20 * length]);
    tree.sparse(ROOT, "hole", vec![0; 100_000], &[]);

    let bin = tree.directory(ROOT, "bin");
    let ping = tree.file(bin, "ping", noise(3000, 1));
    tree.xattrs(ping, &[("security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0")]);
    let large: &[u8] = &noise(block / 2, 2);
    let many: [(&str, &[u8]); 4] =
        [("user.large", large), ("user.small", b"s"), ("trusted.t", b""), ("system.posix_acl_access", ACL)];
    for name in ["first", "second"] {
        let node = tree.file(bin, name, b"shares its attributes".to_vec());
        tree.xattrs(node, &many);
    }
    tree.xattrs(etc, &[("system.posix_acl_default", ACL)]);

    tree.builder.symlink(ROOT, b"short", mode(0o777), b"etc/passwd").unwrap();
    tree.builder.symlink(ROOT, b"edge59", mode(0o777), &[b'a'; 59]).unwrap();
    tree.builder.symlink(ROOT, b"edge60", mode(0o777), &[b'b'; 60]).unwrap();
    let target = b"../".iter().cycle().take(block - 1).copied().collect::<Vec<u8>>();
    tree.builder.symlink(ROOT, b"long", mode(0o777), &target).unwrap();
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
