//! Small source packages of every format, good and bad, made here.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::extract::{QuiltDirectory, decode_files};
use super::layout::Archive;
use super::{SourceError, unpack};
use crate::deb::Compression;
use crate::deb::fixtures::{TarEntry, compress, directory, entry, file, hard_link, program, symlink, tar};
use crate::digest::Sha256;

/// A source package in a directory of its own.
struct Package {
    directory: tempfile::TempDir,
    format: &'static str,
    version: &'static str,
    files: Vec<String>,
}

impl Package {
    fn new(format: &'static str, version: &'static str) -> Package {
        Package { directory: tempfile::tempdir().unwrap(), format, version, files: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Adds a file; the end of its name says how it is compressed.
    fn with(mut self, name: &str, content: &[u8]) -> Package {
        let suffix = [".gz", ".xz", ".bz2", ".zst"].into_iter().find(|suffix| name.ends_with(suffix));
        fs::write(self.path(name), compress(suffix.unwrap_or_default(), content)).unwrap();
        self.files.push(name.to_owned());
        self
    }

    fn tar(self, name: &str, entries: &[TarEntry]) -> Package {
        self.with(name, &tar(entries))
    }

    fn write_dsc(&self) -> PathBuf {
        let mut text =
            format!("Format: {}\nSource: aa\nVersion: {}\nChecksums-Sha256:\n", self.format, self.version);
        for name in &self.files {
            let bytes = fs::read(self.path(name)).unwrap();
            writeln!(text, " {} {} {name}", Sha256::of(&bytes), bytes.len()).unwrap();
        }
        let dsc = self.path("aa.dsc");
        fs::write(&dsc, text).unwrap();
        dsc
    }

    fn unpack(&self) -> Result<Vec<String>, SourceError> {
        let dsc = self.write_dsc();
        self.unpack_dsc(&dsc)
    }

    fn unpack_dsc(&self, dsc: &Path) -> Result<Vec<String>, SourceError> {
        let mut said = Vec::new();
        unpack(dsc, &self.path("tree"), &self.path("scratch"), &mut |line| said.push(line.to_owned()))?;
        assert!(!self.path("scratch").exists());
        Ok(said)
    }

    #[track_caller]
    fn check(&self, expected: &str) {
        let said = self.unpack().unwrap_or_else(|error| panic!("{}", render(&error)));
        let mut lines = Vec::new();
        draw(&self.path("tree"), "", &mut lines);
        assert_eq!(lines.join("\n"), expected, "{said:?}");
    }

    #[track_caller]
    fn check_refused(&self, expected: &str) {
        let error = self.unpack().unwrap_err();
        assert!(render(&error).contains(expected), "{}", render(&error));
        assert!(!error.is_machine());
    }
}

/// Draws a directory without what quilt leaves for itself.
fn draw(directory: &Path, prefix: &str, lines: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().display()));
        let metadata = fs::symlink_metadata(&path).unwrap();
        if name == ".pc" || name == "debian/patches" {
            continue;
        } else if metadata.is_dir() {
            draw(&path, &format!("{name}/"), lines);
        } else if metadata.is_symlink() {
            lines.push(format!("{name}@ {}", fs::read_link(&path).unwrap().display()));
        } else {
            let mark = if metadata.permissions().mode() & 0o777 == 0o755 { "*" } else { "" };
            lines.push(format!("{name}{mark} {:?}", String::from_utf8_lossy(&fs::read(&path).unwrap())));
        }
    }
}

fn render(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", render(source)),
        None => error.to_string(),
    }
}

/// `a/f` from `1` to `2`.
const CHANGE: &str = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n";
const NEW: &str = "--- /dev/null\n+++ b/debian/rules\n@@ -0,0 +1 @@\n+rules\n";

#[test]
fn native_packages() {
    for suffix in [".gz", ".xz", ".bz2", ".zst"] {
        Package::new("3.0 (native)", "1:2")
            .tar(
                &format!("aa_2.tar{suffix}"),
                &[
                    directory("aa-2/"),
                    directory("aa-2/debian"),
                    file("aa-2/debian/rules", "r"),
                    file("aa-2/f", "1"),
                    TarEntry { mode: 0o4711, ..program("aa-2/run", "x") },
                    symlink("aa-2/link", "/etc/passwd"),
                    hard_link("aa-2/again", "aa-2/f"),
                    directory("aa-2/"),
                    hard_link("aa-2/second", "aa-2/link"),
                    file("aa-2/.pc/kept", "in a native package"),
                ],
            )
            .check("again \"1\"\ndebian/rules* \"r\"\nf \"1\"\nlink@ /etc/passwd\nrun* \"x\"\nsecond@ /etc/passwd");
    }
}

