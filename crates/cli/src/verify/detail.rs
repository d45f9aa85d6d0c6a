//! What differs between the files of two runs, as far as a person wants to know.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use cas::{Digest, LocalStore, Node};
use engine::PathChange;
use layer::{Layer, Located};
use serde::Serialize;

/// How many files of a step, and how many members of a layer, are described.
const DESCRIBED: usize = 5;
/// How many bytes are shown of each of two contents, from where they differ.
const SHOWN: usize = 24;

/// A file that two runs left differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FileDifference {
    /// Its path in the step's output.
    pub(crate) path: String,
    /// In what it differs, a line each.
    pub(crate) details: Vec<String>,
}

/// Returns in what the trees `before` and `after` differ: the first files, and how many more there are.
///
/// Fails when the store does.
pub(crate) fn differences(
    store: &LocalStore,
    before: &Digest,
    after: &Digest,
) -> Result<(Vec<FileDifference>, usize), Box<dyn Error + Send + Sync>> {
    let paths = engine::diff_trees(store, before, after)?;
    let mut files = Vec::new();
    for (path, change) in paths.iter().take(DESCRIBED) {
        let details = match change {
            PathChange::Added => vec!["only the second run left it".to_owned()],
            PathChange::Removed => vec!["only the first run left it".to_owned()],
            PathChange::Mode => vec!["it can be executed after one run only".to_owned()],
            PathChange::Changed => changed(store, find(store, before, path)?, find(store, after, path)?)?,
        };
        files.push(FileDifference { path: path.clone(), details });
    }
    Ok((files, paths.len().saturating_sub(DESCRIBED)))
}

/// Returns what is at `path` of the tree, if anything is.
fn find(store: &LocalStore, tree: &Digest, path: &str) -> Result<Option<Node>, Box<dyn Error + Send + Sync>> {
    let mut node = Node::Directory { digest: *tree };
    for name in path.split('/') {
        let Node::Directory { digest } = node else { return Ok(None) };
        match store.read_directory(&digest)?.entries.remove(name) {
            Some(found) => node = found,
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}

fn changed(
    store: &LocalStore,
    before: Option<Node>,
    after: Option<Node>,
) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let (before, after) = match (before, after) {
        (Some(Node::File { digest: before, .. }), Some(Node::File { digest: after, .. })) => (before, after),
        (Some(Node::Symlink { target: before }), Some(Node::Symlink { target: after })) => {
            return Ok(vec![format!("it points to `{before}`, then to `{after}`")]);
        }
        _ => return Ok(vec!["it is something else altogether".to_owned()]),
    };
    let open = |digest: &Digest| store.open_blob(digest);
    if let Some(members) = members(open(&before)?, open(&after)?) {
        return Ok(members);
    }
    let (before, after) = (open(&before)?, open(&after)?);
    Ok(vec![first_difference(before, after)?])
}

/// Compares two layers member by member; `None` when one of the files is none.
fn members(before: File, after: File) -> Option<Vec<String>> {
    let layers = [before, after].map(|file| Layer::new("layer", Arc::new(file)));
    let entries = |layer: &Layer| {
        let entries: Result<Vec<Located>, _> = layer.entries().ok()?.collect();
        let by_path = |located: Located| (located.entry.path.as_bytes().to_vec(), located);
        Some(entries.ok()?.into_iter().map(by_path).collect::<BTreeMap<_, _>>())
    };
    let (before, after) = (entries(&layers[0])?, entries(&layers[1])?);
    let mut details = Vec::new();
    let paths: std::collections::BTreeSet<&Vec<u8>> = before.keys().chain(after.keys()).collect();
    for path in paths {
        let name = String::from_utf8_lossy(path);
        let detail = match (before.get(path), after.get(path)) {
            (Some(one), Some(other)) => match member(&layers, one, other) {
                Some(detail) => detail,
                None => continue,
            },
            (Some(_), None) => "only the first run left it".to_owned(),
            _ => "only the second run left it".to_owned(),
        };
        if details.len() == DESCRIBED {
            details.push("and more".to_owned());
            break;
        }
        details.push(format!("member `{name}`: {detail}"));
    }
    Some(details)
}

/// Returns in what a member differs, if it does.
fn member(layers: &[Layer; 2], one: &Located, other: &Located) -> Option<String> {
    let (first, second) = (&one.entry.metadata, &other.entry.metadata);
    if std::mem::discriminant(&one.entry.kind) != std::mem::discriminant(&other.entry.kind) {
        return Some("it is something else altogether".to_owned());
    }
    if first.mode != second.mode {
        return Some(format!("mode {:o}, then {:o}", first.mode, second.mode));
    }
    if (first.uid, first.gid) != (second.uid, second.gid) {
        return Some(format!("owner {}:{}, then {}:{}", first.uid, first.gid, second.uid, second.gid));
    }
    if first.mtime != second.mtime {
        return Some(format!("time {}, then {}", first.mtime, second.mtime));
    }
    if first.xattrs != second.xattrs {
        return Some("other extended attributes".to_owned());
    }
    let contents = (layers[0].open_content(one), layers[1].open_content(other));
    match first_difference(contents.0, contents.1) {
        Ok(detail) if detail.is_empty() && one.entry.kind == other.entry.kind => None,
        Ok(detail) if detail.is_empty() => Some("it points elsewhere".to_owned()),
        Ok(detail) => Some(detail),
        Err(error) => Some(format!("it could not be read: {error}")),
    }
}

/// Says where two contents differ first, and what is there; nothing when they are the same.
fn first_difference(before: impl Read, after: impl Read) -> std::io::Result<String> {
    const CHUNK: usize = 1 << 20;
    let (mut before, mut after) = (before, after);
    let mut offset = 0;
    // The end of what was the same shows what it is about.
    let mut same: Vec<u8> = Vec::new();
    loop {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        before.by_ref().take(CHUNK as u64).read_to_end(&mut one)?;
        after.by_ref().take(CHUNK as u64).read_to_end(&mut other)?;
        let n_same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
        same.extend_from_slice(&one[..n_same]);
        same.drain(..same.len().saturating_sub(SHOWN / 2));
        offset += n_same;
        if one == other {
            if one.is_empty() {
                return Ok(String::new());
            }
            continue;
        }
        let shown = |bytes: &[u8]| {
            let rest = &bytes[n_same..bytes.len().min(n_same + SHOWN)];
            [&same, rest].concat().escape_ascii().to_string()
        };
        return Ok(format!("from byte {offset} on: `{}`, then `{}`", shown(&one), shown(&other)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_shown_with_what_is_around() {
        let check = |before: &str, after: &str, expected: &str| {
            assert_eq!(first_difference(before.as_bytes(), after.as_bytes()).unwrap(), expected);
        };
        check("same", "same", "");
        check("built 2026", "built 2028", "from byte 9 on: `built 2026`, then `built 2028`");
        check("ab", "abc", "from byte 2 on: `ab`, then `abc`");
        check("", "\0", "from byte 0 on: ``, then `\\x00`");
        let long = "x".repeat(3 << 20);
        let at_the_end = first_difference(format!("{long}1").as_bytes(), format!("{long}2").as_bytes());
        assert_eq!(at_the_end.unwrap(), "from byte 3145728 on: `xxxxxxxxxxxx1`, then `xxxxxxxxxxxx2`");
    }
}
