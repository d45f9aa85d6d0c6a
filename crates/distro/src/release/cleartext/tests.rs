//! Good, altered, badly framed and hostile signed messages.

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Notation, Subpacket};
use proptest::prelude::*;

use super::super::test_key::{CREATED, TestKey, armored};
use super::*;

const DAY: u32 = 86_400;
const TEXT: &str = "Codename: test\nSHA256:\n 00 1 a\n- not a list\n-----BEGIN PGP\n\nend\n";

fn keyring(keys: &[&TestKey]) -> Keyring {
    Keyring::parse(keys.iter().map(|key| key.public()).collect::<String>().as_bytes()).unwrap()
}

fn render(result: Result<(String, Vec<Signer>), SignatureError>) -> String {
    match result {
        Ok((text, signers)) => format!(
            "{} by {}",
            if format!("{text}\n") == TEXT { "the text" } else { "another text" },
            signers.len()
        ),
        Err(error) => {
            let text = error.to_string();
            // Fingerprints differ with the seed only, but say nothing here.
            text.split(' ')
                .map(|word| if word.len() >= 32 { "…" } else { word })
                .collect::<Vec<_>>()
                .join(" ")
        }
    }
}

#[track_caller]
fn check_at(message: &str, keyring: &Keyring, now: u32, expected: &str) {
    let result = verify(message.as_bytes(), keyring, Timestamp(u64::from(now)));
    assert_eq!(render(result), expected);
}

#[track_caller]
fn check(message: &str, expected: &str) {
    check_at(message, &keyring(&[&TestKey::new(1)]), CREATED + DAY, expected);
}

fn good() -> String {
    TestKey::new(1).in_release(TEXT, CREATED + 100)
}

#[test]
fn a_good_signature_gives_the_text() {
    check(&good(), "the text by 1");
}

#[test]
fn line_ends_and_trailing_space_do_not_matter() {
    check(&good().replace('\n', "\r\n"), "the text by 1");
    check(&good().replace("Codename: test\n", "Codename: test \t\n"), "the text by 1");
    check(&format!("{}\n \n", good()), "the text by 1");
}

#[test]
fn altered_text_is_refused() {
    let expected = "the signature of key … (Test Archive) does not belong to this text: it was altered";
    check(&good().replace("00 1 a", "00 1 b"), expected);
    check(&good().replace("Codename: test\n", "Codename: test\n\n"), expected);
    check(&good().replace("- - not", "- not"), expected);
    check(&good().replace("\n\nend", "\nend"), expected);
}

#[test]
fn what_is_not_one_message_and_nothing_else_is_refused() {
    check("", "not a signed message: it does not begin with `-----BEGIN PGP SIGNED MESSAGE-----`");
    check("<html>", "not a signed message: it does not begin with `-----BEGIN PGP SIGNED MESSAGE-----`");
    check(
        &format!("x\n{}", good()),
        "not a signed message: it does not begin with `-----BEGIN PGP SIGNED MESSAGE-----`",
    );
    check(
        &format!("\n{}", good()),
        "not a signed message: it does not begin with `-----BEGIN PGP SIGNED MESSAGE-----`",
    );
    check(
        &format!("{}Codename: other\n", good()),
        "not a signed message: there is text after the signature, which nobody signed",
    );
    check(
        &format!("{}{}", good(), good()),
        "not a signed message: there is text after the signature, which nobody signed",
    );
    check(
        &good().replace("Hash: SHA512\n", "Hash: SHA512\nCodename: other\n"),
        "not a signed message: a header other than `Hash`",
    );
    check(
        &good().replace("- - not", "-not"),
        "not a signed message: a line that begins with a dash and is not escaped",
    );
    let nested = good().replace("Codename", "-----BEGIN PGP SIGNED MESSAGE-----\nCodename");
    check(&nested, "not a signed message: a line that begins with a dash and is not escaped");
}

