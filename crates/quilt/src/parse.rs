//! From the text of a patch to what it says.
//!
//! Understood: unified diffs, with the headers of `diff`, of git and of Subversion. Text around them is a
//! comment. What would be lost if it were taken for one is refused: context diffs, a hunk that belongs to no
//! file, a hunk that is cut off.

use std::borrow::Cow;

use layer::{EntryPath, PathError};

use crate::header::{self, HeaderName};
use crate::patch::{Existence, FilePatch, Git, Hunk, Line, Patch, Transfer};

/// Why a patch cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub kind: ParseErrorKind,
}

/// What can be wrong with a patch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// A name that leads out of the directory.
    #[error("the patch changes a file outside of the directory: {0}")]
    Path(PathError),
    /// Neither of the two names can be used.
    #[error("the header names no file, once {strip} leading directories are taken off")]
    NoName {
        /// How many were to be taken off.
        strip: usize,
    },
    /// A header with nothing behind it.
    #[error("no hunk follows the header")]
    NoHunk,
    /// A hunk with no header before it.
    #[error("the hunk belongs to no file")]
    LooseHunk,
    /// A `@@` line that is none.
    #[error("expected `@@ -LINE,COUNT +LINE,COUNT @@`")]
    HunkHeader,
    /// Something that is no line of a hunk, while the header promises more of them.
    #[error("expected a line of the hunk, which begins with a space, `+` or `-`")]
    HunkLine,
    /// The text ends too early.
    #[error("the patch ends within a hunk")]
    CutOff,
    /// Nothing but context.
    #[error("the hunk changes nothing")]
    NoChange,
    /// A format of the 1980s.
    #[error("context diffs are not supported: make it a unified diff, as with `quilt refresh`")]
    ContextDiff,
    /// What GNU patch does not apply either.
    #[error("binary patches of git are not supported, neither here nor by `patch`")]
    BinaryPatch,
    /// A rename or a copy that leaves open what.
    #[error("the file to rename or copy cannot be told from the header")]
    Transfer,
}

impl<'a> Patch<'a> {
    /// Reads a patch; `strip` leading directories are taken off the names in it.
    ///
    /// A text without any change is an empty patch.
    pub fn parse(text: &'a [u8], strip: usize) -> Result<Patch<'a>, ParseError> {
        let mut parser = Parser { text, position: 0, line: 0, strip };
        let mut files = Vec::new();
        while let Some(file) = parser.next_file()? {
            files.push(file);
        }
        Ok(Patch { files })
    }
}

struct Parser<'a> {
    text: &'a [u8],
    position: usize,
    /// The number of the last line that was taken.
    line: usize,
    strip: usize,
}

