//! Shortcuts: how a step is recognised before its inputs are put together.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cas::{Digest, Directory, MemoryStore, Node, Store as _, StoreError};

use crate::graph::{Graph, Input, Placement, Requirements, Step};
use crate::key::{InputError, Keys, Outputs};
use crate::merge::merge;
use crate::tree::{Blobs, Trees};

/// Writes what a shortcut is the digest of: each part with its length, so that no two mean the same bytes.
pub(crate) struct ShortcutWriter<'b>(&'b mut Vec<u8>);

impl<'b> ShortcutWriter<'b> {
    pub(crate) fn begin(buffer: &'b mut Vec<u8>) -> ShortcutWriter<'b> {
        buffer.clear();
        ShortcutWriter(buffer)
    }

    pub(crate) fn digest(&mut self, digest: &Digest) {
        self.0.extend_from_slice(digest.hash());
        self.number(digest.size());
    }

    pub(crate) fn input(&mut self, kind: u8, digest: &Digest) {
        self.0.push(kind);
        self.digest(digest);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn texts<'t>(&mut self, texts: impl Iterator<Item = &'t str>) {
        // The number of texts comes after them: until then nobody knows it.
        let mut n_texts = 0;
        for text in texts {
            self.text(text);
            n_texts += 1;
        }
        self.number(u64::MAX - n_texts);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }
}

/// Returns what names the way from steps to actions, as this program goes it.
///
/// A program that computes other keys for the same steps must not take the shortcuts of this one. So that
/// nobody has to remember to raise a number, this is made of the keys of steps in which all occurs that keys
/// depend on.
pub(crate) fn scheme() -> &'static Digest {
    static SCHEME: OnceLock<Digest> = OnceLock::new();
    SCHEME.get_or_init(|| sample().unwrap_or_else(|error| unreachable!("the sample is whole: {error}")))
}

fn sample() -> Result<Digest, InputError> {
    let store = MemoryStore::default();
    let trees = Sample::write(&store).map_err(|error| InputError::Tree(error.into()))?;
    let mut graph = Graph::default();
    let at = |path: &str, input| Placement { path: path.to_owned(), input };
    let merged = vec![at("", Input::Tree(trees.below)), at("", Input::Tree(trees.above))];
    let merge_id = graph.add_merge(merged);
    let step = |inputs, requirements| Step {
        label: String::new(),
        arguments: vec!["program".to_owned(), String::new()],
        environment: Arc::new(BTreeMap::from([("NAME".to_owned(), "value".to_owned())])),
        inputs,
        requirements,
    };
    let made = graph.add_step(step(vec![at("", Input::Merged(merge_id))], Requirements::default()));
    let reads = vec![
        at("", Input::Tree(trees.below)),
        at("", Input::Tree(trees.above)),
        at("a/file", Input::File { digest: trees.file, executable: true }),
        at("build/in/linked", Input::Output { step: made, path: "link/file".to_owned() }),
    ];
    let requirements = Requirements { root: true, kvm: true, ..Requirements::default() };
    let reader = graph.add_step(step(reads, requirements));

    let mut keys = Keys::new(&graph, Trees::new(&store));
    let mut outputs = Outputs::new(&graph);
    let merge_node = graph.steps.len() as u32;
    let mut digests = Vec::new();
    let parts = keys.resolve(&graph.merges[0].parts, &outputs)?;
    digests.push(keys.merge(&parts, None)?.action);
    let mut blobs = Blobs::default();
    let output = merge(&mut keys.trees, &parts, None, &mut blobs)?;
    digests.push(output);
    keys.trees.adopt(&blobs);
    outputs.set(merge_node, output);
    outputs.set(made.0, trees.below);
    for id in [made, reader] {
        let mut parts = keys.resolve(&graph.step(id).inputs, &outputs)?;
        digests.push(keys.step(graph.step(id), &mut parts)?.action);
    }
    let text: Vec<String> = digests.iter().map(Digest::to_string).collect();
    Ok(Digest::of(text.join("\n").as_bytes()))
}

/// Two trees that cover parts of each other, with every kind of entry, and whiteouts.
struct Sample {
    file: Digest,
    below: Digest,
    above: Digest,
}

impl Sample {
    fn write(store: &MemoryStore) -> Result<Sample, StoreError> {
        let file = store.write(b"file")?;
        let empty = store.write(b"")?;
        let leaf = |executable| Node::File { digest: file, executable };
        let link = |target: &str| Node::Symlink { target: target.to_owned() };
        let tree = |entries: Vec<(&str, Node)>| {
            let entries = entries.into_iter().map(|(name, node)| (name.to_owned(), node)).collect();
            Ok(Node::Directory { digest: store.write(&Directory { entries }.encode())? })
        };
        let digest_of = |node: Node| match node {
            Node::Directory { digest } | Node::File { digest, .. } => digest,
            Node::Symlink { .. } => empty,
        };
        let inner = tree(vec![("file", leaf(false)), ("hidden", leaf(true))])?;
        let below = tree(vec![
            ("a", inner.clone()),
            ("apart", tree(vec![(".wh.kept", Node::File { digest: empty, executable: false })])?),
            ("b", inner),
            ("link", link("/b")),
        ])?;
        let whiteout = Node::File { digest: empty, executable: false };
        let above = tree(vec![
            ("a", tree(vec![(".wh.hidden", whiteout.clone()), ("new", leaf(false))])?),
            ("b", tree(vec![(".wh..wh..opq", whiteout), ("only", link("../a"))])?),
        ])?;
        Ok(Sample { file, below: digest_of(below), above: digest_of(above) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_last_version() {
        // When this changes everything is built anew, everywhere; and then so are all shortcuts.
        assert_eq!(
            scheme().to_string(),
            "ecc80acdefc8660ec41018ca16029cfdb8a7e09fd37ac0802a6da309d791f992/275"
        );
    }
}
