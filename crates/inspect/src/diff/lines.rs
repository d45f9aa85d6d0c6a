//! Which lines of two texts only one of them has.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::source::{Source, some};

/// A text that is compared line by line has at most so many bytes.
const MOST: usize = 8 << 20;
/// All texts of a comparison have at most so many, with the lines that are kept: room for the two worst.
pub(super) const MOST_IN_ALL: usize = 1 << 30;
/// What a line takes beside its bytes: it may have one.
const LINE: usize = 56;

/// Lines that only the first and only the second text has.
pub(super) type Lines = (Vec<String>, Vec<String>);

/// Lines are not compared any more: there were too many before, or are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

impl TooMany {
    /// Why lines cannot be compared, in words.
    pub(super) const WHY: &str = "line by line, since all texts together have too many lines";
}

/// Compares texts line by line until these are as many as it may.
pub(super) struct LineComparer {
    left: Cell<usize>,
}

impl LineComparer {
    /// Returns one that compares at most `most` bytes in all, with what the lines take that it returns.
    pub(super) fn new(most: usize) -> LineComparer {
        LineComparer { left: Cell::new(most) }
    }

    /// Returns the lines that only the first and only the second has, in their order. Lines that were only moved are
    /// none.
    ///
    /// # Errors
    ///
    /// That this is too much, then and from then on.
    pub(super) fn differing(&self, a: &str, b: &str) -> Result<Lines, TooMany> {
        self.spend(a.len().saturating_add(b.len()))?;
        Ok((self.only(a, b)?, self.only(b, a)?))
    }

    /// Does that for two sources; `None` if they are too large, no text, or differ only in the order of lines.
    ///
    /// # Errors
    ///
    /// As [`LineComparer::differing`]; what no text is may be told after others were too much.
    pub(super) fn of_sources(&self, a: &Source, b: &Source) -> Result<Option<Lines>, TooMany> {
        let is_short = |source: &Source| source.size().is_ok_and(|size| size <= MOST as u64);
        if !is_short(a) || !is_short(b) {
            return Ok(None);
        }
        if self.left.get() == 0 {
            return Err(TooMany);
        }
        let text = |source: &Source| String::from_utf8(some(&**source, 0, MOST).ok()?).ok();
        let (Some(a), Some(b)) = (text(a), text(b)) else { return Ok(None) };
        let (removed, added) = self.differing(&a, &b)?;
        Ok((!removed.is_empty() || !added.is_empty()).then_some((removed, added)))
    }

    /// Returns the lines of `text` that `other` does not have.
    fn only(&self, text: &str, other: &str) -> Result<Vec<String>, TooMany> {
        let mut others: BTreeMap<&str, usize> = BTreeMap::new();
        other.lines().for_each(|line| *others.entry(line).or_default() += 1);
        let mut lines = Vec::new();
        for line in text.lines() {
            match others.get_mut(line) {
                Some(n) if *n > 0 => *n -= 1,
                _ if line.is_empty() => {}
                _ => {
                    self.spend(line.len() + LINE)?;
                    lines.push(line.to_owned());
                }
            }
        }
        Ok(lines)
    }

    fn spend(&self, n_bytes: usize) -> Result<(), TooMany> {
        let left = self.left.get().checked_sub(n_bytes);
        // After one that was too much there are none, small ones neither: which ones would be chance.
        self.left.set(left.unwrap_or(0));
        left.map(drop).ok_or(TooMany)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn lines_that_only_one_has() {
        let comparer = LineComparer::new(MOST_IN_ALL);
        let (removed, added) = comparer.differing("a\nb\nb\nc\n\n", "c\nb\nd\na\n").unwrap();
        assert_eq!(removed, ["b"]);
        assert_eq!(added, ["d"]);
        assert_eq!(comparer.differing("a\nb\n", "b\na\n"), Ok((vec![], vec![])));
    }

    #[test]
    fn many_texts_have_one_budget() {
        let comparer = LineComparer::new(1000);
        let [a, b] = ["a\n", "b\n"].map(|line| Arc::new(line.repeat(5).into_bytes()) as Source);
        let compared = (0..5).map(|_| comparer.of_sources(&a, &b).is_ok());
        assert_eq!(compared.collect::<Vec<_>>(), [true, false, false, false, false]);
        assert_eq!(comparer.differing("", "b\n"), Err(TooMany));
    }
}
