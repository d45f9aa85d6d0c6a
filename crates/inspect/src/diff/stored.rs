//! Telling that contents are the same without unpacking them.

use std::collections::BTreeMap;

use crate::container::{Container, SharedEnd, Stored};
use crate::diff::bytes::Comparer;
use crate::entry::Entry;
use crate::source::{Source, Window};

/// What is stored in two containers, as far as it was compared.
#[derive(Default)]
pub(super) struct StoredBlocks {
    /// Whether two blocks that several files share are the same, by where they begin.
    shared: BTreeMap<(u64, u64), bool>,
}

impl StoredBlocks {
    /// Says whether two files are surely the same, since what is stored of them is: their compressed blocks, by the same
    /// settings, and what they have of shared ones.
    pub(super) fn are_same(
        &mut self,
        (a, entry): (&dyn Container, &Entry),
        (b, other): (&dyn Container, &Entry),
        comparer: &Comparer,
    ) -> bool {
        let (Some(left), Some(right)) = (a.stored(entry), b.stored(other)) else { return false };
        if left.settings != right.settings
            || !are_same_bytes((&left.of, &left.range), (&right.of, &right.range), comparer)
        {
            return false;
        }
        match (&left.end, &right.end) {
            (None, None) => true,
            (Some(end), Some(other_end)) if end.length == other_end.length => {
                self.are_same_ends((&left, end), (&right, other_end), comparer)
                    || {
                        // The blocks may differ in what they have of other files.
                        let unpacked = |container: &dyn Container, entry: &Entry| {
                            let source = container.open(entry).ok()?;
                            let start = entry.size.checked_sub(end.length)?;
                            let mut bytes = vec![0; usize::try_from(end.length).ok()?];
                            source.read_exact_at(&mut bytes, start).ok()?;
                            Some(bytes)
                        };
                        matches!((unpacked(a, entry), unpacked(b, other)), (Some(left), Some(right)) if left == right)
                    }
            }
            _ => false,
        }
    }

    fn are_same_ends(
        &mut self,
        (left, end): (&Stored, &SharedEnd),
        (right, other): (&Stored, &SharedEnd),
        comparer: &Comparer,
    ) -> bool {
        (end.offset, end.is_packed) == (other.offset, other.is_packed)
            && *self.shared.entry((end.block.start, other.block.start)).or_insert_with(|| {
                are_same_bytes((&left.of, &end.block), (&right.of, &other.block), comparer)
            })
    }
}

/// Says whether two ranges of the same length have the same bytes, as far as these can be read.
fn are_same_bytes(
    (a, range): (&Source, &std::ops::Range<u64>),
    (b, other): (&Source, &std::ops::Range<u64>),
    comparer: &Comparer,
) -> bool {
    let length = range.end - range.start;
    if other.end - other.start != length {
        return false;
    }
    let (left, right) = (Window::of(a, range.start, length), Window::of(b, other.start, length));
    matches!(comparer.first_difference(&left, &right), Ok(None))
}
