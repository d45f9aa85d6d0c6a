//! Which file of a source package is what, by their names.

use std::collections::BTreeMap;

use crate::deb::Compression;
use crate::source::dsc::{Dsc, Format};

/// The files of a package by what they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One archive, and that is all.
    Native(Archive),
    /// One archive and a diff.
    Diff(Archive, String),
    /// The upstream sources, further ones in directories of their own, and what Debian has added.
    Quilt { upstream: Archive, components: BTreeMap<String, Archive>, debian: Archive },
}

/// A tar archive of a source package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Archive {
    pub(super) name: String,
    pub(super) compression: Compression,
}

/// Why the files of a package do not make one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A file that its format does not have, or a compression that we do not know.
    #[error("`{0}` is no file that a source package of its format has")]
    Unknown(String),
    /// A second file for the same purpose.
    #[error("`{0}` is the second file for its purpose")]
    Twice(String),
    /// A file that all packages of the format have.
    #[error("there is no {0}")]
    Missing(&'static str),
}

impl Layout {
    /// Says what each file of `dsc` is for.
    pub(super) fn of(dsc: &Dsc) -> Result<Layout, LayoutError> {
        let upstream_base = format!("{}_{}.orig", dsc.source, dsc.upstream_version());
        let base = format!("{}_{}", dsc.source, dsc.version_in_names());
        let (mut upstream, mut native, mut debian, mut diff) = (None, None, None, None);
        let mut components = BTreeMap::new();
        for file in &dsc.files {
            let name = file.name.as_str();
            // The signatures of upstream's authors; what they sign is pinned by its content.
            if name.starts_with(&upstream_base) && name.ends_with(".asc") {
                continue;
            }
            let unknown = || LayoutError::Unknown(name.to_owned());
            if name == format!("{base}.diff.gz") && dsc.format == Format::One {
                set(&mut diff, name.to_owned(), name)?;
                continue;
            }
            let (stem, compression) = archive(name).ok_or_else(unknown)?;
            if dsc.format == Format::One && compression != Compression::Gzip {
                return Err(unknown());
            }
            let archive = Archive { name: name.to_owned(), compression };
            if stem == upstream_base && dsc.format != Format::Native {
                set(&mut upstream, archive, name)?;
            } else if stem == base && dsc.format != Format::Quilt {
                set(&mut native, archive, name)?;
            } else if dsc.format != Format::Quilt {
                return Err(unknown());
            } else if stem == format!("{base}.debian") {
                set(&mut debian, archive, name)?;
            } else {
                let component = stem
                    .strip_prefix(&upstream_base)
                    .and_then(|rest| rest.strip_prefix('-'))
                    .filter(|component| is_component(component))
                    .ok_or_else(unknown)?;
                if components.insert(component.to_owned(), archive).is_some() {
                    return Err(LayoutError::Twice(name.to_owned()));
                }
            }
        }
        if let (Some(_), Some(second)) = (&upstream, &native) {
            return Err(LayoutError::Twice(second.name.clone()));
        }
        let sources = upstream.or(native).ok_or(LayoutError::Missing("archive of the sources"))?;
        match (dsc.format, diff) {
            (Format::Quilt, _) => {
                let debian = debian.ok_or(LayoutError::Missing("archive with the directory `debian`"))?;
                Ok(Layout::Quilt { upstream: sources, components, debian })
            }
            (_, Some(diff)) => Ok(Layout::Diff(sources, diff)),
            (_, None) => Ok(Layout::Native(sources)),
        }
    }
}

fn set<T>(place: &mut Option<T>, value: T, name: &str) -> Result<(), LayoutError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(LayoutError::Twice(name.to_owned())),
    }
}

/// Returns what is before `.tar`, and the compression that follows it; archives are always compressed.
fn archive(name: &str) -> Option<(&str, Compression)> {
    let (stem, suffix) = name.rsplit_once(".tar")?;
    let compression = Compression::from_suffix(suffix).filter(|found| *found != Compression::None)?;
    Some((stem, compression))
}

