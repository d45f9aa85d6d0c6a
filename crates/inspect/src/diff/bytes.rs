//! Comparing bytes, as many as an image may make its reader compare.

use std::cell::Cell;
use std::io;

use super::excerpt::Excerpt;
use crate::source::{Limits, Source, fill};

/// How much is compared at once.
const PIECE: usize = 1 << 20;

/// Compares bytes until it has compared as many as it may.
pub(super) struct Comparer {
    limit: u64,
    left: Cell<u64>,
}

impl Comparer {
    /// Returns one that compares at most [`Limits::compared`] bytes in all.
    pub(super) fn new(limits: Limits) -> Comparer {
        Comparer { limit: limits.compared, left: Cell::new(limits.compared) }
    }

    /// Returns where the first byte is that differs; the end of the shorter one is such a place. Where both are known to
    /// be zero nothing is read.
    ///
    /// # Errors
    ///
    /// What reading fails with, and the end of what may be compared.
    pub(super) fn first_difference(&self, a: &Source, b: &Source) -> io::Result<Option<u64>> {
        self.first_difference_of_counted(a, b, 0)
    }

    /// As [`Comparer::first_difference`], where so many bytes of each side were counted before, which they are not again.
    fn first_difference_of_counted(
        &self,
        a: &Source,
        b: &Source,
        mut n_counted: u64,
    ) -> io::Result<Option<u64>> {
        let mut at = 0;
        // Most of what is compared is small.
        let length = a.size()?.max(b.size()?).clamp(1, PIECE as u64) as usize;
        let (mut left, mut right) = (vec![0; length], vec![0; length]);
        loop {
            at = a.next_data(at)?.min(b.next_data(at)?).max(at);
            let (n_left, n_right) = (fill(&**a, at, &mut left)?, fill(&**b, at, &mut right)?);
            // What differs was read as well: there may be many names of it.
            let n_read = n_left.max(n_right) as u64;
            self.spend(n_read.saturating_sub(n_counted))?;
            n_counted = n_counted.saturating_sub(n_read);
            if left[..n_left] != right[..n_right] {
                let pairs = left[..n_left].iter().zip(&right[..n_right]);
                let same = pairs.take_while(|(left, right)| left == right).count();
                return Ok(Some(at + same as u64));
            }
            if n_left < length {
                return Ok(None);
            }
            at += n_left as u64;
        }
    }

    /// Returns where two contents differ first, and what is there; `None` if they are the same.
    ///
    /// # Errors
    ///
    /// As [`Comparer::first_difference`].
    pub(super) fn excerpt(&self, a: &Source, b: &Source) -> io::Result<Option<Excerpt>> {
        self.excerpt_of_counted(a, b, 0)
    }

    /// As [`Comparer::excerpt`], where so many bytes of each side were counted before ([`Comparer::spend`]), which they are
    /// not again: those of what was unpacked to be compared.
    pub(super) fn excerpt_of_counted(
        &self,
        a: &Source,
        b: &Source,
        n_counted: u64,
    ) -> io::Result<Option<Excerpt>> {
        let found = self.first_difference_of_counted(a, b, n_counted)?;
        found.map(|at| Excerpt::of(a, b, at)).transpose()
    }

    /// Counts bytes that were read of each side.
    ///
    /// # Errors
    ///
    /// That these are more than may be read, then and from then on.
    pub(super) fn spend(&self, n_bytes: u64) -> io::Result<()> {
        match self.left.get().checked_sub(n_bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(io::Error::other(format!("there are more than {} bytes to compare", self.limit)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;
    use std::sync::Arc;

    use super::*;
    use crate::source::Window;

    /// A file that is a hole, but for `byte` at `at`.
    fn huge(at: u64, byte: u8) -> File {
        let file = tempfile::tempfile().unwrap();
        // As large as the file system allows, and larger than anybody would read.
        let size = (0..=62).rev().map(|bits| 1 << bits).find(|size| file.set_len(*size).is_ok()).unwrap();
        assert!(size > 1 << 40, "the file system has files of at most {size} bytes");
        file.write_all_at(&[byte], at).unwrap();
        file
    }

    #[test]
    fn what_is_known_to_be_zero_is_not_read() {
        let comparer = Comparer::new(Limits { compared: 64 << 20, ..Limits::default() });
        let [a, b, c]: [Source; 3] =
            [(1 << 33, 1), (1 << 33, 1), (1 << 34, 2)].map(|(at, byte)| Arc::new(huge(at, byte)) as Source);
        assert_eq!(comparer.first_difference(&a, &b).unwrap(), None);
        assert_eq!(comparer.first_difference(&a, &c).unwrap(), Some(1 << 33));
        let part = |source: &Source| Window::of(source, 7, 1 << 35);
        assert_eq!(comparer.first_difference(&part(&a), &part(&b)).unwrap(), None);
        assert_eq!(comparer.first_difference(&part(&a), &part(&c)).unwrap(), Some((1 << 33) - 7));
        let short = Window::of(&a, 0, 1 << 32);
        assert_eq!(comparer.first_difference(&a, &short).unwrap(), Some(1 << 32));
    }

    #[test]
    fn what_is_too_much_is_an_error() {
        let source = |length: usize| Arc::new(vec![7_u8; length]) as Source;
        let comparer = Comparer::new(Limits { compared: 5 << 20, ..Limits::default() });
        let same = |length| comparer.first_difference(&source(length), &source(length));
        assert_eq!(same(3 << 20).unwrap(), None);
        assert_eq!(same(3 << 20).unwrap_err().to_string(), "there are more than 5242880 bytes to compare");
    }

    #[test]
    fn what_differs_at_once_was_read_too() {
        let [a, b] = [vec![1_u8; 1000], vec![2; 700]].map(|bytes| Arc::new(bytes) as Source);
        let comparer = Comparer::new(Limits { compared: 2500, ..Limits::default() });
        assert_eq!(comparer.first_difference(&a, &b).unwrap(), Some(0));
        assert_eq!(comparer.first_difference(&b, &a).unwrap(), Some(0));
        assert!(comparer.first_difference(&a, &b).is_err());
        assert!(comparer.first_difference(&a, &a).is_err());
    }
}
