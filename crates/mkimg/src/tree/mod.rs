//! Declaring: directories, files with their sizes, links, devices, before anything has a place.
//!
//! What is declared is the same for every file system. What a format adds, and what it refuses at once, it says when
//! it starts a [`Builder`]; what it can only refuse when it has seen everything, it finds when it seals the tree.

mod attributes;
pub(crate) mod descent;
mod error;
mod layers;
mod time;

pub(crate) use attributes::Attributes;
pub use error::Error;
pub(crate) use layers::HardLinks;
pub(crate) use time::days;
pub use time::{Timestamp, civil};

use crate::largest::Largest;

/// A handle of something declared. Handles count up from [`ROOT`] in the order of declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(u32);

/// The root directory, which is always there.
pub const ROOT: Node = Node(0);

impl Node {
    /// Returns the handle's place in a table of all handles: 0 for the root.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) const fn from_index(index: u32) -> Node {
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
    /// Modification time. A format that has other times gives them the same; one that has less precise or fewer
    /// times takes the nearest that it has.
    pub mtime: Timestamp,
}

/// What was declared for one inode.
pub(crate) struct Declared {
    pub(crate) metadata: Metadata,
    /// How many names it has, for everything but directories.
    pub(crate) links: u32,
    /// What the format keeps its attributes as; see [`Attributes`].
    pub(crate) attributes: u32,
    /// Which of several layers has its contents; see [`Tree::by_layer`].
    pub(crate) layer: u32,
    pub(crate) content: Content,
}

/// What an inode is.
#[derive(Clone, Copy)]
pub(crate) enum Content {
    /// The place among the directories.
    Directory(u32),
    File {
        size: u64,
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
pub(crate) struct Text {
    start: u32,
    len: u16,
}

/// A directory's names.
pub(crate) struct Directory {
    pub(crate) node: Node,
    pub(crate) parent: Node,
    /// Its own name; that of the root is empty.
    pub(crate) name: Text,
    pub(crate) entries: Vec<(Text, Node)>,
    pub(crate) n_subdirectories: u32,
}

/// A tree of declarations. See [`Builder`] for how it comes about.
#[derive(Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Declared>,
    /// In the order of their declarations: the root is first.
    pub(crate) directories: Vec<Directory>,
    text: Vec<u8>,
}

/// What a format refuses as soon as it is declared.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// How long a name can be, in bytes.
    pub(crate) name: usize,
    /// How long the target of a symbolic link can be.
    pub(crate) target: usize,
    /// How large a file can be.
    pub(crate) file: u64,
    /// How many names a file can have.
    pub(crate) links: u32,
    /// A directory in the root that is always there.
    pub(crate) reserved: Option<&'static [u8]>,
}

/// The handle of the directory that a format always has.
pub(crate) const RESERVED: Node = Node(1);

/// Collects what will be in a file system of the format `F`.
///
/// The image depends on the tree alone, not on the order in which it was declared.
pub struct Builder<F> {
    pub(crate) format: F,
    pub(crate) tree: Tree,
    limits: Limits,
}

impl<F> Builder<F> {
    /// Returns the builder of a file system with an empty root that belongs to root, mode 755, and is as old as
    /// the file system.
    pub(crate) fn start(format: F, limits: Limits, epoch: Timestamp) -> Builder<F> {
        let mut builder = Builder { format, tree: Tree::default(), limits };
        let metadata = Metadata { mode: 0o755, uid: 0, gid: 0, mtime: epoch };
        // The root is its own parent and has no name.
        let (name, entries) = (Text { start: 0, len: 0 }, Vec::new());
        builder.tree.directories.push(Directory {
            node: ROOT,
            parent: ROOT,
            name,
            entries,
            n_subdirectories: 0,
        });
        let content = Content::Directory(0);
        builder.tree.nodes.push(Declared { metadata, links: 1, attributes: 0, layer: 0, content });
        if let Some(name) = limits.reserved {
            builder
                .insert_directory(ROOT, name, Metadata { mode: 0o700, ..metadata })
                .expect("nothing else is there, and its name is one");
        }
        builder
    }

    /// Replaces the metadata of `node`: for the root, or when a later layer changes it.
    pub fn set_metadata(&mut self, node: Node, metadata: Metadata) -> Result<(), Error> {
        if metadata.mode > 0o7777 {
            return Err(Error::Mode { path: self.tree.path(node), mode: metadata.mode });
        }
        self.tree.nodes[node.index()].metadata = metadata;
        Ok(())
    }

    /// Declares a directory. If the format has this one always (ext4 has `lost+found`), it gets the metadata.
    pub fn directory(&mut self, parent: Node, name: &[u8], metadata: Metadata) -> Result<Node, Error> {
        if parent == ROOT && self.limits.reserved == Some(name) {
            self.set_metadata(RESERVED, metadata)?;
            return Ok(RESERVED);
        }
        self.insert_directory(parent, name, metadata)
    }

    fn insert_directory(&mut self, parent: Node, name: &[u8], metadata: Metadata) -> Result<Node, Error> {
        let above = self.check_name(parent, name)?;
        let place = u32::try_from(self.tree.directories.len()).map_err(|_| Error::TooLarge)?;
        let node = self.insert(parent, name, metadata, Content::Directory(place))?;
        let above = &mut self.tree.directories[above];
        above.n_subdirectories += 1;
        let name = above.entries.last().expect("it was just declared").0;
        let (entries, n_subdirectories) = (Vec::new(), 0);
        self.tree.directories.push(Directory { node, parent, name, entries, n_subdirectories });
        Ok(node)
    }

