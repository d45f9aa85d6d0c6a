//! Unified kernel images: their sections, what is measured, what cannot be.

use mkimg::pe::{self, NewSection, Pe, WriteError, with_sections};
use mkimg::uki::{BuildError, Parts, build, measure};
use sha2::{Digest, Sha256};

use crate::firmware::{HEADERS, HEADERS_AT, magic, program, small};

const SBAT: &[u8] = b"sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n\
    systemd,1,The systemd Developers,systemd,252,https://systemd.io/\n";

fn stub(version: &str) -> Vec<u8> {
    program(&[(".text", &[0xc3; 100]), (".sbat", SBAT), (".sdmagic", &magic(version))])
}

/// A kernel for x86 that says its release.
fn kernel() -> Vec<u8> {
    let mut bytes = program(&[(".text", &[0x90; 5000])]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x20e..0x210].copy_from_slice(&0x110u16.to_le_bytes());
    bytes[0x310..0x320].copy_from_slice(b"6.1.0-32-amd64 (");
    bytes
}

fn parts<'a>(stub: &'a [u8], linux: &'a [u8]) -> Parts<'a> {
    Parts {
        stub,
        linux,
        initrds: vec![b"0707010", b"070701!"],
        cmdline: Some("console=ttyS0 quiet\n"),
        os_release: Some("ID=test\nPRETTY_NAME=\"A test\"\n"),
        sbat: vec!["os.test,1,Tests,os,1,https://example.org"],
        ..Parts::default()
    }
}

#[test]
fn an_image_has_its_sections_in_their_order() {
    let (stub, kernel) = (stub("257.1"), kernel());
    let built = build(&parts(&stub, &kernel)).unwrap();
    assert!(built.notes.is_empty(), "{:?}", built.notes);
    let text = pe::dump(&built.bytes).unwrap();
    assert_eq!(text, include_str!("uki.txt"), "{text}");
    let image = Pe::parse(&built.bytes).unwrap();
    assert_eq!(image.section(".cmdline"), Some(&b"console=ttyS0 quiet"[..]));
    assert_eq!(image.section(".initrd"), Some(&b"0707010\x00070701!"[..]));
    assert_eq!(image.section(".uname"), Some(&b"6.1.0-32-amd64"[..]));
    assert_eq!(image.section(".linux"), Some(&kernel[..]));
    let sbat = String::from_utf8(image.section(".sbat").unwrap().to_vec()).unwrap();
    assert_eq!(sbat.lines().count(), 3, "{sbat}");
    // Without any there is that of all images.
    let built = build(&Parts { sbat: Vec::new(), ..parts(&stub, &kernel) }).unwrap();
    let sbat = Pe::parse(&built.bytes).unwrap().section(".sbat").unwrap().to_vec();
    assert!(String::from_utf8(sbat).unwrap().contains("\nuki,1,UKI,uki,1,"));
    // Where nothing is to be added, that of the stub stays where it is.
    let known = "systemd,1,The systemd Developers,systemd,252,https://systemd.io/";
    let built = build(&Parts { sbat: vec![known], ..parts(&stub, &kernel) }).unwrap();
    let image = Pe::parse(&built.bytes).unwrap();
    assert_eq!(image.sections()[1].name, ".sbat");
    assert_eq!(image.section(".sbat"), Some(SBAT));
}

/// The register as anybody would compute it.
fn register(sections: &[(&str, &[u8])], phases: &[&str]) -> String {
    let mut pcr = vec![0; 32];
    let mut extend =
        |bytes: &[u8]| pcr = Sha256::digest([&pcr, &Sha256::digest(bytes)[..]].concat()).to_vec();
    for (name, contents) in sections {
        extend(format!("{name}\0").as_bytes());
        extend(contents);
    }
    phases.iter().for_each(|phase| extend(phase.as_bytes()));
    pcr.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_measured_depends_on_the_version_of_the_stub() {
    for (version, is_new) in [("252.39-1~deb12u1", false), ("257", true)] {
        let (stub, kernel) = (stub(version), kernel());
        let built = build(&parts(&stub, &kernel)).unwrap();
        let image = Pe::parse(&built.bytes).unwrap();
        let measured = measure(&image).unwrap();
        assert_eq!(measured.stub, version);
        let mut names = vec![".linux", ".osrel", ".cmdline", ".initrd"];
        names.extend([".uname", ".sbat"].iter().filter(|_| is_new));
        assert_eq!(measured.sections, names);
        let sections: Vec<_> = names.iter().map(|name| (*name, image.section(name).unwrap())).collect();
        assert_eq!(measured.start, register(&sections, &[]));
        assert_eq!(measured.phases[0].1, register(&sections, &["enter-initrd"]));
        let all = ["enter-initrd", "leave-initrd", "sysinit", "ready"];
        assert_eq!(
            measured.phases[3],
            ("enter-initrd:leave-initrd:sysinit:ready", register(&sections, &all))
        );
    }
    let kernel = kernel();
    let built = build(&parts(&small(), &kernel)).unwrap();
    assert_eq!(measure(&Pe::parse(&built.bytes).unwrap()), None);
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Parts<'_>), expected: &str) -> BuildError {
    let (stub, kernel) = (stub("257"), kernel());
    let mut parts = parts(&stub, &kernel);
    change(&mut parts);
    let error = build(&parts).unwrap_err();
    let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
    let text = format!("{error}{cause}");
    assert!(text.contains(expected), "{text}");
    error
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let error =
        refused(|parts| parts.linux = b"\x1f\x8b\x08\x00", "the kernel is not a program for firmware");
    assert!(error.help().unwrap().contains("EFI_STUB"));
    let error = refused(|parts| parts.stub = b"stub", "the stub is not a program for firmware");
    assert!(error.help().unwrap().contains("systemd-boot-efi"));
    refused(|parts| parts.splash = Some(b"\x89PNG"), "not a Windows bitmap");
    refused(|parts| parts.devicetree = Some(b"/dts-v1/;"), "the device tree is none");
    refused(|parts| parts.sbat = vec!["a,1,b"], "`a,1,b` does not have six fields");
    refused(|parts| parts.cmdline = Some("a\0b"), "the command line has a zero byte");
    let mut arm = kernel();
    arm[HEADERS_AT + 4..HEADERS_AT + 6].copy_from_slice(&0xaa64u16.to_le_bytes());
    let stub = stub("257");
    let error = build(&parts(&stub, &arm)).unwrap_err().to_string();
    assert_eq!(error, "the stub is for x64 and the kernel for aa64");
}

#[test]
fn what_boot_menus_miss_is_told() {
    let (stub, mut kernel) = (stub("257"), kernel());
    kernel[0x202] = 0;
    let notes = build(&Parts { os_release: Some("ID=x\n"), ..parts(&stub, &kernel) }).unwrap().notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("no section `.uname`") && notes[1].contains("PRETTY_NAME"), "{notes:?}");
}

