//! Trees whose contents are in memory, and what makes images of them.

use mkimg::MemorySink;
use mkimg::erofs::{
    Builder, ClusterSize, Compression, Digests, Erofs, Metadata, Node, Options, ROOT, Reader, Timestamp,
};

#[path = "../shared/tree.rs"]
pub(crate) mod shared;

#[path = "../shared/random.rs"]
pub(crate) mod random;

#[path = "../shared/sparse.rs"]
pub(crate) mod sparse;

#[path = "../tool/mod.rs"]
mod tool;

pub(crate) use shared::{mode, noise, scratch};
pub(crate) use tool::tool;

pub(crate) const EPOCH: i64 = 1_700_000_000;
pub(crate) const UUID: [u8; 16] = *b"0123456789abcdef";

pub(crate) type Tree = shared::Tree<Erofs>;

/// One of each compressor.
pub(crate) fn compressions() -> [Compression; 4] {
    [
        Compression::None,
        Compression::Lz4,
        Compression::lz4hc(Some(9)).unwrap(),
        Compression::zstd(Some(3)).unwrap(),
    ]
}

pub(crate) fn options(compression: Compression) -> Options {
    Options {
        label: b"tested".to_vec(),
        cluster_size: ClusterSize::from_bytes(16384).unwrap(),
        ..Options::new(compression, UUID, Timestamp::saturating(EPOCH))
    }
}

/// The same with clusters of another size.
pub(crate) fn clusters(compression: Compression, size: u32) -> Options {
    Options { cluster_size: ClusterSize::from_bytes(size).unwrap(), ..options(compression) }
}

/// Text that compresses, but not to nothing.
pub(crate) fn text(length: usize, seed: u32) -> Vec<u8> {
    noise(length, seed).iter().map(|byte| b"etaoinshrdlu \n"[usize::from(*byte) % 14]).collect()
}

/// Words that come again, as those of programs do.
pub(crate) fn words(length: usize, seed: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 20);
    for byte in noise(length / 4, seed) {
        let word = ["etaoin ", "shrdlu,", "\n", "return;"][usize::from(byte) % 4];
        bytes.extend(format!("{byte:03}{word}").bytes());
    }
    bytes.resize(length, b'.');
    bytes
}

impl Tree {
    pub(crate) fn new(options: Options) -> Tree {
        Tree::of(Builder::new(options).unwrap(), [mode(0).mtime; 2])
    }

    pub(crate) fn xattrs(&mut self, node: Node, xattrs: &[(&str, &[u8])]) {
        let xattrs = xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
        self.builder.set_xattrs(node, &xattrs).unwrap();
    }

    pub(crate) fn bytes_on(self, n_threads: usize) -> Vec<u8> {
        let image = self.builder.seal().unwrap();
        let contents = self.contents;
        let read = |node: Node, offset: u64, buffer: &mut [u8]| contents.read(node, offset, buffer);
        let mut sink = MemorySink::default();
        let size = image.write(&read, n_threads, &mut sink).unwrap();
        let bytes = sink.into_bytes();
        assert_eq!(bytes.len() as u64, size);
        bytes
    }

    /// Returns the image's bytes.
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.bytes_on(2)
    }
}

#[track_caller]
pub(crate) fn read(bytes: Vec<u8>) -> Reader<Vec<u8>> {
    Reader::open(bytes).unwrap()
}

