//! Declaring: directories, files with their sizes, links, devices, before anything has a place.

use std::collections::BTreeMap;

use super::error::Error;
use super::image::Image;
use super::options::Options;
use super::xattr::{Attribute, Refusal};

/// A handle of something declared. Handles count up from [`ROOT`] in the order of declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub(super) u32);

/// The root directory, which is always there.
pub const ROOT: Node = Node(0);

impl Node {
    /// Returns the handle's place in a table of all handles: 0 for the root.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Permissions, owner and age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission, set-id and sticky bits: at most `0o7777`.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Modification time in seconds since 1970; squashfs knows no other time, none before and none after 2106.
    pub mtime: u32,
}

/// What was declared for one inode.
pub(super) struct Declared {
    pub(super) metadata: Metadata,
    /// How many names it has, for everything but directories.
    pub(super) links: u32,
    /// One more than the place among the sets of attributes; zero is none.
    xattrs: u32,
    pub(super) content: Content,
}

/// What an inode is.
#[derive(Clone, Copy)]
pub(super) enum Content {
    /// The place among the directories.
    Directory(u32),
    File {
        size: u64,
    },
    /// Where its target is among the names.
    Symlink(Text),
    /// The number as the kernel encodes it.
    CharDevice(u32),
    BlockDevice(u32),
    Fifo,
    Socket,
}

/// A part of the buffer that has all names and link targets.
#[derive(Clone, Copy)]
pub(super) struct Text {
    start: u32,
    len: u16,
}

/// A directory's names.
pub(super) struct Directory {
    pub(super) parent: Node,
    pub(super) entries: Vec<(Text, Node)>,
    pub(super) n_subdirectories: u32,
}

/// A tree of declarations. See [`Builder`] for how it comes about.
pub(super) struct Tree {
    pub(super) nodes: Vec<Declared>,
    pub(super) directories: Vec<Directory>,
    pub(super) xattr_sets: Vec<Vec<Attribute>>,
    xattr_index: BTreeMap<Vec<Attribute>, u32>,
    text: Vec<u8>,
}

/// Collects what will be in a file system.
///
/// The image depends on the tree alone, not on the order in which it was declared.
pub struct Builder {
    options: Options,
    tree: Tree,
}

impl Builder {
    /// Returns the builder of a file system with an empty root that belongs to root, mode 755.
    pub fn new(options: Options) -> Result<Builder, Error> {
        options.check()?;
        let tree = Tree {
            nodes: Vec::new(),
            directories: Vec::new(),
            xattr_sets: Vec::new(),
            xattr_index: BTreeMap::new(),
            text: Vec::new(),
        };
        let mut builder = Builder { options, tree };
        let metadata = Metadata { mode: 0o755, uid: 0, gid: 0, mtime: builder.options.epoch };
        // The root is its own parent and has no name.
        builder.tree.directories.push(Directory { parent: ROOT, entries: Vec::new(), n_subdirectories: 0 });
        builder.push(metadata, Content::Directory(0))?;
        Ok(builder)
    }

    /// Replaces the metadata of `node`: for the root, or when a later layer changes it.
    pub fn set_metadata(&mut self, node: Node, metadata: Metadata) -> Result<(), Error> {
        if metadata.mode > 0o7777 {
            return Err(Error::Mode { path: self.tree.path(node), mode: metadata.mode });
        }
        self.tree.nodes[node.index()].metadata = metadata;
        Ok(())
    }

    /// Declares a directory.
    pub fn directory(&mut self, parent: Node, name: &[u8], metadata: Metadata) -> Result<Node, Error> {
        let place = u32::try_from(self.tree.directories.len()).map_err(|_| Error::TreeTooLarge)?;
        let node = self.insert(parent, name, metadata, Content::Directory(place))?;
        self.tree.directories.push(Directory { parent, entries: Vec::new(), n_subdirectories: 0 });
        let above = self.check_name(parent, name)?;
        self.tree.directories[above].n_subdirectories += 1;
        Ok(node)
    }

