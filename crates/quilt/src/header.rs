//! The lines before the hunks: names, times, modes.

use layer::{EntryPath, PathError};

/// What a `---` or `+++` line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderName {
    /// A file, with what is left of its name; whether its time is the one that says that it does not exist.
    File {
        /// Without the directories that are taken off.
        path: EntryPath,
        /// `diff -N` gives a file that is not there the time 0.
        is_dated_absent: bool,
    },
    /// `/dev/null`.
    DevNull,
    /// Too few directories for what is to be taken off, or quotes that do not end.
    Unusable,
}

/// Reads what follows `--- ` or `+++ `: a name, which may be quoted, and a time after a tab.
pub(crate) fn file_name(rest: &[u8], strip: usize) -> Result<HeaderName, PathError> {
    // Not from the end: a tab there says that the spaces before it are part of the name.
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_suffix(b"\n").unwrap_or(rest);
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    let (name, time) = if rest.first() == Some(&b'"') {
        match unquote(rest) {
            Some((name, time)) => (name, time),
            None => return Ok(HeaderName::Unusable),
        }
    } else {
        // Names may have spaces only where a tab says where they end.
        let end = memchr::memchr(b'\t', rest)
            .or_else(|| rest.iter().position(u8::is_ascii_whitespace))
            .unwrap_or(rest.len());
        (rest[..end].trim_ascii_end().to_vec(), &rest[end..])
    };
    if name == b"/dev/null" {
        return Ok(HeaderName::DevNull);
    }
    Ok(match stripped(&name, strip)? {
        Some(path) => HeaderName::File { path, is_dated_absent: is_epoch(time) },
        None => HeaderName::Unusable,
    })
}

/// Reads the two names after `diff --git `; none when it cannot be told where one ends.
pub(crate) fn git_names(
    rest: &[u8],
    strip: usize,
) -> Result<(Option<EntryPath>, Option<EntryPath>), PathError> {
    let mut names = Vec::new();
    let mut rest = rest.trim_ascii();
    while !rest.is_empty() {
        let (name, after) = if rest[0] == b'"' {
            match unquote(rest) {
                Some(pair) => pair,
                None => return Ok((None, None)),
            }
        } else {
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            (rest[..end].to_vec(), &rest[end..])
        };
        names.push(name);
        rest = after.trim_ascii_start();
    }
    match &names[..] {
        [old, new] => {
            let (old, new) = (stripped(old, strip)?, stripped(new, strip)?);
            Ok(if old.is_some() && new.is_some() { (old, new) } else { (None, None) })
        }
        _ => Ok((None, None)),
    }
}

/// Takes `strip` directories off; none when there are not so many.
fn stripped(name: &[u8], strip: usize) -> Result<Option<EntryPath>, PathError> {
    if name.first() == Some(&b'/') {
        return EntryPath::new(name).map(Some);
    }
    let mut rest = name;
    for _ in 0..strip {
        let Some(slash) = memchr::memchr(b'/', rest) else { return Ok(None) };
        rest = &rest[slash..];
        rest = &rest[rest.iter().position(|byte| *byte != b'/').unwrap_or(rest.len())..];
    }
    if rest.is_empty() {
        return Ok(None);
    }
    EntryPath::tolerant(rest)
}

/// Reads a C string as git and GNU diff quote names; returns it and what follows.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut name = Vec::new();
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => return Some((name, rest)),
            b'\\' => {
                let (&escaped, after) = rest.split_first()?;
                rest = after;
                name.push(match escaped {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    b'"' | b'\\' => escaped,
                    b'0'..=b'3' => {
                        let (digits, after) = rest.split_at_checked(2)?;
                        rest = after;
                        let [high, low] = [digits[0], digits[1]].map(|digit| digit.wrapping_sub(b'0'));
                        if high > 7 || low > 7 {
                            return None;
                        }
                        (escaped - b'0') << 6 | high << 3 | low
                    }
                    _ => return None,
                });
            }
            _ => name.push(byte),
        }
    }
}

