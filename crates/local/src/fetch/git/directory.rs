//! Repositories of this machine: read as they lie there, without any program.

use std::fs;
use std::path::{Path, PathBuf};

use gix_ref::Target;
use gix_ref::file::Store;

use super::error::described;
use super::objects::Objects;
use super::rev::Reference;
use super::{Address, GitError};

/// A repository of this machine.
pub(super) struct Repository {
    pub(super) objects: Objects,
    references: Store,
    address: Address,
}

/// How often a reference may stand for another one.
const MAX_LINKS: usize = 5;

impl Repository {
    /// Opens the repository in the directory `path`: a bare one, or one with files beside its `.git`.
    pub(super) fn open(path: &Path, address: &Address) -> Result<Repository, GitError> {
        let none = |reason: &str| GitError::NotARepository {
            address: address.to_string(),
            reason: reason.to_owned(),
        };
        if !path.is_dir() {
            return Err(none(if path.exists() { "it is no directory" } else { "it does not exist" }));
        }
        let own = git_directory(path).ok_or_else(|| none("the directory has no `.git` and is none"))?;
        let common = match fs::read_to_string(own.join("commondir")) {
            Ok(text) => own.join(text.trim_end_matches('\n')),
            Err(_) => own.clone(),
        };
        if !own.join("HEAD").exists() || !common.join("objects").is_dir() {
            return Err(none("its `.git` is incomplete"));
        }
        if let Some(reason) = unsupported(&common) {
            return Err(GitError::Unsupported { address: address.to_string(), reason });
        }
        let objects = Objects::of_repository(&common.join("objects"), address)?;
        let references = Store::for_linked_worktree(own, common, gix_hash::Kind::Sha1);
        Ok(Repository { objects, references, address: address.clone() })
    }

    /// Returns the references of the repository, of annotated tags the tag itself.
    pub(super) fn references(&self) -> Result<Vec<Reference>, GitError> {
        let damaged = |reason: String| GitError::Damaged { address: self.address.to_string(), reason };
        let platform = self.references.iter().map_err(|error| damaged(described(&error)))?;
        let all = platform.all().map_err(|error| damaged(error.to_string()))?;
        let mut references = Vec::new();
        let head = self.references.try_find("HEAD").ok().flatten();
        // One that is damaged, or leads nowhere, is only missed by who asks for it.
        for reference in head.into_iter().chain(all.filter_map(Result::ok)) {
            let Ok(name) = String::from_utf8(reference.name.as_bstr().to_vec()) else { continue };
            let mut target = reference.target;
            for _ in 0..MAX_LINKS {
                let Target::Symbolic(next) = &target else { break };
                match self.references.try_find(next.as_ref()) {
                    Ok(Some(found)) => target = found.target,
                    _ => break,
                }
            }
            if let Target::Object(id) = target {
                references.push(Reference { name, id, peeled: None });
            }
        }
        Ok(references)
    }
}

/// Returns the directory in which git keeps what it knows.
fn git_directory(path: &Path) -> Option<PathBuf> {
    let inner = path.join(".git");
    if inner.is_dir() {
        return Some(inner);
    }
    // Of a submodule or a further work tree it is a file that says where.
    if let Ok(text) = fs::read_to_string(&inner) {
        return Some(path.join(text.strip_prefix("gitdir:")?.trim_start().trim_end_matches('\n')));
    }
    (path.join("HEAD").exists() && path.join("objects").is_dir()).then(|| path.to_owned())
}

/// Returns what the repository has that we do not read, if it says that it has it.
fn unsupported(directory: &Path) -> Option<&'static str> {
    let bytes = fs::read(directory.join("config")).ok()?;
    let file = gix_config::File::from_bytes_no_includes(
        &bytes,
        gix_config::file::Metadata::api(),
        gix_config::file::init::Options::default(),
    )
    .ok()?;
    let extensions: Vec<_> = file.sections_by_name("extensions").into_iter().flatten().collect();
    let has = |key: &str, usual: &str| {
        let mut values = extensions.iter().filter_map(|section| section.value(key));
        values.next_back().is_some_and(|value| !value.eq_ignore_ascii_case(usual.as_bytes()))
    };
    if has("objectformat", "sha1") {
        return Some("names its objects by SHA-256");
    }
    has("refstorage", "files").then_some("keeps its references in a `reftable`")
}
