//! `ext4_from_directory DIRECTORY IMAGE [SIZE]`: what `mke2fs -d` does, to compare the two.
//!
//! Bootwright itself makes images from layers, whose owners do not depend on who unpacked them.

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use mkimg::SparseFile;
use mkimg::ext4::{Builder, Metadata, Node, Options, ROOT, Size, Timestamp};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [directory, image, rest @ ..] = arguments.as_slice() else {
        return Err("usage: ext4_from_directory DIRECTORY IMAGE [SIZE]".into());
    };
    let size = match rest.first().and_then(|size| size.to_str()) {
        Some(size) => Size::Fixed(size.parse()?),
        None => Size::Fit { slack: 0 },
    };
    let options = Options::new(size, [0x42; 16], [0x24; 16], Timestamp::default());
    let mut scan = Scan { builder: Builder::new(options)?, files: BTreeMap::new(), seen: BTreeMap::new() };
    scan.directory(directory, ROOT)?;
    let Scan { builder, files, .. } = scan;
    let sealed = builder.seal()?;

    let output = File::create(image)?;
    let mut sink = SparseFile::new(&output);
    // Contents are asked for in order, so one open file is enough.
    let mut open: Option<(Node, File)> = None;
    let mut read = |node: Node, offset: u64, buffer: &mut [u8]| {
        if open.as_ref().is_none_or(|(current, _)| *current != node) {
            open = Some((node, File::open(&files[&node])?));
        }
        let (_, file) = open.as_ref().expect("it was opened above");
        file.read_exact_at(buffer, offset)
    };
    sealed.write(&mut read, &mut sink)?;
    println!("{} bytes, {} of them free", sink.finish()?, sealed.free());
    Ok(())
}

struct Scan {
    builder: Builder,
    files: BTreeMap<Node, PathBuf>,
    /// Files with several names, by device and inode.
    seen: BTreeMap<(u64, u64), Node>,
}

impl Scan {
    fn directory(&mut self, path: &Path, parent: Node) -> Result<(), Box<dyn Error>> {
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            let status = path.symlink_metadata()?;
            let name = path.file_name().ok_or("an entry without a name")?.as_bytes();
            let key = (status.dev(), status.ino());
            if let Some(node) = self.seen.get(&key) {
                self.builder.link(parent, name, *node)?;
                continue;
            }
            let nanoseconds = u32::try_from(status.mtime_nsec())?;
            let metadata = Metadata {
                mode: u16::try_from(status.mode() & 0o7777)?,
                uid: status.uid(),
                gid: status.gid(),
                mtime: Timestamp::new(status.mtime(), nanoseconds).unwrap_or_default(),
            };
            let kind = status.file_type();
            let device = (rustix::fs::major(status.rdev()), rustix::fs::minor(status.rdev()));
            let node = if kind.is_dir() {
                let node = self.builder.directory(parent, name, metadata)?;
                self.directory(&path, node)?;
                node
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&path)?.into_os_string().into_vec();
                self.builder.symlink(parent, name, metadata, &target)?
            } else if kind.is_file() {
                let node = self.builder.file(parent, name, metadata, status.len())?;
                self.files.insert(node, path.clone());
                node
            } else if kind.is_char_device() {
                self.builder.char_device(parent, name, metadata, device)?
            } else if kind.is_block_device() {
                self.builder.block_device(parent, name, metadata, device)?
            } else if kind.is_fifo() {
                self.builder.fifo(parent, name, metadata)?
            } else {
                self.builder.socket(parent, name, metadata)?
            };
            if status.nlink() > 1 && !kind.is_dir() {
                self.seen.insert(key, node);
            }
            self.builder.set_xattrs(node, &xattrs(&path)?)?;
        }
        Ok(())
    }
}

fn xattrs(path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Box<dyn Error>> {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, &mut names[..])?;
    let mut found = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 65536];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..])?;
        value.truncate(length);
        found.insert(name.to_vec(), value);
    }
    Ok(found)
}
