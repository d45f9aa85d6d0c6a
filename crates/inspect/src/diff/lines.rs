//! Which lines of two texts only one of them has.

use std::collections::BTreeMap;

use crate::source::{Source, some};

/// A text that is compared line by line has at most so many bytes.
const MOST: usize = 8 << 20;

/// Returns the lines that only the first and only the second has, in their order. Lines that were only moved are none.
pub(super) fn differing(a: &str, b: &str) -> (Vec<String>, Vec<String>) {
    let count = |text: &str| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        text.lines().for_each(|line| *counts.entry(line.to_owned()).or_default() += 1);
        counts
    };
    let only = |text: &str, mut others: BTreeMap<String, usize>| {
        text.lines()
            .filter(|line| match others.get_mut(*line) {
                Some(n) if *n > 0 => {
                    *n -= 1;
                    false
                }
                _ => !line.is_empty(),
            })
            .map(str::to_owned)
            .collect()
    };
    (only(a, count(b)), only(b, count(a)))
}

/// Does that for two sources, unless they are too large, no text, or differ only in the order of lines.
pub(super) fn of_sources(a: &Source, b: &Source) -> Option<(Vec<String>, Vec<String>)> {
    let text = |source: &Source| {
        let bytes = some(&**source, 0, MOST + 1).ok().filter(|bytes| bytes.len() <= MOST)?;
        String::from_utf8(bytes).ok()
    };
    let (removed, added) = differing(&text(a)?, &text(b)?);
    (!removed.is_empty() || !added.is_empty()).then_some((removed, added))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_only_one_has() {
        let (removed, added) = differing("a\nb\nb\nc\n\n", "c\nb\nd\na\n");
        assert_eq!(removed, ["b"]);
        assert_eq!(added, ["d"]);
        assert_eq!(differing("a\nb\n", "b\na\n"), (vec![], vec![]));
    }
}
