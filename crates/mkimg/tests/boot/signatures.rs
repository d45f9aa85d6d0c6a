//! Signatures: by which keys, of which programs, read by whom, damaged.

use std::fs;

use mkimg::pe::{self, Pe, ReadError};
use mkimg::sign::{KeyError, SignError, Signer, parse_certificate, sign, signatures};
use sha2::{Digest, Sha256};

use crate::firmware::{HEADERS, HEADERS_AT, small};
use crate::support::{CERTIFICATE, KEY, scratch};
use crate::tool::tool;

fn signer() -> Signer {
    Signer::new(KEY, CERTIFICATE).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_signed_program_says_by_whom_and_is_always_the_same() {
    let signed = sign(&small(), &signer()).unwrap();
    let found = signatures(&signed).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].subject.as_deref(), Some("CN=Bootwright tests"));
    assert_eq!(found[0].problem, None);
    assert_eq!(
        hex(&Sha256::digest(&signed)),
        "edbb39503ec8a2e051aba07eb97f4017ce685ad138aeb9ece669c23eeafd88a3",
        "a change here is a new version: what is signed gets other bytes"
    );
    // Signing it again changes nothing, and neither does the form of the key.
    let again = Signer::new(include_bytes!("db.pkcs1.key"), CERTIFICATE).unwrap();
    assert_eq!(sign(&signed, &again).unwrap(), signed);
    let text = pe::dump(&signed).unwrap();
    assert!(
        text.ends_with("signed by `CN=Bootwright tests`, certified by `CN=Bootwright tests`\n"),
        "{text}"
    );
}

#[test]
fn the_hash_is_that_of_the_file_without_what_signing_changes() {
    let program = small();
    let optional = HEADERS_AT + 24;
    let parts =
        [&program[..optional + 64], &program[optional + 68..optional + 144], &program[optional + 152..]];
    let expected = Sha256::digest(parts.concat());
    assert_eq!(pe::authenticode(&Pe::parse(&program).unwrap()).unwrap(), expected[..]);
    let signed = sign(&program, &signer()).unwrap();
    assert_eq!(pe::authenticode(&Pe::parse(&signed).unwrap()).unwrap(), expected[..]);
    // Bytes behind the sections count, and are filled up.
    let longer = [&program[..], b"abc"].concat();
    let hash = pe::authenticode(&Pe::parse(&longer).unwrap()).unwrap();
    assert_ne!(hash, expected[..]);
    let signed = sign(&longer, &signer()).unwrap();
    assert_eq!(pe::authenticode(&Pe::parse(&signed).unwrap()).unwrap(), hash);
    assert_eq!(signatures(&signed).unwrap()[0].problem, None);
}

#[test]
fn every_change_of_the_program_shows() {
    let signed = sign(&small(), &signer()).unwrap();
    let end = small().len();
    let checksum = HEADERS_AT + 24 + 64;
    let directory = HEADERS_AT + 24 + 144;
    for at in (HEADERS_AT + 300..end).step_by(7) {
        let mut changed = signed.clone();
        changed[at] ^= 0x10;
        let is_told = match signatures(&changed) {
            Ok(found) => found[0].problem == Some("it is of other bytes: the program was changed"),
            Err(_) => true,
        };
        assert!(is_told, "{at:#x}");
    }
    // Of these nothing is said.
    assert!(checksum + 4 < directory);
    let mut changed = signed;
    changed[checksum] ^= 1;
    assert_eq!(signatures(&changed).unwrap()[0].problem, None);
}

#[test]
fn no_byte_of_a_signature_can_be_changed_or_makes_the_reader_panic() {
    let signed = sign(&small(), &signer()).unwrap();
    let start = small().len() + 8;
    let length = u32::from_le_bytes(signed[start - 8..start - 4].try_into().unwrap()) as usize - 8;
    let mut unnoticed = Vec::new();
    for at in start..start + length {
        let mut changed = signed.clone();
        changed[at] ^= 0x04;
        if signatures(&changed).is_ok_and(|found| found.iter().all(|found| found.problem.is_none())) {
            unnoticed.push(at - start);
        }
    }
    // Versions, the list of hashes, the certificate's own signature, which is for others to check: none of them
    // decides of what the signature is.
    assert!(unnoticed.len() < 400, "{unnoticed:?}");
    for length in (0..signed.len()).step_by(3) {
        let _ = signatures(&signed[..length]);
    }
}

