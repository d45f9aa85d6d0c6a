//! What must be in the root before the first script runs.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use layer::{EntryPath, NodeKind};

use super::database::{paths_of_interest, trigger_interests, unpacked_stanza};
use super::diversions::{Placement, decide, list_without};
use super::packages::{PackagedFile, Packages};
use super::root::Root;
use super::{ConfigureError, Spec};
use crate::deb::usr_merge;

/// Keeps invoke-rc.d(8) and deb-systemd-invoke(1) from starting anything.
const POLICY: (&str, &str) = ("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");

/// Makes the links of a merged /usr, permissions, dpkg's database and what else scripts rely on.
pub(super) fn prepare(root: &mut Root, packages: &Packages, spec: &Spec) -> Result<(), ConfigureError> {
    link_directories(root, packages)?;
    set_modes(root, packages)?;
    settle_disputes(root, packages)?;
    write_database(root, packages, spec)?;
    write(root, POLICY.0, 0o755, POLICY.1.as_bytes())?;
    if let Some(hostname) = &spec.hostname {
        write(root, "etc/hostname", 0o644, format!("{hostname}\n").as_bytes())?;
    }
    write_first_users(root, packages)
}

fn path(path: &str) -> EntryPath {
    EntryPath::new(path).expect("paths written here are paths, and names from packages were checked")
}

fn write(root: &Root, at: &str, mode: u32, content: &[u8]) -> Result<(), ConfigureError> {
    let at = path(at);
    root.write(&at, mode, content).map_err(|source| ConfigureError::root("write", &at, source))
}

/// Makes the links of a merged /usr, as far as base-files does not have them.
fn link_directories(root: &Root, packages: &Packages) -> Result<(), ConfigureError> {
    for name in usr_merge::ALIASES {
        let (link, target) = (path(name), format!("usr/{name}"));
        if !usr_merge::ALWAYS.contains(&name) && packages.get(target.as_bytes()).is_none() {
            continue;
        }
        let error = |source| ConfigureError::root("link", &link, source);
        root.make_directory(&path(&target)).map_err(error)?;
        if !root.has(&link).map_err(error)? {
            root.link(&link, target.as_bytes()).map_err(error)?;
        }
    }
    Ok(())
}

/// Gives files their permissions where these are not the usual ones: a tree of plain files only knows what is
/// executable. That it may have nothing writable is left as it is, or every file would be copied.
fn set_modes(root: &Root, packages: &Packages) -> Result<(), ConfigureError> {
    for item in packages.tree.items() {
        let mode = item.node.metadata.mode;
        let is_usual = match &item.node.kind {
            NodeKind::Directory => mode == 0o755,
            NodeKind::File(_) => matches!(mode, 0o644 | 0o755),
            _ => true,
        };
        if !is_usual {
            let error = |source| ConfigureError::root("set the mode of", item.path, source);
            root.set_mode(item.path, mode).map_err(error)?;
        }
    }
    // The first package that has a directory says what it is like.
    for (at, metadata) in &packages.directories {
        let is_other = packages.get(at.as_bytes()).is_some_and(|item| {
            item.node.kind == NodeKind::Directory && item.node.metadata.mode != metadata.mode
        });
        if is_other {
            let error = |source| ConfigureError::root("set the mode of", at, source);
            root.set_mode(at, metadata.mode).map_err(error)?;
        }
    }
    Ok(())
}