#[track_caller]
pub(crate) fn dump(reader: &Reader<Vec<u8>>) -> String {
    let mut out = Vec::new();
    reader.dump(Digests::Shown, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Returns all of a file.
#[track_caller]
pub(crate) fn content(reader: &Reader<Vec<u8>>, path: &str) -> Vec<u8> {
    reader.bytes(&reader.resolve(path.as_bytes()).unwrap(), 1 << 30).unwrap()
}

/// A tree with one of everything.
pub(crate) fn everything(options: Options) -> Tree {
    let epoch = options.epoch;
    let mut tree = Tree::new(options);
    let etc = tree.directory(ROOT, "etc");
    let passwd = tree.file(etc, "passwd", b"root:x:0:0::/root:/bin/sh\n".to_vec());
    tree.builder.link(ROOT, b"hard", passwd).unwrap();
    for (name, length) in [("empty", 0), ("one", 1), ("less", 4095), ("block", 4096), ("more", 4097)] {
        tree.file(etc, name, noise(length, length as u32));
    }
    tree.file(etc, "text", words(200_000, 3));
    tree.file(etc, "same", words(200_000, 3));
    tree.file(etc, "other", text(200_000, 4));
    tree.file(etc, "mixed", [words(50_000, 5), noise(30_001, 6), words(20_000, 7), noise(5000, 8)].concat());
    let mut holes = text(20 * 4096 + 100, 7);
    holes[4096..5 * 4096].fill(0);
    holes[6 * 4096..18 * 4096 + 5].fill(0);
    tree.file(ROOT, "holes", holes);
    tree.file(ROOT, "hole", vec![0; 100_000]);

    let bin = tree.directory(ROOT, "bin");
    let ping = tree.file(bin, "ping", noise(3000, 1));
    tree.xattrs(ping, &[("security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0")]);
    let large: &[u8] = &noise(5000, 2);
    let many: [(&str, &[u8]); 3] = [("user.large", large), ("user.small", b"s"), ("trusted.t", b"")];
    for name in ["first", "second"] {
        let node = tree.file(bin, name, b"shares its attributes".to_vec());
        tree.xattrs(node, &many);
    }
    // Too many to leave room for the end of the file, or the target of the link.
    let lonely: &[u8] = &noise(4000, 9);
    let node = tree.file(bin, "attributed", words(9000, 10));
    tree.xattrs(node, &[("user.lonely", lonely)]);
    let node = tree.file(bin, "crowded", noise(4200, 11));
    tree.xattrs(node, &[("user.lonely", &noise(3950, 12))]);
    let node = tree.directory(ROOT, "attributed");
    tree.xattrs(node, &[("user.large", large), ("user.again", b"twenty bytes of text")]);
    let node = tree.builder.symlink(ROOT, b"attributed-link", mode(0o777), b"nowhere").unwrap();
    tree.xattrs(node, &[("trusted.again", &noise(4050, 13))]);

    tree.builder.symlink(ROOT, b"short", mode(0o777), b"etc/passwd").unwrap();
    tree.builder.symlink(ROOT, b"long", mode(0o777), &b"../".repeat(1365)).unwrap();
    let dev = tree.directory(ROOT, "dev");
    let device = Metadata { uid: 70_000, gid: 80_000, ..mode(0o620) };
    tree.builder.char_device(dev, b"console", device, (5, 1)).unwrap();
    tree.builder.block_device(dev, b"nvme", device, (259, 300)).unwrap();
    let fifo = tree.builder.fifo(dev, b"pipe", mode(0o600)).unwrap();
    tree.xattrs(fifo, &[("security.label", b"label")]);
    tree.builder.socket(dev, b"log", mode(0o666)).unwrap();
    tree.builder
        .directory(ROOT, b"old\xff\x01", Metadata { mtime: Timestamp::saturating(-5), ..mode(0o7777) })
        .unwrap();
    // As old as the file system, so that the short form of inodes is enough.
    let young = Metadata { mtime: epoch, ..mode(0o755) };
    let young_directory = tree.builder.directory(ROOT, b"young", young).unwrap();
    tree.file_with(young_directory, b"file", young, words(10_000, 14));
    tree.file_with(young_directory, b"small", young, text(100, 15));
    let many = tree.directory(ROOT, "many");
    for index in 0..1000 {
        tree.file(many, &format!("file number {index}"), vec![index as u8; index % 7]);
    }
    tree
}