    /// Declares a file with `size` bytes of data. Whole blocks of zeros in it take no space.
    pub fn file(&mut self, parent: Node, name: &[u8], metadata: Metadata, size: u64) -> Result<Node, Error> {
        let limit = u64::from(self.options.block_size.bytes()) << 31;
        if size > limit {
            return Err(Error::FileTooLarge { path: self.tree.path_in(parent, name), size, limit });
        }
        self.insert(parent, name, metadata, Content::File { size })
    }

    /// Declares a symbolic link.
    pub fn symlink(
        &mut self,
        parent: Node,
        name: &[u8],
        metadata: Metadata,
        target: &[u8],
    ) -> Result<Node, Error> {
        if !(1..=4095).contains(&target.len()) || target.contains(&0) {
            let path = self.tree.path_in(parent, name);
            return Err(Error::SymlinkTarget { path, length: target.len() });
        }
        let target = self.tree.keep(target)?;
        self.insert(parent, name, metadata, Content::Symlink(target))
    }

    /// Declares a character device.
    pub fn char_device(
        &mut self,
        parent: Node,
        name: &[u8],
        metadata: Metadata,
        device: (u32, u32),
    ) -> Result<Node, Error> {
        let number = self.device_number(parent, name, device)?;
        self.insert(parent, name, metadata, Content::CharDevice(number))
    }

    /// Declares a block device.
    pub fn block_device(
        &mut self,
        parent: Node,
        name: &[u8],
        metadata: Metadata,
        device: (u32, u32),
    ) -> Result<Node, Error> {
        let number = self.device_number(parent, name, device)?;
        self.insert(parent, name, metadata, Content::BlockDevice(number))
    }

    /// Declares a named pipe.
    pub fn fifo(&mut self, parent: Node, name: &[u8], metadata: Metadata) -> Result<Node, Error> {
        self.insert(parent, name, metadata, Content::Fifo)
    }

    /// Declares a socket.
    pub fn socket(&mut self, parent: Node, name: &[u8], metadata: Metadata) -> Result<Node, Error> {
        self.insert(parent, name, metadata, Content::Socket)
    }

    /// Gives `node`, which is not a directory, another name.
    pub fn link(&mut self, parent: Node, name: &[u8], node: Node) -> Result<(), Error> {
        let directory = self.check_name(parent, name)?;
        let declared = &mut self.tree.nodes[node.index()];
        if matches!(declared.content, Content::Directory(_)) {
            let name = self.tree.path_in(parent, name);
            return Err(Error::LinkToDirectory { path: self.tree.path(node), name });
        }
        declared.links = declared.links.checked_add(1).ok_or(Error::TreeTooLarge)?;
        let text = self.tree.keep(name)?;
        self.tree.directories[directory].entries.push((text, node));
        Ok(())
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
        let known = self.tree.xattr_index.get(&attributes).copied();
        self.tree.nodes[node.index()].xattrs = match known {
            _ if attributes.is_empty() => 0,
            Some(known) => known,
            None => {
                self.tree.xattr_sets.push(attributes.clone());
                let number = u32::try_from(self.tree.xattr_sets.len()).map_err(|_| Error::TreeTooLarge)?;
                self.tree.xattr_index.insert(attributes, number);
                number
            }
        };
        Ok(())
    }

    /// Fixes names, numbers and owners; what is left depends on the contents of files.
    ///
    /// Fails if a name is there twice or there are too many owners.
    pub fn seal(mut self) -> Result<Image, Error> {
        // Only declarations look attributes up.
        self.tree.xattr_index.clear();
        self.tree.sort()?;
        Image::new(self.options, self.tree)
    }

    fn push(&mut self, metadata: Metadata, content: Content) -> Result<Node, Error> {
        let node = Node(u32::try_from(self.tree.nodes.len()).map_err(|_| Error::TreeTooLarge)?);
        self.tree.nodes.push(Declared { metadata, links: 1, xattrs: 0, content });
        Ok(node)
    }

    fn insert(
        &mut self,
        parent: Node,
        name: &[u8],
        metadata: Metadata,
        content: Content,
    ) -> Result<Node, Error> {
        let directory = self.check_name(parent, name)?;
        if metadata.mode > 0o7777 {
            return Err(Error::Mode { path: self.tree.path_in(parent, name), mode: metadata.mode });
        }
        let text = self.tree.keep(name)?;
        let node = self.push(metadata, content)?;
        self.tree.directories[directory].entries.push((text, node));
        Ok(node)
    }

