//! Packages of which two root file systems have other versions, and the files that this explains.
//!
//! Read are dpkg's `status` and lists of files (deb-control(5), `/var/lib/dpkg/info`), and the database of Alpine's apk
//! (`lib/apk/db/installed`).

use std::collections::{BTreeMap, BTreeSet};

use super::{Aspect, Change, join};
use crate::container::Container;
use crate::dpkg::{self, INFO};
use crate::entry::EntryKind;
use crate::source::{Source, some};

/// A package of which two objects have other versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageChange {
    /// Its name, and what it is for if there may be several: `libc6:arm64`.
    pub name: String,
    /// The first's version; `None` when only the second has it.
    pub before: Option<String>,
    /// The second's version; `None` when only the first has it.
    pub after: Option<String>,
    /// The paths of [`Change`]s that this explains: its files, and what the package manager writes of it.
    pub paths: Vec<String>,
}

/// A database has at most so many bytes.
const MOST: usize = 64 << 20;
/// The lists of files that are read have at most so many together: they may be names of one file.
const MOST_LISTS: usize = 128 << 20;
const STATUS: &str = "var/lib/dpkg/status";
const APK: &str = "lib/apk/db/installed";

/// What is known of a package.
#[derive(Debug, Default, PartialEq, Eq)]
struct Package {
    version: String,
    /// All that its database says of it.
    stanza: String,
    /// Its files, where the database has them.
    files: Vec<String>,
    /// What its list of files may be called.
    lists: Vec<String>,
}

type Packages = BTreeMap<String, Package>;

/// Returns the packages that differ between two containers at `path`, with those of `changes` that they explain.
///
/// Nothing, where one of them has no packages: that explains nothing.
pub(super) fn changed(
    path: &str,
    a: &dyn Container,
    b: &dyn Container,
    changes: &[Change],
) -> Vec<PackageChange> {
    let (Some(left), Some(right)) = (installed(a), installed(b)) else { return Vec::new() };
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let of = |packages: &Packages, name: &str| packages.get(name).map(|package| package.version.clone());
    let mut found: Vec<PackageChange> = names
        .into_iter()
        .map(|name| PackageChange {
            name: name.clone(),
            before: of(&left, name),
            after: of(&right, name),
            paths: Vec::new(),
        })
        .filter(|package| package.before != package.after)
        .collect();
    if found.is_empty() {
        return found;
    }
    // Whose file it is.
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    let mut bytes_left = MOST_LISTS;
    for (idx, change) in found.iter().enumerate() {
        for (container, packages) in [(a, &left), (b, &right)] {
            if let Some(package) = packages.get(&change.name) {
                for file in files(container, package, &mut bytes_left) {
                    owners.entry(join(path, file.as_bytes())).or_insert(idx);
                }
                for list in &package.lists {
                    owners.entry(join(path, format!("{INFO}{list}").as_bytes())).or_insert(idx);
                }
            }
        }
    }
    // What the database says of the others is the same.
    let is_all = left.iter().all(|(name, package)| {
        right.get(name).is_none_or(|other| other.version != package.version || other.stanza == package.stanza)
    });
    let databases = [STATUS, APK].map(|database| join(path, database.as_bytes()));
    for change in changes {
        let owner = owner(&owners, &change.path, path).or_else(|| {
            let of_one = change.path.strip_prefix(&join(path, INFO.as_bytes()))?;
            found.iter().position(|package| is_info(&package.name, of_one))
        });
        match owner {
            Some(idx) if is_its(change) => found[idx].paths.push(change.path.clone()),
            None if is_all && databases.contains(&change.path) => found[0].paths.push(change.path.clone()),
            _ => {}
        }
    }
    found
}

/// Returns whose file a path is, or is in: the section of a program is the program's.
fn owner(owners: &BTreeMap<String, usize>, changed: &str, top: &str) -> Option<usize> {
    if let Some(idx) = owners.get(changed) {
        return Some(*idx);
    }
    let mut at = changed;
    while let Some((parent, _)) = at.rsplit_once('/') {
        if parent.len() <= top.len() {
            break;
        }
        if let Some(idx) = owners.get(parent) {
            return Some(*idx);
        }
        at = parent;
    }
    None
}

/// Returns whether that is what a new version explains.
fn is_its(change: &Change) -> bool {
    change.aspects.iter().any(|aspect| {
        !matches!(aspect, Aspect::Mode(..) | Aspect::Owner(..) | Aspect::Attribute(..) | Aspect::Unknown(_))
    })
}

/// Returns whether a file of dpkg's is of that package: `NAME.postinst`, `NAME:ARCH.md5sums`.
fn is_info(name: &str, file: &str) -> bool {
    let bare = name.split_once(':').map_or(name, |(bare, _)| bare);
    dpkg::package(file) == Some(bare)
}

