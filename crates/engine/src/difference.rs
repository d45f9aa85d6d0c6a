//! What differs between two actions, found by walking what the store has of them.

use std::collections::BTreeSet;
use std::fmt;

use cas::{Digest, Node, Store};
use serde::Serialize;

use crate::action::{Action, Command, DecodeError};
use crate::lines::{Lines, MAX_SIZE};
use crate::tree::{MAX_DEPTH, TreeError, Trees};

/// How many changed paths are named.
const PATHS_NAMED: usize = 20;
/// How many changed paths are counted: a kernel tree may differ in all of its 80,000 files.
const PATHS_COUNTED: usize = 10_000;
/// In how many files it is looked what changed of their text.
const TEXTS_READ: usize = 5;

/// What differs between two actions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs in the command, then the first of the paths that do.
    pub changes: Vec<Change>,
    /// How many more paths differ than are named.
    pub n_more: usize,
    /// The deepest directory of the input root that all paths are in; empty for the root.
    pub common_path: String,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Change {
    /// Arguments were replaced, added or removed.
    Arguments {
        /// How many arguments before them are the same.
        index: usize,
        /// What was there.
        before: Vec<String>,
        /// What is there.
        after: Vec<String>,
    },
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: String,
        /// Its value, if it was set.
        before: Option<String>,
        /// Its value, if it is set.
        after: Option<String>,
    },
    /// A platform property: the step became `root`, or needs `kvm`.
    Property {
        /// Its name.
        name: String,
        /// Its value, if it was set.
        before: Option<String>,
        /// Its value, if it is set.
        after: Option<String>,
    },
    /// Something in the input tree.
    Path {
        /// Where, relative to the input root.
        path: String,
        /// How.
        change: PathChange,
        /// The label of the step that made it, when it comes from one.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// What changed of its lines, when it is a short text.
        #[serde(skip_serializing_if = "Option::is_none")]
        lines: Option<Lines>,
    },
    /// What one of the two was made of is not in the store any more.
    Unknown,
}

/// How something in a tree differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathChange {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It has another content, another target, or is something else altogether.
    Changed,
    /// It has the same content and may now be executed, or may not.
    Mode,
}

impl Change {
    /// Returns the label of the step that made what differs, if one did.
    pub fn producer(&self) -> Option<&String> {
        let Change::Path { from, .. } = self else { return None };
        from.as_ref()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Arguments { before, after, .. } => match (before.as_slice(), after.as_slice()) {
                ([], after) => write!(f, "added argument {}", quote(after)),
                (before, []) => write!(f, "removed argument {}", quote(before)),
                (before, after) => write!(f, "changed argument {} to {}", quote(before), quote(after)),
            },
            Change::Variable { name, before, after } => assignment(f, "variable", name, before, after),
            Change::Property { name, before, after } => assignment(f, "property", name, before, after),
            Change::Path { path, change, from, lines: _ } => {
                let verb = match change {
                    PathChange::Added => "added",
                    PathChange::Removed => "removed",
                    PathChange::Changed => "changed",
                    PathChange::Mode => "changed mode of",
                };
                write!(f, "{verb} {path}")?;
                match from {
                    Some(label) => write!(f, " (from `{label}`)"),
                    None => Ok(()),
                }
            }
            Change::Unknown => f.write_str("what it ran with before is not stored any more"),
        }
    }
}

fn quote(arguments: &[String]) -> String {
    let quoted: Vec<String> = arguments.iter().map(|argument| format!("`{argument}`")).collect();
    quoted.join(" ")
}

fn assignment(
    f: &mut fmt::Formatter<'_>,
    kind: &str,
    name: &str,
    before: &Option<String>,
    after: &Option<String>,
) -> fmt::Result {
    match (before, after) {
        (Some(before), Some(after)) => write!(f, "changed {kind} {name} from `{before}` to `{after}`"),
        (None, Some(after)) => write!(f, "added {kind} {name} = `{after}`"),
        (Some(before), None) => write!(f, "removed {kind} {name}, which was `{before}`"),
        (None, None) => write!(f, "{kind} {name} is the same"),
    }
}