    /// Declares a file with `size` bytes of data.
    pub fn file(&mut self, parent: Node, name: &[u8], metadata: Metadata, size: u64) -> Result<Node, Error> {
        let limit = self.limits.file;
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
        let limit = self.limits.target;
        if !(1..=limit).contains(&target.len()) || target.contains(&0) {
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
        device: (u32, u32),
    ) -> Result<Node, Error> {
        let (major, minor) = self.check_device(parent, name, device)?;
        self.insert(parent, name, metadata, Content::CharDevice { major, minor })
    }

    /// Declares a block device.
    pub fn block_device(
        &mut self,
        parent: Node,
        name: &[u8],
        metadata: Metadata,
        device: (u32, u32),
    ) -> Result<Node, Error> {
        let (major, minor) = self.check_device(parent, name, device)?;
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
        let limit = self.limits.links;
        if declared.links >= limit {
            return Err(Error::TooManyLinks { path: self.tree.path(node), limit });
        }
        declared.links += 1;
        let text = self.tree.keep(name)?;
        self.tree.directories[directory].entries.push((text, node));
        Ok(())
    }

    /// Returns what was declared, every directory sorted by name. Fails if a name is there twice.
    pub(crate) fn finish(mut self) -> Result<(F, Tree), Error> {
        if let Err((path, nodes)) = self.tree.sort() {
            let is_reserved = self.limits.reserved.is_some() && nodes.contains(&RESERVED);
            return Err(if is_reserved { Error::Reserved { path } } else { Error::Duplicate { path } });
        }
        Ok((self.format, self.tree))
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
        let node = Node(u32::try_from(self.tree.nodes.len()).map_err(|_| Error::TooLarge)?);
        self.tree.nodes.push(Declared { metadata, links: 1, attributes: 0, layer: 0, content });
        self.tree.directories[directory].entries.push((text, node));
        Ok(node)
    }

    /// Checks that `parent` can have something called `name`, and returns its place among the directories.
    fn check_name(&self, parent: Node, name: &[u8]) -> Result<usize, Error> {
        let text = || String::from_utf8_lossy(name).into_owned();
        let is_good = (1..=self.limits.name).contains(&name.len())
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

    fn check_device(
        &self,
        parent: Node,
        name: &[u8],
        (major, minor): (u32, u32),
    ) -> Result<(u16, u32), Error> {
        match u16::try_from(major) {
            Ok(small) if small < 1 << 12 && minor < 1 << 20 => Ok((small, minor)),
            _ => Err(Error::Device { path: self.tree.path_in(parent, name), major, minor }),
        }
    }
}

impl Tree {
    /// Returns the bytes of a name or of a link's target.
    pub(crate) fn text(&self, text: Text) -> &[u8] {
        let start = text.start as usize;
        &self.text[start..start + usize::from(text.len)]
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<Text, Error> {
        let start = u32::try_from(self.text.len()).map_err(|_| Error::TooLarge)?;
        let len = u16::try_from(bytes.len()).map_err(|_| Error::TooLarge)?;
        self.text.extend_from_slice(bytes);
        Ok(Text { start, len })
    }

    /// Returns the directory that a node is.
    pub(crate) fn directory(&self, node: Node) -> Option<&Directory> {
        match self.nodes[node.index()].content {
            Content::Directory(place) => Some(&self.directories[place as usize]),
            _ => None,
        }
    }

    /// Sorts files by the layers that have their contents, and leaves those of one layer in their order.
    ///
    /// So lie contents in images. What is edited is in upper layers nearly always, which are built from it: what comes
    /// from lower ones lies where it lay before, and an image that is updated has little to move.
    pub(crate) fn by_layer(&self, files: &mut [Node]) {
        files.sort_by_key(|file| self.nodes[file.index()].layer);
    }

    /// Sorts all directories by name. Returns a path that is there twice, and what has it.
    fn sort(&mut self) -> Result<(), (String, [Node; 2])> {
        for index in 0..self.directories.len() {
            let mut entries = std::mem::take(&mut self.directories[index].entries);
            entries.sort_unstable_by(|a, b| self.text(a.0).cmp(self.text(b.0)));
            let twice = entries.windows(2).find(|pair| self.text(pair[0].0) == self.text(pair[1].0));
            if let Some([(name, first), (_, second)]) = twice {
                let path = self.path_in(self.directories[index].node, self.text(*name));
                return Err((path, [*first, *second]));
            }
            self.directories[index].entries = entries;
        }
        Ok(())
    }

    /// Returns the path of what `parent` has or will have as `name`, for messages.
    pub(crate) fn path_in(&self, parent: Node, name: &[u8]) -> String {
        let mut names = vec![name];
        let mut above = self.directory(parent);
        while let Some(directory) = above.filter(|directory| directory.node != ROOT) {
            names.push(self.text(directory.name));
            above = self.directory(directory.parent);
        }
        names.iter().rev().map(|name| format!("/{}", String::from_utf8_lossy(name))).collect()
    }

    /// Returns a path of `node`, for messages: nothing else needs one, so it is searched for.
    pub(crate) fn path(&self, node: Node) -> String {
        if node == ROOT {
            return "/".to_owned();
        }
        let found = match self.directory(node) {
            Some(directory) => Some((directory.parent, directory.name)),
            None => self.directories.iter().find_map(|directory| {
                let entry = directory.entries.iter().find(|(_, child)| *child == node);
                entry.map(|(name, _)| (directory.node, *name))
            }),
        };
        found.map_or_else(|| "/".to_owned(), |(parent, name)| self.path_in(parent, self.text(name)))
    }

    /// Returns the largest files.
    pub(crate) fn largest(&self) -> Largest {
        let files = self.nodes.iter().zip(0..).filter_map(|(declared, index)| match declared.content {
            Content::File { size } => Some((size, index)),
            _ => None,
        });
        Largest::of(files, |index| self.path(Node(index)))
    }
}
