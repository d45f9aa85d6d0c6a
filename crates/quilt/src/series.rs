//! The list of the patches of a directory, as quilt keeps it: `debian/patches/series`.

use layer::{EntryPath, PathError};

/// The patches in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// One for each line that is neither empty nor a comment.
    pub entries: Vec<SeriesEntry>,
}

/// A patch of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesEntry {
    /// Its file, relative to the directory of patches.
    pub name: EntryPath,
    /// How many leading directories are taken off the names in it.
    pub strip: usize,
}

/// What quilt would remember below `.pc` about what it applied, so that it can go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The directory of patches, as in `debian/patches`.
    pub patches: &'a str,
    /// The file in it that lists them, as in `series`.
    pub series: &'a str,
}

/// A line of a series that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeriesFileError {
    /// A patch outside of the directory.
    #[error("line {line} of the series names a patch that lies elsewhere")]
    Path {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with the name.
        source: PathError,
    },
    /// Something after the name that is no `-pN`.
    #[error(
        "line {line} of the series has the option `{option}`, of which only `-p` and a number is supported"
    )]
    Option {
        /// The line, counted from 1.
        line: usize,
        /// The option.
        option: String,
    },
}

impl Series {
    /// Reads the text of a series. What follows a `#` at the beginning of a word is a comment.
    pub fn parse(text: &[u8]) -> Result<Series, SeriesFileError> {
        let mut entries = Vec::new();
        for (line_idx, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line_number = line_idx + 1;
            let mut words = line
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty())
                .take_while(|word| !word.starts_with(b"#"));
            let Some(name) = words.next() else { continue };
            let name = match EntryPath::tolerant(name) {
                Ok(Some(name)) => name,
                Ok(None) => continue,
                Err(source) => return Err(SeriesFileError::Path { line: line_number, source }),
            };
            let mut entry = SeriesEntry { name, strip: 1 };
            for word in words {
                entry.strip = strip_of(word).ok_or_else(|| SeriesFileError::Option {
                    line: line_number,
                    option: String::from_utf8_lossy(word).into_owned(),
                })?;
            }
            entries.push(entry);
        }
        Ok(Series { entries })
    }
}

/// Returns the number in `-p1`. `-pab` is quilt's way to say that the names begin with `a/` and `b/`.
fn strip_of(option: &[u8]) -> Option<usize> {
    match option.strip_prefix(b"-p")? {
        b"ab" => Some(1),
        digits => std::str::from_utf8(digits).ok()?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let rendered = match Series::parse(text.as_bytes()) {
            Ok(series) => {
                let entries = series.entries.iter();
                entries.map(|entry| format!("{}:{}", entry.name, entry.strip)).collect::<Vec<_>>().join(" ")
            }
            Err(error) => {
                let cause = std::error::Error::source(&error);
                format!("{error}{}", cause.map(|cause| format!(": {cause}")).unwrap_or_default())
            }
        };
        assert_eq!(rendered, expected);
    }

    #[test]
    fn comments_options_and_blank_lines() {
        check(
            "# head\n\n a.patch \nsub/b.patch -p0 # why\r\nc.diff\t-p2\n#d\nissue#5.patch\nx -pab",
            "a.patch:1 sub/b.patch:0 c.diff:2 issue#5.patch:1 x:1",
        );
        check("", "");
        check("last -p1", "last:1");
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        check(
            "a\n../b\n",
            "line 2 of the series names a patch that lies elsewhere: `../b` is not a path inside the tree: it has a \
             component `..`",
        );
        check(
            "/etc/x\n",
            "line 1 of the series names a patch that lies elsewhere: `/etc/x` is not a path inside the tree: it is \
             absolute",
        );
        let unsupported =
            "line 1 of the series has the option `-R`, of which only `-p` and a number is supported";
        check("a -R\n", unsupported);
        check("a -p\n", &unsupported.replace("-R", "-p"));
        check("a -p-1\n", &unsupported.replace("-R", "-p-1"));
    }
}
