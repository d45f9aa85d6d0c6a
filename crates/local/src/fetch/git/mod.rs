//! Commits of git repositories, as trees in the store.
//!
//! A commit is fetched without its history where the server can do that, its objects are verified against
//! their names, and its files go straight into the store: contents as they are in the repository, the
//! executable bit, symbolic links as text. No filter runs, no line ending changes, and what `git lfs` has put
//! in the place of a large file stays that.
//!
//! The objects and the protocol are the `gix` crates'; the connections are this module's parent's.

mod address;
mod allowance;
mod cache;
mod daemon;
mod directory;
mod error;
mod http;
mod modules;
mod objects;
mod pack;
mod remote;
#[cfg(test)]
#[allow(dead_code, reason = "others use the rest")]
#[path = "../../../tests/git/repository.rs"]
mod repository;
mod rev;
mod tree;
mod watch;

use std::collections::BTreeMap;

use cas::{Digest, Directory, LocalStore, Store as _};
use gix_hash::ObjectId;
use gix_object::Kind;

use super::{FetchError, Fetcher, OnProgress};
use address::Place;
use allowance::Allowance;
use directory::Repository;
use modules::Module;
use objects::Objects;
use remote::{History, Remote, Which};
use rev::Reference;
use tree::{Extent, Plan};

pub use address::Address;
pub use error::GitError;
pub use rev::{CommitId, NotACommitId};

/// A commit whose files are in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedOut {
    /// The digest of their tree.
    pub tree: Digest,
    /// When it was committed, in seconds since 1970.
    pub date: i64,
}

/// A commit whose files are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Checkout<'a> {
    /// The repository.
    pub address: &'a Address,
    /// The commit.
    pub commit: CommitId,
    /// The tag, branch or commit as which it was asked for once: where to look for it if the server does not
    /// give away commits by their own names, and what to say if it is gone.
    pub rev: &'a str,
    /// Whether submodules are fetched too, theirs included. Otherwise there is an empty directory for each.
    pub submodules: bool,
    /// Whether connections are forbidden: then only repositories of this machine can be had.
    pub offline: bool,
}

/// How deep submodules may lie in each other.
const MAX_NESTED: usize = 16;
/// How many different submodules may be fetched for one commit.
const MAX_FETCHED: usize = 1000;

impl Fetcher {
    /// Returns the commit that a tag, a branch, a full name such as `refs/heads/main`, `HEAD` or the 40 digits
    /// of a commit stand for at the moment. That a commit given by its digits exists is not looked at.
    ///
    /// Opens a connection unless the repository is on this machine.
    pub fn resolve_rev(&self, address: &Address, rev: &str) -> Result<CommitId, GitError> {
        if let Ok(commit) = rev.parse() {
            return Ok(commit);
        }
        if let Place::Directory(path) = &address.place {
            let repository = Repository::open(path, address)?;
            let references = repository.references()?;
            let id = rev::find(rev, &references, address)?.id;
            return match repository.objects.peel(id)? {
                (Kind::Commit, id) => Ok(CommitId(id)),
                (kind, _) => Err(not_a_commit(address, rev, kind)),
            };
        }
        let remote = Remote { fetcher: self, address, on_progress: &|_| () };
        let references = remote.references(Which::Named(rev))?;
        let found = match rev::find(rev, &references, address) {
            Ok(reference) => reference.target(),
            // What else there is makes the better message.
            Err(_) => rev::find(rev, &remote.references(Which::All(rev))?, address)?.target(),
        };
        Ok(CommitId(found))
    }

    /// Puts the files of a commit into `store` and returns the digest of their tree, and the time of the commit.
    ///
    /// What is not needed any more afterwards is in the scratch directory of the store meanwhile.
    pub fn checkout(
        &self,
        wanted: &Checkout<'_>,
        store: &LocalStore,
        on_progress: &OnProgress<'_>,
    ) -> Result<CheckedOut, GitError> {
        let mut nested = Nested {
            fetcher: self,
            store,
            on_progress,
            known: BTreeMap::new(),
            n_fetched: 0,
            allowance: Allowance::default(),
        };
        Ok(nested.checkout(wanted, 0)?.0)
    }

    /// Returns that the commit is not there, and what is there now in its place.
    fn gone(&self, wanted: &Checkout<'_>) -> GitError {
        let now = self.resolve_rev(wanted.address, wanted.rev).ok().filter(|now| *now != wanted.commit);
        GitError::CommitGone {
            address: wanted.address.to_string(),
            commit: wanted.commit,
            rev: wanted.rev.to_owned(),
            now,
        }
    }
}

/// A commit with its submodules, each of which is fetched once, however often it is there.
struct Nested<'a> {
    fetcher: &'a Fetcher,
    store: &'a LocalStore,
    on_progress: &'a OnProgress<'a>,
    /// The trees of submodules, by their repository and commit.
    known: BTreeMap<(String, CommitId), Submodule>,
    /// How many submodules were begun to be fetched.
    n_fetched: usize,
    allowance: Allowance,
}

/// The tree of a submodule, and how much there is below it.
type Submodule = (Digest, Extent);