#[track_caller]
fn refused(key: &[u8], certificate: &[u8], expected: &str) {
    let error = Signer::new(key, certificate).err().unwrap();
    assert!(error.to_string().contains(expected), "{error}");
    assert!(error.help().is_some());
}

#[test]
fn keys_that_cannot_sign_are_told_apart() {
    refused(include_bytes!("other.key"), CERTIFICATE, "not that of the certificate of `CN=Bootwright tests`");
    refused(include_bytes!("encrypted.key"), CERTIFICATE, "encrypted");
    refused(include_bytes!("ec.key"), CERTIFICATE, "not an RSA key");
    refused(CERTIFICATE, CERTIFICATE, "not an RSA key");
    refused(b"", CERTIFICATE, "not an RSA key");
    refused(KEY, KEY, "not one of X.509");
    refused(KEY, b"\x30\x03\x02\x01\x01", "not one of X.509");
    let text_in_front = [b"Certificate:\n  of a test\n", CERTIFICATE].concat();
    assert!(Signer::new(KEY, &text_in_front).is_ok());
    assert!(matches!(Signer::new(KEY, b"x"), Err(KeyError::Certificate(_))));
    // One that ends early, at any place, and something else.
    let whole = der::Encode::to_der(&parse_certificate(CERTIFICATE).unwrap()).unwrap();
    let pem = |label, bytes: &[u8]| der::pem::encode_string(label, der::pem::LineEnding::LF, bytes).unwrap();
    for length in 0..whole.len() {
        let part = pem("CERTIFICATE", &whole[..length]);
        assert!(matches!(parse_certificate(part.as_bytes()), Err(KeyError::Certificate(_))), "{length}");
    }
    assert!(parse_certificate(pem("CERTIFICATE", &whole).as_bytes()).is_ok());
    assert!(parse_certificate(pem("PUBLIC KEY", &whole).as_bytes()).is_err());
}

const SIGNER: &[u8] = include_bytes!("chain/signer.crt");
const INTERMEDIATE: &[u8] = include_bytes!("chain/intermediate.crt");
const ROOT: &[u8] = include_bytes!("chain/root.crt");

fn certified(intermediates: &[&[u8]]) -> Result<Signer, KeyError> {
    Signer::new(include_bytes!("chain/signer.key"), SIGNER)
        .unwrap()
        .certified_by(intermediates.iter().copied())
}

#[test]
fn a_chain_of_certificates_is_part_of_the_signature() {
    let signed = sign(&small(), &certified(&[INTERMEDIATE]).unwrap()).unwrap();
    let found = signatures(&signed).unwrap();
    assert_eq!(found[0].subject.as_deref(), Some("CN=Bootwright tests signer"));
    assert_eq!(found[0].issuer.as_deref(), Some("CN=Bootwright tests intermediate"));
    assert_eq!(found[0].problem, None);
    let with_root = sign(&small(), &certified(&[INTERMEDIATE, ROOT]).unwrap()).unwrap();
    assert!(with_root.len() > signed.len());

    // With the intermediate one, somebody who knows the root only has enough.
    let directory = scratch();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("root.crt"), ROOT).unwrap();
    fs::write(path("signed.efi"), signed).unwrap();
    fs::write(path("alone.efi"), sign(&small(), &certified(&[]).unwrap()).unwrap()).unwrap();
    let root = path("root.crt");
    let Some((code, text)) = tool("sbverify", &["--cert", &root, &path("signed.efi")]) else { return };
    assert!(code == 0 && text.contains("Signature verification OK"), "{text}");
    let (code, text) = tool("sbverify", &["--cert", &root, &path("alone.efi")]).unwrap();
    assert_ne!(code, 0, "{text}");
}

#[test]
fn a_chain_with_a_gap_is_none() {
    for chain in
        [&[ROOT][..], &[ROOT, INTERMEDIATE], &[INTERMEDIATE, INTERMEDIATE], &[INTERMEDIATE, ROOT, ROOT]]
    {
        let error = certified(chain).err().unwrap();
        assert!(matches!(error, KeyError::Chain { .. }), "{error}");
        assert!(error.help().is_some());
    }
    let error = certified(&[ROOT]).err().unwrap().to_string();
    assert_eq!(
        error,
        "`CN=Bootwright tests intermediate` certifies `CN=Bootwright tests signer`, and the certificate that follows \
         is that of `CN=Bootwright tests root`"
    );
    assert!(matches!(certified(&[b"x"]), Err(KeyError::Certificate(_))));
}