/// Puts the right one of several packages' files at each path, as far as no diversion is needed for that.
fn settle_disputes(root: &mut Root, packages: &Packages) -> Result<(), ConfigureError> {
    // Packages may dispute all that they have: each list is read once, and written once.
    let mut listed = BTreeMap::new();
    let mut lost: BTreeMap<usize, BTreeSet<&EntryPath>> = BTreeMap::new();
    for (at, files) in packages.disputed() {
        for file in files {
            if let Entry::Vacant(entry) = listed.entry(file.package) {
                entry.insert(packages.listed(file.package)?);
            }
        }
        let own_name = [b"/", at.as_bytes()].concat();
        let is_aliased = |package| !listed[&package].contains(&own_name);
        let is_same = |left: &PackagedFile, right: &PackagedFile| is_same(packages, left, right);
        let decided = decide(at, files, is_same, is_aliased, packages);
        let decision = match decided {
            Ok(None) => continue,
            Ok(Some(decision)) => decision,
            // One of them may yet divert the other's.
            Err(conflict) => {
                root.conflicts.push(conflict);
                continue;
            }
        };
        root.place(packages, &Placement { path: at.clone(), file: Some(decision.winner) })?;
        for loser in decision.losers {
            lost.entry(loser).or_default().insert(at);
        }
    }
    for (loser, paths) in &lost {
        let list_path = packages.all[*loser].identity.info_path("list");
        let error = |source| ConfigureError::root("write", &list_path, source);
        let list = root.read(&list_path.to_string()).map_err(error)?.unwrap_or_default();
        root.write(&list_path, 0o644, &list_without(&list, paths)[..]).map_err(error)?;
    }
    Ok(())
}

fn is_same(packages: &Packages, left: &PackagedFile, right: &PackagedFile) -> bool {
    let (one, other) = (&left.entry, &right.entry);
    if one.kind != other.kind || one.metadata.mode != other.metadata.mode {
        return false;
    }
    let bytes = |file: &PackagedFile| packages.bytes(&file.entry.path, file.extent).ok();
    left.extent.size == 0 || bytes(left).is_some_and(|left| Some(left) == bytes(right))
}

fn write_database(root: &Root, packages: &Packages, spec: &Spec) -> Result<(), ConfigureError> {
    let stanzas = packages.new_packages().iter();
    let stanzas: Vec<String> =
        stanzas.map(|package| unpacked_stanza(&package.control, &package.conffiles)).collect();
    let mut status = installed(root)?;
    status.push_str(&stanzas.join("\n"));
    let mut architectures = vec![spec.architecture.as_str()];
    architectures.extend(spec.foreign_architectures.iter().map(String::as_str));
    let database = [
        ("status", status),
        ("available", String::new()),
        ("arch", architectures.join("\n") + "\n"),
        ("info/format", "1\n".to_owned()),
    ];
    for (name, content) in database {
        write(root, &format!("var/lib/dpkg/{name}"), 0o644, content.as_bytes())?;
    }
    let names: Vec<String> = packages.all.iter().map(|package| package.identity.info_name()).collect();
    let triggers = packages.all.iter().map(|package| package.triggers.as_str());
    let mut files = trigger_interests(names.iter().map(String::as_str).zip(triggers));
    files.insert("Unincorp".to_owned(), activated(packages));
    for (name, content) in files {
        write(root, &format!("var/lib/dpkg/triggers/{name}"), 0o644, content.as_bytes())?;
    }
    for directory in ["updates", "parts", "alternatives"] {
        let directory = path(&format!("var/lib/dpkg/{directory}"));
        let error = |source| ConfigureError::root("make", &directory, source);
        root.make_directory(&directory).map_err(error)?;
    }
    Ok(())
}

/// Returns what dpkg knows of the packages that are configured already, ready for more.
fn installed(root: &Root) -> Result<String, ConfigureError> {
    let at = path("var/lib/dpkg/status");
    let read_error = |source| ConfigureError::root("read", &at, source);
    let status = root.read(&at.to_string()).map_err(read_error)?.unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    Ok(match status.trim_end() {
        "" => String::new(),
        stanzas => format!("{stanzas}\n\n"),
    })
}

/// Returns the triggers that unpacking activated for packages that are configured already: new packages have files
/// where these are interested in. Nobody waits for them. Triggers that control files name, dpkg activates itself.
fn activated(packages: &Packages) -> String {
    let configured = packages.all[..packages.n_configured].iter();
    let interests = paths_of_interest(configured.map(|package| package.triggers.as_str()));
    let is_activated = |interest: &&str| {
        let at = EntryPath::tolerant(interest.trim_start_matches('/').as_bytes()).ok().flatten();
        let at = at.map(|at| usr_merge::real_directory(&at).or(usr_merge::real_path(&at)).unwrap_or(at));
        at.is_some_and(|at| packages.has_new_below(&at))
    };
    interests.into_iter().filter(is_activated).map(|interest| format!("{interest} -\n")).collect()
}

