//! Declaring: what ext4 has besides what all file systems have, sparse files and attributes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::Error;
use super::image::Image;
use super::inode::LINK_MAX;
use super::options::Options;
use super::xattr::{Attribute, Placed, Refusal, place};
use crate::tree::{self, Attributes, Limits, Metadata, Node};

/// `lost+found`, which is always there.
pub(super) const LOST_AND_FOUND: Node = tree::RESERVED;

/// What a tree is to become.
pub struct Ext4 {
    pub(super) options: Options,
    pub(super) xattrs: Attributes<Attribute, Placed>,
    /// Blocks of sparse files that hold data: first and how many.
    pub(super) ranges: BTreeMap<Node, Vec<(u32, u32)>>,
}

/// Collects what will be in a file system. `lost+found` in the root is there already.
pub type Builder = tree::Builder<Ext4>;

impl Builder {
    /// Returns the builder of a file system with an empty root that belongs to root, mode 755.
    pub fn new(options: Options) -> Result<Builder, Error> {
        options.check()?;
        let epoch = options.epoch;
        let limits = Limits {
            name: 255,
            // The target and a NUL have to fit into a block.
            target: (options.block_size.len() - 1).min(4095),
            // The last of 2^32 numbers means "no block".
            file: u64::from(options.block_size.bytes()) * u64::from(u32::MAX),
            links: LINK_MAX,
            reserved: Some(b"lost+found"),
        };
        let format = Ext4 { options, xattrs: Attributes::new(), ranges: BTreeMap::new() };
        Ok(tree::Builder::start(format, limits, epoch))
    }

    /// Declares a file of `size` bytes that has data only in the given ranges of bytes, in ascending order; the rest
    /// are holes, up to whole blocks.
    pub fn sparse_file(
        &mut self,
        parent: Node,
        name: &[u8],
        metadata: Metadata,
        size: u64,
        data: &[Range<u64>],
    ) -> Result<Node, Error> {
        let ranges = block_ranges(size, data, u64::from(self.format.options.block_size.bytes()));
        let ranges = ranges.ok_or_else(|| Error::Ranges { path: self.tree.path_in(parent, name) })?;
        let node = self.file(parent, name, metadata, size)?;
        self.format.ranges.insert(node, ranges);
        Ok(node)
    }

    /// Replaces the extended attributes of `node`. Names are full (`security.capability`); ACLs are in the form in
    /// which `setxattr` takes them.
    pub fn set_xattrs(&mut self, node: Node, xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Error> {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let mut attributes = Vec::with_capacity(xattrs.len());
        for (name, value) in xattrs {
            let attribute = Attribute::new(name, value).map_err(|refusal| {
                let (path, name) = (self.tree.path(node), text(name));
                match refusal {
                    Refusal::Name => Error::XattrName { path, name },
                    Refusal::Acl => Error::Acl { path, name },
                }
            })?;
            attributes.push(attribute);
        }
        let (tree, block_len) = (&self.tree, self.format.options.block_size.len());
        let number = self.format.xattrs.number(attributes, |attributes| {
            place(attributes, block_len).map_err(|index| {
                let (name, value) = xattrs.iter().nth(index).expect("the index is of one of them");
                Error::XattrsTooLarge { path: tree.path(node), name: text(name), length: value.len() }
            })
        })?;
        self.tree.nodes[node.index()].attributes = number;
        Ok(())
    }

    /// Fixes the layout and every byte that is not a file's content.
    ///
    /// Fails if a name is there twice, or if the contents do not fit.
    pub fn seal(self) -> Result<Image, Error> {
        let (mut format, tree) = self.finish()?;
        format.xattrs.seal();
        Image::new(format, tree)
    }
}

/// Turns ranges of bytes into blocks: first and how many. Returns nothing if they are not in order.
fn block_ranges(size: u64, data: &[Range<u64>], block_len: u64) -> Option<Vec<(u32, u32)>> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let mut end = 0;
    for range in data {
        if range.start < end || range.end < range.start || range.end > size {
            return None;
        }
        end = range.end;
        if range.is_empty() {
            continue;
        }
        let first = u32::try_from(range.start / block_len).ok()?;
        let behind = u32::try_from(range.end.div_ceil(block_len)).ok()?;
        match ranges.last_mut() {
            Some((start, len)) if *start + *len >= first => *len = behind - *start,
            _ => ranges.push((first, behind - first)),
        }
    }
    Some(ranges)
}
