//! A file system as text: what `inspect` shows and snapshots keep.

use std::collections::BTreeSet;
use std::fmt::Write;

use layer::ReadAt;

use super::error::ReadError;
use super::extent::Extent;
use super::group::{BLOCK_UNINIT, INODE_UNINIT, INODE_ZEROED};
use super::inode::{self, FLAG_INDEX};
use super::read::{Data, Reader};
use super::walk::Visit;
use crate::sink::{HashSink, Sink};
use crate::tree::Timestamp;

impl<R: ReadAt> Reader<R> {
    /// Describes the whole file system: the superblock, the groups, and a line for each path with a digest of the
    /// content, at the first name of a file. What is not shown is checked: a file system that [`Reader::check`] refuses
    /// has no description.
    pub fn dump(&self) -> Result<String, ReadError> {
        self.check()?;
        let mut text = self.dump_superblock();
        for (index, group) in self.groups().iter().enumerate() {
            let flags = [
                (INODE_UNINIT, " inode_uninit"),
                (BLOCK_UNINIT, " block_uninit"),
                (INODE_ZEROED, " itable_zeroed"),
            ];
            let flags: String =
                flags.iter().filter(|(bit, _)| group.flags & bit != 0).map(|(_, name)| *name).collect();
            line(
                &mut text,
                format_args!(
                    "group {index}: block bitmap {} inode bitmap {} inode table {}; {} free blocks, {} free inodes, \
                 {} unused, {} directories;{flags}",
                    group.block_bitmap,
                    group.inode_bitmap,
                    group.inode_table,
                    group.free_blocks,
                    group.free_inodes,
                    group.unused_inodes,
                    group.used_directories,
                ),
            );
        }
        let mut seen = BTreeSet::new();
        self.walk(&mut |visit| {
            let described = self.describe(visit, seen.insert(visit.inode.number))?;
            line(&mut text, format_args!("{described}"));
            Ok(())
        })?;
        Ok(text)
    }

    fn dump_superblock(&self) -> String {
        let superblock = self.superblock();
        let mut text = String::new();
        let label = superblock.label.split(|byte| *byte == 0).next().unwrap_or_default();
        line(
            &mut text,
            format_args!(
                "ext4 `{}` uuid {} hash seed {}",
                label.escape_ascii(),
                hex(&superblock.uuid),
                hex(&superblock.hash_seed)
            ),
        );
        line(&mut text, format_args!("features {}", superblock.feature_names().join(" ")));
        line(
            &mut text,
            format_args!(
                "{} blocks of {}, {} free, {} reserved, {} for structures; {} per group, {} for more descriptors",
                superblock.blocks_count,
                superblock.block_size.bytes(),
                superblock.free_blocks,
                superblock.reserved_blocks,
                superblock.overhead,
                superblock.blocks_per_group,
                superblock.reserved_gdt_blocks,
            ),
        );
        line(
            &mut text,
            format_args!(
                "{} inodes of {}, {} free; {} per group; journal in inode {}",
                superblock.inodes_count,
                superblock.inode_size,
                superblock.free_inodes,
                superblock.inodes_per_group,
                superblock.journal_inode,
            ),
        );
        line(
            &mut text,
            format_args!(
                "made {}, state {}, on errors {}",
                superblock.made, superblock.state, superblock.errors
            ),
        );
        text
    }

    /// Describes what is at a path. Where the blocks are of a file, and what is in them, is only looked at for the first of
    /// its names: it can have many.
    fn describe(&self, visit: &Visit<'_>, is_first: bool) -> Result<String, ReadError> {
        let inode = visit.inode;
        let kind = match inode.kind() {
            inode::DIRECTORY => "directory",
            inode::REGULAR => "file",
            inode::SYMLINK => "symlink",
            inode::CHAR_DEVICE => "char",
            inode::BLOCK_DEVICE => "block",
            inode::FIFO => "fifo",
            inode::SOCKET => "socket",
            _ => "unknown",
        };
        let mut text = format!(
            "{} {kind} {:04o} {}:{} inode {} links {} size {} mtime {}",
            visit.path.escape_ascii(),
            inode.mode & 0o7777,
            inode.uid,
            inode.gid,
            inode.number,
            inode.links,
            inode.size,
            time(inode.mtime),
        );
        let others = [("atime", inode.atime), ("ctime", inode.ctime), ("crtime", inode.crtime)];
        for (name, value) in others.into_iter().filter(|(_, value)| *value != inode.mtime) {
            text += &format!(" {name} {}", time(value));
        }
        if let Some((major, minor)) = inode.device() {
            text += &format!(" device {major}:{minor}");
        }
        if inode.flags & FLAG_INDEX != 0 {
            text += " indexed";
        }
        if inode.is_symlink() {
            text += &format!(" -> {}", self.symlink_target(inode)?.escape_ascii());
        }
        let has_blocks = inode.is_file() || inode.is_directory() || inode.is_symlink() && inode.sectors > 0;
        if is_first && has_blocks {
            let data = self.data(inode)?;
            text += &ranges(data.extents());
            if inode.is_file() && inode.size > 0 {
                text += &format!(" sha256 {}", self.digest(&data)?);
            }
        }
        for (name, value) in self.xattrs(inode)? {
            text += &format!(" {}={}", name.escape_ascii(), shown(&value)?);
        }
        Ok(text)
    }

    /// Returns the SHA-256 of those blocks of a file that are not holes, up to its end.
    fn digest(&self, data: &Data<'_, R>) -> Result<String, ReadError> {
        let block_len = u64::from(self.superblock().block_size.bytes());
        let mut hash = HashSink::default();
        let mut hashed = 0;
        let mut buffer = vec![0; 1 << 16];
        for extent in data.extents().iter().filter(|extent| extent.is_written) {
            let mut offset = u64::from(extent.logical) * block_len;
            let end = (offset + u64::from(extent.length) * block_len).min(data.size());
            while offset < end {
                let length = buffer.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX));
                data.read_exact_at(offset, &mut buffer[..length])?;
                let took = hash.data(hashed, &buffer[..length]);
                took.map_err(|source| ReadError::Io { offset, length, source })?;
                offset += length as u64;
                hashed += length as u64;
            }
        }
        Ok(hash.finish().0)
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string takes everything");
}

/// Shows where blocks are: `5-9` from the start, `@3:12-14` from block 3 of the file on.
fn ranges(extents: &[Extent]) -> String {
    let mut text = String::new();
    let mut expected = 0;
    for extent in extents {
        let lead = if extent.logical == expected { String::new() } else { format!("@{}:", extent.logical) };
        let mark = if extent.is_written { "" } else { "?" };
        let last = extent.physical + u64::from(extent.length) - 1;
        text += &format!(" {lead}{}-{last}{mark}", extent.physical);
        expected = extent.logical.saturating_add(extent.length);
    }
    text
}

fn time(time: Timestamp) -> String {
    match time.nanoseconds() {
        0 => time.seconds().to_string(),
        nanoseconds => format!("{}+{nanoseconds:09}", time.seconds()),
    }
}

/// Shows a value: short ones whole, long ones by their length and digest.
fn shown(value: &[u8]) -> Result<String, ReadError> {
    if value.len() <= 64 {
        return Ok(hex(value));
    }
    let mut hash = HashSink::default();
    let length = value.len();
    hash.data(0, value).map_err(|source| ReadError::Io { offset: 0, length, source })?;
    Ok(format!("({length} bytes, sha256 {})", hash.finish().0))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
