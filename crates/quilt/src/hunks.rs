//! Applies hunks to the text of a file.
//!
//! The places that are tried, and their order, are those of GNU patch: a hunk with less context before its
//! changes than after them belongs to the beginning of the file, one with less after them to its end; any other
//! moves, and what it replaces must lie behind what an earlier hunk replaced.

use crate::error::Mismatch;
use crate::locate::nearest;
use crate::patch::{Hunk, Line};

/// A hunk that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Which one, counted from 0.
    pub(crate) hunk_idx: usize,
    /// The line of the file at which it was expected, counted from 1.
    pub(crate) expected_at: usize,
    /// What is the matter.
    pub(crate) mismatch: Mismatch,
}

/// How many lines may be read and compared for a patch, which is a minute's work and more than any honest patch has. Each
/// hunk that is not where it says has its whole file looked through.
pub(crate) const MAX_COMPARED: u64 = 1 << 32;

/// Returns the text after all hunks; up to `fuzz` lines of context at either end of a hunk need not be there.
///
/// The lines that are read and compared are taken off `left`. Fails when nothing is left of it.
pub(crate) fn apply(
    text: &[u8],
    hunks: &[Hunk<'_>],
    fuzz: usize,
    left: &mut u64,
) -> Result<Vec<u8>, Failure> {
    let lines = split(text);
    *left = left.saturating_sub(lines.len() as u64);
    let mut output = Output { lines: &lines, n_done: 0, text: Vec::with_capacity(text.len() + 256) };
    let mut moved_by = 0;
    for (hunk_idx, hunk) in hunks.iter().enumerate() {
        let guess = first_guess(hunk, moved_by);
        let failure = |mismatch| {
            let expected_at = usize::try_from(guess + 1).unwrap_or(1).min(lines.len() + 1).max(1);
            Failure { hunk_idx, expected_at, mismatch }
        };
        if *left == 0 {
            return Err(failure(Mismatch::TooLong));
        }
        let old = hunk.old_lines();
        let place = match old.is_empty() {
            // Nothing has to be there, so it is where it says; beyond the end is at the end.
            true => usize::try_from(guess).ok().map(|guess| guess.min(lines.len())),
            false => locate(&lines, hunk, &old, guess, output.n_done, fuzz, left),
        };
        let Some(place) = place else {
            let reversed = hunk.new_lines();
            let is_applied = hunk_idx == 0
                && !reversed.is_empty()
                && locate(&lines, hunk, &reversed, guess, 0, 0, left).is_some();
            let mismatch = if is_applied { Mismatch::AlreadyApplied } else { Mismatch::NotFound };
            return Err(failure(mismatch));
        };
        if !old.is_empty() {
            moved_by += index(place) - guess;
        }
        output.hunk(hunk, place).ok_or_else(|| failure(Mismatch::Overlap))?;
    }
    output.copy_till(lines.len());
    Ok(output.text)
}

/// Returns the lines of a text, each with its line feed.
pub(crate) fn split(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::with_capacity(text.len() / 32);
    let mut start = 0;
    for line_feed in memchr::memchr_iter(b'\n', text) {
        lines.push(&text[start..=line_feed]);
        start = line_feed + 1;
    }
    if start < text.len() {
        lines.push(&text[start..]);
    }
    lines
}

/// The index of the line at which the hunk should be, given how far the last one was off.
fn first_guess(hunk: &Hunk<'_>, moved_by: i64) -> i64 {
    // Line numbers in patches are below 2^48, and so are those of files.
    i64::try_from(hunk.start).unwrap_or(i64::MAX / 4) - 1 + moved_by
}

/// Returns where `old`, the lines of one side of the hunk, are; the first `n_done` lines are taken already.
fn locate(
    lines: &[&[u8]],
    hunk: &Hunk<'_>,
    old: &[&[u8]],
    guess: i64,
    n_done: usize,
    fuzz: usize,
    left: &mut u64,
) -> Option<usize> {
    let (before, after) = hunk.context();
    let context = before.max(after);
    for fuzz in 0..=fuzz.min(context) {
        // How many lines at either end do not count; none, if the end is one of the file.
        let at_start = (fuzz + before).checked_sub(context);
        let at_end = (fuzz + after).checked_sub(context);
        let skipped = at_start.unwrap_or(0).min(old.len());
        let ignored = at_end.unwrap_or(0).min(old.len() - skipped);
        let pattern = &old[skipped..old.len() - ignored];
        let counted = old.len() - ignored;
        // Where the hunk, with the lines that do not count, may begin.
        let Some(last) = lines.len().checked_sub(counted) else { continue };
        let matches_at = |place: usize| lines[place + skipped..place + counted] == *pattern;
        let found = if at_start.is_none() && hunk.start <= 1 {
            // What it leaves as it is may overlap with the last hunk, what it changes may not.
            (n_done <= before && matches_at(0)).then_some(0)
        } else if at_end.is_none() {
            (last >= n_done && matches_at(last)).then_some(last)
        } else {
            let limits = (n_done + skipped, last + skipped);
            nearest(lines, pattern, limits, guess + index(skipped), left).map(|place| place - skipped)
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

struct Output<'a> {
    lines: &'a [&'a [u8]],
    n_done: usize,
    text: Vec<u8>,
}

impl Output<'_> {
    /// Copies the file up to the hunk and does what the hunk says; `None` if that place is passed already.
    fn hunk(&mut self, hunk: &Hunk<'_>, place: usize) -> Option<()> {
        let mut place = place;
        for line in &hunk.lines {
            match line {
                Line::Context(_) => place += 1,
                Line::Delete(_) => {
                    self.copy_till(place)?;
                    place += 1;
                    self.n_done = place;
                }
                Line::Insert(text) => {
                    self.copy_till(place)?;
                    self.push(text);
                }
            }
        }
        Some(())
    }

    fn copy_till(&mut self, end: usize) -> Option<()> {
        let end = end.min(self.lines.len());
        let lines: &[&[u8]] = self.lines.get(self.n_done..end)?;
        for line in lines {
            self.push(line);
        }
        self.n_done = end;
        Some(())
    }

    fn push(&mut self, line: &[u8]) {
        // What ended the file without a line feed does not end it any more.
        if !matches!(self.text.last(), None | Some(b'\n')) && !line.is_empty() {
            self.text.push(b'\n');
        }
        self.text.extend_from_slice(line);
    }
}

fn index(place: usize) -> i64 {
    i64::try_from(place).expect("a file in memory has fewer than 2^63 lines")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_are_not_looked_for_without_an_end() {
        let text = "x\n".repeat(1000) + "y\n";
        // None of them is where the one before it would have it.
        let hunk = |start| Hunk { header_line: 1, start, lines: vec![Line::Context(b"y\n".into())] };
        let hunks: Vec<Hunk<'_>> = (0..20).map(|idx| hunk(1 + idx % 2)).collect();
        let after = |mut left: u64| apply(text.as_bytes(), &hunks, 0, &mut left).map(|text| text.len());
        assert_eq!(after(22_000), Ok(text.len()));
        let failure = after(11_000).unwrap_err();
        assert_eq!((failure.hunk_idx, failure.mismatch), (10, Mismatch::TooLong));
    }
}
