//! What is written to name a repository and a commit in it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::reader::{FromText, Wrong};

/// The address of a git repository: `https://…`, `http://…`, `git://…`, `file:///…`, or the path of a directory,
/// which begins with `/`, `./` or `../`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitAddress(String);

/// A tag, branch or commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitRev(String);

impl GitAddress {
    /// Returns the address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GitRev {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const SCHEMES: [&str; 4] = ["https://", "http://", "git://", "file:///"];
const SSH: [&str; 3] = ["ssh://", "git+ssh://", "ssh+git://"];
const PATHS: [&str; 3] = ["/", "./", "../"];

impl FromText for GitAddress {
    fn from_text(text: &str) -> Result<GitAddress, Wrong> {
        let is_path = text == "." || text == ".." || PATHS.iter().any(|start| text.starts_with(start));
        let is_url =
            SCHEMES.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        let has_odd = text.contains(char::is_control) || (is_url && text.contains([' ', '?', '#']));
        if (is_path || is_url) && !has_odd {
            return Ok(GitAddress(text.to_owned()));
        }
        let shown = text.escape_debug();
        let is_scp = text.split_once(':').is_some_and(|(host, path)| {
            !host.is_empty() && !host.contains('/') && !path.starts_with("//") && !path.starts_with(':')
        });
        if is_scp || SSH.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(Wrong::new(
                format!("`{shown}` is an SSH address, and Bootwright does not speak SSH"),
                "write `https://HOST/PATH`, or clone it yourself and write the path of the clone",
            ));
        }
        Err(Wrong::new(
            format!("`{shown}` is not the address of a git repository"),
            "write `https://…`, or a path that begins with `/`, `./` or `../`",
        ))
    }
}

impl FromText for GitRev {
    fn from_text(text: &str) -> Result<GitRev, Wrong> {
        // What git allows in no name; most of it would make the name an expression.
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
        let is_name = !text.is_empty() && !text.starts_with(['-', '/']) && !text.ends_with('/');
        if is_name && !text.contains(is_odd) && !text.contains("..") && !text.contains("@{") {
            return Ok(GitRev(text.to_owned()));
        }
        Err(Wrong::new(
            format!("`{}` is no name of a tag, branch or commit", text.escape_debug()),
            "write a tag, a branch, or all 40 digits of a commit",
        ))
    }
}

impl JsonSchema for GitAddress {
    fn schema_name() -> Cow<'static, str> {
        "GitAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The address of a git repository, or the path of one.",
            "pattern": "^((https?|git)://|file:///|\\.{0,2}/).|^\\.{1,2}$|^/$",
        })
    }
}

impl JsonSchema for GitRev {
    fn schema_name() -> Cow<'static, str> {
        "GitRev".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A tag, branch or commit.",
            "pattern": "^[^\\s~^:?*\\[\\\\]+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in [
            "https://a.example/x.git",
            "http://a.example:8080/x",
            "git://a.example/x",
            "file:///srv/x.git",
            "/srv/x y.git",
            "./x",
            "../x",
            "..",
        ] {
            assert!(GitAddress::from_text(good).is_ok(), "{good}");
        }
        for ssh in ["ssh://a.example/x", "git@a.example:x/y.git", "a.example:x"] {
            assert!(GitAddress::from_text(ssh).unwrap_err().message.contains("SSH"), "{ssh}");
        }
        for bad in
            ["", "x", "x/y", "https://", "ftp://x/y", "ext::sh", "https://x/a b", "/a\nb", "file://x/y"]
        {
            let message = GitAddress::from_text(bad).unwrap_err().message;
            assert!(message.ends_with("is not the address of a git repository"), "{bad}: {message}");
        }
    }

    #[test]
    fn names_of_commits() {
        for good in ["v1.2", "main", "release/2.x", "refs/heads/main", "HEAD", "0123abcd"] {
            assert!(GitRev::from_text(good).is_ok(), "{good}");
        }
        for bad in ["", "HEAD~1", "v1^{}", "a..b", "main@{1}", "a b", "-x", "refs/heads/", "*", "a:b"] {
            assert!(GitRev::from_text(bad).is_err(), "{bad}");
        }
    }
}