/// Returns the packages of a root file system, if it says what it has.
fn installed(container: &dyn Container) -> Option<Packages> {
    let mut packages = Packages::new();
    let status = text(container, STATUS, MOST);
    let apk = text(container, APK, MOST);
    if status.is_none() && apk.is_none() {
        return None;
    }
    status.iter().for_each(|status| add_dpkg(status, &mut packages));
    apk.iter().for_each(|apk| add_apk(apk, &mut packages));
    Some(packages)
}

fn add_dpkg(status: &str, packages: &mut Packages) {
    for stanza in status.split("\n\n") {
        let field = |name: &str| {
            let line = stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(str::trim)
        };
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else { continue };
        if field("Status").is_some_and(|status| !status.ends_with(" installed")) {
            continue;
        }
        let architecture = field("Architecture").unwrap_or_default();
        let full = format!("{name}:{architecture}");
        let lists = vec![format!("{name}.list"), format!("{full}.list")];
        let is_one_of_several = field("Multi-Arch") == Some("same");
        packages.insert(
            if is_one_of_several { full } else { name.to_owned() },
            Package { version: version.to_owned(), stanza: stanza.to_owned(), files: Vec::new(), lists },
        );
    }
}

fn add_apk(installed: &str, packages: &mut Packages) {
    for stanza in installed.split("\n\n") {
        let mut package = Package { stanza: stanza.to_owned(), ..Package::default() };
        let (mut name, mut directory) = (None, "");
        for line in stanza.lines() {
            match line.split_once(':') {
                Some(("P", value)) => name = Some(value.to_owned()),
                Some(("V", value)) => package.version = value.to_owned(),
                Some(("F", value)) => directory = value,
                Some(("R", value)) if directory.is_empty() => package.files.push(value.to_owned()),
                Some(("R", value)) => package.files.push(format!("{directory}/{value}")),
                _ => {}
            }
        }
        if let Some(name) = name {
            packages.insert(name, package);
        }
    }
}

/// Returns the files of a package: no directories, which others may have too, as far as the container knows. A list is not
/// read that has more than the bytes that are `left` for all.
fn files(container: &dyn Container, package: &Package, left: &mut usize) -> Vec<String> {
    let lists = package.lists.iter().filter_map(|list| {
        let list = text(container, &format!("{INFO}{list}"), MOST.min(*left))?;
        *left -= list.len();
        Some(list)
    });
    let listed: Vec<String> = lists
        .flat_map(|list| list.lines().map(|line| line.trim_start_matches('/').to_owned()).collect::<Vec<_>>())
        .filter(|path| !path.is_empty() && path != ".")
        .map(|path| merged(container, &path))
        .filter(|path| {
            !matches!(container.lookup(path.as_bytes()), Ok(Some(entry)) if entry.kind == EntryKind::Directory)
        })
        .collect();
    listed.into_iter().chain(package.files.iter().cloned()).collect()
}

fn merged(container: &dyn Container, path: &str) -> String {
    let kind = |path: &[u8]| Some(container.lookup(path).ok()??.kind);
    String::from_utf8_lossy(&dpkg::merged(path.as_bytes(), kind)).into_owned()
}

/// Returns a text of a container, if it has one there of at most so many bytes.
fn text(container: &dyn Container, path: &str, most: usize) -> Option<String> {
    let entry = container.lookup(path.as_bytes()).ok()??;
    if !entry.kind.has_contents() {
        return None;
    }
    let source: Source = container.open(&entry).ok()?;
    let bytes = some(&*source, 0, most + 1).ok().filter(|bytes| bytes.len() <= most)?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dpkg_says_of_packages() {
        let mut packages = Packages::new();
        add_dpkg(
            "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.4\n\n\
             Package: libc6\nStatus: install ok installed\nArchitecture: arm64\nMulti-Arch: same\nVersion: 2.36-9\n\n\
             Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nno package\n",
            &mut packages,
        );
        let versions: Vec<_> =
            packages.iter().map(|(name, package)| (name.as_str(), package.version.as_str())).collect();
        assert_eq!(versions, [("base-files", "12.4"), ("libc6:arm64", "2.36-9")]);
        assert!(
            is_info("libc6:arm64", "libc6:arm64.md5sums") && is_info("base-files", "base-files.postinst")
        );
        assert!(!is_info("base-files", "base.list") && !is_info("base-files", "format"));
    }

    #[test]
    fn what_apk_says_of_packages() {
        let mut packages = Packages::new();
        add_apk(
            "C:Q1x\nP:musl\nV:1.2.5-r0\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\nP:init\nV:1\nF:\nR:init\n\n",
            &mut packages,
        );
        assert_eq!(packages["musl"].version, "1.2.5-r0");
        assert_eq!(packages["musl"].files, ["lib/ld-musl-x86_64.so.1"]);
        assert_eq!(packages["init"].files, ["init"]);
    }
}
