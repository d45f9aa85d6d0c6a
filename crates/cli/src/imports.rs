//! Files of the project into the store, read again only when they changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use cas::{Digest, Ignore, ImportMode, LocalStore, Node, StatCache, Store as _, StoreError};
use recipe::{Imported, Name, Needs, Place, Problem, ProjectPath, Source};

use crate::commands::clean::OUT;
use crate::environment;
use crate::failure::Failure;

/// What is never part of a source: version control, and what we put into the project ourselves.
const IGNORED: &[&str] = &[".git/", ".hg/", ".svn/"];

/// The size of a file that is read each time.
const SMALL: u64 = 1 << 20;

/// Files and directories of the project.
pub(crate) type Paths = BTreeMap<ProjectPath, Imported>;
/// Sources by name.
pub(crate) type Sources = BTreeMap<Name, Imported>;

/// Returns the files and directories of the project that `needs` lists, after they were put into the store,
/// and the sources that are paths. What does not exist is left out: lowering reports it with its place.
pub(crate) fn import(
    root: &Path,
    needs: &Needs,
    store: &LocalStore,
    stats: &mut StatCache,
) -> Result<(Paths, Sources), Failure> {
    let mut paths = BTreeMap::new();
    for (path, place) in &needs.paths {
        if let Some(imported) = one(root, path, Links::Inside, place, store, stats)? {
            paths.insert(path.clone(), imported);
        }
    }
    let mut sources = BTreeMap::new();
    for (name, source) in &needs.sources {
        if let Source::Path(source) = &source.value
            && let Some(imported) =
                one(root, &source.path, Links::Anywhere, &source.path.place, store, stats)?
        {
            sources.insert(name.clone(), imported);
        }
    }
    Ok((paths, sources))
}

/// Where a path may lead that is a link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    /// Into the project only: what is outside is easily forgotten when the project is given to others.
    Inside,
    /// Wherever somebody has the tree that they work on.
    Anywhere,
}

fn one(
    root: &Path,
    path: &ProjectPath,
    links: Links,
    place: &Place,
    store: &LocalStore,
    stats: &mut StatCache,
) -> Result<Option<Imported>, Failure> {
    let full = root.join(path.as_str());
    let Ok(metadata) = fs::metadata(&full) else { return Ok(None) };
    let outside = links == Links::Inside && full.canonicalize().is_ok_and(|full| !full.starts_with(root));
    if outside {
        let problem = Problem::at(place, format!("`{}` leads out of the project", path.as_str()))
            .help("put the files into the project, or name them as a `url` or `git` source");
        return Err(Failure::project(problem.render_plain()));
    }
    if metadata.is_dir() {
        let mut patterns = IGNORED.to_vec();
        let own = [format!("./{OUT}/")];
        if path.as_str() == "." {
            patterns.extend(own.iter().map(String::as_str));
        }
        let imported = store.import_source(&full, &Ignore::new(patterns), stats);
        let imported = imported.map_err(|error| refused(error, place))?;
        return Ok(Some(Imported::Tree(imported.digest)));
    }
    let executable = metadata.mode() & 0o100 != 0;
    // Reading it takes less than finding what is known of it.
    if metadata.is_file()
        && metadata.len() <= SMALL
        && let Ok(bytes) = fs::read(&full)
    {
        let digest = Digest::of(&bytes);
        if !store.contains(&digest).map_err(Failure::machine)? {
            store.write(&bytes).map_err(Failure::machine)?;
        }
        return Ok(Some(Imported::File { digest, executable }));
    }
    if let Some(digest) = stats.get(&full, &metadata)
        && store.contains(&digest).map_err(Failure::machine)?
    {
        return Ok(Some(Imported::File { digest, executable }));
    }
    let now = i64::try_from(environment::now().as_secs()).unwrap_or(i64::MAX);
    let file = full.canonicalize().map_err(crate::failure::io(format!("find `{}`", full.display())))?;
    let node = store.put_file(&file, ImportMode::Copy).map_err(|error| refused(error, place))?;
    let digest = file_digest(&node);
    if fs::metadata(&full).is_ok_and(|after| same(&after, &metadata)) {
        stats.insert(&full, &metadata, digest, now);
    }
    Ok(Some(Imported::File { digest, executable }))
}

/// Returns why something of the project is not in the store. What no tree can hold is the project's fault.
fn refused(error: StoreError, place: &Place) -> Failure {
    let help = match &error {
        StoreError::Special { .. } => "a file or a directory is needed",
        StoreError::NotUtf8 { .. } => "give it another name",
        _ => return Failure::machine(error),
    };
    Failure::project(Problem::at(place, error.to_string()).help(help).render_plain())
}

fn file_digest(node: &Node) -> Digest {
    match node {
        Node::File { digest, .. } | Node::Directory { digest } => *digest,
        Node::Symlink { target } => Digest::of(target.as_bytes()),
    }
}

fn same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    let key = |metadata: &fs::Metadata| {
        (metadata.size(), metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec())
    };
    key(one) == key(other)
}
