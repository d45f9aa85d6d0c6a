//! Declaring: what EROFS has besides what all file systems have, attributes.

use std::collections::BTreeMap;

use super::error::Error;
use super::image::Image;
use super::options::{BLOCK, Options};
use super::xattr::{Attribute, MAX_BODY, Refusal, body_len};
use crate::tree::{self, Attributes, Limits, Node};

/// What a tree is to become.
pub struct Erofs {
    pub(super) options: Options,
    pub(super) xattrs: Attributes<Attribute, Vec<Attribute>>,
}

/// Collects what will be in a file system. Whole blocks of zeros in files take no space.
pub type Builder = tree::Builder<Erofs>;

impl Builder {
    /// Returns the builder of a file system with an empty root that belongs to root, mode 755.
    pub fn new(options: Options) -> Result<Builder, Error> {
        options.check()?;
        let epoch = options.epoch;
        let limits =
            Limits { name: 255, target: 4095, file: (BLOCK as u64) << 32, links: u32::MAX, reserved: None };
        Ok(tree::Builder::start(Erofs { options, xattrs: Attributes::new() }, limits, epoch))
    }

    /// Replaces the extended attributes of `node`. Names are full (`security.capability`).
    pub fn set_xattrs(&mut self, node: Node, xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Error> {
        let mut attributes = Vec::with_capacity(xattrs.len());
        for (name, value) in xattrs {
            let attribute = Attribute::new(name, value).map_err(|refusal| {
                let (path, name) = (self.tree.path(node), String::from_utf8_lossy(name).into_owned());
                match refusal {
                    Refusal::Name => Error::XattrName { path, name },
                    Refusal::Size => Error::XattrSize { path, name, length: value.len() },
                }
            })?;
            attributes.push(attribute);
        }
        let length = body_len(attributes.iter(), 0);
        if length > MAX_BODY {
            return Err(Error::Xattrs { path: self.tree.path(node), length });
        }
        let number = self.format.xattrs.number(attributes, |set| Ok::<_, Error>(set.to_vec()))?;
        self.tree.nodes[node.index()].attributes = number;
        Ok(())
    }

    /// Fixes the order of everything and where attributes are stored; what is left depends on the contents of files.
    ///
    /// Fails if a name is there twice.
    pub fn seal(self) -> Result<Image, Error> {
        let (mut format, tree) = self.finish()?;
        format.xattrs.seal();
        Image::new(format, tree)
    }
}
