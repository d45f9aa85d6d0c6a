//! Reads the `Name: value` paragraphs that all of Debian's control files are made of.
//!
//! Works on borrowed text and keeps nothing of its own: a `Packages` file has 50 MB and 60,000 paragraphs, of
//! which a build wants a few hundred. What the fields mean is left to the callers.

use memchr::memchr;

/// One field of a paragraph; both parts borrow from the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written; names compare without regard to case.
    pub name: &'a str,
    /// The value with the white space around it removed; the line breaks and indentation of a folded or
    /// multi-line value are still in it. See [`lines`].
    pub value: &'a str,
}

/// Why a text is not made of paragraphs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct Deb822Error {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub kind: Deb822ErrorKind,
}

/// What can be wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Deb822ErrorKind {
    /// A line without a colon that is no continuation.
    #[error("expected `Name: value`")]
    NoColon,
    /// Nothing, or something with spaces or signs, before the colon.
    #[error("`{0}` is not a field name")]
    Name(String),
    /// An indented line with no field above it.
    #[error("a continuation line with no field above it")]
    Continuation,
    /// The same field twice in one paragraph.
    #[error("the field `{0}` is there twice")]
    Twice(String),
    /// More than one paragraph in a file that has one.
    #[error("a second paragraph where the file should have ended")]
    SecondParagraph,
}

/// Reads paragraphs one after another.
///
/// ```
/// let mut reader = distro::deb822::Reader::new("Package: a\nDepends: b,\n c\n\nPackage: d\n");
/// let mut fields = Vec::new();
/// assert!(reader.next_paragraph(&mut fields).unwrap());
/// assert_eq!(fields[1].value, "b,\n c");
/// assert!(reader.next_paragraph(&mut fields).unwrap());
/// assert_eq!(fields[0].value, "d");
/// assert!(!reader.next_paragraph(&mut fields).unwrap());
/// ```
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Reader { text, position: 0 }
    }

    /// Replaces `fields` by those of the next paragraph; `false` at the end of the text.
    ///
    /// Does not look for repeated names, which would cost as much as all the rest; see [`single`].
    pub fn next_paragraph(&mut self, fields: &mut Vec<Field<'a>>) -> Result<bool, Deb822Error> {
        fields.clear();
        let bytes = self.text.as_bytes();
        while self.position < bytes.len() {
            let start = self.position;
            let end = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length);
            match bytes[start] {
                b'#' => self.position = end + 1,
                b' ' | b'\t' if !is_blank(&bytes[start..end]) => {
                    return Err(self.error_at(start, Deb822ErrorKind::Continuation));
                }
                _ if is_blank(&bytes[start..end]) => {
                    self.position = end + 1;
                    if !fields.is_empty() {
                        return Ok(true);
                    }
                }
                _ => {
                    let field = self.field(start, end)?;
                    fields.push(field);
                }
            }
        }
        Ok(!fields.is_empty())
    }

    /// The line on which the text that was not yet read begins, counted from 1.
    pub fn line(&self) -> usize {
        line_of(self.text, self.position)
    }

    fn field(&mut self, start: usize, first_end: usize) -> Result<Field<'a>, Deb822Error> {
        let bytes = self.text.as_bytes();
        let Some(colon) = memchr(b':', &bytes[start..first_end]).map(|length| start + length) else {
            return Err(self.error_at(start, Deb822ErrorKind::NoColon));
        };
        let name = &self.text[start..colon];
        // Policy 5.1: printable ASCII without space, colon; not beginning with a hyphen or a comment sign.
        if name.is_empty() || name.starts_with('-') || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(self.error_at(start, Deb822ErrorKind::Name(name.trim().to_owned())));
        }
        let mut end = first_end;
        // Continuations begin with a space or tab and are not blank; comments may stand between them.
        while let Some(&next) = bytes.get(end + 1) {
            if next != b' ' && next != b'\t' && next != b'#' {
                break;
            }
            let line_end = memchr(b'\n', &bytes[end + 1..]).map_or(bytes.len(), |length| end + 1 + length);
            if is_blank(&bytes[end + 1..line_end]) {
                break;
            }
            end = line_end;
        }
        self.position = end + 1;
        Ok(Field { name, value: self.text[colon + 1..end].trim_ascii() })
    }

    fn error_at(&self, offset: usize, kind: Deb822ErrorKind) -> Deb822Error {
        Deb822Error { line: line_of(self.text, offset), kind }
    }
}

/// One paragraph whose names are known to differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paragraph<'a> {
    fields: Vec<Field<'a>>,
}

impl<'a> Paragraph<'a> {
    /// The value of the field `name`, in whatever case.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// All fields in the order of the text.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }
}

