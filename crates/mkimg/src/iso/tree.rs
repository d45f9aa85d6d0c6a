//! Declaring: what an ISO has besides what all file systems have, images that machines start from.

use super::eltorito::{BootEntry, MOST_ENTRIES};
use super::error::Error;
use super::image::Image;
use super::options::Options;
use crate::tree::{self, Content, Declared, Limits, Metadata, Node};

/// What a tree is to become.
pub struct Iso {
    pub(super) options: Options,
    pub(super) boot: Vec<BootEntry>,
}

/// Collects what will be in a file system.
pub type Builder = tree::Builder<Iso>;

/// How many sectors there can be: their numbers have 32 bits.
pub(super) const MOST_BYTES: u64 = (u32::MAX as u64) * 2048;

impl Builder {
    /// Returns the builder of a file system with an empty root that belongs to root, mode 755.
    pub fn new(options: Options) -> Result<Builder, Error> {
        options.check()?;
        let epoch = options.epoch;
        // Linux cuts longer names, to what another one may be.
        let limits = Limits { name: 253, target: 4095, file: MOST_BYTES, links: u32::MAX, reserved: None };
        Ok(tree::Builder::start(Iso { options, boot: Vec::new() }, limits, epoch))
    }

    /// Declares `size` bytes that are on the image and in no directory, such as a boot image that nobody needs to see.
    pub fn hidden(&mut self, size: u64) -> Result<Node, Error> {
        if size > MOST_BYTES {
            return Err(Error::TooLarge { size, limit: MOST_BYTES });
        }
        let node = u32::try_from(self.tree.nodes.len()).map_err(|_| tree::Error::TooLarge)?;
        let content = Content::File { size };
        let declared = Declared { metadata: Metadata::default(), links: 0, attributes: 0, layer: 0, content };
        self.tree.nodes.push(declared);
        Ok(Node::from_index(node))
    }

    /// Returns what was declared at a path, whose names are separated by slashes.
    pub fn find(&self, path: &[u8]) -> Option<Node> {
        path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).try_fold(tree::ROOT, |node, name| {
            let entries = &self.tree.directory(node)?.entries;
            entries.iter().find(|(text, _)| self.tree.text(*text) == name).map(|(_, child)| *child)
        })
    }

    /// Declares that machines start from a file. The first entry is the one that a firmware takes that knows no
    /// platforms, so it should be that of BIOSes.
    pub fn boot(&mut self, entry: BootEntry) -> Result<(), Error> {
        let path = || self.tree.path(entry.image);
        match self.tree.nodes[entry.image.index()].content {
            Content::File { size: 0 } => return Err(Error::BootImage { path: path(), what: "empty" }),
            Content::File { size } => {
                if let Some((least, what)) = entry.least_size().filter(|(least, _)| size < *least) {
                    return Err(Error::BootImageTooSmall { path: path(), size, least, what });
                }
            }
            _ => return Err(Error::BootImage { path: path(), what: "not a file" }),
        }
        self.format.boot.push(entry);
        let count = self.format.boot.len();
        if count > MOST_ENTRIES {
            return Err(Error::TooManyBootEntries { count, limit: MOST_ENTRIES });
        }
        Ok(())
    }

    /// Fixes the layout and every byte that is not a file's content.
    pub fn seal(self) -> Result<Image, Error> {
        let (format, tree) = self.finish()?;
        Image::new(format, tree)
    }
}
