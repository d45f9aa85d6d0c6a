//! One `Packages` file.

use crate::deb822::{Deb822ErrorKind, Field, Reader};

/// The packages of one file, in its order.
///
/// Keeps the file's text and, for each package, where in it the fields are that somebody may want.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    text: Box<str>,
    records: Vec<Record>,
}

/// One package of an [`Index`]; borrows its text.
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    text: &'a str,
    record: &'a Record,
}

/// How a package takes part in multiarch, as the specification at wiki.debian.org/Multiarch has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MultiArch {
    /// Satisfies relations of its own architecture.
    #[default]
    No,
    /// May be installed for several architectures at once, in the same version.
    Same,
    /// Satisfies relations of every architecture.
    Foreign,
    /// Satisfies relations of every architecture that ask with `:any`.
    Allowed,
}

/// How much a package belongs to a usual system, Policy 2.5; the most important first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// `required`
    Required,
    /// `important`
    Important,
    /// `standard`
    Standard,
    /// `optional`, and everything unknown or absent
    #[default]
    Optional,
    /// `extra`, which is obsolete
    Extra,
}

/// Why a text is no index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct PackagesError {
    /// Counted from 1; for what a paragraph lacks, the line on which it ends.
    pub line: usize,
    /// What is wrong.
    pub kind: PackagesErrorKind,
}

/// What can be wrong with an index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackagesErrorKind {
    /// It is not made of paragraphs.
    #[error("{0}")]
    Syntax(Deb822ErrorKind),
    /// A package without a field that all need.
    #[error("package `{package}` has no `{field}`")]
    Missing {
        /// What is known of its name.
        package: String,
        /// The field.
        field: &'static str,
    },
    /// A size that is no number.
    #[error("`{field}` of package `{package}` is not a number")]
    Number {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
    },
    /// A file of 4 GiB or more.
    #[error("the index is larger than 4 GiB")]
    TooLarge,
}

/// The fields that are kept as text.
#[derive(Clone, Copy)]
enum Key {
    Package,
    Version,
    Architecture,
    Source,
    Provides,
    PreDepends,
    Depends,
    Recommends,
    Conflicts,
    Breaks,
    Replaces,
    Filename,
    Sha256,
    Count,
}

const KEY_NAMES: [&str; Key::Count as usize] = [
    "Package",
    "Version",
    "Architecture",
    "Source",
    "Provides",
    "Pre-Depends",
    "Depends",
    "Recommends",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Filename",
    "SHA256",
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// Where `part`, which must be a piece of `text`, lies in it.
    pub(super) fn of(part: &str, text: &str) -> Span {
        let start = part.as_ptr().addr() - text.as_ptr().addr();
        let fits = "an index is shorter than 4 GiB";
        Span { start: u32::try_from(start).expect(fits), length: u32::try_from(part.len()).expect(fits) }
    }

    pub(super) fn get(self, text: &str) -> &str {
        let start = self.start as usize;
        &text[start..start + self.length as usize]
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    spans: [Span; Key::Count as usize],
    size: u64,
    installed_size: u64,
    priority: Priority,
    multi_arch: MultiArch,
    essential: bool,
    important: bool,
}

impl Index {
    /// Reads a `Packages` file, or what [`Index::compact`] made of one.
    pub fn parse(text: String) -> Result<Index, PackagesError> {
        if u32::try_from(text.len()).is_err() {
            return Err(PackagesError { line: 1, kind: PackagesErrorKind::TooLarge });
        }
        let mut reader = Reader::new(&text);
        let mut fields = Vec::with_capacity(32);
        let mut records = Vec::with_capacity(text.len() / 700);
        loop {
            let more = reader.next_paragraph(&mut fields).map_err(|error| PackagesError {
                line: error.line,
                kind: PackagesErrorKind::Syntax(error.kind),
            })?;
            if !more {
                break;
            }
            let record = record(&text, &fields)
                .map_err(|kind| PackagesError { line: reader.line().saturating_sub(1).max(1), kind })?;
            records.push(record);
        }
        Ok(Index { text: text.into_boxed_str(), records })
    }

    /// Writes the same index with nothing in it that is not used here.
    ///
    /// Half as long and read in half the time; made to be kept beside the file it came from.
    pub fn compact(&self) -> String {
        let mut out = String::with_capacity(self.text.len() / 2);
        for package in self.packages() {
            for (name, span) in KEY_NAMES.iter().zip(package.record.spans) {
                if span.length > 0 {
                    push_field(&mut out, name, span.get(&self.text));
                }
            }
            let record = package.record;
            push_field(&mut out, "Size", &record.size.to_string());
            if record.installed_size > 0 {
                push_field(&mut out, "Installed-Size", &record.installed_size.to_string());
            }
            let priority = match record.priority {
                Priority::Required => "required",
                Priority::Important => "important",
                Priority::Standard => "standard",
                Priority::Optional => "",
                Priority::Extra => "extra",
            };
            let multi_arch = match record.multi_arch {
                MultiArch::No => "",
                MultiArch::Same => "same",
                MultiArch::Foreign => "foreign",
                MultiArch::Allowed => "allowed",
            };
            let yes = |flag: bool| if flag { "yes" } else { "" };
            for (name, value) in [
                ("Priority", priority),
                ("Multi-Arch", multi_arch),
                ("Essential", yes(record.essential)),
                ("Important", yes(record.important)),
            ] {
                if !value.is_empty() {
                    push_field(&mut out, name, value);
                }
            }
            out.push('\n');
        }
        out
    }

    /// How many packages there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All packages in the order of the file.
    pub fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        self.records.iter().map(|record| Package { text: &self.text, record })
    }

    /// The package at `record_idx`, which must be less than [`Index::len`].
    pub(super) fn package(&self, record_idx: usize) -> Package<'_> {
        Package { text: &self.text, record: &self.records[record_idx] }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

fn push_field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(": ");
    out.push_str(value);
    out.push('\n');
}

