//! Trees whose contents are in memory, and what makes images of them.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use mkimg::MemorySink;
use mkimg::squashfs::{
    Bcj, Builder, Compression, Digests, Fragments, Metadata, Node, Options, ROOT, Reader, Squashfs, Timestamp,
};

#[path = "../shared/tree.rs"]
pub(crate) mod shared;

#[path = "../shared/random.rs"]
pub(crate) mod random;

pub(crate) use shared::{mode, noise, scratch};

pub(crate) const EPOCH: u32 = 1_700_000_000;

pub(crate) type Tree = shared::Tree<Squashfs>;

/// One of each compressor, with options that are stored.
pub(crate) fn compressions() -> [Compression; 5] {
    [
        Compression::gzip(Some(6)).unwrap(),
        Compression::Lz4 { high: false },
        Compression::Lz4 { high: true },
        Compression::xz([Bcj::X86, Bcj::Arm]),
        Compression::zstd(Some(3)).unwrap(),
    ]
}

pub(crate) fn options(compression: Compression) -> Options {
    Options {
        block_size: mkimg::squashfs::BlockSize::from_bytes(4096).unwrap(),
        ..Options::new(compression, EPOCH)
    }
}

/// Text that compresses, but not to nothing.
pub(crate) fn text(length: usize, seed: u32) -> Vec<u8> {
    noise(length, seed).iter().map(|byte| b"etaoinshrdlu \n"[usize::from(*byte) % 14]).collect()
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
pub(crate) fn content(reader: &Reader<Vec<u8>>, path: &str) -> Vec<u8> {
    let inode = reader.resolve(path.as_bytes()).unwrap();
    let mut file = reader.file(&inode).unwrap();
    let mut bytes = vec![0; usize::try_from(file.size()).unwrap()];
    file.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

#[path = "../skip/mod.rs"]
mod skip;

/// Runs a tool of squashfs-tools and returns what it said, or nothing if there is none to run.
#[track_caller]
pub(crate) fn tool(name: &str, directory: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = match Command::new(name).current_dir(directory).env("TZ", "UTC").args(arguments).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip::skip(name);
            return None;
        }
        Err(error) => panic!("`{name}` does not run: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{name} {arguments:?}: {}\n{said}", output.status);
    Some(output.stdout)
}

/// A tree with one of everything.
pub(crate) fn everything(options: Options) -> Tree {
    let mut tree = Tree::new(options);
    let etc = tree.directory(ROOT, "etc");
    let passwd = tree.file(etc, "passwd", b"root:x:0:0::/root:/bin/sh\n".to_vec());
    tree.builder.link(ROOT, b"hard", passwd).unwrap();
    for (name, length) in [("empty", 0), ("one", 1), ("less", 4095), ("block", 4096), ("more", 4097)] {
        tree.file(etc, name, noise(length, length as u32));
    }
    tree.file(etc, "text", text(20_000, 3));
    tree.file(etc, "same", text(20_000, 3));
    tree.file(etc, "other", text(20_000, 4));
    let mut holes = text(20 * 4096 + 100, 7);
    holes[4096..5 * 4096].fill(0);
    holes[6 * 4096..18 * 4096 + 5].fill(0);
    tree.file(ROOT, "holes", holes);
    tree.file(ROOT, "hole", vec![0; 100_000]);

    let bin = tree.directory(ROOT, "bin");
    // Calls, which filters for x86 find.
    let code = (0..9000_u32)
        .flat_map(|at| [0xe8].into_iter().chain((70_000 - at * 6).to_le_bytes()).chain([at as u8]));
    tree.file(bin, "code", code.collect());
    let ping = tree.file(bin, "ping", noise(3000, 1));
    tree.xattrs(ping, &[("security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0")]);
    let large: &[u8] = &noise(5000, 2);
    let many: [(&str, &[u8]); 3] = [("user.large", large), ("user.small", b"s"), ("trusted.t", b"")];
    for name in ["first", "second"] {
        let node = tree.file(bin, name, b"shares its attributes".to_vec());
        tree.xattrs(node, &many);
    }
    let node = tree.directory(ROOT, "attributed");
    tree.xattrs(node, &[("user.large", large), ("user.again", b"twenty bytes of text")]);
    let node = tree.builder.symlink(ROOT, b"attributed-link", mode(0o777), b"nowhere").unwrap();
    tree.xattrs(node, &[("trusted.again", b"twenty bytes of text")]);

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
        .directory(ROOT, b"old\xff\x01", Metadata { mtime: Timestamp::default(), ..mode(0o7777) })
        .unwrap();
    let many = tree.directory(ROOT, "many");
    for index in 0..1000 {
        tree.file(many, &format!("file number {index}"), vec![index as u8; index % 7]);
    }
    tree
}

/// Options that put the ends of all files into shared blocks.
pub(crate) fn all_fragments(compression: Compression) -> Options {
    Options { fragments: Fragments::All, ..options(compression) }
}