#[test]
fn an_archive_may_have_no_single_top_directory() {
    Package::new("3.0 (native)", "2")
        .tar("aa_2.tar.gz", &[file("f", "1"), directory("d"), file("d/g", "2")])
        .check("d/g \"2\"\nf \"1\"");
    Package::new("3.0 (native)", "2").tar("aa_2.tar.gz", &[file("f", "1")]).check("f \"1\"");
    Package::new("3.0 (native)", "2").tar("aa_2.tar.gz", &[symlink("l", "/etc")]).check("l@ /etc");
}

#[test]
fn packages_of_the_format_1() {
    let sources = [file("aa-1/f", "1\n"), file("aa-1/emptied", "x\n")];
    let diff = format!("{NEW}{CHANGE}--- a/emptied\n+++ b/emptied\n@@ -1 +0,0 @@\n-x\n");
    Package::new("1.0", "1-2")
        .tar("aa_1.orig.tar.gz", &sources)
        .with("aa_1-2.diff.gz", diff.as_bytes())
        .check("debian/rules* \"rules\\n\"\nemptied \"\"\nf \"2\\n\"");
    Package::new("1.0", "1").tar("aa_1.tar.gz", &sources).check("emptied \"x\\n\"\nf \"1\\n\"");
    Package::new("1.0", "1-2")
        .tar("aa_1.orig.tar.gz", &sources)
        .with("aa_1-2.diff.gz", CHANGE.replace("+2\n", "").as_bytes())
        .check_refused("could not understand `aa_1-2.diff.gz`: line 4: the patch ends within a hunk");
    Package::new("1.0", "1-2")
        .tar("aa_1.orig.tar.gz", &sources)
        .with("aa_1-2.diff.gz", CHANGE.replace("-1\n", "-7\n").as_bytes())
        .check_refused(
            "could not apply `aa_1-2.diff.gz`: hunk 1 for `f`, line 3 of the patch, does not apply\n",
        );
}

/// A quilt package with these patches, applied in this order.
fn quilt(sources: &[TarEntry], patches: &[(&str, &str)]) -> Package {
    let series: String = patches.iter().map(|(name, _)| format!("{name}\n")).collect();
    let mut debian = vec![file("debian/rules", "#!/bin/sh\n"), file("debian/patches/series", &series)];
    debian.extend(patches.iter().map(|(name, text)| file(&format!("debian/patches/{name}"), text)));
    Package::new("3.0 (quilt)", "1-2").tar("aa_1.orig.tar.gz", sources).tar("aa_1-2.debian.tar.xz", &debian)
}

#[test]
fn quilt_packages() {
    let sources = [
        file("aa-1.0/f", "1\n"),
        file("aa-1.0/debian/upstream", "of upstream, and not used"),
        file("aa-1.0/.pc/applied-patches", "not used either"),
        symlink("aa-1.0/component", "/etc"),
    ];
    let package =
        quilt(&sources, &[("one.patch", CHANGE), ("sub/two.patch", &CHANGE.replace("-1\n+2", "-2\n+3"))])
            .tar("aa_1.orig-component.tar.xz", &[file("x/y", "c")])
            .tar("aa_1.orig-more.tar.zst", &[file("x", "m"), file("y", "n")])
            .with("aa_1.orig.tar.gz.asc", b"a signature");
    package
        .check("component/y \"c\"\ndebian/rules* \"#!/bin/sh\\n\"\nf \"3\\n\"\nmore/x \"m\"\nmore/y \"n\"");
    let read = |path: &str| fs::read_to_string(package.path("tree").join(path)).unwrap();
    assert_eq!(read(".pc/applied-patches"), "one.patch\nsub/two.patch\n");
    assert_eq!(read(".pc/sub/two.patch/f"), "2\n");
    assert_eq!(read(".pc/.quilt_patches"), "debian/patches\n");
}

