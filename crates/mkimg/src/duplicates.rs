//! Files that have the same contents as another one: they share its blocks.
//!
//! Only files of the same size are read. A quick checksum tells nearly all of them apart; a digest decides about the
//! rest, so what shares blocks is the same.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::pipeline::in_order;
use crate::tree::Node;

/// How much of a file is read at once.
const PART: usize = 256 << 10;
/// How many files a thread takes at once: most are small.
const GROUP: usize = 16;

/// Returns, for each of `files` that is the same as an earlier one, that earlier one. Each file comes with its size,
/// and `read` fills a buffer with what is in it from an offset on.
pub(crate) fn find<E: Send>(
    files: impl Iterator<Item = (Node, u64)>,
    n_threads: usize,
    read: impl Fn(Node, u64, &mut [u8]) -> Result<(), E> + Sync,
) -> Result<BTreeMap<Node, Node>, E> {
    let mut by_size: BTreeMap<u64, Vec<Node>> = BTreeMap::new();
    for (node, size) in files.filter(|(_, size)| *size > 0) {
        by_size.entry(size).or_default().push(node);
    }
    by_size.retain(|_, nodes| nodes.len() > 1);
    let candidates =
        by_size.into_iter().flat_map(|(size, nodes)| nodes.into_iter().map(move |node| (size, node)));
    let sums = summarize(
        &read,
        n_threads,
        candidates.collect(),
        || 0_u32,
        |sum, bytes| *sum = crc32c::crc32c_append(*sum, bytes),
    )?;
    let alike = groups(sums);
    let candidates =
        alike.into_iter().flat_map(|((size, _), nodes)| nodes.into_iter().map(move |node| (size, node)));
    let digests =
        summarize(&read, n_threads, candidates.collect(), Sha256::new, |hash, bytes| hash.update(bytes))?;
    let digests = digests.into_iter().map(|(size, node, hash)| (size, node, hash.finalize()));
    let mut same = BTreeMap::new();
    for nodes in groups(digests.collect()).into_values() {
        // Groups keep the order of files.
        same.extend(nodes[1..].iter().map(|node| (*node, nodes[0])));
    }
    Ok(same)
}

/// Returns files that have size and summary in common, in their order.
fn groups<S: Ord>(found: Vec<(u64, Node, S)>) -> BTreeMap<(u64, S), Vec<Node>> {
    let mut groups: BTreeMap<(u64, S), Vec<Node>> = BTreeMap::new();
    for (size, node, summary) in found {
        groups.entry((size, summary)).or_default().push(node);
    }
    groups.retain(|_, nodes| nodes.len() > 1);
    groups
}

/// Reads files and returns what `update` made of the contents of each.
fn summarize<S: Send, E: Send>(
    read: &(impl Fn(Node, u64, &mut [u8]) -> Result<(), E> + Sync),
    n_threads: usize,
    files: Vec<(u64, Node)>,
    new: impl Fn() -> S + Sync,
    update: impl Fn(&mut S, &[u8]) + Sync,
) -> Result<Vec<(u64, Node, S)>, E> {
    let mut found = Vec::with_capacity(files.len());
    let start = || {
        let mut buffer = Vec::new();
        let (new, update) = (&new, &update);
        Ok(move |files: &[(u64, Node)]| {
            let mut found = Vec::with_capacity(files.len());
            for (size, node) in files {
                let mut summary = new();
                let mut offset = 0;
                while offset < *size {
                    let length = usize::try_from(size - offset).unwrap_or(PART).min(PART);
                    buffer.resize(length, 0);
                    read(*node, offset, &mut buffer)?;
                    update(&mut summary, &buffer);
                    offset += length as u64;
                }
                found.push((*size, *node, summary));
            }
            Ok(found)
        })
    };
    let done = |some| {
        found.extend(some);
        Ok(())
    };
    in_order(files.chunks(GROUP), n_threads, n_threads * 4, start, done)?;
    Ok(found)
}