/// Reads all paragraphs of a text; a name that is there twice in one of them is an error.
pub fn paragraphs(text: &str) -> Result<Vec<Paragraph<'_>>, Deb822Error> {
    let mut reader = Reader::new(text);
    let mut result = Vec::new();
    while let Some(paragraph) = next_checked(&mut reader)? {
        result.push(paragraph);
    }
    Ok(result)
}

/// Reads the single paragraph of a control or `Release` file; it is empty when the text is. What follows a second
/// paragraph is not looked at.
pub fn single(text: &str) -> Result<Paragraph<'_>, Deb822Error> {
    let mut reader = Reader::new(text);
    let paragraph = next_checked(&mut reader)?.unwrap_or_default();
    match next_checked(&mut reader)?.as_ref().and_then(|second| second.fields.first()) {
        Some(field) => Err(reader.error_at(offset_of(field.name, text), Deb822ErrorKind::SecondParagraph)),
        None => Ok(paragraph),
    }
}

/// Reads the next paragraph, if there is one; a name that is there twice is an error.
fn next_checked<'a>(reader: &mut Reader<'a>) -> Result<Option<Paragraph<'a>>, Deb822Error> {
    let mut fields = Vec::new();
    if !reader.next_paragraph(&mut fields)? {
        return Ok(None);
    }
    let mut names: Vec<String> = fields.iter().map(|field| field.name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let twice = fields.iter().rev().find(|field| field.name.eq_ignore_ascii_case(&pair[0]));
        let name = twice.expect("the name was taken from these fields").name;
        let offset = offset_of(name, reader.text);
        return Err(reader.error_at(offset, Deb822ErrorKind::Twice(name.to_owned())));
    }
    Ok(Some(Paragraph { fields }))
}

/// Returns where `part`, which was borrowed from `text`, begins in it.
fn offset_of(part: &str, text: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// The lines of a multi-line value: without indentation, comments and empty lines.
pub fn lines(value: &str) -> impl Iterator<Item = &str> {
    value
        .lines()
        .enumerate()
        .filter(|(line_idx, line)| *line_idx == 0 || !line.starts_with('#'))
        .map(|(_, line)| line.trim_ascii())
        .filter(|line| !line.is_empty())
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r'))
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + memchr::memchr_iter(b'\n', before).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let rendered = match paragraphs(text) {
            Ok(all) => all
                .iter()
                .map(|paragraph| {
                    let fields = paragraph.fields().iter();
                    fields
                        .map(|field| format!("{}={:?}", field.name, field.value))
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect::<Vec<_>>()
                .join(" / "),
            Err(error) => error.to_string(),
        };
        assert_eq!(rendered, expected);
    }

    #[test]
    fn paragraphs_are_separated_by_blank_lines() {
        check("A: 1\nB: 2\n\n \t\n\nC: 3", r#"A="1" B="2" / C="3""#);
        check("", "");
        check("\n\n", "");
    }

    #[test]
    fn values_keep_their_continuation_lines() {
        check("Files:\n a 1\n b 2\nNext:\tx  \n", r#"Files="a 1\n b 2" Next="x""#);
        assert_eq!(lines("x\n a\n# no\n .\n").collect::<Vec<_>>(), ["x", "a", "."]);
    }

    #[test]
    fn windows_line_ends_are_read() {
        check("A: 1\r\nB: 2\r\n 3\r\n\r\nC: 4\r\n", r#"A="1" B="2\r\n 3" / C="4""#);
    }

    #[test]
    fn comments_are_skipped() {
        check("# top\nA: 1\n# middle\nB: 2\n# end", r#"A="1\n# middle" B="2\n# end""#);
        assert_eq!(lines("1\n# middle").collect::<Vec<_>>(), ["1"]);
    }

    #[test]
    fn errors_name_the_line() {
        check("A: 1\nno colon\n", "line 2: expected `Name: value`");
        check(" x\n", "line 1: a continuation line with no field above it");
        check("A: 1\n\n x\n", "line 3: a continuation line with no field above it");
        check("A: 1\nB c: 2", "line 2: `B c` is not a field name");
        check(": 2", "line 1: `` is not a field name");
        check("A: 1\nb: 2\na: 3\n", "line 3: the field `a` is there twice");
    }

    #[test]
    fn names_ignore_case() {
        assert_eq!(single("Valid-Until: x").unwrap().get("valid-until"), Some("x"));
    }

    #[test]
    fn a_second_paragraph_is_refused_where_one_is_expected() {
        let error = single("A: 1\n\nB: 2").unwrap_err();
        assert_eq!(error.to_string(), "line 3: a second paragraph where the file should have ended");
        // Nothing is made of what comes behind it.
        assert_eq!(single("A: 1\n\nB: 2\n\nno colon").unwrap_err(), error);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[A-Za-z:# \t\r\n\\-é]{0,80}") {
            let mut reader = Reader::new(&text);
            let mut fields = Vec::new();
            while let Ok(true) = reader.next_paragraph(&mut fields) {}
            let _ = paragraphs(&text);
        }
    }
}