#[test]
fn the_series_of_debian_comes_first() {
    let package = Package::new("3.0 (quilt)", "1-2").tar("aa_1.orig.tar.gz", &[file("aa/f", "1\n")]).tar(
        "aa_1-2.debian.tar.gz",
        &[
            file("debian/patches/debian.series", "# all\nx.gz -p1\n"),
            symlink("debian/patches/series", "other"),
            TarEntry {
                content: compress(".gz", CHANGE.as_bytes()),
                ..entry("debian/patches/x.gz", b'0', 0o644)
            },
        ],
    );
    package.check("f \"2\\n\"");
    let link = fs::read_link(package.path("tree/debian/patches/series")).unwrap();
    assert_eq!(link, Path::new("debian.series"));
}

#[test]
fn the_archive_of_debian_may_replace_files_of_upstream() {
    let package = |debian: &[TarEntry]| {
        let sources =
            [file("aa/logo", "old"), file("aa/d/f", "1"), symlink("aa/dir", "/etc"), directory("aa/empty")];
        Package::new("3.0 (quilt)", "1-2")
            .tar("aa_1.orig.tar.gz", &sources)
            .tar("aa_1-2.debian.tar.gz", debian)
    };
    package(&[file("logo", "new"), file("d/g", "2"), file("dir/passwd", "3"), file("empty", "4")])
        .check("d/f \"1\"\nd/g \"2\"\ndir/passwd \"3\"\nempty \"4\"\nlogo \"new\"");
    package(&[file("d", "a file")]).check_refused("replaces `");
}

#[test]
fn a_patch_that_does_not_apply_is_named() {
    let sources = [file("aa/f", "one\n")];
    quilt(&sources, &[("x.patch", CHANGE)]).check_refused(
        "could not apply the patches of `aa`: could not apply the patch `x.patch`: hunk 1 for `f`, line 3 of the patch, \
         does not apply\n  the hunk:\n    -1\n    +2\n  the file, from line 1:\n     one",
    );
    quilt(&sources, &[("x.patch", "--- a/f\n+++ b/f\n")])
        .check_refused("could not understand the patch `x.patch`: line 2: no hunk follows the header");
    let without_patch = Package::new("3.0 (quilt)", "1-2")
        .tar("aa_1.orig.tar.gz", &sources)
        .tar("aa_1-2.debian.tar.xz", &[file("debian/patches/series", "none.patch\n")]);
    without_patch.check_refused("could not read the patch `none.patch`: ");
    let elsewhere = Package::new("3.0 (quilt)", "1-2")
        .tar("aa_1.orig.tar.gz", &sources)
        .tar("aa_1-2.debian.tar.xz", &[file("debian/patches/series", "../../f\n")]);
    elsewhere.check_refused("line 1 of the series names a patch that lies elsewhere");
}

#[test]
fn patches_do_not_leave_the_tree() {
    let sources = [file("aa/f", "1\n"), symlink("aa/out", "/tmp")];
    let new = |name: &str| format!("--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+1\n");
    quilt(&sources, &[("x", &new("../../x"))]).check_refused("`../../x` is not a path inside the tree");
    quilt(&sources, &[("x", &new("out/x"))]).check_refused("`out/x` lies behind the symbolic link `out`");
    let linked = Package::new("3.0 (quilt)", "1-2").tar("aa_1.orig.tar.gz", &sources).tar(
        "aa_1-2.debian.tar.xz",
        &[file("debian/patches/series", "x\n"), symlink("debian/patches/x", "/etc/passwd")],
    );
    linked.check_refused("could not read the patch `x`: it is a link that leads out of the tree");
}

#[test]
fn archives_that_do_harm_are_refused() {
    let native = |entries: &[TarEntry]| Package::new("3.0 (native)", "1").tar("aa_1.tar.gz", entries);
    native(&[file("../x", "")])
        .check_refused("could not unpack `aa_1.tar.gz`: the archive has a path that leaves");
    native(&[file("/etc/x", "")]).check_refused("it is absolute");
    native(&[symlink("a/l", "/etc"), file("a/l/x", "")])
        .check_refused("lies below `a/l`, which is not a directory");
    native(&[hard_link("a/l", "/etc/passwd")]).check_refused("it is absolute");
    native(&[entry("a/null", b'3', 0o666)])
        .check_refused("`a/null`, which is neither a file, a directory nor a link");
    native(&[]).check_refused("`aa_1.tar.gz` is empty");
}

