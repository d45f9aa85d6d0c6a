//! The control file of a source package.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::deb822::{self, Deb822Error};
use crate::digest::Sha256;
use crate::version::{self, VersionError};

/// Far more than any has; understanding one takes many times its size in memory.
pub(super) const MAX_DSC: u64 = 4 << 20;

/// What a `.dsc` says that decides how its files become a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dsc {
    /// The name of the source package; contains nothing that means something in a path.
    pub source: String,
    /// Its version.
    pub version: String,
    /// How its files are to be put together.
    pub format: Format,
    /// Its files, without the `.dsc` itself.
    pub files: Vec<DscFile>,
}

/// How the files of a source package are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `1.0`: one archive, with or without a diff.
    One,
    /// `3.0 (native)`: one archive.
    Native,
    /// `3.0 (quilt)`: archives of the upstream sources, one with the directory `debian`, and patches in there.
    Quilt,
}

/// A file of a source package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DscFile {
    /// Its name, which is no path.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its content.
    pub sha256: Sha256,
}

/// Why a text is no `.dsc`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DscError {
    /// Far more than any `.dsc` has.
    #[error("it has more than 4 MiB")]
    TooLarge,
    /// A signed text that is not whole.
    #[error("the signed text has no end")]
    Signed,
    /// Not made of fields.
    #[error("it is not made of fields")]
    Syntax(#[from] Deb822Error),
    /// A field that is needed.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// A name that could do harm in a path.
    #[error("`{0}` is not the name of a source package")]
    Name(String),
    /// A version that is none.
    #[error("the version is wrong")]
    Version(#[from] VersionError),
    /// A format that is not one of the three.
    #[error("the format `{0}` is not supported: only `3.0 (quilt)`, `3.0 (native)` and `1.0` are")]
    Format(String),
    /// A line of the list of files that is none, or names a path.
    #[error("the list of files has the malformed line `{0}`")]
    File(String),
    /// A file that one list has and the other has not, or that one has twice.
    #[error("`{0}` is not once in each list of files")]
    Lists(String),
}

impl Dsc {
    /// Reads a `.dsc`, signed or not. A signature is taken off and not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Dsc, DscError> {
        if bytes.len() as u64 > MAX_DSC {
            return Err(DscError::TooLarge);
        }
        // Only fields of ASCII are read; the names of people may be in any encoding.
        let text = String::from_utf8_lossy(bytes);
        let text = unsigned(&text)?;
        let paragraph = deb822::single(&text)?;
        let field = |name: &'static str| paragraph.get(name).ok_or(DscError::Missing(name));
        let format = match field("Format")? {
            "1.0" => Format::One,
            "3.0 (native)" => Format::Native,
            "3.0 (quilt)" => Format::Quilt,
            other => return Err(DscError::Format(other.to_owned())),
        };
        let source = field("Source")?.to_owned();
        if !is_source_name(&source) {
            return Err(DscError::Name(source));
        }
        let version = field("Version")?.to_owned();
        version::check(&version)?;
        let files = files(field("Checksums-Sha256")?)?;
        // What is listed by MD5 must be listed by SHA-256 too, or it would not be checked.
        let names = files.iter().map(|file| file.name.as_str());
        let mut left: BTreeSet<&str> = BTreeSet::new();
        for name in names.clone() {
            if !left.insert(name) {
                return Err(DscError::Lists(name.to_owned()));
            }
        }
        for line in paragraph.get("Files").map(deb822::lines).into_iter().flatten() {
            let name = line.split_ascii_whitespace().next_back().unwrap_or_default();
            if !left.remove(name) {
                return Err(DscError::Lists(name.to_owned()));
            }
        }
        match left.first() {
            Some(name) if paragraph.get("Files").is_some() => Err(DscError::Lists((*name).to_owned())),
            _ => Ok(Dsc { source, version, format, files }),
        }
    }

    /// Returns the version without its epoch, as it is in the names of files.
    pub fn version_in_names(&self) -> &str {
        self.version.split_once(':').map_or(&self.version, |(_, rest)| rest)
    }

    /// Returns that without the revision of Debian.
    pub fn upstream_version(&self) -> &str {
        let version = self.version_in_names();
        version.rsplit_once('-').map_or(version, |(upstream, _)| upstream)
    }
}

