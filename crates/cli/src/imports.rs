//! Files of the project into the store, read again only when they changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use cas::{Digest, Ignore, ImportMode, LocalStore, Node, StatCache, Store as _, StoreError, Watcher};
use recipe::{Imported, Name, Needs, Place, Problem, ProjectPath, Source, Spanned};

use crate::artifacts::OUT;
use crate::environment;
use crate::failure::Failure;

/// What is never part of a source: version control, and what we put into the project ourselves. In a work tree of git's or
/// a submodule `.git` is a file that says where on this machine the rest is.
const IGNORED: &[&str] = &[".git", ".hg/", ".svn/"];

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
    watcher: &Watcher,
) -> Result<(Paths, Sources), Failure> {
    let mut paths = BTreeMap::new();
    for (path, place) in &needs.paths {
        let wanted = Wanted { path, place, links: Links::Inside, ignore: ignored(path, &[]) };
        if let Some(imported) = one(root, &wanted, store, stats, watcher)? {
            paths.insert(path.clone(), imported);
        }
    }
    let mut sources = BTreeMap::new();
    for (name, source) in &needs.sources {
        let Source::Path(source) = &source.value else { continue };
        let (path, place) = (&source.path.value, &source.path.place);
        let ignore = ignored(path, &source.ignore);
        let wanted = Wanted { path, place, links: Links::Anywhere, ignore };
        if let Some(imported) = one(root, &wanted, store, stats, watcher)? {
            sources.insert(name.clone(), imported);
        }
    }
    Ok((paths, sources))
}

/// Returns what of a directory is left out, beside what its source says.
fn ignored(path: &ProjectPath, more: &[Spanned<String>]) -> Ignore {
    let mut patterns = IGNORED.to_vec();
    patterns.extend(more.iter().map(|pattern| pattern.as_str()));
    let own = format!("/{OUT}/");
    if path.as_str() == "." {
        patterns.push(&own);
    }
    Ignore::new(patterns)
}

/// What is imported, as those see it who wait for it to change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Directories, by what the project calls them and what of it is left out, as text: each with where it is and that.
    pub(crate) directories: BTreeMap<(String, String), (PathBuf, Ignore)>,
    /// Files, by what the project calls them, and where they are or would be.
    pub(crate) files: BTreeMap<String, PathBuf>,
}

/// Returns what [`import`] reads.
pub(crate) fn places(root: &Path, needs: &Needs) -> Places {
    let sources = needs.sources.values().filter_map(|source| match &source.value {
        Source::Path(source) => Some((&source.path.value, source.ignore.as_slice())),
        _ => None,
    });
    let mut places = Places::default();
    for (path, ignore) in needs.paths.keys().map(|path| (path, [].as_slice())).chain(sources) {
        let (name, full) = (path.as_str().to_owned(), root.join(path.as_str()));
        if full.is_dir() {
            let ignore = ignored(path, ignore);
            places.directories.insert((name, format!("{ignore:?}")), (full, ignore));
        } else {
            places.files.insert(name, full);
        }
    }
    places
}

/// Where a path may lead that is a link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    /// Into the project only: what is outside is easily forgotten when the project is given to others.
    Inside,
    /// Wherever somebody has the tree that they work on.
    Anywhere,
}

/// Something to import.
struct Wanted<'a> {
    path: &'a ProjectPath,
    place: &'a Place,
    links: Links,
    ignore: Ignore,
}

fn one(
    root: &Path,
    wanted: &Wanted<'_>,
    store: &LocalStore,
    stats: &mut StatCache,
    watcher: &Watcher,
) -> Result<Option<Imported>, Failure> {
    let Wanted { path, place, links, ignore } = wanted;
    let full = root.join(path.as_str());
    let Ok(metadata) = fs::metadata(&full) else { return Ok(None) };
    let outside = *links == Links::Inside && full.canonicalize().is_ok_and(|full| !full.starts_with(root));
    if outside {
        let problem = Problem::at(place, format!("`{}` leads out of the project", path.as_str()))
            .help("put the files into the project, or name them as a `url` or `git` source");
        return Err(Failure::project(problem));
    }
    if metadata.is_dir() {
        let imported = store.import_source(&full, ignore, stats, watcher);
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
    Failure::project(Problem::at(place, error.to_string()).help(help))
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
