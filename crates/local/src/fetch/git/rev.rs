//! What a tag, branch or commit by name stands for, among the references of a repository.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use gix_hash::ObjectId;

use super::{Address, GitError};

/// The name of a commit: 40 lower-case hex digits, the SHA-1 of its text.
///
/// It is what git calls a commit, and no more: what is in it, the digest of its tree says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitId(pub(super) ObjectId);

impl FromStr for CommitId {
    type Err = NotACommitId;

    fn from_str(text: &str) -> Result<CommitId, NotACommitId> {
        let is_whole = text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let id = if is_whole { ObjectId::from_hex(text.as_bytes()).ok() } else { None };
        id.map(CommitId).ok_or_else(|| NotACommitId { text: text.to_owned() })
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_hex().fmt(f)
    }
}

/// The text is not the name of a commit.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not the name of a commit: 40 lower-case hex digits")]
pub struct NotACommitId {
    text: String,
}

/// A reference of a repository, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Its full name: `refs/tags/v1`.
    pub(super) name: String,
    /// The object that it names.
    pub(super) id: ObjectId,
    /// What that object stands for in the end, if it is an annotated tag.
    pub(super) peeled: Option<ObjectId>,
}

impl Reference {
    /// Returns what it stands for in the end.
    pub(super) fn target(&self) -> ObjectId {
        self.peeled.unwrap_or(self.id)
    }
}

/// Returns the names that `rev` may be short for, the first that exists being meant: in git's order, so that a
/// tag comes before a branch.
pub(super) fn candidates(rev: &str) -> [String; 4] {
    [rev.to_owned(), format!("refs/{rev}"), format!("refs/tags/{rev}"), format!("refs/heads/{rev}")]
}

/// Returns the reference that `rev` means.
///
/// Fails with [`GitError::NoSuchRev`] or [`GitError::Abbreviated`].
pub(super) fn find<'a>(
    rev: &str,
    references: &'a [Reference],
    address: &Address,
) -> Result<&'a Reference, GitError> {
    let names = candidates(rev);
    // Alone it would be `HEAD` or the full name; there are no other names without `refs/` to be had.
    let found = names.iter().find_map(|name| references.iter().find(|reference| reference.name == *name));
    if let Some(reference) = found {
        return Ok(reference);
    }
    let is_hex = rev.len() >= 4 && rev.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex {
        let wanted = rev.to_ascii_lowercase();
        let begins = |reference: &&Reference| reference.target().to_hex().to_string().starts_with(&wanted);
        let candidate = references.iter().find(begins).map(|reference| CommitId(reference.target()));
        return Err(GitError::Abbreviated { address: address.to_string(), rev: rev.to_owned(), candidate });
    }
    let short = |reference: &Reference| {
        let name = reference.name.as_str();
        name.strip_prefix("refs/tags/").or_else(|| name.strip_prefix("refs/heads/")).map(str::to_owned)
    };
    let known: BTreeSet<String> = references.iter().filter_map(short).collect();
    let known = known.into_iter().collect();
    Err(GitError::NoSuchRev { address: address.to_string(), rev: rev.to_owned(), known })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn id(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    #[test]
    fn names_are_found_in_the_order_of_git() {
        let reference = |name: &str, digit| Reference { name: name.to_owned(), id: id(digit), peeled: None };
        let references = [
            reference("HEAD", '1'),
            reference("refs/heads/main", '1'),
            reference("refs/heads/v1", '2'),
            Reference { peeled: Some(id('4')), ..reference("refs/tags/v1", '3') },
            reference("refs/heads/abcdef", '5'),
        ];
        let address = Address::parse("https://a.example/x", Path::new("/")).unwrap();
        let check = |rev: &str, expected: &str| {
            let found = match find(rev, &references, &address) {
                Ok(reference) => reference.target().to_hex_with_len(4).to_string(),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expected, "{rev}");
        };
        check("main", "1111");
        check("HEAD", "1111");
        check("v1", "4444");
        check("heads/v1", "2222");
        check("refs/heads/v1", "2222");
        check("abcdef", "5555");
        check("v2", "`https://a.example/x` has no tag or branch `v2`");
        check(
            "55555",
            "`55555` is no tag or branch of `https://a.example/x`, and as a commit it is incomplete",
        );
        let Err(GitError::Abbreviated { candidate, .. }) = find("4444", &references, &address) else {
            panic!("not abbreviated");
        };
        assert_eq!(candidate, Some(CommitId(id('4'))));
        let Err(GitError::NoSuchRev { known, .. }) = find("", &references, &address) else {
            panic!("found");
        };
        assert_eq!(known, ["abcdef", "main", "v1"]);
    }

    #[test]
    fn only_whole_names_of_commits_are_taken() {
        let whole = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(whole.parse::<CommitId>().unwrap().to_string(), whole);
        for wrong in ["", "0123456", &whole.to_uppercase(), &format!("{whole}0"), &whole.replace('0', "g")] {
            assert!(wrong.parse::<CommitId>().is_err(), "{wrong}");
        }
    }
}
