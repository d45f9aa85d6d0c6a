//! A package as the lock keeps it.

use crate::depends::{is_architecture_name, is_package_name};
use crate::digest::Sha256;
use crate::mirror::Mirrors;
use crate::packages::Package;
use crate::resolve::ReleasePin;
use crate::version;

/// Names one `.deb` by content, and says where it may be had.
///
/// Whoever has a pin has a checked one: names, version and path can be used in file names and URLs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Pin {
    fields: Fields,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: String,
    version: String,
    architecture: String,
    suite: String,
    filename: String,
    size: u64,
    sha256: Sha256,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    essential: bool,
}

/// Why a package cannot be pinned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("package `{package}` cannot be pinned: its {field} is `{value}`")]
pub struct PinError {
    /// The package.
    pub package: String,
    /// What is not as it must be.
    pub field: &'static str,
    /// What it is.
    pub value: String,
}

impl Pin {
    /// Pins a package of `suite`.
    pub(super) fn new(package: &Package<'_>, suite: &str) -> Result<Pin, PinError> {
        let sha256 = package.sha256().parse().map_err(|_| PinError {
            package: package.name().to_owned(),
            field: "SHA256",
            value: package.sha256().to_owned(),
        })?;
        Pin::try_from(Fields {
            name: package.name().to_owned(),
            version: package.version().to_owned(),
            architecture: package.architecture().to_owned(),
            suite: suite.to_owned(),
            filename: package.filename().to_owned(),
            size: package.size(),
            sha256,
            essential: package.essential(),
        })
    }

    /// The package's name.
    pub fn name(&self) -> &str {
        &self.fields.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.fields.version
    }

    /// Its architecture, which may be `all`.
    pub fn architecture(&self) -> &str {
        &self.fields.architecture
    }

    /// The suite it was found in.
    pub fn suite(&self) -> &str {
        &self.fields.suite
    }

    /// Where it lies, relative to the archive's base.
    pub fn filename(&self) -> &str {
        &self.fields.filename
    }

    /// Its size.
    pub fn size(&self) -> u64 {
        self.fields.size
    }

    /// Its content.
    pub fn sha256(&self) -> Sha256 {
        self.fields.sha256
    }

    /// Whether it is part of every system.
    pub fn essential(&self) -> bool {
        self.fields.essential
    }

    /// `bash_5.2.15-2_amd64.deb`: unlike what the archive calls it, this has no directories and no epoch.
    pub fn deb_name(&self) -> String {
        let version = self.version().split_once(':').map_or(self.version(), |(_, rest)| rest);
        format!("{}_{version}_{}.deb", self.name(), self.architecture())
    }

    /// Where it may be had, in the order in which to try: mirrors, then snapshots of the time of `release`,
    /// which must be that of the pin's suite.
    pub fn urls(&self, mirrors: &Mirrors, release: &ReleasePin) -> Vec<String> {
        let mut urls = mirrors.urls(release.archive, self.filename());
        urls.extend(mirrors.snapshot_urls(release.archive, release.date, self.filename()));
        urls
    }
}

impl From<Pin> for Fields {
    fn from(pin: Pin) -> Fields {
        pin.fields
    }
}

impl TryFrom<Fields> for Pin {
    type Error = PinError;

    fn try_from(fields: Fields) -> Result<Pin, PinError> {
        let wrong = if !is_package_name(&fields.name) {
            Some(("name", &fields.name))
        } else if version::check(&fields.version).is_err() {
            Some(("version", &fields.version))
        } else if !is_architecture_name(&fields.architecture) {
            Some(("architecture", &fields.architecture))
        } else if !is_suite(&fields.suite) {
            Some(("suite", &fields.suite))
        } else if !is_safe_path(&fields.filename) {
            Some(("file name", &fields.filename))
        } else {
            None
        };
        match wrong {
            Some((field, value)) => {
                Err(PinError { package: fields.name.clone(), field, value: value.clone() })
            }
            None => Ok(Pin { fields }),
        }
    }
}

fn is_suite(suite: &str) -> bool {
    !suite.is_empty() && suite.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Relative, downward, and of characters that mean nothing to a URL but the path.
pub(super) fn is_safe_path(path: &str) -> bool {
    let is_safe_name = |name: &str| {
        !matches!(name, "" | "." | "..")
            && name.bytes().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'~' | b'_' | b':' | b'%')
            })
    };
    path.split('/').all(is_safe_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(from: &str, to: &str) -> String {
        format!(
            r#"{{"name":"bash","version":"1:5.2-2+b7","architecture":"amd64","suite":"bookworm","filename":"pool/main/b/bash/bash_5.2-2%2bb7_amd64.deb","size":9,"sha256":"{}"}}"#,
            "0".repeat(64)
        )
        .replace(from, to)
    }

    #[test]
    fn json_reads_as_it_was_written() {
        let pin: Pin = serde_json::from_str(&json("", "")).unwrap();
        assert_eq!(serde_json::to_string(&pin).unwrap(), json("", ""));
        assert_eq!(pin.deb_name(), "bash_5.2-2+b7_amd64.deb");
    }

    #[track_caller]
    fn check_refused(from: &str, to: &str, expected: &str) {
        let error = serde_json::from_str::<Pin>(&json(from, to)).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    #[test]
    fn what_could_do_harm_is_refused() {
        check_refused("pool/main", "/etc", "package `bash` cannot be pinned: its file name is `/etc/b/bash");
        check_refused("pool/main", "../x", "package `bash` cannot be pinned: its file name is `../x/b/bash");
        check_refused(
            "pool/main",
            "pool//main",
            "package `bash` cannot be pinned: its file name is `pool//main",
        );
        check_refused(
            "pool/main",
            "pool?main",
            "package `bash` cannot be pinned: its file name is `pool?main",
        );
        check_refused(
            r#""bash""#,
            r#""../bash""#,
            "package `../bash` cannot be pinned: its name is `../bash`",
        );
        check_refused("1:5.2-2+b7", "1/2", "package `bash` cannot be pinned: its version is `1/2`");
        check_refused(
            r#""amd64""#,
            r#""am d""#,
            "package `bash` cannot be pinned: its architecture is `am d`",
        );
        check_refused(r#""bookworm""#, r#""a/b""#, "package `bash` cannot be pinned: its suite is `a/b`");
        check_refused("0000", "zzzz", "`zzzz");
        check_refused(r#""size""#, r#""extra":1,"size""#, "unknown field `extra`");
    }
}
