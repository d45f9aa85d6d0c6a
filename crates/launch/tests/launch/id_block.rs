//! ID blocks: made, checked, and the same bytes each time.

use launch::id_block::{BlockProblem, Identity, Key, KeyError, SignError, check, key_digest, sign};
use launch::{Directive, File, PlatformKind, ZeroPages, measure, write};

use crate::files::{self, SNP, TDX, page};

/// Made by OpenSSL for these tests.
const ID_KEY: &[u8] = include_bytes!("id.pem");
const AUTHOR_KEY: &[u8] = include_bytes!("author.pem");

fn key(bytes: &[u8]) -> Key {
    Key::parse(bytes).unwrap()
}

fn plain() -> Vec<u8> {
    let mut file = files::everything();
    file.directives.push(Directive::Page(page(0x90_0000, SNP)));
    write(&file).unwrap()
}

#[test]
fn signed_files_are_accepted() {
    let bytes = plain();
    let identity = Identity { family_id: [1; 16], image_id: [2; 16], guest_svn: 3 };
    for author in [None, Some(key(AUTHOR_KEY))] {
        for zeros in [ZeroPages::Normal, ZeroPages::Native] {
            let signed = sign(&bytes, zeros, identity, &key(ID_KEY), author.as_ref()).unwrap();
            assert!(signed == sign(&bytes, zeros, identity, &key(ID_KEY), author.as_ref()).unwrap());
            let (before, file) = (File::parse(&bytes).unwrap(), File::parse(&signed).unwrap());
            let Some(Directive::IdBlock(block)) = file.directives.last() else { panic!("no ID block") };
            assert_eq!((block.family_id, block.image_id, block.guest_svn), ([1; 16], [2; 16], 3));
            assert_eq!(block.author_key_enabled, u8::from(author.is_some()));
            for platform in &before.platforms {
                assert_eq!(measure(&before, platform.kind, zeros), measure(&file, platform.kind, zeros));
            }
            let digest = measure(&file, PlatformKind::SevSnp, zeros).unwrap().digest;
            assert_eq!(check(block, digest.bytes(), Some(0x30000)), []);
            // It is not signed twice.
            assert!(signed == sign(&signed, zeros, identity, &key(ID_KEY), author.as_ref()).unwrap());
        }
    }
}

/// The `igvm` crate puts the same block into the same file in the same way.
#[test]
fn a_signed_file_is_what_the_igvm_crate_writes() {
    let bytes = plain();
    let signed =
        sign(&bytes, ZeroPages::Normal, Identity::default(), &key(ID_KEY), Some(&key(AUTHOR_KEY))).unwrap();
    let mut written = Vec::new();
    igvm::IgvmFile::new_from_binary(&signed, None).unwrap().serialize(&mut written).unwrap();
    assert!(written == signed);
}

#[test]
fn what_the_firmware_would_refuse_is_told() {
    let signed =
        sign(&plain(), ZeroPages::Normal, Identity::default(), &key(ID_KEY), Some(&key(AUTHOR_KEY))).unwrap();
    let file = File::parse(&signed).unwrap();
    let digest = measure(&file, PlatformKind::SevSnp, ZeroPages::Normal).unwrap().digest;
    let Some(Directive::IdBlock(good)) = file.directives.last() else { panic!("no ID block") };
    let wrong = |change: fn(&mut igvm_defs::IGVM_VHS_SNP_ID_BLOCK)| {
        let mut block = **good;
        change(&mut block);
        check(&block, digest.bytes(), Some(0x30000))
    };
    assert_eq!(check(good, digest.bytes(), None), [BlockProblem::NoPolicy]);
    assert_eq!(check(good, digest.bytes(), Some(0xb0000)), [BlockProblem::Signature("ID key")]);
    let other = check(good, &[0; 48], Some(0x30000));
    assert!(matches!(&other[..], [BlockProblem::Digest { .. }]), "{other:?}");
    assert_eq!(wrong(|block| block.guest_svn += 1), [BlockProblem::Signature("ID key")]);
    assert_eq!(wrong(|block| block.id_key_signature.r_comp[0] ^= 1), [BlockProblem::Signature("ID key")]);
    assert_eq!(
        wrong(|block| block.id_key_signature.s_comp = [0xff; 72]),
        [BlockProblem::Signature("ID key")]
    );
    assert_eq!(
        wrong(|block| block.author_key_signature.s_comp[5] ^= 1),
        [BlockProblem::Signature("author's key")]
    );
    // Another ID key is not the one that the author signed.
    assert_eq!(
        wrong(|block| block.id_public_key.qx[3] ^= 1),
        [BlockProblem::Key("ID key"), BlockProblem::Signature("author's key")]
    );
    assert_eq!(wrong(|block| block.author_key_enabled = 0), [BlockProblem::Author]);
    let unknown = |what, found, known| BlockProblem::Unknown { what, found, known };
    assert_eq!(wrong(|block| block.id_key_algorithm = 2), [unknown("algorithm", 2, 1)]);
    assert_eq!(
        wrong(|block| block.version = 2),
        [unknown("version", 2, 1), BlockProblem::Signature("ID key")]
    );
    assert_ne!(key_digest(&good.id_public_key), key_digest(&good.author_public_key));
}

#[test]
fn what_cannot_be_signed() {
    let mut file = files::empty(SNP);
    file.initializations.clear();
    let bytes = write(&file).unwrap();
    let sign = |bytes: &[u8]| sign(bytes, ZeroPages::Normal, Identity::default(), &key(ID_KEY), None);
    assert!(matches!(sign(&bytes), Err(SignError::NoPolicy)));
    assert!(matches!(sign(&write(&files::empty(TDX)).unwrap()), Err(SignError::Measure(_))));
    assert!(matches!(sign(b"IGVM"), Err(SignError::Read(_))));
}

#[test]
fn keys_are_read_as_openssl_writes_them() {
    let of = |bytes: &[u8]| {
        let signed = sign(&plain(), ZeroPages::Normal, Identity::default(), &key(bytes), None).unwrap();
        let file = File::parse(&signed).unwrap();
        let Some(Directive::IdBlock(block)) = file.directives.last() else { panic!("no ID block") };
        block.id_public_key
    };
    // SEC 1 with the parameters in front, and the same key in PKCS #8.
    let with_parameters =
        [b"-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n", ID_KEY].concat();
    assert_eq!(of(ID_KEY), of(&with_parameters));
    assert_eq!(of(ID_KEY), of(include_bytes!("id.pkcs8.pem")));
    let wrong = |bytes: &[u8]| Key::parse(bytes).err();
    assert!(matches!(wrong(b"nothing"), Some(KeyError::Key(_))));
    assert!(matches!(wrong(&ID_KEY[..100]), Some(KeyError::Key(_))));
    let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert_eq!(wrong(encrypted), Some(KeyError::Encrypted));
}
