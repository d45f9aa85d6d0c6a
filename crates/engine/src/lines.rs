//! What differs between two texts: their lines.
//!
//! It is there for people who want to know what changed in a configuration, a script or a specification. What only
//! moved is not told, and of much only the first.

use std::collections::HashMap;

use serde::Serialize;

/// Longer texts are not read: who changed one of those knows more than a few lines could say.
pub(crate) const MAX_SIZE: u64 = 1 << 20;
/// How many lines are told.
const LINES_TOLD: usize = 12;
/// How many characters of a line are told.
const MAX_LINE: usize = 200;

/// The lines in which two texts differ, in the order of the texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// The first of them.
    pub changes: Vec<LineChange>,
    /// How many more there are.
    pub n_more: usize,
}

/// A line that only one of two texts has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineChange {
    /// Only the earlier text has it.
    Removed(String),
    /// Only the later text has it.
    Added(String),
}

impl Lines {
    /// Compares two texts. Returns nothing when one of them is no text, or when they differ in the order of their lines
    /// alone.
    pub(crate) fn between(before: &[u8], after: &[u8]) -> Option<Lines> {
        let (before, after) = (lines(before)?, lines(after)?);
        let [only_before, only_after] =
            [surplus(&before, &after), surplus(&after, &before)].map(Vec::into_iter);
        let (mut only_before, mut only_after) = (only_before.peekable(), only_after.peekable());
        let mut found = Lines::default();
        // What is common keeps both in step, so that what took the place of a line is told behind it.
        let (mut before_idx, mut after_idx) = (0, 0);
        loop {
            while only_before.next_if_eq(&before_idx).is_some() {
                found.push(LineChange::Removed, before[before_idx]);
                before_idx += 1;
            }
            while only_after.next_if_eq(&after_idx).is_some() {
                found.push(LineChange::Added, after[after_idx]);
                after_idx += 1;
            }
            if only_before.peek().is_none() && only_after.peek().is_none() {
                break;
            }
            before_idx += 1;
            after_idx += 1;
        }
        (!found.changes.is_empty()).then_some(found)
    }

    fn push(&mut self, change: fn(String) -> LineChange, line: &str) {
        if self.changes.len() == LINES_TOLD {
            self.n_more += 1;
            return;
        }
        let mut told: String = line.chars().take(MAX_LINE).collect();
        if told.len() < line.len() {
            told.push('…');
        }
        self.changes.push(change(told));
    }
}

/// Returns the lines of a text. What a terminal would not show as it is, is no text.
fn lines(bytes: &[u8]) -> Option<Vec<&str>> {
    let lines: Vec<&str> = std::str::from_utf8(bytes).ok()?.lines().collect();
    let is_odd = |character: char| character.is_control() && character != '\t';
    (!lines.iter().any(|line| line.contains(is_odd))).then_some(lines)
}

/// Returns the positions of the lines that `lines` has more often than `others`.
fn surplus(lines: &[&str], others: &[&str]) -> Vec<usize> {
    let mut n_common: HashMap<&str, usize> = HashMap::new();
    for line in others {
        *n_common.entry(line).or_default() += 1;
    }
    let mut is_surplus = |line: &str| match n_common.get_mut(line) {
        Some(n) if *n > 0 => {
            *n -= 1;
            false
        }
        _ => true,
    };
    lines.iter().enumerate().filter(|(_, line)| is_surplus(line)).map(|(idx, _)| idx).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, expected: &[&str]) {
        let lines = Lines::between(before.as_bytes(), after.as_bytes()).unwrap_or_default();
        let mut told: Vec<String> = lines
            .changes
            .iter()
            .map(|change| match change {
                LineChange::Removed(line) => format!("-{line}"),
                LineChange::Added(line) => format!("+{line}"),
            })
            .collect();
        if lines.n_more > 0 {
            told.push(format!("{} more", lines.n_more));
        }
        assert_eq!(told, expected);
    }

    #[test]
    fn a_line_is_told_before_what_took_its_place() {
        check("a\nb\nc\nd\n", "a\nB\nc\nD\n", &["-b", "+B", "-d", "+D"]);
        check("a\nc\n", "a\nb\nc\nd\n", &["+b", "+d"]);
        check("a\na\nb\n", "a\nb\n", &["-a"]);
        check("", "a", &["+a"]);
    }

    #[test]
    fn what_only_moved_or_is_no_text_is_not_told() {
        check("a\nb\n", "b\na\n", &[]);
        check("a\n", "a", &[]);
        check("a\0", "b", &[]);
        check("\x1b[2Ja", "b", &[]);
        check("a\r\n", "b", &["-a", "+b"]);
        assert_eq!(Lines::between(b"\xff", b"a"), None);
    }

    #[test]
    fn of_much_the_first_is_told() {
        let many: String = (0..20).map(|number| format!("{number}\n")).collect();
        let lines = Lines::between(b"", many.as_bytes()).unwrap();
        assert_eq!((lines.changes.len(), lines.n_more), (12, 8));
        let lines = Lines::between(b"", "é".repeat(300).as_bytes()).unwrap();
        assert_eq!(lines.changes, [LineChange::Added(format!("{}…", "é".repeat(200)))]);
    }
}