#[test]
fn every_truncation_is_refused() {
    let message = good();
    let keyring = keyring(&[&TestKey::new(1)]);
    for length in 0..message.trim_end().len() {
        assert!(
            verify(&message.as_bytes()[..length], &keyring, Timestamp(u64::from(CREATED + DAY))).is_err(),
            "{length}"
        );
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let mut message = good().into_bytes();
    message[60] = 0xff;
    let error = verify(&message, &keyring(&[&TestKey::new(1)]), Timestamp(u64::from(CREATED + DAY)));
    assert_eq!(render(error), "not a signed message: the text is not UTF-8");
}

#[test]
fn unknown_keys_do_not_count() {
    let other = TestKey::new(2).in_release(TEXT, CREATED + 100);
    check(&other, "no good signature: key … is not known");
    // Nobody can name another keyring.
    let help = SignatureError::NoneGood(Vec::new()).help().unwrap();
    assert!(help.contains("`--mirror`") && !help.contains("keyring"), "{help}");
    let both = [1, 2].map(|seed| TestKey::new(seed).signature(TEXT, CREATED + 100, HashAlgorithm::Sha256));
    check(&format!("{}{}", TestKey::head(TEXT), armored(&both)), "the text by 1");
    check_at(
        &format!("{}{}", TestKey::head(TEXT), armored(&both)),
        &keyring(&[&TestKey::new(1), &TestKey::new(2)]),
        CREATED + DAY,
        "the text by 2",
    );
}

#[test]
fn a_false_signature_by_a_known_key_is_an_error_beside_a_good_one() {
    let good = TestKey::new(1).signature(TEXT, CREATED + 100, HashAlgorithm::Sha512);
    let false_one = TestKey::new(2).signature("another text\n", CREATED + 100, HashAlgorithm::Sha512);
    check_at(
        &format!("{}{}", TestKey::head(TEXT), armored(&[good, false_one])),
        &keyring(&[&TestKey::new(1), &TestKey::new(2)]),
        CREATED + DAY,
        "the signature of key … (Test Archive) does not belong to this text: it was altered",
    );
}

#[test]
fn weak_hashes_do_not_count() {
    for hash in [HashAlgorithm::Sha1, HashAlgorithm::Md5, HashAlgorithm::Sha224] {
        let weak = TestKey::new(1).pretended_signature(CREATED + 100, hash);
        check(
            &format!("{}{}", TestKey::head(TEXT), armored(&[weak])),
            "no good signature: the signature of key … (Test Archive) uses a weak hash",
        );
    }
}

#[test]
fn times_count() {
    let sentence = |what: &str| format!("no good signature: the signature of key … (Test Archive) {what}");
    let key = TestKey::new(1).valid_for(10 * DAY);
    let keys = keyring(&[&key]);
    let at = |at: u32| key.in_release(TEXT, at);
    check_at(&at(CREATED + DAY), &keys, CREATED + 2 * DAY, "the text by 1");
    check_at(&at(CREATED + DAY), &keys, CREATED + 11 * DAY, &sentence("is by a key that has expired"));
    check_at(
        &at(CREATED + 11 * DAY),
        &keys,
        CREATED + 12 * DAY,
        &sentence("was made when the key was not valid"),
    );
    check_at(&at(CREATED - 1), &keys, CREATED + DAY, &sentence("was made when the key was not valid"));
    check_at(&at(CREATED + 2 * DAY), &keys, CREATED + DAY, &sentence("is dated in the future"));
    check_at(&at(CREATED + DAY + 600), &keys, CREATED + DAY, "the text by 1");
}

#[test]
fn revoked_keys_do_not_count() {
    let keys = keyring(&[&TestKey::new(1).revoked()]);
    check_at(
        &good(),
        &keys,
        CREATED + DAY,
        "no good signature: the signature of key … (Test Archive) is by a revoked key",
    );
}

#[test]
fn what_the_signer_marked_critical_must_be_understood() {
    let key = TestKey::new(1);
    let mut config = key.config(SignatureType::Text, HashAlgorithm::Sha512, CREATED + 100);
    let notation = Notation { readable: true, name: "x@y".into(), value: "z".into() };
    config.hashed_subpackets.push(Subpacket::critical(SubpacketData::Notation(notation)).unwrap());
    check(
        &format!("{}{}", TestKey::head(TEXT), armored(&[key.sign(TEXT, config)])),
        "no good signature: the signature of key … (Test Archive) has a critical part that is not understood",
    );
    let config = key.config(SignatureType::Binary, HashAlgorithm::Sha512, CREATED + 100);
    check(
        &format!("{}{}", TestKey::head(TEXT), armored(&[key.sign(TEXT, config)])),
        "no good signature: the signature of key … (Test Archive) is not made for text",
    );
}

#[test]
fn many_signatures_are_refused() {
    let one = TestKey::new(2).signature(TEXT, CREATED + 100, HashAlgorithm::Sha512);
    check(
        &format!("{}{}", TestKey::head(TEXT), armored(&vec![one; 33])),
        "the signatures cannot be read: there are more than 32",
    );
}

proptest! {
    #[test]
    fn no_altered_byte_passes_for_the_text(position in 0usize..10_000, byte in any::<u8>()) {
        let mut message = good().into_bytes();
        let position = position % message.len();
        message[position] = byte;
        if let Ok((text, _)) = verify(&message, &keyring(&[&TestKey::new(1)]), Timestamp(u64::from(CREATED + DAY))) {
            prop_assert_eq!(format!("{}\n", text), TEXT);
        }
    }
}
