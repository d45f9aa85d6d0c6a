//! What is measured of firmware: against what the specifications say of the firmware itself, computed here, and against the
//! `igvm` crate, which reads the file.

use launch::{File, PlatformKind, ZeroPages, check_kvm, measure};
use mkimg::igvm::{Hashed, build, vmsa};
use sha2::{Digest, Sha256, Sha384};

use crate::support::{AP, HASHES_AT, SEV_SECTIONS, SIZE, TDX_SECTIONS, guest, ovmf};

/// PAGE_INFO of the SEV-SNP Firmware ABI, hashed: the digest so far, that of the contents, a length, a type, the address.
fn extend(digest: &mut Vec<u8>, kind: u8, gpa: u64, contents: Option<&[u8]>) {
    let contents = contents.map_or(vec![0; 48], |contents| Sha384::digest(contents).to_vec());
    let info = [&digest[..], &contents, &[0x70, 0, kind, 0, 0, 0, 0, 0], &gpa.to_le_bytes()].concat();
    *digest = Sha384::digest(info).to_vec();
}

/// What QEMU launches with `-bios`: the image, then the sections, then the processors.
fn launched(image: &[u8], n_processors: u32, hashes: Option<&[u8]>) -> Vec<u8> {
    let mut digest = vec![0; 48];
    for (number, page) in image.chunks(4096).enumerate() {
        extend(&mut digest, 1, (1 << 32) - SIZE as u64 + number as u64 * 4096, Some(page));
    }
    for [gpa, size, kind] in SEV_SECTIONS {
        for gpa in (gpa..gpa + size).step_by(4096) {
            match (kind, hashes) {
                (2, _) => extend(&mut digest, 5, gpa.into(), None),
                (3, _) => extend(&mut digest, 6, gpa.into(), None),
                (0x10, Some(page)) => extend(&mut digest, 1, gpa.into(), Some(page)),
                _ => extend(&mut digest, 3, gpa.into(), None),
            }
        }
    }
    for number in 0..n_processors {
        let address = if number == 0 { 0xffff_fff0 } else { AP };
        extend(&mut digest, 2, 0xffff_ffff_f000, Some(&vmsa(address, 0x80_0f12)));
    }
    digest
}

fn measured(bytes: &[u8], kind: PlatformKind, zeros: ZeroPages) -> Vec<u8> {
    measure(&File::parse(bytes).unwrap(), kind, zeros).unwrap().digest.bytes().to_vec()
}

#[test]
fn sev_snp_measures_what_qemu_launches_with_the_same_firmware() {
    let image = ovmf();
    for n_processors in [1, 3] {
        let built = build(&guest(&image, n_processors, None)).unwrap();
        let expected = launched(&image, n_processors.into(), None);
        assert_eq!(measured(&built.bytes, PlatformKind::SevSnp, ZeroPages::Native), expected);
        assert_eq!(built.measured[0].digest.bytes(), expected);
        assert_eq!(build(&guest(&image, n_processors, None)).unwrap().bytes, built.bytes);
    }
    let built = build(&guest(&image, 1, None)).unwrap();
    let file = File::parse(&built.bytes).unwrap();
    assert_eq!(check_kvm(&file, file.platform(PlatformKind::SevSnp).unwrap()), []);
}

#[test]
fn hashes_of_a_kernel_are_where_the_firmware_looks() {
    let image = ovmf();
    let hashed = Hashed { kernel: b"kernel", initrd: Some(b"initrd"), cmdline: "quiet" };
    let built = build(&guest(&image, 1, Some(hashed))).unwrap();
    // GUIDs and lengths as QEMU's `target/i386/sev.c` has them.
    let mut table = b"\x06\xd6\x38\x94\x22\x4f\xc9\x4c\xb4\x79\xa7\x93\xd4\x11\xfd\x21\xa8\x00".to_vec();
    for (name, blob) in [
        (b"\xd8\x2d\xd0\x97\x20\xbd\x94\x4c\xaa\x78\xe7\x71\x4d\x36\xab\x2a", &b"quiet\0"[..]),
        (b"\x31\xf7\xba\x44\x2f\x3a\xd7\x4b\x9a\xf1\x41\xe2\x91\x69\x78\x1d", b"initrd"),
        (b"\x37\x94\xe7\x4d\xd2\xab\x7f\x42\xb8\x35\xd5\xb1\x72\xd2\x04\x5b", b"kernel"),
    ] {
        table.extend_from_slice(name);
        table.extend_from_slice(&[50, 0]);
        table.extend_from_slice(&Sha256::digest(blob));
    }
    let mut page = vec![0; 4096];
    page[(HASHES_AT % 4096) as usize..][..table.len()].copy_from_slice(&table);
    let expected = launched(&image, 1, Some(&page));
    assert_eq!(measured(&built.bytes, PlatformKind::SevSnp, ZeroPages::Native), expected);
    // Neither no initramfs nor another command line is the same.
    for other in [Hashed { initrd: None, ..hashed }, Hashed { cmdline: "", ..hashed }] {
        let other = build(&guest(&image, 1, Some(other))).unwrap();
        assert_ne!(measured(&other.bytes, PlatformKind::SevSnp, ZeroPages::Native), expected);
    }
}

#[test]
fn tdx_measures_the_sections_that_say_so() {
    let image = ovmf();
    let built = build(&guest(&image, 1, None)).unwrap();
    let mut expected = Sha384::new();
    let head = |operation: &[u8], gpa: u64| {
        let mut head = operation.to_vec();
        head.resize(16, 0);
        head.extend_from_slice(&gpa.to_le_bytes());
        head.resize(128, 0);
        head
    };
    for (offset, _, gpa, size, _, attributes) in TDX_SECTIONS {
        for page in (0..size).step_by(4096) {
            expected.update(head(b"MEM.PAGE.ADD", gpa + page));
            for chunk in (0..4096).step_by(256).take_while(|_| attributes & 1 != 0) {
                expected.update(head(b"MR.EXTEND", gpa + page + chunk));
                let at = (u64::from(offset) + page + chunk) as usize;
                expected.update(&image[at..at + 256]);
            }
        }
    }
    let expected = expected.finalize().to_vec();
    assert_eq!(measured(&built.bytes, PlatformKind::Tdx, ZeroPages::Native), expected);
}

#[test]
fn the_igvm_crate_reads_and_measures_the_same() {
    let image = ovmf();
    let hashed = Hashed { kernel: b"kernel", initrd: None, cmdline: "" };
    let built = build(&guest(&image, 1, Some(hashed))).unwrap();
    let other = igvm::IgvmFile::new_from_binary(&built.bytes, None).unwrap();
    let file = File::parse(&built.bytes).unwrap();
    let mask = |kind| file.platform(kind).unwrap().mask;
    let snp = igvm::measurement::generate_snp_measurement(
        other.initializations(),
        other.directives(),
        mask(PlatformKind::SevSnp),
    );
    let tdx = igvm::measurement::generate_tdx_measurement(other.directives(), mask(PlatformKind::Tdx));
    assert_eq!(measured(&built.bytes, PlatformKind::SevSnp, ZeroPages::Normal), snp.unwrap());
    assert_eq!(measured(&built.bytes, PlatformKind::Tdx, ZeroPages::Normal), tdx.unwrap());
}

/// The bytes of a version do not change.
#[test]
fn bytes_are_pinned() {
    let image = ovmf();
    let hashed = Hashed { kernel: b"kernel", initrd: None, cmdline: "" };
    let bytes = build(&guest(&image, 2, Some(hashed))).unwrap().bytes;
    let digest: String = Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "31742e132172fe36");
}
