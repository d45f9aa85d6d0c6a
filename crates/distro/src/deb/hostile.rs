//! Packages that mean harm: in their archives of files, and in the archive around those.

use testkit::{Flood, Verdict, hostile_tars};

use super::fixtures::{ar, compress, control, file, tar};
use super::{UnpackError, unpack_to};

const BINARY: (&str, &[u8]) = ("debian-binary", b"2.0\n");

/// Unpacks a package; returns what is wrong with it.
fn unpack(deb: &[u8]) -> Result<(), String> {
    let scratch = tempfile::tempdir().unwrap();
    let outcome = unpack_to(deb, std::io::sink(), scratch.path().join("scratch"));
    // Contents of large packages are kept in a file for a while, and nothing else is ever written.
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    outcome.map(drop).map_err(|error: UnpackError| {
        assert!(!error.is_machine(), "{error}");
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    })
}

fn control_tar() -> Vec<u8> {
    tar(&[control("bad", "")])
}

#[test]
fn hostile_archives_of_files_are_refused_or_harmless() {
    let mut wrong = Vec::new();
    for hostile in hostile_tars() {
        let outcome = unpack(&ar(&[BINARY, ("control.tar", &control_tar()), ("data.tar", &hostile.bytes)]));
        match (hostile.verdict, &outcome) {
            (Verdict::Refused(why), Err(text)) if text.contains(why) => {}
            (Verdict::Harmless(_) | Verdict::OnlyLayers(..), Ok(())) => {}
            _ => wrong.push(format!("{}: {outcome:?} instead of {:?}", hostile.name, hostile.verdict)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_control_archives_are_refused() {
    for hostile in hostile_tars() {
        // In front of a good control file, so that it is the hostile entry that is refused; what is cut off has
        // nothing behind it.
        let both = match hostile.bytes.strip_suffix(&[0; 1024]) {
            Some(entries) => [entries, &control_tar()].concat(),
            None => hostile.bytes.clone(),
        };
        let outcome = unpack(&ar(&[BINARY, ("control.tar", &both), ("data.tar", &tar(&[]))]));
        match hostile.verdict {
            Verdict::Refused(_) | Verdict::OnlyLayers(..) => {
                outcome.expect_err(hostile.name);
            }
            // Some names are ones that a control file may have.
            Verdict::Harmless(_) => {}
        }
    }
}

#[test]
fn hostile_containers_are_refused() {
    let (control, data) = (control_tar(), tar(&[file("./a", "x")]));
    let good = ar(&[BINARY, ("control.tar", &control), ("data.tar", &data)]);
    unpack(&good).unwrap();
    let damage = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        bad
    };
    let first = 8;
    let second = first + 60 + 4;
    let no_package = "the file is not a Debian package";
    let damaged = "the package is damaged";
    let refused: &[(&str, Vec<u8>, &str)] = &[
        ("no bytes", vec![], damaged),
        ("only a magic number", good[..8].to_vec(), no_package),
        ("a thin archive", damage(0, b"!<thin>\n"), damaged),
        ("a size of all nines", damage(first + 48, b"9999999999"), no_package),
        ("a control member of all nines", damage(second + 48, b"9999999999"), ""),
        ("a negative size", damage(first + 48, b"-4        "), damaged),
        ("a size in hexadecimal", damage(first + 48, b"0x4       "), damaged),
        ("a size with a sign", damage(first + 48, b"+4        "), damaged),
        ("a size of blanks", damage(first + 48, b"          "), damaged),
        ("a size with a NUL", damage(first + 48, b"4\0        "), damaged),
        ("a header without its end", damage(first + 58, b"xx"), damaged),
        ("a member with a slash", damage(second, b"../control.tar/ "), damaged),
        ("a member with GNU's long name", damage(second, b"/0              "), damaged),
        ("a member with BSD's long name", damage(second, b"#1/11           "), damaged),
        ("a member with a NUL", damage(second, b"control.tar\0.gz  "[..16].as_ref()), damaged),
        (
            "members in the wrong order",
            ar(&[BINARY, ("data.tar", &data), ("control.tar", &control)]),
            no_package,
        ),
        ("no control archive", ar(&[BINARY, ("data.tar", &data)]), no_package),
        (
            "two control archives",
            ar(&[BINARY, ("control.tar", &control), ("control.tar", &control)]),
            no_package,
        ),
        ("no data archive", ar(&[BINARY, ("control.tar", &control)]), no_package),
        (
            "something first",
            ar(&[("x", b""), BINARY, ("control.tar", &control), ("data.tar", &data)]),
            no_package,
        ),
        (
            "format 3",
            ar(&[("debian-binary", b"3.0\n"), ("control.tar", &control), ("data.tar", &data)]),
            no_package,
        ),
        ("format 0.9", b"0.939000\n1234\n".to_vec(), damaged),
        ("a format of a megabyte", ar(&[("debian-binary", &[b'2'; 1 << 20])]), no_package),
        ("a compression that is another", ar(&[BINARY, ("control.tar.xz", &compress(".gz", &control))]), ""),
        ("no compression where one is named", ar(&[BINARY, ("control.tar.gz", &control)]), ""),
        ("an unknown compression", ar(&[BINARY, ("control.tar.lzma", &control)]), "compression"),
        ("a compression with a slash", ar(&[BINARY, ("control.tar./x", &control)]), damaged),
        ("cut off in the last member", good[..good.len() - 600].to_vec(), ""),
        ("cut off in a header", good[..second + 30].to_vec(), damaged),
    ];
    let mut wrong = Vec::new();
    for (name, deb, expected) in refused {
        match unpack(deb) {
            Err(text) if text.contains(expected) => {}
            outcome => wrong.push(format!("{name}: {outcome:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Behind the data may be anything, as deb(5) has it; members with an underscore may be anywhere.
    for (name, deb) in [
        ("more members", [&good[..], &ar(&[("data.tar", b"x")])[8..]].concat()),
        ("members to be ignored", ar(&[BINARY, ("_x", b""), ("control.tar", &control), ("data.tar", &data)])),
    ] {
        assert_eq!(unpack(&deb), Ok(()), "{name}");
    }
}

#[test]
fn floods_are_refused() {
    let packed = |mut plain: Flood| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        std::io::copy(&mut plain, &mut encoder).unwrap();
        encoder.finish().unwrap()
    };
    let data = packed(Flood::of_files(1_000_001));
    let text = unpack(&ar(&[BINARY, ("control.tar", &control_tar()), ("data.tar.zst", &data)])).unwrap_err();
    assert!(text.contains("the archive has more than 1000000 paths"), "{text}");
    // Headers that mean nothing have no name that counts, only their bytes do.
    let nothing = packed(Flood::of(testkit::tar::directory("./"), 200_000));
    let text = unpack(&ar(&[BINARY, ("control.tar.zst", &nothing)])).unwrap_err();
    assert!(text.contains("bytes come out of it"), "{text}");
}