impl Nested<'_> {
    fn checkout(&mut self, wanted: &Checkout<'_>, depth: usize) -> Result<(CheckedOut, Extent), GitError> {
        let (fetcher, store) = (self.fetcher, self.store);
        if fetcher.is_cancelled() {
            return Err(FetchError::Cancelled.into());
        }
        let scratch = tempfile::tempdir_in(store.scratch()).map_err(|error| {
            FetchError::disk(format!("make a directory in `{}`", store.scratch().display()), error)
        })?;
        let objects = match &wanted.address.place {
            Place::Directory(path) => Repository::open(path, wanted.address)?.objects,
            _ if wanted.offline => {
                return Err(GitError::Offline { address: wanted.address.to_string() });
            }
            _ => {
                let remote = Remote { fetcher, address: wanted.address, on_progress: self.on_progress };
                fetch(&remote, wanted, &scratch.path().join("objects"), &self.allowance)?
            }
        };
        match objects.find(&wanted.commit.0, &mut Vec::new())? {
            Some((Kind::Commit, _)) => {}
            Some((kind, _)) => return Err(not_a_commit(wanted.address, wanted.rev, kind)),
            None => return Err(fetcher.gone(wanted)),
        }
        let plan = Plan::of(wanted.commit, &objects, &fetcher.cancel)?;
        let mut submodules: Vec<Submodule> = Vec::with_capacity(plan.submodules.len());
        if !plan.submodules.is_empty() {
            let empty = store.write(&Directory::default().encode())?;
            let modules = if wanted.submodules { modules_of(&plan, &objects)? } else { Vec::new() };
            for (path, commit) in &plan.submodules {
                let tree = if wanted.submodules {
                    self.submodule(wanted, path, *commit, &modules, depth)
                } else {
                    Ok(None)
                };
                let tree = tree.map_err(|error| within(path, error))?;
                submodules.push(tree.unwrap_or((empty, Extent::default())));
            }
        }
        let (trees, extents): (Vec<Digest>, Vec<Extent>) = submodules.into_iter().unzip();
        let extent = plan.extent(&extents)?;
        Ok((CheckedOut { tree: plan.import(store, &trees)?, date: plan.date }, extent))
    }

    /// Returns the tree of a submodule, `None` if it is to be left out.
    fn submodule(
        &mut self,
        parent: &Checkout<'_>,
        path: &str,
        commit: CommitId,
        modules: &[Module],
        depth: usize,
    ) -> Result<Option<Submodule>, GitError> {
        let bad = |reason: &str| GitError::BadEntry {
            commit: parent.commit,
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        if depth >= MAX_NESTED {
            return Err(bad("it is a submodule of too many others"));
        }
        let module = modules.iter().find(|module| module.path == path);
        let module = module.ok_or_else(|| bad("`.gitmodules` does not say where it comes from"))?;
        if module.is_left_out {
            return Ok(None);
        }
        let address = parent.address.submodule(&module.url)?;
        let key = (address.key(), commit);
        if let Some(known) = self.known.get(&key) {
            return Ok(Some(*known));
        }
        self.n_fetched += 1;
        if self.n_fetched > MAX_FETCHED {
            return Err(bad("there are too many submodules"));
        }
        // No tag or branch was asked for: the repository around it names the commit.
        let rev = commit.to_string();
        let wanted = Checkout { address: &address, commit, rev: &rev, ..*parent };
        let (found, extent) = self.checkout(&wanted, depth + 1)?;
        self.known.insert(key, (found.tree, extent));
        Ok(Some((found.tree, extent)))
    }
}

/// Fetches a commit from a server into `directory`, with as little else as the server allows.
fn fetch(
    remote: &Remote<'_>,
    wanted: &Checkout<'_>,
    directory: &std::path::Path,
    allowance: &Allowance,
) -> Result<Objects, GitError> {
    let received = || Objects::received(directory, wanted.address, allowance);
    match remote.fetch(&[wanted.commit.0], History::None, directory) {
        Ok(()) => return received(),
        Err(GitError::Refused { .. }) => {}
        Err(error) => return Err(error),
    }
    // Some servers give away only what a tag or branch stands for, or what such a one has in its history.
    let references = remote.references(Which::All(wanted.rev))?;
    if let Some(tip) = references.iter().find(|reference| reference.target() == wanted.commit.0) {
        remote.fetch(&[tip.id], History::None, directory)?;
        return received();
    }
    let named = rev::find(wanted.rev, &references, wanted.address).ok();
    for tips in [tips(named), tips(&references)] {
        if tips.is_empty() {
            continue;
        }
        remote.fetch(&tips, History::All, directory)?;
        let objects = received()?;
        if objects.find(&wanted.commit.0, &mut Vec::new())?.is_some() {
            return Ok(objects);
        }
    }
    // It is missed there, and said so.
    received()
}

/// Returns what the references name, each once.
fn tips<'a>(references: impl IntoIterator<Item = &'a Reference>) -> Vec<ObjectId> {
    let mut ids: Vec<ObjectId> = references.into_iter().map(|reference| reference.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn modules_of(plan: &Plan<'_>, objects: &Objects) -> Result<Vec<Module>, GitError> {
    let Some(id) = plan.modules else { return Ok(Vec::new()) };
    let mut buffer = Vec::new();
    modules::parse(objects.get(&id, Kind::Blob, &mut buffer)?)
        .map_err(|reason| objects.damaged(format!("its `.gitmodules` cannot be read: {reason}")))
}

fn not_a_commit(address: &Address, rev: &str, kind: Kind) -> GitError {
    GitError::NotACommit { address: address.to_string(), rev: rev.to_owned(), kind: kind.to_string() }
}

/// Says of a submodule's failure which one it was. That somebody wants to stop is nobody's failure.
fn within(path: &str, error: GitError) -> GitError {
    match error {
        GitError::Fetch(FetchError::Cancelled | FetchError::Store(_)) => error,
        GitError::BadEntry { path: ref inner, .. } if inner == path => error,
        error => GitError::Submodule { path: path.to_owned(), source: Box::new(error) },
    }
}
