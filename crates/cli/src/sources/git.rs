//! Commits of git repositories: locked by name and content, remembered once they are here.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use cas::{Digest, Record, Reference};
use local::fetch::git::{Address, CheckedOut, Checkout, CommitId, GitError};
use local::fetch::{FetchError, Progress};
use recipe::{GitSource, LockedSource, Problem, suggest};

use crate::download::Downloader;
use crate::failure::{Blame, Failure};
use crate::session::Session;
use crate::ui::{Downloads, Ui};
use crate::workspace::tell;

/// The kind of records that say what tree a commit has, and when it was made. Its number is raised when that changes.
const RECORDS: &str = "git-2";

/// Returns what a source is to be locked to: which commit it is, and what is in it, is looked up in the
/// repository.
pub(crate) fn lock(
    downloader: &Downloader<'_>,
    name: &str,
    wanted: &GitSource,
) -> Result<LockedSource, Failure> {
    let session = downloader.session();
    let failed = |error| match problem(wanted, &error) {
        Some(problem) => tell(&[problem], session.ui),
        None => failure(session, name, error),
    };
    let address = Address::parse(wanted.git.as_str(), &session.root).map_err(failed)?;
    if session.global.offline && !address.is_local() {
        return Err(failed(GitError::Offline { address: address.to_string() }));
    }
    let commit = downloader.fetcher().resolve_rev(&address, wanted.rev.as_str()).map_err(failed)?;
    let checkout = Checkout {
        address: &address,
        commit,
        rev: wanted.rev.as_str(),
        submodules: wanted.submodules,
        offline: session.global.offline,
    };
    let CheckedOut { tree, .. } = match remembered(session, &checkout)? {
        Some(found) => found,
        None => {
            let found = check_out(downloader, name, &checkout).map_err(failed)?;
            remember(session, &checkout, found)?;
            found
        }
    };
    Ok(LockedSource::Git {
        git: wanted.git.as_str().to_owned(),
        rev: wanted.rev.as_str().to_owned(),
        commit: commit.to_string(),
        submodules: wanted.submodules,
        tree,
    })
}

/// What a lock says about a commit.
pub(crate) struct Locked<'a> {
    /// The address of the repository.
    pub(crate) git: &'a str,
    /// What was asked for.
    pub(crate) rev: &'a str,
    /// The commit that it was.
    pub(crate) commit: &'a str,
    /// Whether its submodules are part of the tree.
    pub(crate) submodules: bool,
    /// The digest of its tree.
    pub(crate) tree: Digest,
}

/// Puts the locked tree into the store, unless it is known to be there, and returns when it was committed.
///
/// Fails when the repository does not have the commit any more, or with other content.
pub(crate) fn fetch(session: &Session<'_>, name: &str, locked: &Locked<'_>) -> Result<i64, Failure> {
    let commit = commit_id(locked.commit)?;
    let failed = |error| failure(session, name, error);
    let address = Address::parse(locked.git, &session.root).map_err(failed)?;
    let checkout = Checkout {
        address: &address,
        commit,
        rev: locked.rev,
        submodules: locked.submodules,
        offline: session.global.offline,
    };
    if let Some(found) = remembered(session, &checkout)?
        && found.tree == locked.tree
    {
        return Ok(found.date);
    }
    let found = check_out(&Downloader::new(session)?, name, &checkout).map_err(failed)?;
    if found.tree != locked.tree {
        return Err(failed(GitError::Mismatch { commit, expected: locked.tree, found: found.tree }));
    }
    remember(session, &checkout, found)?;
    Ok(found.date)
}

/// Returns the tree of a commit that another lock names, with all submodules, after it was fetched unless it is known to be
/// here. `rev` is what it was called there.
pub(super) fn commit(
    session: &Session<'_>,
    name: &str,
    git: &str,
    commit: &str,
    rev: &str,
) -> Result<Digest, Failure> {
    let commit = commit_id(commit)?;
    let failed = |error| failure(session, name, error);
    let address = Address::parse(git, &session.root).map_err(failed)?;
    let offline = session.global.offline;
    let checkout = Checkout { address: &address, commit, rev, submodules: true, offline };
    if let Some(found) = remembered(session, &checkout)? {
        return Ok(found.tree);
    }
    let found = check_out(&Downloader::new(session)?, name, &checkout).map_err(failed)?;
    remember(session, &checkout, found)?;
    Ok(found.tree)
}

fn commit_id(text: &str) -> Result<CommitId, Failure> {
    text.parse()
        .map_err(|error| Failure::project(error).help("the lock is damaged: restore it from version control"))
}

/// Returns what names a record. The address is part of it: that another repository has a commit of the same
/// name does not say that it is the same commit.
fn key(checkout: &Checkout<'_>) -> Digest {
    let Checkout { address, commit, submodules, .. } = checkout;
    Digest::of(format!("{}\n{commit}\nsubmodules = {submodules}\n", address.key()).as_bytes())
}

fn remembered(session: &Session<'_>, checkout: &Checkout<'_>) -> Result<Option<CheckedOut>, Failure> {
    let record = session.caches.store.record(RECORDS, &key(checkout)).map_err(Failure::machine)?;
    Ok(record.and_then(|record| match record.references[..] {
        [Reference::Tree(tree)] => {
            let date = str::from_utf8(&record.payload).ok()?.parse().ok()?;
            Some(CheckedOut { tree, date })
        }
        _ => None,
    }))
}