fn record(text: &str, fields: &[Field<'_>]) -> Result<Record, PackagesErrorKind> {
    let package = || {
        let name = fields.iter().find(|field| field.name == "Package");
        name.map_or("?", |field| field.value).to_owned()
    };
    let number = |field: &'static str, value: &str| {
        value.parse::<u64>().map_err(|_| PackagesErrorKind::Number { package: package(), field })
    };
    let mut record = Record::default();
    let mut has_size = false;
    for field in fields {
        let key = match field.name {
            "Package" => Key::Package,
            "Version" => Key::Version,
            "Architecture" => Key::Architecture,
            "Source" => Key::Source,
            "Provides" => Key::Provides,
            "Pre-Depends" => Key::PreDepends,
            "Depends" => Key::Depends,
            "Recommends" => Key::Recommends,
            "Conflicts" => Key::Conflicts,
            "Breaks" => Key::Breaks,
            "Replaces" => Key::Replaces,
            "Filename" => Key::Filename,
            "SHA256" => Key::Sha256,
            "Size" => {
                record.size = number("Size", field.value)?;
                has_size = true;
                continue;
            }
            "Installed-Size" => {
                record.installed_size = number("Installed-Size", field.value)?;
                continue;
            }
            "Priority" => {
                record.priority = match field.value {
                    "required" => Priority::Required,
                    "important" => Priority::Important,
                    "standard" => Priority::Standard,
                    "extra" => Priority::Extra,
                    _ => Priority::Optional,
                };
                continue;
            }
            "Multi-Arch" => {
                record.multi_arch = match field.value {
                    "same" => MultiArch::Same,
                    "foreign" => MultiArch::Foreign,
                    "allowed" => MultiArch::Allowed,
                    _ => MultiArch::No,
                };
                continue;
            }
            "Essential" => {
                record.essential = field.value == "yes";
                continue;
            }
            "Important" | "Protected" => {
                record.important |= field.value == "yes";
                continue;
            }
            _ => continue,
        };
        record.spans[key as usize] = Span::of(field.value, text);
    }
    for key in [Key::Package, Key::Version, Key::Architecture, Key::Filename, Key::Sha256] {
        if record.spans[key as usize].length == 0 {
            return Err(PackagesErrorKind::Missing { package: package(), field: KEY_NAMES[key as usize] });
        }
    }
    if !has_size {
        return Err(PackagesErrorKind::Missing { package: package(), field: "Size" });
    }
    Ok(record)
}

