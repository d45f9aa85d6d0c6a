//! A file system as text: what `mkimg dump` shows and snapshots keep.

use std::collections::BTreeMap;
use std::io::Write;

use layer::ReadAt;
use sha2::{Digest, Sha256};

use super::error::ReadError;
use super::format::{NOWHERE, flag};
use super::inode::Content;
use super::options::Compression;
use super::read::Reader;
use super::walk::Visit;

/// How much of a file is read at once.
const PART: usize = 256 << 10;

/// Whether the contents of files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digests {
    /// Each file has the SHA-256 of its contents, at its first name.
    Shown,
    /// Contents are not read: what an image says of their size may be far more than it has.
    LeftOut,
}

impl<R: ReadAt> Reader<R> {
    /// Describes the whole file system: the superblock, and a line for each path.
    pub fn dump(&self, digests: Digests, out: &mut dyn Write) -> Result<(), ReadError> {
        self.dump_superblock(out).map_err(ReadError::Write)?;
        let mut seen = BTreeMap::new();
        self.walk(&mut |visit| {
            let text = self.describe(visit, digests, &mut seen)?;
            writeln!(out, "{text}").map_err(ReadError::Write)
        })
    }

    fn dump_superblock(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let superblock = self.superblock();
        write!(out, "squashfs 4.0, {}", self.compression().name())?;
        match self.compression() {
            Compression::Gzip(level) | Compression::Zstd(level) => write!(out, " level {}", level.get())?,
            Compression::Lz4 { .. } => {}
            Compression::Xz { filters, dictionary } => {
                let size = dictionary.bytes(self.block_size());
                write!(out, " dictionary {size}")?;
                for filter in filters {
                    write!(out, " {}", filter.name())?;
                }
            }
        }
        let flags = flag::NAMES.iter().zip(0..).filter(|(_, bit)| superblock.flags & 1 << bit != 0);
        let flags: String = flags.map(|(name, _)| format!(" {name}")).collect();
        writeln!(out, ", blocks of {}, made {}; flags{flags}", superblock.block_size, superblock.made)?;
        writeln!(
            out,
            "{} inodes, {} blocks of fragments, {} owners, {} bytes",
            superblock.inodes, superblock.fragments, superblock.ids, superblock.bytes_used
        )?;
        let place = |at: u64| if at == NOWHERE { "none".to_owned() } else { at.to_string() };
        writeln!(
            out,
            "root {:#x}; inodes at {}, directories {}, fragments {}, export {}, owners {}, attributes {}",
            superblock.root,
            superblock.inode_table,
            superblock.directory_table,
            place(superblock.fragment_table),
            place(superblock.export_table),
            superblock.id_table,
            place(superblock.xattr_table)
        )
    }

    /// Describes what is at a path. `seen` has what [`super::file::File::blocks`] said of each file that had a name
    /// already.
    fn describe(
        &self,
        visit: &Visit<'_>,
        digests: Digests,
        seen: &mut BTreeMap<u32, (u64, u64, u64)>,
    ) -> Result<String, ReadError> {
        let inode = visit.inode;
        let (kind, detail) = match &inode.content {
            Content::Directory { listing: (start, place, size), n_marks, .. } => {
                let marks = if *n_marks > 0 { format!(", {n_marks} marks") } else { String::new() };
                ("directory", format!(" listing {start}+{place}, {} bytes{marks}", size.saturating_sub(3)))
            }
            Content::File { size, start, sparse, fragment, .. } => {
                let mut file = self.file(inode)?;
                let mut text = format!(" size {size}");
                let known = seen.get(&inode.number).copied();
                let (n_blocks, stored, zeros) = match known {
                    Some(blocks) => blocks,
                    None => *seen.entry(inode.number).or_insert(file.blocks()?),
                };
                if n_blocks > 0 {
                    text += &format!(" blocks {n_blocks} at {start}, {stored} bytes");
                }
                if zeros > 0 {
                    text += &format!(", {zeros} of zeros, {sparse} bytes");
                }
                if let Some((block, offset)) = fragment {
                    text += &format!(" fragment {block}+{offset}");
                }
                if known.is_none() && digests == Digests::Shown && *size > 0 {
                    let mut hash = Sha256::new();
                    let mut buffer = vec![0; PART];
                    let mut offset = 0;
                    while offset < *size {
                        let length = usize::try_from(size - offset).unwrap_or(PART).min(PART);
                        file.read_exact_at(offset, &mut buffer[..length])?;
                        hash.update(&buffer[..length]);
                        offset += length as u64;
                    }
                    text += &format!(" sha256={}", crate::dump::short(hash));
                }
                ("file", text)
            }
            Content::Symlink { target } => ("symlink", format!(" -> {}", target.escape_ascii())),
            Content::BlockDevice(major, minor) => ("block", format!(" device={major}:{minor}")),
            Content::CharDevice(major, minor) => ("char", format!(" device={major}:{minor}")),
            Content::Fifo => ("fifo", String::new()),
            Content::Socket => ("socket", String::new()),
        };
        let mut text = format!(
            "{} {kind} {:04o} {}:{} inode {} links {} mtime {}{detail}",
            visit.path.escape_ascii(),
            inode.mode,
            inode.uid,
            inode.gid,
            inode.number,
            inode.links,
            inode.mtime,
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
