//! Trees whose contents are in memory.

#![allow(dead_code, reason = "not the tests of every format need all of it")]

use std::collections::BTreeMap;
use std::io;

use mkimg::tree::{Builder, Metadata, Node, ROOT, Timestamp};

/// A while after the epoch of the tests' file systems.
pub(crate) const MTIME: i64 = 1_700_000_005;

/// A builder and the contents of its files.
pub(crate) struct Tree<F> {
    pub(crate) builder: Builder<F>,
    pub(crate) contents: Contents,
    /// How old directories and files are that do not say it.
    ages: [Timestamp; 2],
}

/// The contents of files.
#[derive(Default)]
pub(crate) struct Contents(BTreeMap<Node, Vec<u8>>);

impl Contents {
    pub(crate) fn read(&self, node: Node, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.0[&node][start..start + buffer.len()]);
        Ok(())
    }
}

impl<F> Tree<F> {
    pub(crate) fn of(builder: Builder<F>, ages: [Timestamp; 2]) -> Tree<F> {
        Tree { builder, contents: Contents::default(), ages }
    }

    pub(crate) fn directory(&mut self, parent: Node, name: &str) -> Node {
        let metadata = Metadata { mode: 0o755, mtime: self.ages[0], ..Metadata::default() };
        self.builder.directory(parent, name.as_bytes(), metadata).unwrap()
    }

    /// Adds directories in each other, to the last of which no path leads.
    pub(crate) fn too_deep(mut self) -> Tree<F> {
        let mut directory = ROOT;
        for _ in 0..17 {
            directory = self.directory(directory, &"a".repeat(250));
        }
        self
    }

    pub(crate) fn file(&mut self, parent: Node, name: &str, content: Vec<u8>) -> Node {
        let metadata = Metadata { mode: 0o644, mtime: self.ages[1], ..Metadata::default() };
        self.file_with(parent, name.as_bytes(), metadata, content)
    }

    pub(crate) fn file_with(
        &mut self,
        parent: Node,
        name: &[u8],
        metadata: Metadata,
        content: Vec<u8>,
    ) -> Node {
        let node = self.builder.file(parent, name, metadata, content.len() as u64).unwrap();
        self.contents.0.insert(node, content);
        node
    }

    /// Says what is in a file that was declared by the builder.
    pub(crate) fn fill(&mut self, node: Node, content: Vec<u8>) -> Node {
        self.contents.0.insert(node, content);
        node
    }
}

/// Metadata of root's with this mode, a while after the epoch.
pub(crate) fn mode(mode: u16) -> Metadata {
    Metadata { mode, uid: 0, gid: 0, mtime: Timestamp::new(MTIME, 123_456_789).unwrap() }
}

/// Bytes that are not all the same and depend on the seed.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(next).collect()
}

/// A directory for images, next to everything else that is built.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}
