//! A file system as text: what `mkimg dump` shows and snapshots keep.

use std::collections::BTreeSet;
use std::io::Write;

use layer::ReadAt;
use sha2::{Digest, Sha256};

use super::error::ReadError;
use super::inode::{Content, Inode, layout};
use super::read::Reader;
use super::walk::Visit;

/// Whether the contents of files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digests {
    /// Each file has the SHA-256 of its contents, at its first name.
    Shown,
    /// Contents are not read: what an image says of their size may be far more than it has.
    LeftOut,
}

/// The longest target of a link that is shown.
const MAX_TARGET: u64 = 4096;

impl<R: ReadAt> Reader<R> {
    /// Describes the whole file system: the superblock, and a line for each path.
    pub fn dump(&self, digests: Digests, out: &mut dyn Write) -> Result<(), ReadError> {
        self.dump_superblock(out).map_err(ReadError::Write)?;
        let mut seen = BTreeSet::new();
        self.walk(&mut |visit| {
            let is_first = seen.insert(visit.inode.nid);
            let text = self.describe(visit, is_first && digests == Digests::Shown)?;
            writeln!(out, "{text}").map_err(ReadError::Write)
        })
    }

    fn dump_superblock(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let superblock = self.superblock();
        let uuid: String = superblock.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        let (seconds, nanoseconds) = superblock.epoch;
        writeln!(
            out,
            "erofs, label \"{}\", uuid {uuid}, made {seconds}.{nanoseconds:09}; features {:#x}, needed {:#x}",
            superblock.label().escape_ascii(),
            superblock.compatible,
            superblock.needed
        )?;
        writeln!(
            out,
            "{} inodes, {} blocks, metadata from block {}, attributes from block {}, root {}",
            superblock.inodes, superblock.blocks, superblock.metadata, superblock.xattrs, superblock.root
        )
    }

    fn describe(&self, visit: &Visit<'_>, with_digest: bool) -> Result<String, ReadError> {
        let inode = visit.inode;
        let (kind, detail) = match inode.content {
            Content::Directory => ("directory", format!(" listing {} bytes{}", inode.size, place(inode))),
            Content::File => {
                let mut text = format!(" size {}{}", inode.size, place(inode));
                if with_digest && inode.size > 0 {
                    let mut hash = Sha256::new();
                    self.contents(inode, &mut |part| {
                        hash.update(part);
                        Ok(())
                    })?;
                    text += &format!(" sha256={}", crate::dump::short(hash));
                }
                ("file", text)
            }
            Content::Symlink => {
                let target = self.bytes(inode, MAX_TARGET)?;
                ("symlink", format!("{} -> {}", place(inode), target.escape_ascii()))
            }
            Content::BlockDevice(major, minor) => ("block", format!(" device={major}:{minor}")),
            Content::CharDevice(major, minor) => ("char", format!(" device={major}:{minor}")),
            Content::Fifo => ("fifo", String::new()),
            Content::Socket => ("socket", String::new()),
        };
        let (seconds, nanoseconds) = inode.mtime;
        let mut text = format!(
            "{} {kind} {:04o} {}:{} inode {} at {} links {} mtime {seconds}.{nanoseconds:09}{detail}",
            visit.path.escape_ascii(),
            inode.mode,
            inode.uid,
            inode.gid,
            inode.number,
            inode.nid,
            inode.links,
        );
        for (name, value) in self.xattrs(inode)? {
            text += &format!("\n        {}=", name.escape_ascii());
            if value.len() <= 128 {
                text += &format!("\"{}\"", value.escape_ascii());
            } else {
                let hash = Sha256::new_with_prefix(&value);
                text += &format!("{} bytes, sha256={}", value.len(), crate::dump::short(hash));
            }
        }
        Ok(text)
    }
}

/// Says where an inode's data is.
fn place(inode: &Inode) -> String {
    match inode.layout {
        layout::PLAIN | layout::INLINE if inode.size == 0 => String::new(),
        layout::PLAIN => format!(" plain at block {}", inode.detail),
        layout::INLINE if inode.detail == u32::MAX => " inline".to_owned(),
        layout::INLINE => format!(" plain at block {}, end inline", inode.detail),
        layout::CHUNKS => format!(" chunks of 2^{} blocks", inode.detail & 0x1f),
        layout::COMPACT => format!(" compressed to {} blocks", inode.detail),
        _ => format!(" compressed to {} blocks, full index", inode.detail),
    }
}
