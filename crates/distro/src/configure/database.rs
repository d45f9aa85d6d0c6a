//! dpkg's database as it is when everything is unpacked and nothing configured.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use md5::{Digest, Md5};

use crate::deb::hexadecimal;

/// What a package's control file `conffiles` says about one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conffile {
    /// The absolute path.
    pub(super) path: String,
    /// The file is to be removed when the package is upgraded; the package does not have it.
    pub(super) is_removed_on_upgrade: bool,
}

/// Reads the control file `conffiles`.
pub(super) fn conffiles(text: &str) -> Vec<Conffile> {
    let line = |line: &str| {
        let line = line.trim_ascii();
        let (is_removed_on_upgrade, path) = match line.strip_prefix("remove-on-upgrade ") {
            Some(path) => (true, path.trim_ascii()),
            None => (false, line),
        };
        path.starts_with('/').then(|| Conffile { path: path.to_owned(), is_removed_on_upgrade })
    };
    text.lines().filter_map(line).collect()
}

/// Returns the stanza of an unpacked package, given its control stanza and the contents of its conffiles as
/// far as it has them.
///
/// The conffiles are in place already, so the stanza has their digests, which dpkg else writes while it
/// configures the package and moves them there.
pub(super) fn unpacked_stanza(control: &str, conffiles: &[(Conffile, Option<Vec<u8>>)]) -> String {
    let mut stanza = format!("{}\nStatus: install ok unpacked\n", control.trim_end());
    if !conffiles.is_empty() {
        stanza.push_str("Conffiles:\n");
    }
    for (conffile, content) in conffiles {
        let digest = match content {
            Some(content) => hexadecimal(&Md5::digest(content)),
            None => "newconffile".to_owned(),
        };
        let flag = if conffile.is_removed_on_upgrade { " remove-on-upgrade" } else { "" };
        writeln!(stanza, " {} {digest}{flag}", conffile.path).expect("writing to a string cannot fail");
    }
    stanza
}

/// Returns the files of `var/lib/dpkg/triggers` for packages, each with its name in dpkg's database and its
/// control file `triggers`.
pub(super) fn trigger_interests<'a>(
    packages: impl Iterator<Item = (&'a str, &'a str)>,
) -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([("Unincorp".to_owned(), String::new())]);
    for (package, triggers) in packages {
        for line in triggers.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let suffix = match words.next() {
                Some("interest" | "interest-await") => "",
                Some("interest-noawait") => "/noawait",
                _ => continue,
            };
            match words.next() {
                Some(path) if path.starts_with('/') => {
                    *files.entry("File".to_owned()).or_default() += &format!("{path} {package}{suffix}\n");
                }
                // A name with a slash inside would be somebody else's file.
                Some(name) if !name.contains('/') && !name.starts_with('.') => {
                    *files.entry(name.to_owned()).or_default() += &format!("{package}{suffix}\n");
                }
                _ => {}
            }
        }
    }
    files
}

/// Returns the absolute paths in which packages are interested, as their control files `triggers` have them.
pub(super) fn paths_of_interest<'a>(triggers: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let line = |line: &'a str| {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let directive = words.next()?;
        words.next().filter(|path| directive.starts_with("interest") && path.starts_with('/'))
    };
    triggers.flat_map(str::lines).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_have_the_digests_of_conffiles() {
        let conffiles: Vec<_> = conffiles("/etc/a\n\nremove-on-upgrade /etc/old\n/etc/gone\n")
            .into_iter()
            .map(|conffile| {
                let content = (conffile.path == "/etc/a").then(|| b"hello\n".to_vec());
                (conffile, content)
            })
            .collect();
        assert_eq!(
            unpacked_stanza("Package: a\nVersion: 1\n\n", &conffiles),
            "Package: a\nVersion: 1\nStatus: install ok unpacked\nConffiles:\n \
             /etc/a b1946ac92492d2347c6235b4d2611184\n /etc/old newconffile remove-on-upgrade\n \
             /etc/gone newconffile\n"
        );
        assert_eq!(unpacked_stanza("Package: a", &[]), "Package: a\nStatus: install ok unpacked\n");
    }

    #[test]
    fn interests_are_sorted_into_files() {
        let packages = [
            ("libc-bin", "# comment\ninterest-await ldconfig\n"),
            ("man-db", "interest-noawait /usr/share/man # pages\nactivate x\ninterest ../../etc/passwd\n"),
            ("libglib:amd64", "interest /usr/lib/gio\ninterest-noawait ldconfig\n"),
        ];
        let files = trigger_interests(packages.into_iter());
        let rendered: Vec<String> = files.iter().map(|(name, content)| format!("{name}={content}")).collect();
        assert_eq!(
            rendered,
            [
                "File=/usr/share/man man-db/noawait\n/usr/lib/gio libglib:amd64\n",
                "Unincorp=",
                "ldconfig=libc-bin\nlibglib:amd64/noawait\n"
            ]
        );
    }
}