#[test]
fn files_must_be_those_of_the_dsc() {
    let package = || Package::new("3.0 (native)", "1").tar("aa_1.tar.gz", &[file("f", "1")]);
    let altered = package();
    let dsc = altered.write_dsc();
    let mut bytes = fs::read(altered.path("aa_1.tar.gz")).unwrap();
    bytes.push(0);
    fs::write(altered.path("aa_1.tar.gz"), &bytes).unwrap();
    let error = altered.unpack_dsc(&dsc).unwrap_err();
    assert!(error.to_string().starts_with("`aa_1.tar.gz` has "), "{error}");
    assert!(error.to_string().contains(" bytes and the SHA-256 "), "{error}");
    assert!(!altered.path("tree").exists());

    let missing = package();
    let dsc = missing.write_dsc();
    fs::remove_file(missing.path("aa_1.tar.gz")).unwrap();
    let error = missing.unpack_dsc(&dsc).unwrap_err();
    assert!(error.to_string().starts_with("could not open `"), "{error}");
    assert!(error.is_machine());

    Package::new("3.0 (native)", "1")
        .with("aa_1.tar.xz.gz", b"")
        .check_refused("the files of `aa` do not make a source package: `aa_1.tar.xz.gz` is no file");
    Package::new("3.0 (git)", "1").check_refused("could not understand `");
}

/// Makes the checksum of a header right again.
fn seal(header: &mut [u8]) {
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

#[test]
fn an_archive_that_unpacks_to_far_too_much_is_refused() {
    // Longer than the limit, and yet short: the contents are never there.
    let mut header = tar(&[file("f", "")]);
    header[124..136].copy_from_slice(b"77777777777\0");
    seal(&mut header);
    Package::new("3.0 (native)", "1")
        .with("aa_1.tar.gz", &header)
        .check_refused("`aa_1.tar.gz` unpacks to more than 4294967296 bytes");
    // Also what nothing is made of.
    let mut left_out = header.clone();
    left_out[..5].copy_from_slice(b".pc/f");
    seal(&mut left_out);
    Package::new("3.0 (quilt)", "1-1")
        .with("aa_1.orig.tar.gz", &left_out)
        .tar("aa_1-1.debian.tar.gz", &[file("debian/rules", "")])
        .check_refused("`aa_1.orig.tar.gz` unpacks to more than 4294967296 bytes");
}

#[test]
fn headers_that_mean_nothing_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = testkit::tar::directory("./").repeat(1000);
    let path = directory.path().join("archive");
    fs::write(&path, compress(".xz", &nothing)).unwrap();
    let archive = Archive { name: "aa_1.tar.xz".into(), compression: Compression::Xz };
    let decode = |limits| {
        let file = fs::File::open(&path).unwrap();
        decode_files(&archive, file, directory.path(), QuiltDirectory::Keep, limits)
    };
    decode((0, 512_000)).unwrap();
    let error = decode((0, 511_999)).unwrap_err();
    assert!(render(&error).ends_with("more than 511999 bytes come out of it"), "{}", render(&error));
    assert!(!error.is_machine());
}

#[test]
fn patches_are_bounded() {
    let zeros = |size: usize| TarEntry {
        content: compress(".zst", &vec![0; size]),
        ..entry("debian/patches/long.zst", b'0', 0o644)
    };
    let package = |patch: TarEntry, series: &str| {
        Package::new("3.0 (quilt)", "1-2")
            .tar("aa_1.orig.tar.gz", &[file("aa/f", "1\n")])
            .tar("aa_1-2.debian.tar.gz", &[patch, file("debian/patches/series", series)])
    };
    let patch = "could not read the patch `long.zst`";
    package(zeros((256 << 20) + 1), "long.zst\n")
        .check_refused(&format!("{patch}: it has more than 256 MiB"));
    // Without a hunk each is fine, but not so often.
    package(zeros(127 << 20), &"long.zst\n".repeat(9))
        .check_refused(&format!("{patch}: the patches have more than 1 GiB in all"));
    package(zeros(1), &"long.zst\n".repeat(200_000))
        .check_refused("the list of the patches of `aa` has more than 1048576 bytes");
}

#[test]
fn damaged_archives_are_refused() {
    let cut = Package::new("3.0 (native)", "1").tar("aa_1.tar.xz", &[file("f", &"x".repeat(9999))]);
    let bytes = fs::read(cut.path("aa_1.tar.xz")).unwrap();
    fs::write(cut.path("aa_1.tar.xz"), &bytes[..bytes.len() / 2]).unwrap();
    cut.check_refused("`aa_1.tar.xz`");
}
