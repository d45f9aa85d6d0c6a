//! Paths inside a tree.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// A path below the root of a tree: bytes, relative, without empty, `.` or `..` components and without NUL.
///
/// Paths order by their bytes, so a directory comes before what is in it. A component has at most 255 bytes
/// and a path at most 4095, which is what Linux can open. The root itself has no `EntryPath`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPath(Box<[u8]>);

/// The bytes are not the path of something below the root of a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a path inside the tree: {problem}")]
pub struct PathError {
    path: String,
    problem: &'static str,
}

const MAX_NAME: usize = 255;
const MAX_PATH: usize = 4095;

impl EntryPath {
    /// Returns the path with these bytes, or why there is none.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<EntryPath, PathError> {
        let bytes = bytes.into();
        match problem(&bytes) {
            None => Ok(EntryPath(bytes.into_boxed_slice())),
            // A hostile path may be megabytes long; its beginning is enough to recognise it.
            Some(problem) => {
                let shown = bytes.get(..200).unwrap_or(&bytes);
                Err(PathError { path: String::from_utf8_lossy(shown).into_owned(), problem })
            }
        }
    }

    /// Returns the path that archives of other people mean by `bytes`: `./` in front, doubled and trailing
    /// slashes are dropped, and the root (`./`) is `None`. Absolute paths and `..` stay errors.
    pub fn tolerant(bytes: &[u8]) -> Result<Option<EntryPath>, PathError> {
        if bytes.first() == Some(&b'/') || bytes.is_empty() {
            return EntryPath::new(bytes).map(Some);
        }
        let mut clean = Vec::with_capacity(bytes.len().min(MAX_PATH + 1));
        for component in bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
            if !clean.is_empty() {
                clean.push(b'/');
            }
            clean.extend_from_slice(component);
        }
        if clean.is_empty() { Ok(None) } else { EntryPath::new(clean).map(Some) }
    }

    /// Returns the bytes of the path.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the last component.
    pub fn file_name(&self) -> &[u8] {
        self.components().next_back().expect("a path has at least one component")
    }

    /// Returns the path's components from the top.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/')
    }

    /// Returns the directory that holds this path, or `None` if that is the root.
    pub fn parent(&self) -> Option<EntryPath> {
        self.parent_bytes().map(|parent| EntryPath(parent.into()))
    }

    /// Returns the bytes of [`EntryPath::parent`].
    pub fn parent_bytes(&self) -> Option<&[u8]> {
        self.0.iter().rposition(|byte| *byte == b'/').map(|slash| &self.0[..slash])
    }

    /// Returns the bytes of the directories above this path, the topmost first, without the root.
    pub fn ancestors(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let slashes = self.0.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        slashes.map(|(slash, _)| &self.0[..slash])
    }

    /// Returns the path of `name` (one or several components) in this directory.
    pub fn join(&self, name: &[u8]) -> Result<EntryPath, PathError> {
        EntryPath::new([self.as_bytes(), b"/", name].concat())
    }

    /// Says whether this path lies below the directory `above`.
    pub fn is_below(&self, above: &EntryPath) -> bool {
        self.0.strip_prefix(above.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
    }

    /// Returns the path as text, unless it is not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

fn problem(bytes: &[u8]) -> Option<&'static str> {
    if bytes.is_empty() {
        return Some("it is empty");
    }
    if bytes[0] == b'/' {
        return Some("it is absolute");
    }
    if bytes.len() > MAX_PATH {
        return Some("it is longer than 4095 bytes");
    }
    if bytes.contains(&0) {
        return Some("it contains a NUL byte");
    }
    bytes.split(|byte| *byte == b'/').find_map(|component| match component {
        b"" => Some("it has an empty component"),
        b"." => Some("it has a component `.`"),
        b".." => Some("it has a component `..`"),
        _ if component.len() > MAX_NAME => Some("it has a component longer than 255 bytes"),
        _ => None,
    })
}

impl Borrow<[u8]> for EntryPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for EntryPath {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl FromStr for EntryPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<EntryPath, PathError> {
        EntryPath::new(text)
    }
}

impl serde::Serialize for EntryPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_str() {
            Some(text) => serializer.serialize_str(text),
            None => Err(serde::ser::Error::custom(format!("path `{self}` is not UTF-8"))),
        }
    }
}

impl<'de> serde::Deserialize<'de> for EntryPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<EntryPath, D::Error> {
        EntryPath::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_tree_are_refused() {
        let long_name = "n".repeat(256);
        let long_path = "d/".repeat(2100) + "f";
        let bad =
            ["", "/", "/etc", "a//b", "a/", "./a", "a/./b", "..", "a/../b", "a\0b", &long_name, &long_path];
        for path in bad {
            assert!(EntryPath::new(path).is_err(), "{path}");
        }
        for path in ["a", "a/b", "...", "a/..b", ".hidden", "-"] {
            assert_eq!(EntryPath::new(path).unwrap().as_bytes(), path.as_bytes());
        }
        assert_eq!(
            EntryPath::new("a/../b").unwrap_err().to_string(),
            "`a/../b` is not a path inside the tree: it has a component `..`"
        );
    }

    #[test]
    fn tolerant_reading_drops_what_means_nothing() {
        let read =
            |path: &str| EntryPath::tolerant(path.as_bytes()).map(|path| path.map(|path| path.to_string()));
        assert_eq!(read("./usr//bin/").unwrap().unwrap(), "usr/bin");
        assert_eq!(read("./").unwrap(), None);
        assert_eq!(read(".").unwrap(), None);
        for bad in ["", "/usr", "./../x", "a/..", "//"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_of_a_path() {
        let path = EntryPath::new("usr/lib/x").unwrap();
        assert_eq!(path.file_name(), b"x");
        assert_eq!(path.parent().unwrap().to_string(), "usr/lib");
        assert_eq!(path.ancestors().collect::<Vec<_>>(), [&b"usr"[..], b"usr/lib"]);
        assert!(path.is_below(&EntryPath::new("usr").unwrap()));
        assert!(!path.is_below(&EntryPath::new("us").unwrap()));
        assert_eq!(EntryPath::new("x").unwrap().parent(), None);
    }
}