impl<'a> Parser<'a> {
    /// Returns the next line with its line feed.
    fn peek(&self) -> Option<&'a [u8]> {
        let rest = &self.text[self.position..];
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |line_feed| line_feed + 1);
        (length > 0).then(|| &rest[..length])
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.peek()?;
        self.position += line.len();
        self.line += 1;
        Some(line)
    }

    /// An error on the line that was taken last.
    fn error(&self, kind: ParseErrorKind) -> ParseError {
        ParseError { line: self.line, kind }
    }

    fn path<T>(&self, result: Result<T, PathError>) -> Result<T, ParseError> {
        result.map_err(|error| self.error(ParseErrorKind::Path(error)))
    }

    /// Skips comments and reads the next change of a file; `None` at the end of the patch.
    fn next_file(&mut self) -> Result<Option<FilePatch<'a>>, ParseError> {
        let mut header: Option<Header> = None;
        loop {
            let Some(line) = self.peek() else {
                return header
                    .filter(Header::is_a_change)
                    .map(|header| self.finish(header, None))
                    .transpose();
            };
            if line.starts_with(b"diff --git ") {
                if let Some(header) = header.take_if(|header| header.is_a_change()) {
                    return self.finish(header, None).map(Some);
                }
                let line = self.next().expect("it was peeked at");
                let (old, new) = self.path(header::git_names(&line[11..], self.strip))?;
                header = Some(Header { line: self.line, old, new, is_git: true, ..Header::default() });
                continue;
            }
            self.next();
            if line.starts_with(b"--- ") && self.peek().is_some_and(|line| line.starts_with(b"+++ ")) {
                return self.unified(header.unwrap_or_default(), line).map(Some);
            }
            if line.starts_with(b"@@ -") {
                return Err(self.error(ParseErrorKind::LooseHunk));
            }
            if line.starts_with(b"***************")
                && self.peek().is_some_and(|line| line.starts_with(b"*** "))
            {
                return Err(self.error(ParseErrorKind::ContextDiff));
            }
            if let Some(header) = &mut header {
                if line.starts_with(b"GIT binary patch") {
                    return Err(self.error(ParseErrorKind::BinaryPatch));
                }
                header.extended(line);
            }
        }
    }

    /// Reads a change whose `---` line was taken and whose `+++` line is next.
    fn unified(&mut self, mut header: Header, old_line: &'a [u8]) -> Result<FilePatch<'a>, ParseError> {
        if header.line == 0 {
            header.line = self.line;
        }
        let old = self.path(header::file_name(&old_line[4..], self.strip))?;
        let new_line = self.next().expect("it was peeked at");
        let new = self.path(header::file_name(&new_line[4..], self.strip))?;
        // Where the header has the line ends of DOS, the whole text was converted on its way here.
        let is_dos = new_line.ends_with(b"\r\n");
        let mut hunks = Vec::new();
        let (mut old_count, mut new_count) = (None, None);
        while let Some(line) = self.peek().filter(|line| line.starts_with(b"@@ -")) {
            self.next();
            let ranges = ranges(line).ok_or_else(|| self.error(ParseErrorKind::HunkHeader))?;
            old_count.get_or_insert(ranges.old_count);
            new_count.get_or_insert(ranges.new_count);
            hunks.push(self.hunk(&ranges, is_dos)?);
        }
        if hunks.is_empty() {
            return Err(self.error(ParseErrorKind::NoHunk));
        }
        let existence = |name: &HeaderName, is_empty: bool| match name {
            HeaderName::DevNull | HeaderName::File { is_dated_absent: true, .. } if is_empty => {
                Existence::Absent
            }
            _ if is_empty => Existence::Empty,
            _ => Existence::Unknown,
        };
        header.before = header.before.max(existence(&old, old_count == Some((0, 0))));
        header.after = header.after.max(existence(&new, new_count == Some((0, 0))));
        for (name, read) in [(&mut header.old, old), (&mut header.new, new)] {
            match read {
                HeaderName::File { path, .. } => *name = Some(path),
                // Of `/dev/null` and what has too few directories, the names of git remain, if there are any.
                HeaderName::DevNull | HeaderName::Unusable => {}
            }
        }
        self.finish(header, Some(hunks))
    }

    fn finish(&mut self, header: Header, hunks: Option<Vec<Hunk<'a>>>) -> Result<FilePatch<'a>, ParseError> {
        let at = |kind| ParseError { line: header.line, kind };
        let transfer = header.transfer();
        if transfer.is_some() && (header.old.is_none() || header.new.is_none()) {
            return Err(at(ParseErrorKind::Transfer));
        }
        if header.old.is_none() && header.new.is_none() {
            return Err(at(ParseErrorKind::NoName { strip: self.strip }));
        }
        let git =
            header.is_git.then_some(Git { old_mode: header.old_mode, new_mode: header.new_mode, transfer });
        Ok(FilePatch {
            line: header.line,
            old: header.old,
            new: header.new,
            before: header.before,
            after: header.after,
            git,
            hunks: hunks.unwrap_or_default(),
        })
    }

    /// Reads the lines of a hunk whose header was taken.
    fn hunk(&mut self, ranges: &Ranges, is_dos: bool) -> Result<Hunk<'a>, ParseError> {
        let header_line = self.line;
        let (mut old_left, mut new_left) = (ranges.old_count.1, ranges.new_count.1);
        let mut lines: Vec<Line<'a>> = Vec::new();
        while old_left > 0 || new_left > 0 {
            // A last line that is not whole is not there.
            let line = match self.next().filter(|line| line.ends_with(b"\n")) {
                Some(line) => text_of(line, is_dos),
                // Mail programs cut empty lines off the end.
                None if old_left == new_left && old_left < 3 => Cow::Borrowed(&b"\n"[..]),
                None => return Err(self.error(ParseErrorKind::CutOff)),
            };
            let (kind, line) = match line[0] {
                // The space got eaten on the way.
                b'\n' | b'\t' => (b' ', line),
                kind => (kind, without_first(line)),
            };
            let (is_old, is_new) = (kind != b'+', kind != b'-');
            if !matches!(kind, b' ' | b'+' | b'-') || is_old && old_left == 0 || is_new && new_left == 0 {
                return Err(self.error(ParseErrorKind::HunkLine));
            }
            old_left -= u64::from(is_old);
            new_left -= u64::from(is_new);
            let mut line = match kind {
                b'+' => Line::Insert(line),
                b'-' => Line::Delete(line),
                _ => Line::Context(line),
            };
            // `\ No newline at end of file` can only follow the last line of a side.
            let ends_side = is_old && old_left == 0 || is_new && new_left == 0;
            if ends_side && self.peek().is_some_and(|line| line.starts_with(b"\\")) {
                self.next();
                line.cut_line_feed();
            }
            lines.push(line);
        }
        if lines.iter().all(|line| matches!(line, Line::Context(_))) {
            return Err(ParseError { line: header_line, kind: ParseErrorKind::NoChange });
        }
        // A hunk without old lines inserts behind the line that it names.
        let start = ranges.old_count.0 + u64::from(ranges.old_count.1 == 0);
        Ok(Hunk { header_line, start, lines })
    }
}

