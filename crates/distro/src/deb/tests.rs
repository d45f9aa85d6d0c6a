//! Tests of unpacking whole packages, good ones and such as would do harm.

use std::fmt::Write;
use std::sync::Arc;

use layer::{Kind, Layer};

use super::fixtures::*;
use super::{UnpackError, unpack, unpack_to};

/// Returns the layer as a list of paths, with what is at them.
fn render(deb: &[u8]) -> Result<String, UnpackError> {
    let scratch = tempfile::tempdir().unwrap();
    let (_, bytes) = unpack_to(deb, Vec::new(), scratch.path().join("scratch"))?;
    let layer = Layer::new("layer", Arc::new(bytes.clone()));
    let mut rendered = String::new();
    for located in layer.entries().unwrap() {
        let located = located.unwrap();
        let metadata = &located.entry.metadata;
        let content = |size: u64| {
            let start = usize::try_from(located.offset).unwrap();
            String::from_utf8_lossy(&bytes[start..start + usize::try_from(size).unwrap()]).replace('\n', "|")
        };
        let what = match &located.entry.kind {
            Kind::Directory => "/".to_owned(),
            Kind::File { size } => format!("={}", content(*size)),
            Kind::Symlink { target } => format!(" -> {}", String::from_utf8_lossy(target)),
            Kind::HardLink { target } => format!(" == {target}"),
            kind => format!(" {kind:?}"),
        };
        let (mode, uid, gid) = (metadata.mode, metadata.uid, metadata.gid);
        let owner = if (uid, gid) == (0, 0) { String::new() } else { format!(" {uid}:{gid}") };
        let path = located.entry.path.to_string();
        if !path.starts_with("var/lib/dpkg/status.d") {
            writeln!(rendered, "{mode:o}{owner} {path}{what}").unwrap();
        }
    }
    Ok(rendered)
}

#[track_caller]
fn check(deb: &[u8], expected: &[&str]) {
    let rendered = render(deb).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(rendered.lines().collect::<Vec<_>>(), expected);
}

/// Checks that a package with these files is refused.
#[track_caller]
fn check_refused(data: &[TarEntry], expected: &str) {
    check_error(&deb(&[control("bad", "")], data), expected);
}

#[track_caller]
fn check_error(deb: &[u8], expected: &str) {
    match render(deb) {
        Ok(rendered) => panic!("it was unpacked:\n{rendered}"),
        Err(error) => assert_eq!(chain(&error), expected),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // A transparent error says what its source says.
        if !text.ends_with(&error.to_string()) {
            write!(text, ": {error}").unwrap();
        }
        source = error.source();
    }
    text
}

#[test]
fn a_package_becomes_a_layer() {
    let mut owned = entry("./var/mail/", b'5', 0o2775);
    owned.gid = 8;
    let mut device = entry("./dev/null", b'3', 0o666);
    device.device = (1, 3);
    let data = [
        directory("./"),
        directory("./usr/"),
        directory("./usr/bin/"),
        program("./usr/bin/tool", "binary"),
        hard_link("./usr/bin/alias", "./usr/bin/tool"),
        symlink("./usr/bin/link", "tool"),
        TarEntry { mode: 0o4755, ..program("./usr/bin/su", "x") },
        directory("./var/"),
        owned,
        directory("./dev/"),
        device,
        entry("./run-fifo", b'6', 0o600),
    ];
    let postinst = program("./postinst", "#!/bin/sh\n");
    let package = deb(&[directory("./"), control("tool", ""), postinst], &data);
    check(
        &package,
        &[
            "755 dev/",
            "666 dev/null CharDevice { major: 1, minor: 3 }",
            "600 run-fifo Fifo",
            "755 usr/",
            "755 usr/bin/",
            "755 usr/bin/alias=binary",
            "777 usr/bin/link -> tool",
            "4755 usr/bin/su=x",
            "755 usr/bin/tool == usr/bin/alias",
            "755 var/",
            "644 var/lib/dpkg/info/tool.list=/.|/usr|/usr/bin|/usr/bin/tool|/usr/bin/alias|/usr/bin/link|/usr/bin/su|\
             /var|/var/mail|/dev|/dev/null|/run-fifo|",
            "644 var/lib/dpkg/info/tool.md5sums=9d7183f16acce70658f686ae7f1a4d20  usr/bin/tool|\
             9dd4e461268c8034f5c8564e155c67a6  usr/bin/su|",
            "755 var/lib/dpkg/info/tool.postinst=#!/bin/sh|",
            "2775 0:8 var/mail/",
        ],
    );
}

