//! What differs between the files of two runs, as far as a person wants to know.

use std::error::Error;
use std::sync::Arc;

use cas::{Digest, LocalStore, Node};
use engine::PathChange;
use inspect::{Aspect, Differences, Excerpt, Ignored, Limits, Object, Source};
use serde::Serialize;

use crate::{differences, ui};

/// How many files of a step, and how many differences of an image, are described.
const DESCRIBED: usize = 5;

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
    let open = |digest: &Digest| store.open_blob(digest).map(|file| Arc::new(file) as Source);
    let (before, after) = (open(&before)?, open(&after)?);
    let object = |source: &Source| Object::of("file".to_owned(), source.clone(), 0, Limits::default()).ok();
    if let (Some(one), Some(other)) = (object(&before), object(&after))
        && let (Some(_), Some(_)) = (one.container(), other.container())
        && let Ok(found) = inspect::diff(&one, &other, Ignored::default())
    {
        return Ok(inside(&found));
    }
    Ok(Excerpt::between(&before, &after)?.iter().map(shown).collect())
}

/// Says in what two images differ, causes first.
fn inside(found: &Differences) -> Vec<String> {
    let (groups, changes) = found.causes();
    let mut details: Vec<String> = found.packages.iter().map(differences::of_package).collect();
    details.extend(groups.iter().map(|group| {
        let (n_paths, paths) = (group.paths.len(), ui::some(&group.paths, DESCRIBED));
        format!("{} in {n_paths} places: {paths}", differences::said(&group.aspect))
    }));
    for change in &changes {
        for aspect in &change.aspects {
            let said = match aspect {
                Aspect::Contents(a, b, excerpt) if a == b => shown(excerpt),
                Aspect::Lines(removed, added) => match (removed.first(), added.first()) {
                    (Some(removed), Some(added)) => {
                        format!("`{}`, then `{}`", escaped(removed), escaped(added))
                    }
                    _ => differences::said(aspect),
                },
                _ => differences::said(aspect),
            };
            // A single file that is wrapped in something has no path.
            details.push(if change.path == "." { said } else { format!("`{}`: {said}", change.path) });
        }
    }
    if details.len() > DESCRIBED {
        details.truncate(DESCRIBED);
        details.push("and more".to_owned());
    }
    details
}

fn shown(excerpt: &Excerpt) -> String {
    let Excerpt { at, before, after } = excerpt;
    format!("from byte {at} on: `{}`, then `{}`", before.escape_ascii(), after.escape_ascii())
}

fn escaped(line: &str) -> String {
    line.trim_end().escape_debug().to_string()
}
