//! Declaring: directories, files with their sizes, links, devices, before anything has a place.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::Error;
use super::image::Image;
use super::inode::{LINK_MAX, Timestamp};
use super::options::Options;
use super::xattr::{Attribute, Placed, Refusal, place};
use crate::largest::Largest;

/// A handle of something declared. Handles count up from [`ROOT`] in the order of declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(u32);

/// The root directory, which is always there.
pub const ROOT: Node = Node(0);

/// `lost+found`, which is always there, too.
pub(super) const LOST_AND_FOUND: Node = Node(1);
const LOST_AND_FOUND_NAME: &[u8] = b"lost+found";

impl Node {
    /// Returns the handle's place in a table of all handles: 0 for the root.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    pub(super) fn from_index(index: u32) -> Node {
        Node(index)
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
    /// Modification time; the other times of an inode are the same, except its creation, which is the file system's.
    pub mtime: Timestamp,
}

/// What was declared for one inode.
pub(super) struct Declared {
    pub(super) mode: u16,
    /// How many names it has, for everything but directories.
    pub(super) links: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timestamp,
    /// One more than the place among the sets of attributes; zero is none.
    xattrs: u32,
    pub(super) content: Content,
}

/// What an inode is.
#[derive(Clone, Copy)]
pub(super) enum Content {
    /// The place among the directories.
    Directory(u32),
    /// A file; its data is in one more than the place among the sets of ranges, or everywhere.
    File {
        size: u64,
        ranges: u32,
    },
    /// Where its target is among the names.
    Symlink(Text),
    CharDevice {
        major: u16,
        minor: u32,
    },
    BlockDevice {
        major: u16,
        minor: u32,
    },
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
    /// Blocks of sparse files that hold data: first and how many.
    pub(super) ranges: Vec<Vec<(u32, u32)>>,
    xattr_sets: Vec<Placed>,
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
            ranges: Vec::new(),
            xattr_sets: Vec::new(),
            xattr_index: BTreeMap::new(),
            text: Vec::new(),
        };
        let mut builder = Builder { options, tree };
        let metadata = Metadata { mode: 0o755, uid: 0, gid: 0, mtime: builder.options.epoch };
        // The root is its own parent and has no name.
        builder.tree.directories.push(Directory { parent: ROOT, entries: Vec::new(), n_subdirectories: 0 });
        builder.push(metadata, Content::Directory(0))?;
        builder.directory(ROOT, LOST_AND_FOUND_NAME, Metadata { mode: 0o700, ..metadata })?;
        Ok(builder)
    }

    /// Replaces the metadata of `node`: for the root, or when a later layer changes it.
    pub fn set_metadata(&mut self, node: Node, metadata: Metadata) -> Result<(), Error> {
        if metadata.mode > 0o7777 {
            return Err(Error::Mode { path: self.tree.path(node), mode: metadata.mode });
        }
        let Metadata { mode, uid, gid, mtime } = metadata;
        let declared = &mut self.tree.nodes[node.index()];
        (declared.mode, declared.uid, declared.gid, declared.mtime) = (mode, uid, gid, mtime);
        Ok(())
    }

    /// Declares a directory. `lost+found` in the root is there already, and gets this metadata.
    pub fn directory(&mut self, parent: Node, name: &[u8], metadata: Metadata) -> Result<Node, Error> {
        if parent == ROOT && name == LOST_AND_FOUND_NAME && self.tree.nodes.len() > LOST_AND_FOUND.index() {
            self.set_metadata(LOST_AND_FOUND, metadata)?;
            return Ok(LOST_AND_FOUND);
        }
        let directory = self.check_name(parent, name)?;
        let place = u32::try_from(self.tree.directories.len()).map_err(|_| Error::TreeTooLarge)?;
        self.check_mode(parent, name, metadata)?;
        self.tree.directories.push(Directory { parent, entries: Vec::new(), n_subdirectories: 0 });
        self.tree.directories[directory].n_subdirectories += 1;
        self.insert(parent, name, metadata, Content::Directory(place))
    }

    /// Declares a file with `size` bytes of data.
    pub fn file(&mut self, parent: Node, name: &[u8], metadata: Metadata, size: u64) -> Result<Node, Error> {
        self.check_size(parent, name, size)?;
        self.insert(parent, name, metadata, Content::File { size, ranges: 0 })
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
        self.check_size(parent, name, size)?;
        let ranges = block_ranges(size, data, u64::from(self.options.block_size.bytes()));
        let ranges = ranges.ok_or_else(|| Error::Ranges { path: self.tree.path_in(parent, name) })?;
        self.tree.ranges.push(ranges);
        let ranges = u32::try_from(self.tree.ranges.len()).map_err(|_| Error::TreeTooLarge)?;
        self.insert(parent, name, metadata, Content::File { size, ranges })
    }

    /// Declares a symbolic link. Its target has to be shorter than a block.
    pub fn symlink(
        &mut self,
        parent: Node,
        name: &[u8],
        metadata: Metadata,
        target: &[u8],
    ) -> Result<Node, Error> {
        let limit = (self.options.block_size.len() - 1).min(4095);
        if target.is_empty() || target.len() > limit || target.contains(&0) {
            let path = self.tree.path_in(parent, name);
            return Err(Error::SymlinkTarget { path, length: target.len(), limit });
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
        (major, minor): (u32, u32),
    ) -> Result<Node, Error> {
        let (major, minor) = self.check_device(parent, name, major, minor)?;
        self.insert(parent, name, metadata, Content::CharDevice { major, minor })
    }

    /// Declares a block device.
    pub fn block_device(
        &mut self,
        parent: Node,
        name: &[u8],
        metadata: Metadata,
        (major, minor): (u32, u32),
    ) -> Result<Node, Error> {
        let (major, minor) = self.check_device(parent, name, major, minor)?;
        self.insert(parent, name, metadata, Content::BlockDevice { major, minor })
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
        if u32::from(declared.links) >= LINK_MAX {
            return Err(Error::TooManyLinks { path: self.tree.path(node) });
        }
        declared.links += 1;
        let text = self.tree.keep(name)?;
        self.tree.directories[directory].entries.push((text, node));
        Ok(())
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
        let known = self.tree.xattr_index.get(&attributes).copied();
        self.tree.nodes[node.index()].xattrs = match known {
            _ if attributes.is_empty() => 0,
            Some(known) => known,
            None => {
                let placed = place(&attributes, self.options.block_size.len()).map_err(|index| {
                    let (name, value) = xattrs.iter().nth(index).expect("the index is of one of them");
                    Error::XattrsTooLarge {
                        path: self.tree.path(node),
                        name: text(name),
                        length: value.len(),
                    }
                })?;
                self.tree.xattr_sets.push(placed);
                let number = u32::try_from(self.tree.xattr_sets.len()).map_err(|_| Error::TreeTooLarge)?;
                self.tree.xattr_index.insert(attributes, number);
                number
            }
        };
        Ok(())
    }

    /// Fixes the layout and every byte that is not a file's content.
    ///
    /// Fails if a name is there twice, or if the contents do not fit.
    pub fn seal(mut self) -> Result<Image, Error> {
        // Only declarations look attributes up.
        self.tree.xattr_index.clear();
        self.tree.sort()?;
        Image::new(self.options, self.tree)
    }

    fn push(&mut self, metadata: Metadata, content: Content) -> Result<Node, Error> {
        let node = Node(u32::try_from(self.tree.nodes.len()).map_err(|_| Error::TreeTooLarge)?);
        let Metadata { mode, uid, gid, mtime } = metadata;
        self.tree.nodes.push(Declared { mode, links: 1, uid, gid, mtime, xattrs: 0, content });
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
        self.check_mode(parent, name, metadata)?;
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

    fn check_mode(&self, parent: Node, name: &[u8], metadata: Metadata) -> Result<(), Error> {
        if metadata.mode > 0o7777 {
            return Err(Error::Mode { path: self.tree.path_in(parent, name), mode: metadata.mode });
        }
        Ok(())
    }

    fn check_size(&self, parent: Node, name: &[u8], size: u64) -> Result<(), Error> {
        // The last of 2^32 numbers means "no block".
        let limit = u64::from(self.options.block_size.bytes()) * u64::from(u32::MAX);
        if size > limit {
            return Err(Error::FileTooLarge { path: self.tree.path_in(parent, name), size, limit });
        }
        Ok(())
    }

    fn check_device(&self, parent: Node, name: &[u8], major: u32, minor: u32) -> Result<(u16, u32), Error> {
        match u16::try_from(major) {
            Ok(small) if small < 1 << 12 && minor < 1 << 20 => Ok((small, minor)),
            _ => Err(Error::Device { path: self.tree.path_in(parent, name), major, minor }),
        }
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

    /// Returns the attributes of an inode.
    pub(super) fn xattrs(&self, declared: &Declared) -> Option<(u32, &Placed)> {
        let place = declared.xattrs.checked_sub(1)?;
        Some((place, &self.xattr_sets[place as usize]))
    }

    /// Returns a set of attributes by the number that [`Tree::xattrs`] gave it.
    pub(super) fn xattr_set(&self, place: u32) -> &Placed {
        &self.xattr_sets[place as usize]
    }

    /// Sorts all directories by name.
    fn sort(&mut self) -> Result<(), Error> {
        for index in 0..self.directories.len() {
            let mut entries = std::mem::take(&mut self.directories[index].entries);
            entries.sort_unstable_by(|a, b| self.text(a.0).cmp(self.text(b.0)));
            let twice = entries.windows(2).find(|pair| self.text(pair[0].0) == self.text(pair[1].0));
            let twice = twice.map(|pair| (pair[0].0, pair.iter().any(|entry| entry.1 == LOST_AND_FOUND)));
            self.directories[index].entries = entries;
            match twice {
                None => {}
                Some((_, true)) => return Err(Error::LostAndFound),
                Some((name, false)) => {
                    let owner = |declared: &Declared| matches!(declared.content, Content::Directory(at) if at as usize == index);
                    let parent =
                        self.nodes.iter().position(owner).expect("every directory has a node") as u32;
                    return Err(Error::Duplicate { path: self.path_in(Node(parent), self.text(name)) });
                }
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

    /// Returns the files that need the most blocks.
    pub(super) fn largest(&self) -> Largest {
        let files = self.nodes.iter().zip(0..).filter_map(|(declared, index)| match declared.content {
            Content::File { size, .. } => Some((size, index)),
            _ => None,
        });
        Largest::of(files, |index| self.path(Node(index)))
    }
}
