//! What a package says about itself, and what dpkg calls its files.

use layer::EntryPath;

use crate::deb822::{self, Deb822Error};
use crate::version::{self, VersionError};

/// Where dpkg keeps the control files of installed packages.
pub const INFO_DIRECTORY: &str = "var/lib/dpkg/info";
/// Where an unpacked layer keeps the package's control stanza until somebody configures it.
pub const STATUS_DIRECTORY: &str = "var/lib/dpkg/status.d";

/// The fields of a control stanza that decide where things go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The package's name; contains nothing that means something in a path.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The architecture it was built for, or `all`.
    pub architecture: String,
    /// Whether it can be installed for several architectures at once.
    pub is_multi_arch_same: bool,
}

/// Why a control stanza is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Not made of fields.
    #[error("it is not made of fields")]
    Syntax(#[from] Deb822Error),
    /// A field that every package has.
    #[error("it has no field `{0}`")]
    Missing(&'static str),
    /// A name that could not be a file name.
    #[error("`{0}` is not the name of a package")]
    Name(String),
    /// An architecture that could not be a file name.
    #[error("`{0}` is not the name of an architecture")]
    Architecture(String),
    /// Not a version.
    #[error("`{version}` is not a version")]
    Version {
        /// What is there instead.
        version: String,
        /// What is wrong with it.
        source: VersionError,
    },
}

impl Identity {
    /// Reads a control stanza.
    pub fn parse(control: &str) -> Result<Identity, ControlError> {
        let fields = deb822::single(control)?;
        let field =
            |name| fields.get(name).filter(|value| !value.is_empty()).ok_or(ControlError::Missing(name));
        let (name, version, architecture) = (field("Package")?, field("Version")?, field("Architecture")?);
        // Policy 5.6.1.
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !name.bytes().all(is_name_byte) || !name.as_bytes()[0].is_ascii_alphanumeric() || name.len() > 128
        {
            return Err(ControlError::Name(name.to_owned()));
        }
        let is_architecture_byte =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !architecture.bytes().all(is_architecture_byte) || architecture.len() > 64 {
            return Err(ControlError::Architecture(architecture.to_owned()));
        }
        version::check(version)
            .map_err(|source| ControlError::Version { version: version.to_owned(), source })?;
        Ok(Identity {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: architecture.to_owned(),
            is_multi_arch_same: fields.get("Multi-Arch") == Some("same"),
        })
    }

    /// Returns the name by which dpkg tells this package from those of the same name for other architectures.
    pub fn info_name(&self) -> String {
        if self.is_multi_arch_same {
            format!("{}:{}", self.name, self.architecture)
        } else {
            self.name.clone()
        }
    }

    /// Returns where dpkg keeps the package's file `extension` (`list`, `postinst`).
    pub fn info_path(&self, extension: &str) -> EntryPath {
        path(format!("{INFO_DIRECTORY}/{}.{extension}", self.info_name()))
    }

    /// Returns where an unpacked layer keeps the control stanza.
    pub fn status_path(&self) -> EntryPath {
        path(format!("{STATUS_DIRECTORY}/{}", self.info_name()))
    }
}

fn path(path: String) -> EntryPath {
    EntryPath::new(path).expect("names and architectures were checked, and control files have plain names")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(control: &str, expected: &str) {
        let rendered = match Identity::parse(control) {
            Ok(identity) => identity.info_path("list").to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(rendered, expected);
    }

    #[test]
    fn identities() {
        check("Package: a+b\nVersion: 1\nArchitecture: all\n", "var/lib/dpkg/info/a+b.list");
        check(
            "Package: libc6\nVersion: 2.36-9\nMulti-Arch: same\nArchitecture: amd64\n",
            "var/lib/dpkg/info/libc6:amd64.list",
        );
    }

    #[test]
    fn stanzas_that_name_no_package_are_refused() {
        check("Package: a\nArchitecture: all\n", "it has no field `Version`");
        check("Package: ../x\nVersion: 1\nArchitecture: all\n", "`../x` is not the name of a package");
        check("Package: ..\nVersion: 1\nArchitecture: all\n", "`..` is not the name of a package");
        check("Package: a\nVersion: 1\nArchitecture: ../x\n", "`../x` is not the name of an architecture");
        check("Package: a\nVersion: 1 2\nArchitecture: all\n", "`1 2` is not a version");
        check("no field", "it is not made of fields");
    }
}