    /// Checks that `parent` can have something called `name`, and returns its place among the directories.
    fn check_name(&self, parent: Node, name: &[u8]) -> Result<usize, Error> {
        let text = || String::from_utf8_lossy(name).into_owned();
        let is_good = (1..=255).contains(&name.len())
            && !matches!(name, b"." | b"..")
            && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
        if !is_good {
            return Err(Error::Name { name: text() });
        }
        match self.tree.nodes[parent.index()].content {
            Content::Directory(place) => Ok(place as usize),
            _ => Err(Error::NotADirectory { path: self.tree.path(parent), name: text() }),
        }
    }

    /// Returns a device's number as the kernel's `new_encode_dev` has it.
    fn device_number(&self, parent: Node, name: &[u8], (major, minor): (u32, u32)) -> Result<u32, Error> {
        if major >= 1 << 12 || minor >= 1 << 20 {
            return Err(Error::Device { path: self.tree.path_in(parent, name), major, minor });
        }
        Ok(minor & 0xff | major << 8 | (minor & !0xff) << 12)
    }
}

impl Tree {
    /// Returns the bytes of a name or of a link's target.
    pub(super) fn text(&self, text: Text) -> &[u8] {
        let start = text.start as usize;
        &self.text[start..start + usize::from(text.len)]
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<Text, Error> {
        let start = u32::try_from(self.text.len()).map_err(|_| Error::TreeTooLarge)?;
        let len = u16::try_from(bytes.len()).map_err(|_| Error::TreeTooLarge)?;
        self.text.extend_from_slice(bytes);
        Ok(Text { start, len })
    }

    /// Returns the place of a node's set of attributes, if it has any.
    pub(super) fn xattrs(&self, declared: &Declared) -> Option<u32> {
        declared.xattrs.checked_sub(1)
    }

    /// Returns the directory that a node is.
    pub(super) fn directory(&self, node: Node) -> Option<&Directory> {
        match self.nodes[node.index()].content {
            Content::Directory(place) => Some(&self.directories[place as usize]),
            _ => None,
        }
    }

    /// Sorts all directories by name.
    fn sort(&mut self) -> Result<(), Error> {
        for index in 0..self.directories.len() {
            let mut entries = std::mem::take(&mut self.directories[index].entries);
            entries.sort_unstable_by(|a, b| self.text(a.0).cmp(self.text(b.0)));
            let twice = entries.windows(2).find(|pair| self.text(pair[0].0) == self.text(pair[1].0));
            let twice = twice.map(|pair| pair[0].0);
            self.directories[index].entries = entries;
            if let Some(name) = twice {
                let is_owner = |declared: &Declared| matches!(declared.content, Content::Directory(at) if at as usize == index);
                let parent = self.nodes.iter().position(is_owner).expect("every directory has a node");
                return Err(Error::Duplicate { path: self.path_in(Node(parent as u32), self.text(name)) });
            }
        }
        Ok(())
    }

    /// Returns the path of what `parent` has or will have as `name`, for messages.
    fn path_in(&self, parent: Node, name: &[u8]) -> String {
        let path = self.path(parent);
        let lead = if path == "/" { "" } else { &path };
        format!("{lead}/{}", String::from_utf8_lossy(name))
    }

    /// Returns a path of `node`, for messages: nothing else needs one, so it is searched for.
    pub(super) fn path(&self, node: Node) -> String {
        let mut names = Vec::new();
        let mut at = node;
        while at != ROOT {
            let found = self.nodes.iter().zip(0..).find_map(|(declared, parent)| {
                let Content::Directory(place) = declared.content else { return None };
                let entries = &self.directories[place as usize].entries;
                entries.iter().find(|(_, child)| *child == at).map(|(name, _)| (*name, Node(parent)))
            });
            let Some((name, parent)) = found else { break };
            names.push(String::from_utf8_lossy(self.text(name)).into_owned());
            at = parent;
        }
        names.iter().rev().fold(String::new(), |path, name| path + "/" + name)
            + if names.is_empty() { "/" } else { "" }
    }
}