/// Says whether a time is the beginning of 1970 somewhere on earth, as `diff` and `date` write it.
fn is_epoch(time: &[u8]) -> bool {
    let time = time.trim_ascii();
    let is_day = |year: &[u8], day: &[u8]| {
        memchr::memmem::find(time, year).is_some() && memchr::memmem::find(time, day).is_some()
    };
    time.starts_with(b"1970-01-01")
        || time.starts_with(b"1969-12-31")
        || is_day(b" 1970", b"Jan  1 ")
        || is_day(b" 1969", b"Dec 31 ")
}

/// Reads a mode as git writes it: six octal digits.
pub(crate) fn mode(text: &[u8]) -> Option<u32> {
    let text = text.trim_ascii();
    if text.len() != 6 || !text.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return None;
    }
    Some(text.iter().fold(0, |mode, digit| mode << 3 | u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rest: &str, strip: usize, expected: &str) {
        let rendered = match file_name(rest.as_bytes(), strip) {
            Ok(HeaderName::File { path, is_dated_absent: false }) => path.to_string(),
            Ok(HeaderName::File { path, is_dated_absent: true }) => format!("{path} (absent)"),
            Ok(HeaderName::DevNull) => "null".to_owned(),
            Ok(HeaderName::Unusable) => "unusable".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(rendered, expected);
    }

    #[test]
    fn names_and_times() {
        check("a/src/x.c\t2020-01-01 10:00:00.0 +0000\n", 1, "src/x.c");
        check("a/src/x.c 2020\r\n", 1, "src/x.c");
        check("a/with space\t\n", 1, "with space");
        check("a/x", 0, "a/x");
        check("a//b/.//c", 2, "c");
        check("x.c", 1, "unusable");
        check("a/", 1, "unusable");
        check("/dev/null\tx", 1, "null");
        check("a/x\t1970-01-01 01:00:00.000000000 +0100", 1, "x (absent)");
        check("a/x\t1969-12-31 19:00:00", 1, "x (absent)");
        check("a/x\tThu Jan  1 00:00:00 1970", 1, "x (absent)");
        check("", 0, "unusable");
    }

    #[test]
    fn quoted_names() {
        check(r#""a/t\303\244\tb\"c\\" 1970"#, 1, "tä\tb\"c\\");
        check(r#""a/x"#, 1, "unusable");
        check(r#""a/\9""#, 1, "unusable");
        check(r#""a/\08""#, 1, "unusable");
        check(r#""a/\1"#, 1, "unusable");
    }

    #[test]
    fn names_that_leave_the_tree_are_refused() {
        check("a/../x", 1, "`../x` is not a path inside the tree: it has a component `..`");
        check("/etc/passwd", 1, "`/etc/passwd` is not a path inside the tree: it is absolute");
        check(r#""a/\000""#, 1, "`\0` is not a path inside the tree: it contains a NUL byte");
    }

    #[test]
    fn names_of_git() {
        let both = |rest: &str| {
            let (old, new) = git_names(rest.as_bytes(), 1).unwrap();
            [old, new].map(|name| name.map_or_else(|| "-".to_owned(), |name| name.to_string()))
        };
        assert_eq!(both("a/x b/y\n"), ["x", "y"]);
        assert_eq!(both("\"a/x y\" b/z\n"), ["x y", "z"]);
        assert_eq!(both("a/x y b/x y\n"), ["-", "-"]);
        assert_eq!(both("x y"), ["-", "-"]);
        assert!(git_names(b"a/../x b/x", 1).is_err());
    }

    #[test]
    fn modes() {
        assert_eq!(mode(b"100755\n"), Some(0o100_755));
        assert_eq!(mode(b"100755 x\n"), None);
        assert_eq!(mode(b"0644"), None);
        assert_eq!(mode(b"100684"), None);
    }
}
