//! Parts of an image that have one owner each: where two had the same, a small image could be walked forever.

use std::collections::BTreeMap;
use std::ops::Range;

/// Spans that were taken, none of which overlap.
#[derive(Debug, Default)]
pub(crate) struct Spans(BTreeMap<u64, u64>);

impl Spans {
    /// Takes a span, and says whether nothing of it was taken before. If something was, nothing changes.
    pub(crate) fn take(&mut self, span: Range<u64>) -> bool {
        if span.is_empty() {
            return true;
        }
        // As none overlap, the one that begins last ends last.
        let is_free = self.0.range(..span.end).next_back().is_none_or(|(_, end)| *end <= span.start);
        if is_free {
            self.0.insert(span.start, span.end);
        }
        is_free
    }

    /// Says whether exactly this span was taken.
    pub(crate) fn has(&self, span: &Range<u64>) -> bool {
        span.is_empty() || self.0.get(&span.start) == Some(&span.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_not_taken_again() {
        let mut spans = Spans::default();
        assert!(spans.take(10..20) && spans.take(30..40) && spans.take(20..30) && spans.take(15..15));
        for span in [0..11, 10..20, 39..41, 12..13, 0..100, 29..31] {
            assert!(!spans.take(span.clone()), "{span:?}");
        }
        assert!(spans.take(0..10) && spans.has(&(0..10)) && !spans.has(&(0..9)));
    }
}
