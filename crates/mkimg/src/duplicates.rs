//! Files that have the same contents as another one: they share its blocks.
//!
//! Only files of the same size are read. A quick checksum tells nearly all of them apart; a digest decides about the
//! rest, so what shares blocks is the same. What an earlier run found of a file is not found out again.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::contents::Placed;
use crate::earlier::{Earlier, Key, Place, Scope};
use crate::pipeline::in_order;
use crate::tree::Node;

/// How much of a file is read at once.
const PART: usize = 256 << 10;
/// How many files a thread takes at once: most are small.
const GROUP: usize = 16;

/// What earlier runs found of files.
pub(crate) struct Known {
    sums: Scope,
    digests: Scope,
}

impl Known {
    pub(crate) fn new(earlier: &Earlier) -> Known {
        Known { sums: earlier.scope("sums of files", &()), digests: earlier.scope("digests of files", &()) }
    }
}

/// Returns, for each of `files` that is the same as an earlier one, that earlier one. Each file comes with its size,
/// and `read` fills a buffer with what is in it from an offset on.
pub(crate) fn find<E: Send>(
    files: impl Iterator<Item = (Node, u64)>,
    n_threads: usize,
    contents: &dyn Placed,
    known: Option<&Known>,
    read: impl Fn(Node, u64, &mut [u8]) -> Result<(), E> + Sync,
) -> Result<BTreeMap<Node, Node>, E> {
    let mut by_size: BTreeMap<u64, Vec<Node>> = BTreeMap::new();
    for (node, size) in files.filter(|(_, size)| *size > 0) {
        by_size.entry(size).or_default().push(node);
    }
    let place = |node: Node| contents.place(node, 0);
    let quick = Summaries { scope: known.map(|known| &known.sums), place: &place, n_threads, read: &read };
    let sums = quick.of(
        candidates(by_size),
        || 0_u32,
        |sum, bytes| *sum = crc32c::crc32c_append(*sum, bytes),
        |sum| Key::from_value(&sum.to_le_bytes()),
    )?;
    let alike = groups(sums).into_iter().map(|((size, _), nodes)| (size, nodes));
    let sure = Summaries { scope: known.map(|known| &known.digests), ..quick };
    let digests = sure.of(
        candidates(alike),
        Sha256::new,
        |hash, bytes| hash.update(bytes),
        |hash| Key::from_value(&hash.finalize()),
    )?;
    let mut same = BTreeMap::new();
    for nodes in groups(digests).into_values() {
        // Groups keep the order of files.
        same.extend(nodes[1..].iter().map(|node| (*node, nodes[0])));
    }
    Ok(same)
}

/// Returns the files that are not the only ones in their group, each with its size.
fn candidates(groups: impl IntoIterator<Item = (u64, Vec<Node>)>) -> Vec<(u64, Node)> {
    let groups = groups.into_iter().filter(|(_, nodes)| nodes.len() > 1);
    groups.flat_map(|(size, nodes)| nodes.into_iter().map(move |node| (size, node))).collect()
}

/// Returns files that have size and summary in common, in their order.
fn groups(found: Vec<(u64, Node, Key)>) -> BTreeMap<(u64, Key), Vec<Node>> {
    let mut groups: BTreeMap<(u64, Key), Vec<Node>> = BTreeMap::new();
    for (size, node, summary) in found {
        groups.entry((size, summary)).or_default().push(node);
    }
    groups.retain(|_, nodes| nodes.len() > 1);
    groups
}

/// How files are summarized.
struct Summaries<'a, R> {
    /// Where it is known from what earlier runs found.
    scope: Option<&'a Scope>,
    place: &'a (dyn Fn(Node) -> Option<Place> + Sync + 'a),
    n_threads: usize,
    read: &'a R,
}

impl<R> Summaries<'_, R> {
    /// Returns what `finish` makes of what `update` made of the contents of each file, in their order.
    fn of<S: Send, E: Send>(
        &self,
        files: Vec<(u64, Node)>,
        new: impl Fn() -> S + Sync,
        update: impl Fn(&mut S, &[u8]) + Sync,
        finish: impl Fn(S) -> Key + Sync,
    ) -> Result<Vec<(u64, Node, Key)>, E>
    where
        R: Fn(Node, u64, &mut [u8]) -> Result<(), E> + Sync,
    {
        let mut found: Vec<(u64, Node, Option<Key>)> = Vec::with_capacity(files.len());
        let mut ranges = Vec::new();
        let mut unknown = Vec::new();
        for (size, node) in files {
            let range = self.scope.zip((self.place)(node));
            let range = range.map(|(scope, place)| (scope, scope.range(std::iter::once((place, size)))));
            let known = range.as_ref().and_then(|(scope, range)| scope.of_range(range));
            if known.is_none() {
                unknown.push((found.len(), size, node));
            }
            ranges.push(range);
            found.push((size, node, known));
        }
        let start = || {
            let mut buffer = Vec::new();
            let (new, update, finish) = (&new, &update, &finish);
            Ok(move |files: &[(usize, u64, Node)]| {
                let mut found = Vec::with_capacity(files.len());
                for (idx, size, node) in files {
                    let mut summary = new();
                    let mut offset = 0;
                    while offset < *size {
                        let length = usize::try_from(size - offset).unwrap_or(PART).min(PART);
                        buffer.resize(length, 0);
                        (self.read)(*node, offset, &mut buffer)?;
                        update(&mut summary, &buffer);
                        offset += length as u64;
                    }
                    found.push((*idx, finish(summary)));
                }
                Ok(found)
            })
        };
        let done = |some: Vec<(usize, Key)>| {
            for (idx, summary) in some {
                found[idx].2 = Some(summary);
            }
            Ok(())
        };
        in_order(unknown.chunks(GROUP), self.n_threads, self.n_threads * 4, start, done)?;
        let found: Vec<(u64, Node, Key)> =
            found.into_iter().filter_map(|(size, node, summary)| Some((size, node, summary?))).collect();
        for (range, (.., summary)) in ranges.into_iter().zip(&found) {
            if let Some((scope, range)) = range {
                scope.note_range(range, *summary);
            }
        }
        Ok(found)
    }
}
