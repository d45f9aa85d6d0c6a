//! What QEMU complained about: read from its log, and shown.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

/// How many bytes are read of the beginning of a log, and how many of its end.
const PART: u64 = 512 * 1024;
/// Stands for the lines that are not shown.
const LEFT_OUT: &str = "[and more]";

/// What QEMU complained about. A guest may have it complain without end, and why QEMU ended it says last: of a long log
/// these are the beginning and the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Complaints {
    beginning: String,
    /// The end, unless the beginning is all.
    end: Option<String>,
}

impl Complaints {
    /// Reads a log. One that cannot be read has nothing in it.
    pub(crate) fn read(log: &File) -> Complaints {
        Complaints::try_read(log).unwrap_or_default()
    }

    fn try_read(log: &File) -> io::Result<Complaints> {
        let size = log.metadata()?.len();
        if size <= 2 * PART {
            return Ok(Complaints { beginning: text(&part(log, 0, 2 * PART)?), end: None });
        }
        let (beginning, end) = (part(log, 0, PART)?, part(log, size - PART, PART)?);
        // A line that is cut through may be taken for something else.
        let last = beginning.iter().rposition(|byte| *byte == b'\n').unwrap_or(beginning.len());
        let first = end.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Ok(Complaints { beginning: text(&beginning[..last]), end: Some(text(&end[first..])) })
    }

    /// Returns whether QEMU said this, as far as was read.
    pub(crate) fn say(&self, what: &str) -> bool {
        self.beginning.contains(what) || self.end.as_ref().is_some_and(|end| end.contains(what))
    }

    /// Returns the lines, or `most` of them if there are more: the first and the last, with [`LEFT_OUT`] between.
    pub(crate) fn lines(&self, most: usize) -> Vec<String> {
        let all: Vec<&str> =
            self.beginning.lines().chain(self.end.iter().flat_map(|end| end.lines())).collect();
        let shown = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        if self.end.is_none() && all.len() <= most {
            return shown(&all);
        }
        let n_first = self.beginning.lines().count().min(most / 2);
        let rest = &all[n_first..];
        let last = &rest[rest.len().saturating_sub(most - n_first)..];
        [shown(&all[..n_first]), vec![LEFT_OUT.to_owned()], shown(last)].concat()
    }
}

fn part(mut log: &File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    log.seek(SeekFrom::Start(at))?;
    log.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[track_caller]
    fn check(log: &[u8], most: usize, expected: &[&str]) {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(log, 0).unwrap();
        assert_eq!(Complaints::read(&file).lines(most), expected);
    }

    #[test]
    fn the_first_and_the_last_lines_are_shown() {
        check(b"", 4, &[]);
        check(b"qemu: \xff\n", 4, &["qemu: \u{fffd}"]);
        check(b"1\n2\n3\n4", 4, &["1", "2", "3", "4"]);
        check(b"1\n2\n3\n4\n5\n", 4, &["1", "2", LEFT_OUT, "4", "5"]);
        check(b"1\n2\n3\n4\n5\n", 3, &["1", LEFT_OUT, "4", "5"]);
        let long = format!("first\n{}last\n", "a complaint\n".repeat(200_000));
        check(long.as_bytes(), 3, &["first", LEFT_OUT, "a complaint", "last"]);
    }

    #[test]
    fn complaints_without_end_are_read_to_a_limit() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        file.write_all_at(b"why it ended", (1 << 40) - 12).unwrap();
        let complaints = Complaints::read(&file);
        assert!(complaints.say("why it ended") && !complaints.say("why it did not"));
        assert_eq!(complaints.lines(10)[1], LEFT_OUT);
        let length = complaints.lines(10).iter().map(String::len).sum::<usize>();
        assert_eq!(length as u64, 2 * PART + LEFT_OUT.len() as u64);
    }
}
