//! One `Sources` file: the source packages of a suite.

use crate::deb822::{self, Field, Reader};
use crate::packages::index::{PackagesError, PackagesErrorKind, Span};

/// The source packages of one file, in its order.
///
/// Keeps the file's text and where in it the fields are that somebody may want, as [`super::Index`] does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceIndex {
    text: Box<str>,
    records: Vec<[Span; KEY_NAMES.len()]>,
}

/// One source package of a [`SourceIndex`]; borrows its text.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    text: &'a str,
    record: &'a [Span; KEY_NAMES.len()],
}

const PACKAGE: usize = 0;
const VERSION: usize = 1;
const BINARY: usize = 2;
const DIRECTORY: usize = 3;
const CHECKSUMS: usize = 4;
const KEY_NAMES: [&str; 5] = ["Package", "Version", "Binary", "Directory", "Checksums-Sha256"];

impl SourceIndex {
    /// Reads a `Sources` file, or what [`SourceIndex::compact`] made of one.
    pub fn parse(text: String) -> Result<SourceIndex, PackagesError> {
        if u32::try_from(text.len()).is_err() {
            return Err(PackagesError { line: 1, kind: PackagesErrorKind::TooLarge });
        }
        let mut reader = Reader::new(&text);
        let mut fields = Vec::with_capacity(32);
        let mut records = Vec::with_capacity(text.len() / 1400);
        loop {
            let more = reader.next_paragraph(&mut fields).map_err(|error| PackagesError {
                line: error.line,
                kind: PackagesErrorKind::Syntax(error.kind),
            })?;
            if !more {
                return Ok(SourceIndex { text: text.into_boxed_str(), records });
            }
            let record = record(&text, &fields)
                .map_err(|kind| PackagesError { line: reader.line().saturating_sub(1).max(1), kind })?;
            records.push(record);
        }
    }

    /// Writes the same index with nothing in it that is not used here.
    pub fn compact(&self) -> String {
        let mut out = String::with_capacity(self.text.len() / 2);
        for source in self.sources() {
            for (name, span) in KEY_NAMES.iter().zip(source.record) {
                out.push_str(name);
                out.push_str(": ");
                out.push_str(span.get(&self.text));
                out.push('\n');
            }
            out.push('\n');
        }
        out
    }

    /// All source packages in the order of the file; the same name may be there in several versions.
    pub fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        self.records.iter().map(|record| Source { text: &self.text, record })
    }
}

fn record(text: &str, fields: &[Field<'_>]) -> Result<[Span; KEY_NAMES.len()], PackagesErrorKind> {
    let mut record = [Span::default(); KEY_NAMES.len()];
    let mut is_there = [false; KEY_NAMES.len()];
    for field in fields {
        if let Some(key) = KEY_NAMES.iter().position(|name| *name == field.name) {
            record[key] = Span::of(field.value, text);
            is_there[key] = !field.value.is_empty();
        }
    }
    match is_there.iter().position(|is_there| !is_there) {
        None => Ok(record),
        Some(missing) => {
            let package = if is_there[PACKAGE] { record[PACKAGE].get(text) } else { "?" };
            Err(PackagesErrorKind::Missing { package: package.to_owned(), field: KEY_NAMES[missing] })
        }
    }
}

impl<'a> Source<'a> {
    fn get(&self, key: usize) -> &'a str {
        self.record[key].get(self.text)
    }

    /// The name of the source package.
    pub fn name(&self) -> &'a str {
        self.get(PACKAGE)
    }

    /// The field `Version`.
    pub fn version(&self) -> &'a str {
        self.get(VERSION)
    }

    /// The packages that are built from it.
    pub fn binaries(&self) -> impl Iterator<Item = &'a str> {
        self.get(BINARY).split(',').map(str::trim_ascii).filter(|name| !name.is_empty())
    }

    /// Where its files lie, relative to the archive's base; not checked, like all that follows.
    pub fn directory(&self) -> &'a str {
        self.get(DIRECTORY)
    }

    /// Its files: SHA-256, size and name of each, as they are written. A line that has not all three ends it.
    pub fn files(&self) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        deb822::lines(self.get(CHECKSUMS)).map_while(|line| {
            let mut words = line.split_ascii_whitespace();
            Some((words.next()?, words.next()?, words.next()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLIBC: &str = "Package: glibc\nBinary: libc6, libc6-dev,\n locales\nVersion: 2.36-9\nFormat: 3.0 (quilt)\n\
        Files:\n d41d 5 glibc_2.36-9.dsc\nChecksums-Sha256:\n 00ff 5 glibc_2.36-9.dsc\n 01ff 70 glibc_2.36.orig.tar.xz\n\
        Directory: pool/main/g/glibc\n";

    fn render(index: &SourceIndex) -> String {
        let sources = index.sources().map(|source| {
            let files: Vec<String> =
                source.files().map(|(sha256, size, name)| format!("{sha256}:{size}:{name}")).collect();
            let binaries: Vec<&str> = source.binaries().collect();
            let (name, version) = (source.name(), source.version());
            format!("{name} {version} {binaries:?} {} {}\n", source.directory(), files.join(" "))
        });
        sources.collect()
    }

    #[test]
    fn fields_are_found_and_compact_text_reads_the_same() {
        let index = SourceIndex::parse(format!("{GLIBC}\n{}", GLIBC.replace("glibc", "eglibc"))).unwrap();
        let rendered = render(&index);
        assert!(
            rendered.starts_with(
                "glibc 2.36-9 [\"libc6\", \"libc6-dev\", \"locales\"] pool/main/g/glibc 00ff:5:glibc_2.36-9.dsc \
                 01ff:70:glibc_2.36.orig.tar.xz\neglibc"
            ),
            "{rendered}"
        );
        let compact = index.compact();
        assert!(!compact.contains("Format"));
        let again = SourceIndex::parse(compact).unwrap();
        assert_eq!(render(&again), rendered);
    }

    #[test]
    fn errors_name_the_package_and_the_line() {
        let error = |text: &str| SourceIndex::parse(text.to_owned()).unwrap_err().to_string();
        assert_eq!(error(&GLIBC.replace("Directory", "Dir")), "line 11: package `glibc` has no `Directory`");
        assert_eq!(error("Version: 1\n"), "line 1: package `?` has no `Package`");
        assert_eq!(error("Package: a\nx\n"), "line 2: expected `Name: value`");
    }
}