fn is_component(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;
    use crate::source::dsc::DscFile;

    #[track_caller]
    fn check(format: Format, version: &str, names: &[&str], expected: &str) {
        let file = |name: &&str| DscFile { name: (*name).to_owned(), size: 0, sha256: Sha256::of(b"") };
        let files = names.iter().map(file).collect();
        let dsc = Dsc { source: "a".into(), version: version.into(), format, files };
        let rendered = match Layout::of(&dsc) {
            Ok(Layout::Native(archive)) => format!("native {}", archive.name),
            Ok(Layout::Diff(archive, diff)) => format!("diff {} {diff}", archive.name),
            Ok(Layout::Quilt { upstream, components, debian }) => {
                let components: Vec<String> =
                    components.iter().map(|(name, archive)| format!("{name}={}", archive.name)).collect();
                format!("quilt {} [{}] {}", upstream.name, components.join(" "), debian.name)
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(rendered, expected);
    }

    #[test]
    fn files_are_known_by_their_names() {
        use Format::{Native, One, Quilt};
        check(Native, "1:2", &["a_2.tar.xz"], "native a_2.tar.xz");
        check(One, "2", &["a_2.tar.gz"], "native a_2.tar.gz");
        check(One, "2-1", &["a_2-1.diff.gz", "a_2.orig.tar.gz"], "diff a_2.orig.tar.gz a_2-1.diff.gz");
        check(One, "2-1", &["a_2.orig.tar.gz"], "native a_2.orig.tar.gz");
        check(
            Quilt,
            "2-1",
            &[
                "a_2.orig.tar.bz2",
                "a_2.orig-z.tar.xz",
                "a_2.orig-b-c.tar.zst",
                "a_2-1.debian.tar.gz",
                "a_2.orig.tar.bz2.asc",
                "a_2.orig-z.tar.xz.asc",
            ],
            "quilt a_2.orig.tar.bz2 [b-c=a_2.orig-b-c.tar.zst z=a_2.orig-z.tar.xz] a_2-1.debian.tar.gz",
        );
    }

    #[test]
    fn files_that_do_not_belong_there_are_refused() {
        use Format::{Native, One, Quilt};
        let unknown = |name: &str| format!("`{name}` is no file that a source package of its format has");
        let twice = |name: &str| format!("`{name}` is the second file for its purpose");
        check(Native, "2", &[], "there is no archive of the sources");
        check(Native, "2", &["a_3.tar.xz"], &unknown("a_3.tar.xz"));
        check(Native, "2", &["a_2.orig.tar.xz"], &unknown("a_2.orig.tar.xz"));
        check(Native, "2", &["a_2.tar.xz", "a_2.tar.gz"], &twice("a_2.tar.gz"));
        check(Native, "2", &["a_2.tar.lzma"], &unknown("a_2.tar.lzma"));
        check(Native, "2", &["a_2.tar"], &unknown("a_2.tar"));
        check(One, "2", &["a_2.tar.xz"], &unknown("a_2.tar.xz"));
        check(One, "2-1", &["a_2.orig.tar.gz", "a_2-1.tar.gz"], &twice("a_2-1.tar.gz"));
        check(Quilt, "2-1", &["a_2-1.tar.gz"], &unknown("a_2-1.tar.gz"));
        check(Quilt, "2-1", &["a_2-1.diff.gz"], &unknown("a_2-1.diff.gz"));
        check(Quilt, "2-1", &["a_2.orig.tar.gz"], "there is no archive with the directory `debian`");
        check(Quilt, "2-1", &["a_2.orig-x.y.tar.gz"], &unknown("a_2.orig-x.y.tar.gz"));
        check(Quilt, "2-1", &["a_2.orig-x.tar.gz", "a_2.orig-x.tar.xz"], &twice("a_2.orig-x.tar.xz"));
    }

    #[test]
    fn many_components_take_no_time() {
        let names: Vec<String> = (0..100_000).map(|n| format!("a_2.orig-{n}.tar.gz")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).chain(["a_2.orig-7.tar.xz"]).collect();
        check(Format::Quilt, "2-1", &names, "`a_2.orig-7.tar.xz` is the second file for its purpose");
    }
}