#[test]
fn headers_grow_until_they_meet_what_is_loaded() {
    let program = small();
    let pe = Pe::parse(&program).unwrap();
    let names: Vec<String> = (0..100).map(|idx| format!(".s{idx}")).collect();
    let sections = |n: usize| -> Vec<NewSection<'_>> {
        names[..n].iter().map(|name| NewSection { name, contents: b"x", is_code: false }).collect()
    };
    let grown = with_sections(&pe, &[], &sections(60)).unwrap();
    let grown = Pe::parse(&grown).unwrap();
    assert_eq!(grown.sections().len(), 62);
    assert!(grown.sections()[0].offset as usize > HEADERS);
    assert_eq!(grown.section(".data"), Some(&[7; 600][..]));
    assert_eq!(with_sections(&pe, &[], &sections(100)), Err(WriteError::Headers(102)));
    let data = NewSection { name: ".data", contents: b"", is_code: false };
    assert_eq!(
        with_sections(&pe, &[], std::slice::from_ref(&data)),
        Err(WriteError::Exists(".data".to_owned()))
    );
    assert!(with_sections(&pe, &[".data"], &[data]).is_ok());
}

#[test]
fn what_lies_in_each_other_stays_readable() {
    // Its section `.data` has the headers in it, and its debug directory lies in a section at address 0.
    let program = include_bytes!("overlapping.efi");
    let pe = Pe::parse(program).unwrap();
    let added = NewSection { name: ".linux", contents: b"contents", is_code: true };
    let made = with_sections(&pe, &[".sbat"], &[added]).unwrap();
    assert_eq!(Pe::parse(&made).unwrap().section(".linux"), Some(&b"contents"[..]));
}

#[test]
fn what_is_rounded_up_stays_in_the_address_space() {
    let with_data_at = |address: u32| {
        let mut program = small();
        let optional = HEADERS_AT + 24;
        // The alignment in the file, and the addresses of both sections.
        for (at, value) in [(optional + 36, 0x2_0000), (optional + 252, 0x4_0000), (optional + 292, address)]
        {
            program[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        }
        let pe = Pe::parse(&program).unwrap();
        let added = NewSection { name: ".linux", contents: b"contents", is_code: true };
        with_sections(&pe, &[], &[added])
    };
    assert_eq!(with_data_at(0xfffd_0000), Err(WriteError::TooLarge(".linux".to_owned())));
    assert_eq!(with_data_at(0xffff_0000), Err(WriteError::TooLarge(".data".to_owned())));
    let made = with_data_at(0xfffa_0000).unwrap();
    assert_eq!(Pe::parse(&made).unwrap().section(".linux"), Some(&b"contents"[..]));
}

#[test]
fn no_byte_of_a_stub_makes_the_writer_panic() {
    let (good, kernel) = (stub("257"), kernel());
    for at in (0..HEADERS).chain(HEADERS + 512..HEADERS + 1600) {
        for value in [0, 1, 0x80, 0xff] {
            let mut stub = good.clone();
            if let Some(byte) = stub.get_mut(at) {
                *byte = value;
            }
            if let Ok(built) = build(&parts(&stub, &kernel)) {
                let image = Pe::parse(&built.bytes).unwrap();
                assert_eq!(image.section(".linux"), Some(&kernel[..]), "{at:#x}");
            }
        }
    }
}
