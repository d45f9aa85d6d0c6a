//! Telling that contents are the same without unpacking them.

use crate::container::Container;
use crate::diff::first_difference;
use crate::entry::Entry;
use crate::source::Window;

/// Says whether two files are surely the same, since what is stored of them is: their compressed blocks, by the same
/// settings, and what they have of shared ones.
pub(super) fn are_same((a, entry): (&dyn Container, &Entry), (b, other): (&dyn Container, &Entry)) -> bool {
    let (Some(left), Some(right)) = (a.stored(entry), b.stored(other)) else { return false };
    if left.settings != right.settings {
        return false;
    }
    let length = left.range.end - left.range.start;
    if right.range.end - right.range.start != length {
        return false;
    }
    let blocks =
        (Window::of(&left.of, left.range.start, length), Window::of(&right.of, right.range.start, length));
    if !matches!(first_difference(&blocks.0, &blocks.1), Ok(None)) {
        return false;
    }
    if left.tail == 0 {
        return true;
    }
    let tail = |container: &dyn Container, entry: &Entry| {
        let source = container.open(entry).ok()?;
        let start = entry.size.checked_sub(left.tail)?;
        let mut bytes = vec![0; usize::try_from(left.tail).ok()?];
        source.read_exact_at(&mut bytes, start).ok()?;
        Some(bytes)
    };
    matches!((tail(a, entry), tail(b, other)), (Some(left), Some(right)) if left == right)
}