#[test]
fn all_compressions_give_the_same_layer() {
    let parts = ([control("a", "")], [directory("./etc/"), file("./etc/a", &"text\n".repeat(100_000))]);
    let plain = render(&deb(&parts.0, &parts.1)).unwrap();
    for suffix in [".gz", ".xz", ".zst"] {
        assert!(render(&deb_compressed(suffix, &parts.0, &parts.1)).unwrap() == plain, "{suffix}");
    }
}

#[test]
fn control_files_of_multi_arch_packages_have_the_architecture_in_their_names() {
    let control = [control("lib", "Multi-Arch: same\n"), file("./triggers", "t"), file("./md5sums", "m")];
    check(
        &deb(&control, &[]),
        &[
            "644 var/lib/dpkg/info/lib:amd64.list=/.|",
            "644 var/lib/dpkg/info/lib:amd64.md5sums=m",
            "644 var/lib/dpkg/info/lib:amd64.triggers=t",
        ],
    );
}

#[test]
fn files_go_where_they_lie_with_a_merged_usr() {
    let data = [
        directory("./bin/"),
        program("./bin/sh", "sh"),
        hard_link("./bin/ash", "./bin/sh"),
        entry("./lib/", b'5', 0o700),
        directory("./usr/"),
        directory("./usr/bin/"),
        symlink("./usr/bin/sh", "/bin/sh"),
        symlink("./usr/bin/ash", "../../bin/ash"),
        directory("./usr/lib/"),
        file("./usr/lib/x", "x"),
    ];
    check(
        &deb(&[control("a", ""), file("./md5sums", "")], &data),
        &[
            "755 usr/",
            "755 usr/bin/",
            "755 usr/bin/ash=sh",
            "755 usr/bin/sh == usr/bin/ash",
            "755 usr/lib/",
            "644 usr/lib/x=x",
            "644 var/lib/dpkg/info/a.list=/.|/bin|/bin/sh|/bin/ash|/lib|/usr|/usr/bin|/usr/bin/sh|/usr/bin/ash|/usr/lib|/usr/lib/x|",
            "644 var/lib/dpkg/info/a.md5sums=",
        ],
    );
    // The links themselves, as base-files has them since Debian 13.
    check(
        &deb(
            &[control("a", ""), file("./md5sums", "")],
            &[symlink("./bin", "usr/bin"), directory("./usr/bin/")],
        ),
        &[
            "777 bin -> usr/bin",
            "755 usr/bin/",
            "644 var/lib/dpkg/info/a.list=/.|/bin|/usr/bin|",
            "644 var/lib/dpkg/info/a.md5sums=",
        ],
    );
    check_refused(
        &[file("./bin/x", "1"), file("./usr/bin/x", "2")],
        "the package has two files that would lie at `usr/bin/x` on a system with a merged /usr",
    );
}

#[test]
fn a_directory_may_come_twice_and_is_as_it_came_first() {
    let data = [
        entry("./d/", b'5', 0o750),
        symlink("./d/s", "x"),
        directory("./d"),
        hard_link("./d/t", "./d/s"),
        directory("./lib/"),
        directory("./lib/"),
    ];
    check(
        &deb(&[control("a", ""), file("./md5sums", "")], &data),
        &[
            "750 d/",
            "777 d/s -> x",
            "777 d/t -> x",
            "755 usr/lib/",
            "644 var/lib/dpkg/info/a.list=/.|/d|/d/s|/d/t|/lib|",
            "644 var/lib/dpkg/info/a.md5sums=",
        ],
    );
}

