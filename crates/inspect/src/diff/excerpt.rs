//! Where two contents differ, shown.

use std::io;

use super::bytes::Comparer;
use crate::source::{Limits, Source, some};

/// How many bytes are shown of what is different, and half as many of what is before.
const SHOWN: u64 = 24;

/// Where two contents differ first, and what is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Excerpt {
    /// The first byte that differs; the end of the shorter one is such a byte.
    pub at: u64,
    /// What the first has there, and just before.
    pub before: Vec<u8>,
    /// What the second has there, and just before.
    pub after: Vec<u8>,
}

impl Excerpt {
    /// Returns where two contents differ first, or `None` if they are the same.
    ///
    /// # Errors
    ///
    /// What reading fails with, and that there is more than may be compared.
    pub fn between(a: &Source, b: &Source) -> io::Result<Option<Excerpt>> {
        Comparer::new(Limits::default()).excerpt(a, b)
    }

    /// Returns what is at `at` of both, where they differ first.
    pub(super) fn of(a: &Source, b: &Source, at: u64) -> io::Result<Excerpt> {
        let start = at.saturating_sub(SHOWN / 2);
        let length = (at - start + SHOWN) as usize;
        Ok(Excerpt { at, before: some(&**a, start, length)?, after: some(&**b, start, length)? })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_before_shows_what_it_is_about() {
        let check = |before: &str, after: &str, expected: Option<(u64, &str, &str)>| {
            let [a, b]: [Source; 2] =
                [before, after].map(|text| Arc::new(text.as_bytes().to_vec()) as Source);
            let found = Excerpt::between(&a, &b).unwrap();
            let expected = expected.map(|(at, before, after)| Excerpt {
                at,
                before: before.into(),
                after: after.into(),
            });
            assert_eq!(found, expected);
        };
        check("same", "same", None);
        check("built 2026", "built 2028", Some((9, "built 2026", "built 2028")));
        check("ab", "abc", Some((2, "ab", "abc")));
        let long = "x".repeat(3 << 20);
        let shown = ("x".repeat(12) + "1", "x".repeat(12) + "2");
        check(&format!("{long}1"), &format!("{long}2"), Some((3 << 20, &shown.0, &shown.1)));
    }
}