/// Where base-passwd has no `preinst` that does it, writes the users and groups that scripts give files to
/// before base-passwd is configured.
fn write_first_users(root: &Root, packages: &Packages) -> Result<(), ConfigureError> {
    let candidates = packages.candidates();
    if packages.n_configured > 0 {
        return Ok(());
    }
    if candidates.iter().any(|candidate| candidate.name == "base-passwd" && candidate.has_preinst) {
        return Ok(());
    }
    for name in ["passwd", "group"] {
        let at = path(&format!("etc/{name}"));
        let error = |source| ConfigureError::root("write", &at, source);
        let master = root.read(&format!("usr/share/base-passwd/{name}.master")).map_err(error)?;
        if let (Some(master), false) = (master, root.has(&at).map_err(error)?) {
            root.write(&at, 0o644, &master[..]).map_err(error)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::fixtures::{control, deb, file};

    #[test]
    fn packages_may_dispute_all_that_they_have() {
        const N_FILES: usize = 2000;
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let layers = [("new", "Replaces: old\n"), ("old", "")].map(|(name, fields)| {
            let files: Vec<_> = (0..N_FILES).map(|n| file(&format!("./usr/share/{n}"), name)).collect();
            std::fs::write(at("deb"), deb(&[control(name, fields)], &files)).unwrap();
            crate::deb::unpack(&at("deb"), &at(name)).unwrap();
            at(name)
        });
        let packages = Packages::read(&[], &layers).unwrap();
        assert_eq!(packages.disputed().count(), N_FILES);
        std::fs::create_dir(at("root")).unwrap();
        let mut root = Root::open(&at("root")).unwrap();
        let list = "var/lib/dpkg/info/old.list";
        let content = format!("/.\n/usr/share/7\n/usr/share/{N_FILES}\n");
        write(&root, list, 0o644, content.as_bytes()).unwrap();
        settle_disputes(&mut root, &packages).unwrap();
        assert_eq!(root.read(list).unwrap().unwrap(), format!("/.\n/usr/share/{N_FILES}\n").as_bytes());
        assert_eq!(root.read("usr/share/7").unwrap().unwrap(), b"new");
        assert_eq!(root.placed.len(), N_FILES);
    }

    /// Checks who has a file that `old` 1.0 has, and after it `new` with this field `Replaces`.
    #[track_caller]
    fn check_replaces(replaces: &str, expected: &str) {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let layers =
            [("old", String::new()), ("new", format!("Replaces: {replaces}\n"))].map(|(name, fields)| {
                std::fs::write(at("deb"), deb(&[control(name, &fields)], &[file("./f", name)])).unwrap();
                crate::deb::unpack(&at("deb"), &at(name)).unwrap();
                at(name)
            });
        let packages = Packages::read(&[], &layers).unwrap();
        std::fs::create_dir(at("root")).unwrap();
        let mut root = Root::open(&at("root")).unwrap();
        settle_disputes(&mut root, &packages).unwrap();
        let found = match root.conflicts.first() {
            Some(conflict) => conflict.to_string(),
            None => String::from_utf8(root.read("f").unwrap().unwrap()).unwrap(),
        };
        assert_eq!(found, expected, "{replaces}");
    }

    #[test]
    fn files_are_replaced_of_the_versions_that_are_named() {
        for replaces in ["old", "old (<< 2)", "x, old (= 1.0)", "old (<< 1), old (>= 1)", "old:any (<< 2~)"] {
            check_replaces(replaces, "new");
        }
        let conflict =
            "`f` is in the package `old` and also in `new`, and neither replaces the other's files";
        for replaces in ["old (<< 1)", "old (<< 1.0), x", "x", "older", "old (<<"] {
            check_replaces(replaces, conflict);
        }
    }
}
