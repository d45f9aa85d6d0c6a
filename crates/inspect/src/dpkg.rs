//! What Debian's package manager leaves in a root file system of the files of its packages.

use crate::entry::EntryKind;

/// Where its files about packages are, with a slash at the end: `PACKAGE.list`, or `PACKAGE:ARCH.list`, has a path on each
/// line.
pub(crate) const INFO: &str = "var/lib/dpkg/info/";

/// Returns the package that a file in [`INFO`] is about, without its architecture, if it is about one.
pub(crate) fn package(name: &str) -> Option<&str> {
    let stem = name.rsplit_once('.').map(|(stem, _)| stem)?;
    let package = stem.split_once(':').map_or(stem, |(package, _)| package);
    (!package.is_empty()).then_some(package)
}

/// Returns a path of a list, without the slash in front, as an image has it where `/bin` and its like are links: what
/// packages call `/bin/sh` is there as `/usr/bin/sh`. `kind` says what is at a path of the image.
pub(crate) fn merged(path: &[u8], kind: impl Fn(&[u8]) -> Option<EntryKind>) -> Vec<u8> {
    let (first, rest) = match path.iter().position(|byte| *byte == b'/') {
        Some(at) => path.split_at(at),
        None => return path.to_vec(),
    };
    match kind(first) {
        Some(EntryKind::Symlink(target)) => [target.strip_prefix(b"/").unwrap_or(&target), rest].concat(),
        _ => path.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_named_after_packages() {
        assert_eq!(package("libc6:amd64.list"), Some("libc6"));
        assert_eq!(package("bash.postinst"), Some("bash"));
        assert_eq!(package("libstdc++6:i386.md5sums"), Some("libstdc++6"));
        assert_eq!(package("format"), None);
        assert_eq!(package(".list"), None);
    }

    #[test]
    fn paths_go_through_the_links_that_there_are() {
        let kind = |path: &[u8]| (path == b"bin").then(|| EntryKind::Symlink(b"/usr/bin".to_vec()));
        assert_eq!(merged(b"bin/sh", kind), b"usr/bin/sh");
        assert_eq!(merged(b"lib/x", kind), b"lib/x");
        assert_eq!(merged(b"bin", kind), b"bin");
    }
}