/// Policy 5.6.1.
fn is_source_name(name: &str) -> bool {
    name.len() > 1
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

/// Reads the lines `SHA256 SIZE NAME`.
fn files(value: &str) -> Result<Vec<DscFile>, DscError> {
    deb822::lines(value)
        .map(|line| {
            let parse = || {
                let mut words = line.split_ascii_whitespace();
                let (sha256, size, name) = (words.next()?, words.next()?, words.next()?);
                let is_whole = words.next().is_none();
                (is_whole && is_file_name(name)).then_some(DscFile {
                    name: name.to_owned(),
                    size: size.parse().ok()?,
                    sha256: sha256.parse().ok()?,
                })
            };
            parse().ok_or_else(|| DscError::File(line.to_owned()))
        })
        .collect()
}

fn is_file_name(name: &str) -> bool {
    !name.starts_with('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._~:%".contains(&b))
}

/// Returns what a clear-signed message is about, or the text itself if it is none.
fn unsigned(text: &str) -> Result<Cow<'_, str>, DscError> {
    let mut lines = text.lines().skip_while(|line| line.trim_ascii().is_empty());
    if lines.next().map(str::trim_ascii_end) != Some("-----BEGIN PGP SIGNED MESSAGE-----") {
        return Ok(Cow::Borrowed(text));
    }
    let mut signed = String::with_capacity(text.len());
    // Its headers end with an empty line.
    for line in lines.skip_while(|line| !line.trim_ascii().is_empty()) {
        if line.trim_ascii_end() == "-----BEGIN PGP SIGNATURE-----" {
            return Ok(Cow::Owned(signed));
        }
        signed.push_str(line.strip_prefix("- ").unwrap_or(line));
        signed.push('\n');
    }
    Err(DscError::Signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HELLO: &str = "Format: 3.0 (quilt)\nSource: hello\nBinary: hello\nVersion: 1:2.10-3\nChecksums-Sha256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 10 hello_2.10.orig.tar.gz\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 20 hello_2.10-3.debian.tar.xz\nFiles:\n \
        d41d8cd98f00b204e9800998ecf8427e 10 hello_2.10.orig.tar.gz\n \
        d41d8cd98f00b204e9800998ecf8427e 20 hello_2.10-3.debian.tar.xz\n";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let rendered = match Dsc::parse(text.as_bytes()) {
            Ok(dsc) => {
                let names: Vec<&str> = dsc.files.iter().map(|file| file.name.as_str()).collect();
                let (version, upstream) = (dsc.version_in_names(), dsc.upstream_version());
                format!("{} {version} {upstream} {:?}: {}", dsc.source, dsc.format, names.join(", "))
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(rendered, expected);
    }

    const READ: &str = "hello 2.10-3 2.10 Quilt: hello_2.10.orig.tar.gz, hello_2.10-3.debian.tar.xz";

    #[test]
    fn a_package_is_read() {
        check(HELLO, READ);
        check(&HELLO.replace("1:2.10-3", "2.10"), &READ.replace("2.10-3 2.10 ", "2.10 2.10 "));
        check(&HELLO[..HELLO.find("Files:").unwrap()], READ);
    }

    #[test]
    fn a_signature_is_taken_off() {
        let signed = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{}\n- -----\n-----BEGIN PGP SIGNATURE-----\n\nx\n",
            HELLO.replace("Binary: hello", "- Binary: hello")
        );
        check(&signed.replace("\n- -----", ""), READ);
        check(
            &signed,
            "line 13: expected `Name: value`"
                .replace("line 13", "it is not made of fields")
                .as_str()
                .split(": exp")
                .next()
                .unwrap(),
        );
        check(&signed.replace("-----BEGIN PGP SIGNATURE", "-"), "the signed text has no end");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |from: &str, to: &str, expected: &str| {
            assert!(HELLO.contains(from), "{from}");
            check(&HELLO.replace(from, to), expected);
        };
        check("Format: 3.0 (quilt)\n", "", "the field `Format` is missing");
        check("Binary: hello\n", &"A:\n\n".repeat(2 << 20), "it has more than 4 MiB");
        check(
            "3.0 (quilt)",
            "3.0 (git)",
            "the format `3.0 (git)` is not supported: only `3.0 (quilt)`, `3.0 (native)` and `1.0` are",
        );
        check("Source: hello", "Source: ../hello", "`../hello` is not the name of a source package");
        check("1:2.10-3", "2/3", "the version is wrong");
        check("Checksums-Sha256", "Checksums-Sha1", "the field `Checksums-Sha256` is missing");
        check(
            "10 hello_2.10.orig",
            "10 ../hello_2.10.orig",
            "the list of files has the malformed line \
             `e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 10 ../hello_2.10.orig.tar.gz`",
        );
        check(
            " d41d8cd98f00b204e9800998ecf8427e 10 h",
            " d41d8cd98f00b204e9800998ecf8427e 10 other_h",
            "`other_hello_2.10.orig.tar.gz` is not once in each list of files",
        );
        check(
            "\n d41d8cd98f00b204e9800998ecf8427e 20 hello_2.10-3.debian.tar.xz",
            "",
            "`hello_2.10-3.debian.tar.xz` is not once in each list of files",
        );
        check(
            "20 hello_2.10-3.debian.tar.xz",
            "20 hello_2.10.orig.tar.gz",
            "`hello_2.10.orig.tar.gz` is not once in each list of files",
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Dsc::parse(&bytes);
        }
    }
}