impl<'a> Package<'a> {
    fn get(&self, key: Key) -> &'a str {
        self.record.spans[key as usize].get(self.text)
    }

    /// The field `Package`.
    pub fn name(&self) -> &'a str {
        self.get(Key::Package)
    }

    /// The field `Version`.
    pub fn version(&self) -> &'a str {
        self.get(Key::Version)
    }

    /// The field `Architecture`, which may be `all`.
    pub fn architecture(&self) -> &'a str {
        self.get(Key::Architecture)
    }

    /// The name of the source package.
    pub fn source(&self) -> &'a str {
        match self.get(Key::Source).split_ascii_whitespace().next() {
            Some(source) => source,
            None => self.name(),
        }
    }

    /// The field `Provides`, unread; empty if absent, like all that follow.
    pub fn provides(&self) -> &'a str {
        self.get(Key::Provides)
    }

    /// The field `Pre-Depends`.
    pub fn pre_depends(&self) -> &'a str {
        self.get(Key::PreDepends)
    }

    /// The field `Depends`.
    pub fn depends(&self) -> &'a str {
        self.get(Key::Depends)
    }

    /// The field `Recommends`.
    pub fn recommends(&self) -> &'a str {
        self.get(Key::Recommends)
    }

    /// The field `Conflicts`.
    pub fn conflicts(&self) -> &'a str {
        self.get(Key::Conflicts)
    }

    /// The field `Breaks`.
    pub fn breaks(&self) -> &'a str {
        self.get(Key::Breaks)
    }

    /// The field `Replaces`.
    pub fn replaces(&self) -> &'a str {
        self.get(Key::Replaces)
    }

    /// Where the `.deb` lies, relative to the archive's base. Not checked: see [`crate::resolve::Pin`].
    pub fn filename(&self) -> &'a str {
        self.get(Key::Filename)
    }

    /// The field `SHA256`, not checked.
    pub fn sha256(&self) -> &'a str {
        self.get(Key::Sha256)
    }

    /// Bytes of the `.deb`.
    pub fn size(&self) -> u64 {
        self.record.size
    }

    /// KiB when unpacked, as the package estimates; 0 if unknown.
    pub fn installed_size(&self) -> u64 {
        self.record.installed_size
    }

    /// The field `Priority`.
    pub fn priority(&self) -> Priority {
        self.record.priority
    }

    /// The field `Multi-Arch`.
    pub fn multi_arch(&self) -> MultiArch {
        self.record.multi_arch
    }

    /// The field `Essential`.
    pub fn essential(&self) -> bool {
        self.record.essential
    }

    /// Whether removing it may break the system (`Important` or `Protected`).
    pub fn important(&self) -> bool {
        self.record.important
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASH: &str = "Package: bash\nVersion: 5.2.15-2+b7\nSource: bash (5.2.15-2)\nArchitecture: amd64\n\
        Essential: yes\nInstalled-Size: 7164\nPre-Depends: libc6 (>= 2.36)\nDepends: base-files (>= 2.1.12),\n \
        debianutils (>= 5.6-0.1)\nMulti-Arch: foreign\nPriority: required\nDescription: shell\n long text\n .\n x\n\
        Filename: pool/main/b/bash/bash_5.2.15-2+b7_amd64.deb\nSize: 1491376\nSHA256: 00ff\n";

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        assert_eq!(Index::parse(text.into()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn fields_are_found() {
        let index = Index::parse(BASH.into()).unwrap();
        let bash = index.package(0);
        assert_eq!((bash.name(), bash.version(), bash.source()), ("bash", "5.2.15-2+b7", "bash"));
        assert_eq!(bash.depends(), "base-files (>= 2.1.12),\n debianutils (>= 5.6-0.1)");
        assert_eq!((bash.size(), bash.installed_size(), bash.essential()), (1491376, 7164, true));
        assert_eq!((bash.priority(), bash.multi_arch()), (Priority::Required, MultiArch::Foreign));
        assert_eq!((bash.conflicts(), bash.important()), ("", false));
    }

    #[test]
    fn compact_text_reads_the_same() {
        let index = Index::parse(format!("{BASH}\n{}", BASH.replace("bash", "dash"))).unwrap();
        let compact = index.compact();
        assert!(!compact.contains("long text"));
        let again = Index::parse(compact.clone()).unwrap();
        assert_eq!(again.len(), 2);
        assert_eq!(again.compact(), compact);
        let render = |index: &Index| {
            let packages = index.packages();
            packages
                .map(|p| {
                    format!("{} {} {} {:?} {}\n", p.name(), p.depends(), p.size(), p.priority(), p.source())
                })
                .collect::<String>()
        };
        assert_eq!(render(&again), render(&index));
    }

    #[test]
    fn errors_name_the_package_and_the_line() {
        check_error(&BASH.replace("SHA256: 00ff\n", ""), "line 17: package `bash` has no `SHA256`");
        check_error(&BASH.replace("Size: 149", "Sixe: 149"), "line 18: package `bash` has no `Size`");
        check_error(
            &BASH.replace("Size: 149", "Size: x"),
            "line 18: `Size` of package `bash` is not a number",
        );
        check_error("Version: 1\n", "line 1: package `?` has no `Package`");
        check_error("Package: a\nVersion\n", "line 2: expected `Name: value`");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "((Package|Version|Size|SHA256|Filename|Architecture): ?[a-z0-9]{0,2}\n? ?){0,12}") {
            if let Ok(index) = Index::parse(text) {
                prop_assert_eq!(Index::parse(index.compact()).unwrap().len(), index.len());
            }
        }
    }
}
