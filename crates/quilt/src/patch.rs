//! What a patch says, once it was understood.

use std::borrow::Cow;

use layer::EntryPath;

/// A patch: what it changes, file by file, in the order of its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch<'a> {
    /// The changes of files. The same file may be in it more than once.
    pub files: Vec<FilePatch<'a>>,
}

/// What a patch does to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePatch<'a> {
    /// The line of the patch on which it begins, counted from 1.
    pub line: usize,
    /// The name before the change; none if it is not given, or not one that can be used.
    pub old: Option<EntryPath>,
    /// The name after the change.
    pub new: Option<EntryPath>,
    /// Whether there is a file before the change.
    pub before: Existence,
    /// Whether there is a file after the change.
    pub after: Existence,
    /// What only git says.
    pub git: Option<Git>,
    /// The changes, usually from the top of the file to its end.
    pub hunks: Vec<Hunk<'a>>,
}

/// What a patch claims about a file that it is going to change, or has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Existence {
    /// It exists, or nothing is said.
    #[default]
    Unknown,
    /// It has no lines; whether it exists is not said.
    Empty,
    /// It does not exist.
    Absent,
}

/// The extended headers of git.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Git {
    /// The mode before, as git writes it: type and permissions.
    pub old_mode: Option<u32>,
    /// The mode after.
    pub new_mode: Option<u32>,
    /// Whether the old file is moved to the new name.
    pub transfer: Option<Transfer>,
}

/// How a file comes to another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// It is moved.
    Rename,
    /// It stays, too.
    Copy,
}

/// One change: lines that must be there, and what they become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk<'a> {
    /// The line of the patch that has its `@@`, counted from 1.
    pub header_line: usize,
    /// The line of the old file on which it begins; with no old lines, the one before which it inserts.
    pub start: u64,
    /// Its lines in order.
    pub lines: Vec<Line<'a>>,
}

/// A line of a hunk, with its line feed unless the file ends without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Is there and stays.
    Context(Cow<'a, [u8]>),
    /// Is there and goes.
    Delete(Cow<'a, [u8]>),
    /// Comes.
    Insert(Cow<'a, [u8]>),
}

impl Line<'_> {
    /// Returns the line's text.
    pub fn text(&self) -> &[u8] {
        match self {
            Line::Context(text) | Line::Delete(text) | Line::Insert(text) => text,
        }
    }

    /// Returns the text without its line feed.
    pub(crate) fn cut_line_feed(&mut self) {
        let (Line::Context(text) | Line::Delete(text) | Line::Insert(text)) = self;
        match text {
            Cow::Borrowed(bytes) => *bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes),
            Cow::Owned(bytes) => {
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
            }
        }
    }
}

impl Hunk<'_> {
    /// Returns the lines that must be there.
    pub fn old_lines(&self) -> Vec<&[u8]> {
        self.lines.iter().filter(|line| !matches!(line, Line::Insert(_))).map(Line::text).collect()
    }

    /// Returns the lines that will be there.
    pub fn new_lines(&self) -> Vec<&[u8]> {
        self.lines.iter().filter(|line| !matches!(line, Line::Delete(_))).map(Line::text).collect()
    }

    /// Returns how many lines before the first change and after the last one stay as they are.
    pub(crate) fn context(&self) -> (usize, usize) {
        let is_context = |line: &&Line<'_>| matches!(line, Line::Context(_));
        let before = self.lines.iter().take_while(is_context).count();
        let after = self.lines.iter().rev().take_while(is_context).count();
        (before, after)
    }
}

impl FilePatch<'_> {
    /// Returns the transfer to another name that it makes, if any.
    pub(crate) fn transfer(&self) -> Option<Transfer> {
        self.git.and_then(|git| git.transfer)
    }

    /// Returns the name by which people know the file.
    pub(crate) fn title(&self) -> String {
        let name = self.new.as_ref().or(self.old.as_ref());
        name.map_or_else(|| "?".to_owned(), EntryPath::to_string)
    }
}