/// Returns what differs between two actions of which the store has what it still has.
///
/// Fails when the store does, or has something else under these digests.
pub fn diff_actions(store: &dyn Store, before: &Digest, after: &Digest) -> Result<Difference, DiffError> {
    let mut trees = Trees::new(store);
    let (Some(before), Some(after)) = (Stored::load(store, before)?, Stored::load(store, after)?) else {
        return Ok(Difference { changes: vec![Change::Unknown], ..Difference::default() });
    };
    diff(&mut trees, &before, &after)
}

/// Returns every path in which two trees of the store differ, relative to their roots, sorted; at most 10,000.
///
/// Fails when the store does, or has something else under these digests.
pub fn diff_trees(
    store: &dyn Store,
    before: &Digest,
    after: &Digest,
) -> Result<Vec<(String, PathChange)>, TreeError> {
    let mut trees = Trees::new(store);
    let mut paths = Paths { trees: &mut trees, found: Vec::new() };
    paths.directory(before, after, "", 0)?;
    Ok(paths.found.into_iter().map(|found| (found.path, found.change)).collect())
}

/// Why two actions could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A tree could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A blob is no message of the kind that its place asks for.
    #[error("could not read the action {action}")]
    Decode {
        /// The action.
        action: Digest,
        /// What is wrong.
        source: DecodeError,
    },
}

/// An action and what it is made of.
pub(crate) struct Stored {
    pub(crate) command: Command,
    pub(crate) input_root: Digest,
}

impl Stored {
    /// Returns the action, or `None` when it or its command is not in the store.
    pub(crate) fn load(store: &dyn Store, digest: &Digest) -> Result<Option<Stored>, DiffError> {
        let refuse = |source| DiffError::Decode { action: *digest, source };
        let Some(action) = read_if_stored(store, digest)? else { return Ok(None) };
        let action = Action::decode(&action).map_err(refuse)?;
        let Some(command) = read_if_stored(store, &action.command)? else { return Ok(None) };
        let command = Command::decode(&command).map_err(refuse)?;
        Ok(Some(Stored { command, input_root: action.input_root }))
    }
}