fn remember(session: &Session<'_>, checkout: &Checkout<'_>, found: CheckedOut) -> Result<(), Failure> {
    let store = &session.caches.store;
    let payload = found.date.to_string().into_bytes();
    let record = Record { references: vec![Reference::Tree(found.tree)], payload };
    store.sync().map_err(Failure::machine)?;
    store.put_record(RECORDS, &key(checkout), &record).map_err(Failure::machine)
}

fn check_out(
    downloader: &Downloader<'_>,
    name: &str,
    checkout: &Checkout<'_>,
) -> Result<CheckedOut, GitError> {
    let session = downloader.session();
    let meter = Meter::new(name, session.ui);
    let result =
        downloader.fetcher().checkout(checkout, &session.caches.store, &|progress| meter.advance(&progress));
    meter.finish(result.is_ok());
    result
}

/// Returns the error as a problem of the project file, if that is what has to be changed.
fn problem(wanted: &GitSource, error: &GitError) -> Option<Problem> {
    let (place, help) = match error {
        GitError::NoSuchRev { rev, known, .. } => {
            let known = known.iter().map(String::as_str);
            (
                &wanted.rev.place,
                match suggest::nearest(rev, known) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => "write a tag, a branch, or all 40 digits of a commit".to_owned(),
                },
            )
        }
        GitError::Abbreviated { candidate, .. } => (
            &wanted.rev.place,
            match candidate {
                Some(candidate) => format!("write all of it: `{candidate}`"),
                None => "write all 40 digits: a shorter name may mean another commit later".to_owned(),
            },
        ),
        GitError::NotACommit { .. } => (&wanted.rev.place, "write the name of a commit".to_owned()),
        GitError::BadAddress { .. } | GitError::Ssh { .. } | GitError::NotARepository { .. } => {
            (&wanted.git.place, advice(error).to_owned())
        }
        _ => return None,
    };
    Some(Problem::at(place, error.to_string()).help(help))
}

/// A commit could not be had.
#[derive(Debug, thiserror::Error)]
#[error("could not fetch source `{name}`")]
struct Missing {
    name: String,
    source: GitError,
}

fn failure(session: &Session<'_>, name: &str, error: GitError) -> Failure {
    if session.cancel.load(Ordering::Relaxed) {
        return Failure::interrupted().help("run it again to fetch what is missing");
    }
    let blame = match error.main() {
        GitError::Fetch(_)
        | GitError::Offline { .. }
        | GitError::Authentication { .. }
        | GitError::Refused { .. }
        | GitError::Damaged { .. } => Blame::Machine,
        _ => Blame::Project,
    };
    let help = advice(&error);
    Failure { blame, ..Failure::machine(Missing { name: name.to_owned(), source: error }) }.help(help)
}

/// Returns what the reader can do.
fn advice(error: &GitError) -> &'static str {
    match error {
        GitError::Submodule { source, .. } => match source.main() {
            GitError::Ssh { .. } | GitError::BadAddress { .. } | GitError::NotARepository { .. } => {
                "leave out `submodules`, and name the repository of each as a source of its own"
            }
            other => advice(other),
        },
        GitError::BadAddress { .. } => "write `https://…`, or the path of a repository",
        GitError::Ssh { .. } => {
            "write `https://HOST/PATH`, or clone it yourself and write the path of the clone"
        }
        GitError::Offline { .. } => "run `bootwright fetch` where there is a network",
        GitError::NotARepository { .. } => {
            "check the address; one that is private may look as if it were not there"
        }
        GitError::Authentication { .. } => {
            "check the address; if you have access, clone it yourself and write the path of the clone"
        }
        GitError::Unsupported { .. } => "clone it into a repository of the usual kind, and name that one",
        GitError::NoSuchRev { .. } | GitError::Abbreviated { .. } | GitError::NotACommit { .. } => {
            "write a tag, a branch, or all 40 digits of a commit as `rev`"
        }
        GitError::CommitGone { now: Some(_), .. } => {
            "somebody moved it and removed what it was: to take what it is now, run `bootwright lock --update`"
        }
        GitError::CommitGone { now: None, .. } => {
            "its history was rewritten, or it never had it: name a repository that has it, or run `bootwright lock --update`"
        }
        GitError::Mismatch { .. } => {
            "these are not the files that were locked: find out why before you run `bootwright lock --update`, \
             which would take them"
        }
        GitError::Refused { .. } | GitError::Damaged { .. } => {
            "try again; if it stays so, name another copy of the repository"
        }
        GitError::BadEntry { .. } => {
            "this commit cannot be a source: name another one, or mend the repository"
        }
        GitError::Fetch(FetchError::Untrusted { .. }) => {
            "check the clock and the certificates of this machine, and who answers at that address"
        }
        GitError::Fetch(_) => "check the address, the network and the proxy",
    }
}

/// Shows how much has come. How much there is, no git server says.
struct Meter<'a> {
    name: &'a str,
    ui: &'a Ui,
    /// By repository: submodules come from several.
    received: Mutex<BTreeMap<String, u64>>,
}

impl<'a> Meter<'a> {
    fn new(name: &'a str, ui: &'a Ui) -> Meter<'a> {
        Meter { name, ui, received: Mutex::default() }
    }

    fn advance(&self, progress: &Progress<'_>) {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.insert(progress.url.to_owned(), progress.n_received);
        self.show(received.values().sum(), 0);
    }

    /// Shows the end, unless nothing had to come.
    fn finish(&self, is_done: bool) {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        if !received.is_empty() && is_done {
            self.show(received.values().sum(), 1);
        }
    }

    fn show(&self, bytes_done: u64, files_done: usize) {
        let current = self.name.to_owned();
        self.ui.downloads(&Downloads { files_done, files: 1, bytes_done, bytes: None, current });
    }
}