/// What is known of a change before its hunks.
#[derive(Default)]
struct Header {
    line: usize,
    old: Option<EntryPath>,
    new: Option<EntryPath>,
    before: Existence,
    after: Existence,
    is_git: bool,
    has_extended: bool,
    old_mode: Option<u32>,
    new_mode: Option<u32>,
    renamed: (bool, bool),
    copied: (bool, bool),
}

impl Header {
    /// Says whether it is a change even without hunks.
    fn is_a_change(&self) -> bool {
        self.has_extended
    }

    fn transfer(&self) -> Option<Transfer> {
        if self.renamed == (true, true) {
            Some(Transfer::Rename)
        } else if self.copied == (true, true) {
            Some(Transfer::Copy)
        } else {
            None
        }
    }

    /// Reads one of git's extended headers; anything else is a comment.
    fn extended(&mut self, line: &[u8]) {
        let mut is_extended = true;
        if let Some(mode) = line.strip_prefix(b"old mode ") {
            self.old_mode = header::mode(mode);
        } else if let Some(mode) = line.strip_prefix(b"new mode ") {
            self.new_mode = header::mode(mode);
        } else if let Some(mode) = line.strip_prefix(b"deleted file mode ") {
            self.old_mode = header::mode(mode);
            self.after = Existence::Absent;
        } else if let Some(mode) = line.strip_prefix(b"new file mode ") {
            self.new_mode = header::mode(mode);
            self.before = Existence::Absent;
        } else if line.starts_with(b"rename from ") {
            self.renamed.0 = true;
        } else if line.starts_with(b"rename to ") {
            self.renamed.1 = true;
        } else if line.starts_with(b"copy from ") {
            self.copied.0 = true;
        } else if line.starts_with(b"copy to ") {
            self.copied.1 = true;
        } else if let Some(index) = line.strip_prefix(b"index ") {
            is_extended = self.index(index);
        } else {
            is_extended = false;
        }
        self.has_extended |= is_extended;
    }

    /// Reads `OLD..NEW MODE`: which contents git knows under these names says whether there are any.
    fn index(&mut self, text: &[u8]) -> bool {
        let text = text.trim_ascii();
        let (hashes, mode) = match text.iter().position(u8::is_ascii_whitespace) {
            Some(space) => (&text[..space], Some(&text[space..])),
            None => (text, None),
        };
        let Some(dots) = memchr::memmem::find(hashes, b"..") else { return false };
        let (old, new) = (&hashes[..dots], &hashes[dots + 2..]);
        if ![old, new].iter().all(|hash| hash.iter().all(u8::is_ascii_hexdigit)) {
            return false;
        }
        self.before = existence_of(old);
        self.after = existence_of(new);
        if let Some(mode) = mode.and_then(header::mode) {
            (self.old_mode, self.new_mode) = (Some(mode), Some(mode));
        }
        true
    }
}

/// Git names no file by zeros and the empty one by this.
fn existence_of(hash: &[u8]) -> Existence {
    const EMPTY: &[u8] = b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
    if !hash.is_empty() && hash.iter().all(|digit| *digit == b'0') {
        Existence::Absent
    } else if !hash.is_empty() && EMPTY.starts_with(hash) {
        Existence::Empty
    } else {
        Existence::Unknown
    }
}

/// Two ranges, each a first line and a count of lines.
struct Ranges {
    old_count: (u64, u64),
    new_count: (u64, u64),
}

fn ranges(line: &[u8]) -> Option<Ranges> {
    let (old_count, rest) = range(line.strip_prefix(b"@@ -")?)?;
    let (new_count, rest) = range(rest.strip_prefix(b" ")?.strip_prefix(b"+")?)?;
    rest.strip_prefix(b" @@")?;
    Some(Ranges { old_count, new_count })
}

fn range(text: &[u8]) -> Option<((u64, u64), &[u8])> {
    /// More lines than any file has; whatever is computed from two of them does not overflow.
    const MAX: u64 = 1 << 48;
    let number = |text: &'_ [u8]| -> Option<(u64, usize)> {
        let length = text.iter().take_while(|digit| digit.is_ascii_digit()).count();
        let number = std::str::from_utf8(&text[..length]).ok()?.parse().ok()?;
        (number < MAX).then_some((number, length))
    };
    let (start, length) = number(text)?;
    let rest = &text[length..];
    match rest.strip_prefix(b",") {
        Some(rest) => {
            let (count, length) = number(rest)?;
            Some(((start, count), &rest[length..]))
        }
        None => Some(((start, 1), rest)),
    }
}

/// Returns a line of the patch as its file has it: without what a conversion added.
fn text_of(line: &[u8], is_dos: bool) -> Cow<'_, [u8]> {
    match line.strip_suffix(b"\r\n") {
        Some(text) if is_dos => Cow::Owned([text, b"\n"].concat()),
        _ => Cow::Borrowed(line),
    }
}

fn without_first(line: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match line {
        Cow::Borrowed(line) => Cow::Borrowed(&line[1..]),
        Cow::Owned(mut line) => {
            line.remove(0);
            Cow::Owned(line)
        }
    }
}