#[test]
fn files_that_would_be_written_elsewhere_are_refused() {
    let tar = "could not read the files of the member `data.tar`: ";
    let path = "the archive has a path that leaves the tree: ";
    for (name, problem) in [
        ("../x", "it has a component `..`"),
        ("./a/../../x", "it has a component `..`"),
        ("/etc/passwd", "it is absolute"),
    ] {
        let entry = format!(
            "{tar}{path}`{}` is not a path inside the tree: {problem}",
            name.trim_start_matches("./")
        );
        check_refused(&[file(name, "x")], &entry);
        check_refused(&[file("./f", "x"), hard_link("./l", name)], &entry);
    }
    check_refused(
        &[symlink("./etc", "/etc"), file("./etc/passwd", "x")],
        &format!("{tar}`etc/passwd` lies below `etc`, which is not a directory"),
    );
    check_refused(
        &[symlink("./usr/lib", "/etc"), file("./lib/passwd", "x")],
        "the package's files do not make a layer: `usr/lib/passwd` lies below `usr/lib`, which is not a directory",
    );
    check_refused(
        &[hard_link("./shadow", "./etc/shadow")],
        &format!(
            "{tar}the hard link `shadow` points to `etc/shadow`, which is no file that comes before it in the archive"
        ),
    );
    check_refused(
        &[symlink("./a", "/etc"), hard_link("./b", "./a"), file("./b/passwd", "x")],
        &format!("{tar}`b/passwd` lies below `b`, which is not a directory"),
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let tar = "could not read the files of the member `data.tar`: ";
    check_refused(&[file("./a", "1"), file("./a", "2")], &format!("{tar}`a` is in the archive twice"));
    check_refused(
        &[file("./a", "1"), file("a/b", "2")],
        &format!("{tar}`a/b` lies below `a`, which is not a directory"),
    );
    check_refused(
        &[entry("./sparse", b'S', 0o644)],
        &format!("{tar}`./sparse` is a sparse file, which is not supported"),
    );
    check_refused(
        &[file("./.wh.passwd", "")],
        &format!(
            "{tar}the archive has an entry that no file system can hold: `.wh.passwd` cannot be stored: names that \
             start with `.wh.` mean removed files"
        ),
    );
    check_refused(
        &[file("./var/lib/dpkg/info/bad.list", "")],
        "the package's files do not make a layer: `var/lib/dpkg/info/bad.list` is declared twice",
    );
    let long = format!("./{}", "x".repeat(256));
    assert!(render(&deb(&[control("bad", "")], &[file(&long, "")])).is_err());
}

#[test]
fn archives_that_are_no_packages_are_refused() {
    check_error(b"", "the package is damaged: it does not begin with `!<arch>`");
    let no_package = "the file is not a Debian package: ";
    check_error(&ar(&[]), &format!("{no_package}its first member is not `debian-binary`"));
    check_error(&ar(&[("debian-binary", b"3.0\n")]), &format!("{no_package}its format is not 2.x"));
    let missing = format!("{no_package}it has no `control.tar` followed by a `data.tar`");
    let binary: (&str, &[u8]) = ("debian-binary", b"2.0\n");
    check_error(&ar(&[binary]), &missing);
    check_error(&ar(&[binary, ("data.tar", &tar(&[]))]), &missing);
    let good = tar(&[control("a", "")]);
    check_error(&ar(&[binary, ("control.tar", &good)]), &missing);
    check_error(&ar(&[binary, ("control.tar", &good), ("other", b""), ("data.tar", &tar(&[]))]), &missing);
    check_error(
        &ar(&[binary, ("control.tar", &good), ("data.tar.lzma", b"")]),
        "the member `data.tar.lzma` has a compression that is not supported",
    );
    check_error(
        &ar(&[binary, ("control.tar", &tar(&[]))]),
        &format!("{no_package}its `control.tar` has no `control`"),
    );
    // Members that begin with an underscore are signatures and the like.
    let (gpg, data): ((&str, &[u8]), _) = (("_gpg", b"x"), tar(&[]));
    assert!(render(&ar(&[binary, gpg, ("control.tar", &good), gpg, ("data.tar", &data), gpg])).is_ok());
}

#[test]
fn control_files_are_plain() {
    let refused =
        |entry: TarEntry, expected: &str| check_error(&deb(&[control("a", ""), entry], &[]), expected);
    refused(symlink("./postinst", "/bin/sh"), "the control file `postinst` is not a plain file");
    refused(directory("./postinst"), "the control file `postinst` is not a plain file");
    refused(file("./a/b", ""), "the control file `a/b` is not named as control files are");
    refused(file("./a.list", ""), "the control file `a.list` is not named as control files are");
    // Lists of files may be long, but not what is made of paragraphs.
    let long = "A:\n\n".repeat(300_000);
    check_error(&deb(&[file("./control", &long)], &[]), "the control file `control` is too large");
    assert!(render(&deb(&[control("a", ""), file("./md5sums", &long)], &[])).is_ok());
    check_error(
        &deb(&[file("./control", "Package: ../../etc/x\nVersion: 1\nArchitecture: all\n")], &[]),
        "the package's control stanza cannot be used: `../../etc/x` is not the name of a package",
    );
    // dpkg's own file list is never the package's.
    check(
        &deb(&[control("a", ""), file("./list", "/etc/passwd\n"), file("./md5sums", "")], &[]),
        &["644 var/lib/dpkg/info/a.list=/.|", "644 var/lib/dpkg/info/a.md5sums="],
    );
}

#[test]
fn damage_is_found_wherever_it_is() {
    let content: String = (0..2000).map(|n: u32| format!("{} ", n.wrapping_mul(2_654_435_761))).collect();
    for suffix in [".gz", ".xz", ".zst"] {
        let good = deb_compressed(suffix, &[control("a", "")], &[file("./a", &content)]);
        assert!(render(&good).is_ok());
        for cut in (0..good.len()).step_by(211) {
            assert!(render(&good[..cut]).is_err(), "{suffix} cut at {cut}");
        }
        // The last compressed bytes are a checksum, behind everything that is used.
        for back in [5, 20, 40] {
            let mut bad = good.clone();
            let at = bad.len() - back;
            bad[at] ^= 0xff;
            assert!(render(&bad).is_err(), "{suffix} damaged {back} bytes before its end");
        }
    }
}

#[test]
fn bombs_are_refused() {
    let zeros = compress(".xz", &vec![0; 40 << 20]);
    let parts = [("debian-binary", &b"2.0\n"[..]), ("control.tar.xz", &zeros)];
    let endless = "could not decompress the member `control.tar`: data go on behind the end of the archive";
    check_error(&ar(&parts), endless);
    let mut control = tar(&[control("a", "")]);
    control.extend(vec![0; 40 << 20]);
    check_error(&ar(&[parts[0], ("control.tar.xz", &compress(".xz", &control))]), endless);
    // A file that says to be larger than the package may be is refused before it is read.
    let mut header = tar(&[file("./zeros", "")]);
    header[124..136].copy_from_slice(b"77777777777\0");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let says = |installed_size: &str| {
        let control = super::fixtures::control("a", &format!("Installed-Size: {installed_size}\n"));
        ar(&[parts[0], ("control.tar", &super::fixtures::tar(&[control])), ("data.tar", &header)])
    };
    let too_large = |limit: u64| {
        format!(
            "the package has more than {limit} bytes of files, far more than it says or its size lets expect"
        )
    };
    check_error(&says("1"), &too_large(1 << 30));
    check_error(&says("18446744073709551615"), &too_large(4 << 30));
    // The data are as long as the file lets them be, not as long as they say.
    let mut long = says("18446744073709551615");
    let size_at = long.len() - header.len() - 60 + 48;
    long[size_at..size_at + 10].copy_from_slice(b"9999999999");
    let directory = tempfile::tempdir().unwrap();
    let (deb, layer) = (directory.path().join("deb"), directory.path().join("layer"));
    std::fs::write(&deb, long).unwrap();
    assert_eq!(chain(&unpack(&deb, &layer).unwrap_err()), too_large(4 << 30));
}
