//! What `pkgroot configure` is asked to do, as plain data.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The specification of one run. Relative paths are relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The tree of all packages as plain files, with what configuring those below changed. Only read.
    pub root: PathBuf,
    /// What is configured already, the lowest first.
    #[serde(default)]
    pub below: Vec<Stage>,
    /// The layers of the packages to configure as [`crate::deb::unpack`] made them, in an order in which they can be
    /// installed.
    pub layers: Vec<PathBuf>,
    /// Debian's name of the system's own architecture.
    pub architecture: String,
    /// The other architectures that packages may have.
    #[serde(default)]
    pub foreign_architectures: Vec<String>,
    /// What `/etc/hostname` says. Without it there is none.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Answers to the packages' questions, in the form that debconf-set-selections(1) reads.
    #[serde(default)]
    pub preseed: String,
}

/// Packages that were configured together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Their layers.
    pub packages: Vec<PathBuf>,
    /// The layer of what that changed.
    pub changes: PathBuf,
}

/// The specification cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file could not be read.
    #[error("could not read the specification `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not the JSON that is expected.
    #[error("the specification is not what `pkgroot configure` reads")]
    Syntax(#[from] serde_json::Error),
    /// A value that would do harm.
    #[error("the specification's `{key}` cannot be `{value}`")]
    Value {
        /// The key.
        key: &'static str,
        /// What it says.
        value: String,
    },
}

impl Spec {
    /// Reads a specification from the file `path`.
    pub fn load(path: &Path) -> Result<Spec, SpecError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SpecError::Read { path: path.to_owned(), source })?;
        Spec::parse(&text)
    }

    /// Reads a specification.
    pub fn parse(text: &str) -> Result<Spec, SpecError> {
        let spec: Spec = serde_json::from_str(text)?;
        let architectures = std::iter::once(&spec.architecture).chain(&spec.foreign_architectures);
        for architecture in architectures {
            let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if architecture.is_empty() || architecture == "all" || !architecture.bytes().all(is_name) {
                return Err(SpecError::Value { key: "architecture", value: architecture.clone() });
            }
        }
        if let Some(hostname) = &spec.hostname {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
            if hostname.is_empty() || hostname.len() > 253 || !hostname.bytes().all(is_name) {
                return Err(SpecError::Value { key: "hostname", value: hostname.clone() });
            }
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let rendered = match Spec::parse(text) {
            Ok(spec) => spec.architecture,
            Err(SpecError::Syntax(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(rendered, expected);
    }

    #[test]
    fn specifications() {
        check(r#"{"root": "in/root", "layers": [], "architecture": "amd64"}"#, "amd64");
        check(
            r#"{"root": "in/root", "layers": [], "architecture": "../x"}"#,
            "the specification's `architecture` cannot be `../x`",
        );
        check(
            r#"{"root": "", "layers": [], "architecture": "arm64", "hostname": "a\nb"}"#,
            "the specification's `hostname` cannot be `a\nb`",
        );
        check(
            r#"{"roof": ""}"#,
            "unknown field `roof`, expected one of `root`, `below`, `layers`, `architecture`, \
             `foreign_architectures`, `hostname`, `preseed` at line 1 column 7",
        );
    }
}
