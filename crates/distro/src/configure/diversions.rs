//! Files that several packages have at one path: diversions, replacements, shared files.
//!
//! dpkg sorts them out while it unpacks. Here everything is unpacked before the first script has asked for
//! a diversion, so the files that it would have put elsewhere are put there afterwards.

use std::collections::BTreeSet;

use layer::EntryPath;

use super::packages::{PackagedFile, Packages};
use crate::deb::usr_merge;

/// An entry of dpkg's file `diversions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diversion {
    /// The path that is diverted, as written: absolute.
    pub(super) from: String,
    /// Where other packages' files go instead.
    pub(super) to: String,
    /// The package that keeps the path; none for a diversion of the administrator's.
    pub(super) by: Option<String>,
}

/// Reads dpkg's file `diversions`: three lines each.
pub(super) fn parse(text: &str) -> Vec<Diversion> {
    let lines: Vec<&str> = text.lines().collect();
    let diversion = |lines: &[&str]| Diversion {
        from: lines[0].to_owned(),
        to: lines[1].to_owned(),
        by: (lines[2] != ":").then(|| lines[2].to_owned()),
    };
    lines.chunks_exact(3).map(diversion).collect()
}

/// What is to be at a path: what a package has, or nothing.
#[derive(Clone)]
pub(super) struct Placement {
    pub(super) path: EntryPath,
    pub(super) file: Option<PackagedFile>,
}

impl Diversion {
    /// Returns what is at the two paths once the files that are already unpacked are diverted. Nothing if no
    /// package has such a file.
    pub(super) fn placements(&self, packages: &Packages) -> Vec<Placement> {
        let (Some(from), Some(to)) = (real(&self.from), real(&self.to)) else { return Vec::new() };
        let files = packages.files_at(&from);
        if files.is_empty() {
            return Vec::new();
        }
        let is_by =
            |file: &&PackagedFile| Some(&packages.all[file.package].identity.name) == self.by.as_ref();
        let own = files.iter().rfind(is_by).cloned();
        let others = files.iter().rfind(|file| !is_by(file)).cloned();
        vec![Placement { path: from, file: own }, Placement { path: to, file: others }]
    }

    /// Returns whether a package that is not configured yet has a file that this diverts.
    pub(super) fn concerns_new(&self, packages: &Packages) -> bool {
        real(&self.from).is_some_and(|from| packages.has_new(packages.files_at(&from)))
    }
}

/// Returns where a path of dpkg's lies on a system with a merged /usr.
fn real(path: &str) -> Option<EntryPath> {
    let path = EntryPath::tolerant(path.trim_start_matches('/').as_bytes()).ok()??;
    Some(usr_merge::real_path(&path).unwrap_or(path))
}

/// Two packages have different files at one path, and neither gives way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{path}` is in the package `{first}` and also in `{second}`, and neither replaces the other's files"
)]
pub struct ConflictError {
    /// The path.
    pub path: EntryPath,
    /// The package that comes first.
    pub first: String,
    /// The package that comes later.
    pub second: String,
}

/// Who has a disputed path, and whose lists of files lose it.
pub(super) struct Decision {
    pub(super) winner: PackagedFile,
    pub(super) losers: Vec<usize>,
}

/// Decides a dispute as dpkg does when it unpacks the packages in this order; `None` if all agree.
pub(super) fn decide(
    path: &EntryPath,
    files: &[PackagedFile],
    is_same: impl Fn(&PackagedFile, &PackagedFile) -> bool,
    is_aliased: impl Fn(usize) -> bool,
    packages: &Packages,
) -> Result<Option<Decision>, ConflictError> {
    let mut winner = &files[0];
    let (mut losers, mut agree) = (Vec::new(), true);
    for next in &files[1..] {
        if is_same(winner, next) {
            continue;
        }
        agree = false;
        let (old, new) = (&packages.all[winner.package], &packages.all[next.package]);
        if new.replaces(old) {
            losers.push(winner.package);
            winner = next;
        } else if old.replaces(new) {
            losers.push(next.package);
        } else if is_aliased(winner.package) != is_aliased(next.package) {
            // One has `/bin/x`, the other `/usr/bin/x`: to dpkg these are two files, and the later one wins.
            winner = next;
        } else {
            return Err(ConflictError {
                path: path.clone(),
                first: old.identity.name.clone(),
                second: new.identity.name.clone(),
            });
        }
    }
    Ok((!agree).then(|| Decision { winner: winner.clone(), losers }))
}

/// Returns dpkg's list of a package's files without the paths in `lost`, however they are written.
pub(super) fn list_without(list: &[u8], lost: &BTreeSet<&EntryPath>) -> Vec<u8> {
    let is_lost = |line: &[u8]| {
        let path = EntryPath::new(line.strip_prefix(b"/").unwrap_or(line)).ok();
        path.is_some_and(|path| lost.contains(&usr_merge::real_path(&path).unwrap_or(path)))
    };
    let lines = list.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !is_lost(line.strip_suffix(b"\n").unwrap_or(line))).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diversions_are_three_lines() {
        let text = "/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/x\n/usr/bin/x.real\n:\n";
        let rendered: Vec<String> = parse(text)
            .iter()
            .map(|diversion| format!("{} {} {:?}", diversion.from, diversion.to, diversion.by))
            .collect();
        assert_eq!(rendered, ["/bin/sh /bin/sh.distrib Some(\"dash\")", "/usr/bin/x /usr/bin/x.real None"]);
    }

    #[test]
    fn lists_lose_paths_under_both_names() {
        let list = b"/.\n/bin\n/bin/x\n/usr/bin/x\n/usr/bin/xy\n";
        let lost = ["usr/bin/x", "usr/bin/z"].map(|path| EntryPath::new(path).unwrap());
        assert_eq!(list_without(list, &lost.iter().collect()), b"/.\n/bin\n/usr/bin/xy\n");
    }
}