fn read_if_stored(store: &dyn Store, digest: &Digest) -> Result<Option<Vec<u8>>, TreeError> {
    match store.read(digest) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cas::StoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns what differs between two actions. Directories may be known to `trees` alone.
pub(crate) fn diff(trees: &mut Trees<'_>, before: &Stored, after: &Stored) -> Result<Difference, DiffError> {
    let mut changes = Vec::new();
    changes.extend(diff_arguments(&before.command.arguments, &after.command.arguments));
    diff_pairs(&before.command.environment, &after.command.environment, |name, before, after| {
        changes.push(Change::Variable { name, before, after });
    });
    diff_pairs(&before.command.platform, &after.command.platform, |name, before, after| {
        changes.push(Change::Property { name, before, after });
    });
    let mut paths = Paths { trees, found: Vec::new() };
    paths.directory(&before.input_root, &after.input_root, "", 0)?;
    let found = paths.found;
    let common_path = common_directory(found.iter().map(|found| found.path.as_str()));
    let n_more = found.len().saturating_sub(PATHS_NAMED);
    let mut n_read = 0;
    for Found { path, change, files } in found.into_iter().take(PATHS_NAMED) {
        let is_short = |digest: &Digest| digest.size() <= MAX_SIZE;
        let files = files.filter(|files| files.iter().all(is_short) && n_read < TEXTS_READ);
        let lines = match files {
            Some(files) => {
                n_read += 1;
                changed_lines(trees, &files)?
            }
            None => None,
        };
        changes.push(Change::Path { path, change, from: None, lines });
    }
    Ok(Difference { changes, n_more, common_path })
}

/// Returns what changed from one file to another, if both are texts that the store still has.
fn changed_lines(trees: &Trees<'_>, [before, after]: &[Digest; 2]) -> Result<Option<Lines>, TreeError> {
    let (Some(before), Some(after)) =
        (read_if_stored(trees.store(), before)?, read_if_stored(trees.store(), after)?)
    else {
        return Ok(None);
    };
    Ok(Lines::between(&before, &after))
}

fn diff_arguments(before: &[String], after: &[String]) -> Option<Change> {
    let n_first = before.iter().zip(after).take_while(|(before, after)| before == after).count();
    let (before, after) = (&before[n_first..], &after[n_first..]);
    let n_last =
        before.iter().rev().zip(after.iter().rev()).take_while(|(before, after)| before == after).count();
    let (before, after) = (&before[..before.len() - n_last], &after[..after.len() - n_last]);
    let is_same = before.is_empty() && after.is_empty();
    (!is_same).then(|| Change::Arguments { index: n_first, before: before.to_vec(), after: after.to_vec() })
}

fn diff_pairs(
    before: &[(String, String)],
    after: &[(String, String)],
    mut tell: impl FnMut(String, Option<String>, Option<String>),
) {
    let value = |pairs: &[(String, String)], name: &str| {
        pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    };
    let names: BTreeSet<&String> = before.iter().chain(after).map(|(name, _)| name).collect();
    for name in names {
        let (before, after) = (value(before, name), value(after, name));
        if before != after {
            tell(name.clone(), before, after);
        }
    }
}

struct Paths<'t, 's> {
    trees: &'t mut Trees<'s>,
    found: Vec<Found>,
}

struct Found {
    path: String,
    change: PathChange,
    /// What it was and what it is, when it is a file with another content.
    files: Option<[Digest; 2]>,
}

impl Paths<'_, '_> {
    fn directory(
        &mut self,
        before: &Digest,
        after: &Digest,
        path: &str,
        depth: usize,
    ) -> Result<(), TreeError> {
        if before == after || self.found.len() >= PATHS_COUNTED {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(TreeError::TooDeep);
        }
        let (before, after) = match (self.trees.directory(before), self.trees.directory(after)) {
            (Ok(before), Ok(after)) => (before, after),
            // What was evicted differs, but nobody can say in what.
            (Err(error), _) | (_, Err(error)) if error.is_missing() => {
                let path = if path.is_empty() { "/" } else { path };
                self.found.push(Found { path: path.to_owned(), change: PathChange::Changed, files: None });
                return Ok(());
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let names: BTreeSet<&String> = before.entries.keys().chain(after.entries.keys()).collect();
        for name in names {
            let here = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let mut files = None;
            let change = match (before.entries.get(name), after.entries.get(name)) {
                (None, None) => continue,
                (None, Some(_)) => PathChange::Added,
                (Some(_), None) => PathChange::Removed,
                (Some(before), Some(after)) if before == after => continue,
                (Some(Node::Directory { digest: before }), Some(Node::Directory { digest: after })) => {
                    self.directory(before, after, &here, depth + 1)?;
                    continue;
                }
                (Some(Node::File { digest: before, .. }), Some(Node::File { digest: after, .. }))
                    if before == after =>
                {
                    PathChange::Mode
                }
                (Some(Node::File { digest: before, .. }), Some(Node::File { digest: after, .. })) => {
                    files = Some([*before, *after]);
                    PathChange::Changed
                }
                (Some(_), Some(_)) => PathChange::Changed,
            };
            self.found.push(Found { path: here, change, files });
        }
        Ok(())
    }
}

/// Returns the deepest directory that all paths are in.
fn common_directory<'p>(mut paths: impl Iterator<Item = &'p str>) -> String {
    let directory = |path: &'p str| path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let Some(first) = paths.next() else { return String::new() };
    let mut common: Vec<&str> = directory(first).split('/').filter(|name| !name.is_empty()).collect();
    for path in paths {
        let n_same =
            common.iter().zip(directory(path).split('/')).take_while(|(one, other)| *one == other).count();
        common.truncate(n_same);
    }
    common.join("/")
}
