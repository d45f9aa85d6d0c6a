//! Where something was written: a file and a range of its bytes.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A file that was read: its name as people know it, and its text.
#[derive(Debug)]
pub struct SourceFile {
    /// The path, relative to the project's root.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A range of bytes of a file, on character boundaries. Places are equal when they are in files of the same
/// name.
#[derive(Clone)]
pub struct Place {
    file: Arc<SourceFile>,
    span: Range<usize>,
}

impl Place {
    /// Returns the place in `file` that is nearest to `span`: cut to the text, widened to whole characters.
    pub fn new(file: &Arc<SourceFile>, span: Range<usize>) -> Place {
        let text = &file.text;
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = span.end.clamp(start, text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        Place { file: Arc::clone(file), span: start..end }
    }

    /// Returns the file.
    pub fn file(&self) -> &Arc<SourceFile> {
        &self.file
    }

    /// Returns the range of bytes.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Returns the text at this place.
    pub fn text(&self) -> &str {
        &self.file.text[self.span.clone()]
    }

    /// Returns the line and the column of its first character, both counted from 1, columns in characters.
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = &self.file.text[..self.span.start];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, before[line_start..].chars().count() + 1)
    }

    /// Returns the first occurrence of `part` in the text at this place, or the whole place.
    pub(crate) fn narrowed_to(&self, part: &str) -> Place {
        match self.text().find(part) {
            Some(offset) => {
                let start = self.span.start + offset;
                Place { file: Arc::clone(&self.file), span: start..start + part.len() }
            }
            None => self.clone(),
        }
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        self.span == other.span && self.file.name == other.file.name
    }
}

impl Eq for Place {}

/// `file:line:column`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        write!(f, "{}:{line}:{column}", self.file.name)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it, or the key it belongs to, was written.
    pub place: Place,
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_do_not_fit_the_text_are_moved_to_it() {
        let file = Arc::new(SourceFile { name: "x".into(), text: "a\nüb".into() });
        assert_eq!(Place::new(&file, 3..4).text(), "ü");
        assert_eq!(Place::new(&file, 3..4).to_string(), "x:2:1");
        assert_eq!(Place::new(&file, 4..5).to_string(), "x:2:2");
        assert_eq!(Place::new(&file, 90..95).text(), "");
        assert_eq!(Place::new(&file, 90..99).to_string(), "x:2:3");
    }
}