#[test]
fn what_is_no_program_is_not_signed() {
    let error = |program: &[u8]| sign(program, &signer()).unwrap_err();
    assert!(matches!(error(b"#!/bin/sh\n"), SignError::Read(ReadError::NotPe(_))));
    // A section that has bytes of another one: readers would not agree of what the signature is.
    let mut shared = small();
    let second = HEADERS_AT + 24 + 240 + 40;
    shared[second + 20..second + 24].copy_from_slice(&(HEADERS as u32).to_le_bytes());
    let text = error(&shared).to_string();
    assert!(text.contains("two have the bytes 0x400..0x600"), "{text}");
    for at in (HEADERS_AT..HEADERS).step_by(5) {
        for value in [0x7f, 0xff] {
            let mut damaged = small();
            damaged[at] = value;
            if let Ok(signed) = sign(&damaged, &signer()) {
                assert_eq!(signatures(&signed).unwrap()[0].problem, None, "{at:#x}");
            }
        }
    }
}

#[test]
fn two_may_sign_and_foreign_tools_agree() {
    let directory = scratch();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let certificate = path("db.crt");
    fs::write(&certificate, CERTIFICATE).unwrap();
    fs::write(path("a.efi"), sign(&small(), &signer()).unwrap()).unwrap();
    let Some((code, text)) = tool("sbverify", &["--cert", &certificate, &path("a.efi")]) else { return };
    assert!(code == 0 && text.contains("Signature verification OK"), "{text}");

    // What others sign we read, and sign once more.
    fs::write(path("db.key"), KEY).unwrap();
    fs::write(path("b.efi"), small()).unwrap();
    let arguments =
        ["--key", &path("db.key"), "--cert", &certificate, "--output", &path("c.efi"), &path("b.efi")];
    let (code, text) = tool("sbsign", &arguments).unwrap();
    assert_eq!(code, 0, "{text}");
    let theirs = fs::read(path("c.efi")).unwrap();
    let found = signatures(&theirs).unwrap();
    assert_eq!((found.len(), found[0].problem), (1, None));
    let both = sign(&theirs, &signer()).unwrap();
    let found = signatures(&both).unwrap();
    assert!(found.len() == 2 && found.iter().all(|found| found.problem.is_none()), "{found:?}");
    fs::write(path("d.efi"), both).unwrap();
    let (code, text) = tool("sbverify", &["--cert", &certificate, &path("d.efi")]).unwrap();
    assert_eq!(code, 0, "{text}");
}

/// Returns a DER value of this tag, which has at least 256 bytes.
fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len()).unwrap().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte > 0).unwrap()..];
    assert!(length.len() > 1);
    [&[tag, 0x80 | length.len() as u8], length, contents].concat()
}

#[test]
#[allow(clippy::disallowed_methods, reason = "what is refused at once is not sorted first")]
fn what_would_be_sorted_forever_is_refused() {
    let program = small();
    let pe = Pe::parse(&program).unwrap();
    // A set of algorithms, in the order that takes longest.
    for n_algorithms in [65, 9300, 16_384_u16] {
        let algorithm = |n: u16| [0x30, 5, 6, 3, 1, (n >> 7) as u8, (n & 0x7f) as u8];
        let algorithms: Vec<u8> = (0..n_algorithms).rev().flat_map(algorithm).collect();
        let data = der(0x30, &[&[2, 1, 1], &der(0x31, &algorithms)[..]].concat());
        let signed_data = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
        let large = der(0x30, &[signed_data, &der(0xa0, &data)[..]].concat());
        let started = std::time::Instant::now();
        let found = signatures(&pe::with_certificates(&pe, &[large]).unwrap()).unwrap();
        assert_eq!(found[0].problem, Some("it is larger than any that is read"));
        assert!(started.elapsed().as_secs() < 1, "{n_algorithms}");
    }
    // Neither are there many.
    let many = pe::with_certificates(&pe, &vec![vec![0; 8]; 65]).unwrap();
    assert_eq!(signatures(&many).unwrap_err().to_string(), "it has more than 64 certificates");
}

#[test]
fn sections_that_are_all_of_the_file() {
    let mut program = small();
    let table = HEADERS_AT + 24 + 240;
    let size = u32::try_from(program.len()).unwrap().to_le_bytes();
    for section in [table, table + 40] {
        program[section + 16..section + 20].copy_from_slice(&size);
        program[section + 20..section + 24].fill(0);
    }
    let said = Pe::parse(&program).unwrap_err().to_string();
    assert_eq!(said, "its sections have more bytes than the file");
}
