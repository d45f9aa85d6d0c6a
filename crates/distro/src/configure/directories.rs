//! Directories of one package where another one has something else.
//!
//! dpkg keeps a directory where a later package has a symbolic link, and a link to a directory where a later package has
//! a directory. In the packages' tree the later one replaces the earlier one, and files would go missing in silence.

use std::collections::BTreeSet;

use layer::{EntryPath, Item, Kind, NodeKind};

use super::packages::{PackagedFile, Packages};

/// One package has a directory and another one has something else at the same path, of which files would be lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{path}` is a directory in the package `{directory}` and {what} in `{other}`, and files would be lost \
     whichever is there"
)]
pub struct DirectoryError {
    /// The path.
    pub path: EntryPath,
    /// The package that has a directory there.
    pub directory: String,
    /// The package that has something else.
    pub other: String,
    /// What that is.
    pub what: &'static str,
}

/// Checks that the packages' tree has what each package has, below its directories and where its links lead.
///
/// Fails when something of a package that is not configured yet hides files of another one, or is hidden. Directories
/// without files, which a link replaces or leads to, and links to nothing lose nothing. Nor does a file count that a
/// package takes over by its `Replaces`, or what scripts put there since.
pub(super) fn check(packages: &Packages) -> Result<(), DirectoryError> {
    for path in packages.crowded() {
        if let Some((directory, other)) = lost(packages, path)
            && directory.max(other.package) >= packages.n_configured
        {
            let name = |package: usize| packages.all[package].identity.name.clone();
            let what = match other.entry.kind {
                Kind::Symlink { .. } => "a symbolic link",
                Kind::CharDevice { .. } | Kind::BlockDevice { .. } => "a device",
                Kind::Fifo => "a named pipe",
                _ => "a file",
            };
            let (directory, other) = (name(directory), name(other.package));
            return Err(DirectoryError { path: path.clone(), directory, other, what });
        }
    }
    Ok(())
}

/// Returns a package that has a directory at `path`, and what another one has there, if one of them loses files.
fn lost<'a>(packages: &'a Packages, path: &EntryPath) -> Option<(usize, &'a PackagedFile)> {
    let files = packages.files_at(path);
    let tree = &packages.tree;
    if tree.get(path.as_bytes())?.node.kind != NodeKind::Directory {
        let other = files.last()?;
        let below = packages.files_below(path).flatten().find(|below| below.package != other.package)?;
        return Some((below.package, other));
    }
    files.iter().find_map(|other| {
        let directory = packages.directory_of(path, other.package)?;
        let is_lost = match &other.entry.kind {
            Kind::Symlink { target } => {
                let parent = path.parent_bytes().filter(|_| target.first() != Some(&b'/'));
                let meant = [parent.unwrap_or_default(), b"/", target].concat();
                let is_file = |item: Item<'_>| item.node.kind != NodeKind::Directory;
                tree.resolve(&meant).is_ok_and(|item| tree.items_below(item.path).any(is_file))
            }
            _ => !packages.all[directory].replaces(&packages.all[other.package]),
        };
        is_lost.then_some((directory, other))
    })
}

impl Packages {
    /// Returns the paths at which a package has something other than a directory, and another one a directory, in order;
    /// without those at which configuring put something.
    fn crowded(&self) -> BTreeSet<&EntryPath> {
        let mut crowded: BTreeSet<&EntryPath> =
            self.directories.keys().filter(|path| !self.files_at(path).is_empty()).collect();
        // A package need not have an entry for a directory that it has files in. What lies between `a` and `a/b` in the
        // order of bytes starts with `a`, so a stack is enough.
        let mut prefixes: Vec<&EntryPath> = Vec::new();
        for path in self.paths_of_files() {
            while prefixes.last().is_some_and(|last| !path.as_bytes().starts_with(last.as_bytes())) {
                prefixes.pop();
            }
            crowded.extend(prefixes.iter().filter(|above| path.is_below(above)));
            prefixes.push(path);
        }
        crowded.retain(|path| !self.is_changed(path));
        crowded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::fixtures::{TarEntry, control, deb, directory, file, symlink};

    /// Checks packages that are called `one`, `two` and `three`, each with its own fields and files.
    #[track_caller]
    fn check(packages: &[(&str, &[TarEntry])], expected: &str) {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        let layers: Vec<_> = packages
            .iter()
            .zip(["one", "two", "three"])
            .map(|((fields, files), name)| {
                std::fs::write(at("deb"), deb(&[control(name, fields)], files)).unwrap();
                crate::deb::unpack(&at("deb"), &at(name)).unwrap();
                at(name)
            })
            .collect();
        let packages = Packages::read(&[], &layers).unwrap();
        let found = super::check(&packages).map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        assert_eq!(found, expected);
    }

    const LOST: &str = "and files would be lost whichever is there";

    #[test]
    fn links_do_not_hide_directories() {
        let error = format!("`x/d` is a directory in the package `one` and a symbolic link in `two`, {LOST}");
        let link = [symlink("./x/d", "e")];
        check(&[("", &[directory("./x/"), directory("./x/d/"), file("./x/d/f", "")]), ("", &link)], &error);
        check(&[("", &[file("./x/d/f", "")]), ("", &link)], &error);
        check(&[("", &[directory("./x/"), directory("./x/d/")]), ("", &link)], "ok");
        let file_over = format!("`x/d` is a directory in the package `one` and a file in `two`, {LOST}");
        check(&[("", &[file("./x/d/f", "")]), ("Replaces: one\n", &[file("./x/d", "")])], &file_over);
    }

    #[test]
    fn directories_do_not_hide_what_links_lead_to() {
        let linked = [directory("./x/"), directory("./x/e/"), file("./x/e/f", ""), symlink("./x/d", "e")];
        let error = format!("`x/d` is a directory in the package `two` and a symbolic link in `one`, {LOST}");
        let d = [directory("./x/d/"), file("./x/d/g", "")];
        check(&[("", &linked), ("", &d)], &error);
        check(&[("", &linked), ("", &d[..1])], &error);
        for target in ["nowhere", "/run", "../run"] {
            check(&[("", &[directory("./run/lock/"), symlink("./x/d", target)]), ("", &d)], "ok");
        }
        check(&[("", &[file("./x/d", "")]), ("Replaces: one\n", &d)], "ok");
        let over_file = format!("`x/d` is a directory in the package `two` and a file in `one`, {LOST}");
        check(&[("", &[file("./x/d", "")]), ("", &d)], &over_file);
    }

    #[test]
    fn packages_share_directories_and_the_links_of_a_merged_usr() {
        let base = [symlink("./lib", "usr/lib"), directory("./usr/"), directory("./usr/lib/")];
        let old = [directory("./lib/"), directory("./lib/d/"), file("./lib/d/f", "")];
        let new = [
            directory("./usr/"),
            directory("./usr/lib/"),
            directory("./usr/lib/d/"),
            file("./usr/lib/d-f", ""),
        ];
        check(&[("", &old), ("", &base), ("", &new)], "ok");
        check(&[("", &base), ("", &new), ("", &old)], "ok");
    }
}
