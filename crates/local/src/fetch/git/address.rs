//! Where repositories are: which kinds of addresses there are, and where relative ones lead.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use super::super::url;
use super::GitError;

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// As it was written, without credentials: for people.
    shown: String,
    pub(super) place: Place,
}

/// The ways to reach a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The smart protocol over `http` or `https`.
    Http { url: String },
    /// The protocol of `git daemon`.
    Daemon { host: String, port: Option<u16>, path: String },
    /// A directory of this machine.
    Directory(PathBuf),
}

impl Address {
    /// Returns the address that `text` is: a URL with `https`, `http`, `git` or `file`, or a path, which may be
    /// relative to the directory `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Address, GitError> {
        let place = Place::parse(text)?;
        let place = match place {
            Place::Directory(path) => Place::Directory(lexically_absolute(&base.join(path))),
            other => other,
        };
        Ok(Address { shown: url::shown(text), place })
    }

    /// Returns whether the repository is a directory of this machine, so that no connection is needed.
    pub fn is_local(&self) -> bool {
        matches!(self.place, Place::Directory(_))
    }

    /// Returns a text that is the same for two addresses only if they name the same place.
    pub fn key(&self) -> String {
        match &self.place {
            Place::Http { url } => url.clone(),
            Place::Daemon { host, port, path } => format!("git://{host}:{}{path}", port.unwrap_or(PORT)),
            Place::Directory(path) => format!("file://{}", path.display()),
        }
    }

    /// Returns the address of a submodule that a repository at this address names as `text`.
    ///
    /// One that starts with `./` or `../` is relative to this address, as git has it. A repository elsewhere
    /// cannot name a directory of this machine.
    pub(super) fn submodule(&self, text: &str) -> Result<Address, GitError> {
        let bad = || GitError::BadAddress { address: url::shown(text) };
        let is_relative = text == "." || text == ".." || text.starts_with("./") || text.starts_with("../");
        if !is_relative {
            let address = Address { shown: url::shown(text), place: Place::parse(text)? };
            return match (&address.place, self.is_local()) {
                (Place::Directory(path), true) if path.is_absolute() => Ok(address),
                (Place::Directory(_), _) => Err(bad()),
                _ => Ok(address),
            };
        }
        match &self.place {
            Place::Http { url } => {
                let start = url.len() - after_authority(url).len();
                let joined = format!("{}{}", &url[..start], join(&url[start..], text).ok_or_else(bad)?);
                Ok(Address { shown: url::shown(&joined), place: Place::Http { url: joined } })
            }
            Place::Daemon { host, port, path } => {
                let path = join(path, text).ok_or_else(bad)?;
                let authority = port.map_or(host.clone(), |port| format!("{host}:{port}"));
                let shown = format!("git://{authority}{path}");
                Ok(Address { shown, place: Place::Daemon { host: host.clone(), port: *port, path } })
            }
            Place::Directory(directory) => {
                let path = lexically_absolute(&directory.join(text));
                Ok(Address { shown: path.display().to_string(), place: Place::Directory(path) })
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The port of `git daemon`.
pub(super) const PORT: u16 = 9418;

impl Place {
    fn parse(text: &str) -> Result<Place, GitError> {
        let bad = || GitError::BadAddress { address: url::shown(text) };
        let ssh = || GitError::Ssh { address: url::shown(text) };
        if text.is_empty() || text.contains(|c: char| c.is_control()) {
            return Err(bad());
        }
        match url::scheme(text).as_deref() {
            Some("http" | "https") => {
                let is_whole = !url::authority(text).is_empty()
                    && !text.contains(|c: char| c.is_whitespace() || c == '#' || c == '?');
                if is_whole { Ok(Place::Http { url: text.to_owned() }) } else { Err(bad()) }
            }
            Some("git") => {
                let authority = url::authority(text);
                let path = after_authority(text);
                let (host, port) = match authority.rsplit_once(':') {
                    Some((host, port)) if !port.ends_with(']') => {
                        (host, Some(port.parse().map_err(|_| bad())?))
                    }
                    _ => (authority, None),
                };
                if host.is_empty() || host.contains('@') || !path.starts_with('/') {
                    return Err(bad());
                }
                Ok(Place::Daemon { host: host.to_owned(), port, path: path.to_owned() })
            }
            Some("file") => url::file_path(text).map(Place::Directory).ok_or_else(bad),
            Some("ssh" | "git+ssh" | "ssh+git") => Err(ssh()),
            Some(_) => Err(bad()),
            // `host:path`, as in scp, unless a slash before the colon makes it a path.
            None => match text.split_once(':') {
                // `ext::sh` names a program to run.
                Some((host, rest)) if !host.contains('/') => {
                    Err(if rest.starts_with(':') { bad() } else { ssh() })
                }
                _ => Ok(Place::Directory(PathBuf::from(OsString::from_vec(text.as_bytes().to_vec())))),
            },
        }
    }
}

/// Returns what follows the host: the path and the rest.
fn after_authority(url: &str) -> &str {
    let start = url.find("//").map_or(0, |idx| idx + 2) + url::authority(url).len();
    &url[start..]
}

/// Returns where `relative` leads from the path of a URL; `None` if above the top.
fn join(path: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| format!("/{}", parts.join("/")))
}

/// Returns the path without `.` and `..`, which are taken out without looking at what is there, as git does.
fn lexically_absolute(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match Address::parse(text, Path::new("/project/sub")) {
            Ok(address) => address.key(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn kinds_of_addresses() {
        check("https://a.example/x.git", "https://a.example/x.git");
        check("http://me:secret@a.example/x", "http://me:secret@a.example/x");
        check("git://a.example/x", "git://a.example:9418/x");
        check("git://[::1]:99/x", "git://[::1]:99/x");
        check("git://[::1]/x", "git://[::1]:9418/x");
        check("file:///a%20b/x", "file:///a b/x");
        check("/x/y", "file:///x/y");
        check("./x:y", "file:///project/sub/x:y");
        check("../x/./y", "file:///project/x/y");
        for bad in
            ["", "ftp://a.example/x", "git://", "git://a.example", "git://a:b/x", "ext::sh", "https://"]
        {
            check(bad, &format!("`{bad}` is no address of a git repository"));
        }
        check(
            "git@a.example:x/y.git",
            "`git@a.example:x/y.git` is an SSH address, and SSH is not spoken here",
        );
        check("ssh://a.example/x", "`ssh://a.example/x` is an SSH address, and SSH is not spoken here");
        check("a\nb", "`a\nb` is no address of a git repository");
    }

    #[test]
    fn passwords_are_not_shown() {
        let address = Address::parse("https://me:secret@a.example/x", Path::new("/")).unwrap();
        assert_eq!(address.to_string(), "https://me:***@a.example/x");
    }

    #[test]
    fn submodules_are_relative_to_their_repository() {
        #[track_caller]
        fn check(from: &str, text: &str, expected: Option<&str>) {
            let from = Address::parse(from, Path::new("/project")).unwrap();
            assert_eq!(from.submodule(text).ok().map(|address| address.key()).as_deref(), expected, "{text}");
        }
        let remote = "https://a.example/group/x.git";
        check(remote, "../y.git", Some("https://a.example/group/y.git"));
        check(remote, "../../other/y", Some("https://a.example/other/y"));
        check("https://a.example/x/", "../y", Some("https://a.example/y"));
        check(remote, "./y", Some("https://a.example/group/x.git/y"));
        check(remote, "../../../y", None);
        check(remote, "../..", None);
        check(remote, "http://b.example/y", Some("http://b.example/y"));
        check("git://a.example:7/x/y", "../z", Some("git://a.example:7/x/z"));
        // What is on this machine is nothing that others may point to.
        check(remote, "file:///etc", None);
        check(remote, "/etc", None);
        check(remote, "etc", None);
        check("/srv/x.git", "../y.git", Some("file:///srv/y.git"));
        check("/srv/x.git", "/srv/y.git", Some("file:///srv/y.git"));
        check("/srv/x.git", "y.git", None);
        check("/srv/x.git", "https://a.example/y", Some("https://a.example/y"));
        check("/srv/x.git", "git@a.example:y", None);
    }
}
