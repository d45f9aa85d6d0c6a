//! Keys made for tests, and what they sign.

use pgp::armor::{self, BlockType};
use pgp::composed::{
    ArmorOptions, DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedKeyDetails, SignedPublicKey,
    SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize;
use pgp::types::{Duration, KeyDetails, Password, SignedUser, Tag, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// 2026-01-01.
pub(crate) const CREATED: u32 = 1_767_225_600;

/// A key pair.
pub(crate) struct TestKey {
    secret: SignedSecretKey,
    valid_for: Option<u32>,
    revoked: bool,
}

impl TestKey {
    /// A key that differs with `seed`, made at [`CREATED`] and valid for ever.
    pub(crate) fn new(seed: u64) -> Self {
        let mut params = SecretKeyParamsBuilder::default();
        params
            .key_type(KeyType::Ed25519Legacy)
            .can_sign(true)
            .can_certify(true)
            .created_at(Timestamp::from_secs(CREATED))
            .primary_user_id("Test Archive".into());
        let secret = params.build().unwrap().generate(ChaCha8Rng::seed_from_u64(seed)).unwrap();
        TestKey { secret, valid_for: None, revoked: false }
    }

    pub(crate) fn valid_for(self, seconds: u32) -> Self {
        TestKey { valid_for: Some(seconds), ..self }
    }

    pub(crate) fn revoked(self) -> Self {
        TestKey { revoked: true, ..self }
    }

    /// The certificate, armored.
    pub(crate) fn public(&self) -> String {
        let secret = &self.secret.primary_key;
        let public = secret.public_key().clone();
        let user = UserId::from_str(Default::default(), "Test Archive").unwrap();
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        flags.set_certify(true);
        let mut config = self.config(SignatureType::CertPositive, HashAlgorithm::Sha512, CREATED);
        config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap());
        if let Some(seconds) = self.valid_for {
            let after = Duration::from_secs(seconds);
            config
                .hashed_subpackets
                .push(Subpacket::critical(SubpacketData::KeyExpirationTime(after)).unwrap());
        }
        let binding =
            config.sign_certification(secret, &public, &Password::empty(), Tag::UserId, &user).unwrap();
        let mut revocations = Vec::new();
        if self.revoked {
            let config = self.config(SignatureType::KeyRevocation, HashAlgorithm::Sha512, CREATED);
            revocations.push(config.sign_key(secret, &Password::empty(), &public).unwrap());
        }
        let users = vec![SignedUser { id: user, signatures: vec![binding] }];
        let details = SignedKeyDetails::new(revocations, Vec::new(), users, Vec::new());
        SignedPublicKey::new(public, details, Vec::new()).to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// The first part, up to and with the signed text, of a signed message.
    pub(crate) fn head(text: &str) -> String {
        let escaped: String = text
            .split_inclusive('\n')
            .map(|line| if line.starts_with('-') { format!("- {line}") } else { line.to_owned() })
            .collect();
        format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{escaped}")
    }

    /// A signature over `text`, whose lines end with `\n`, made at `at`.
    pub(crate) fn signature(&self, text: &str, at: u32, hash: HashAlgorithm) -> Signature {
        self.sign(text, self.config(SignatureType::Text, hash, at))
    }

    /// A signature that says it uses `hash`, with which rPGP would not sign.
    pub(crate) fn pretended_signature(&self, at: u32, hash: HashAlgorithm) -> Signature {
        let other = self.signature("", at, HashAlgorithm::Sha512);
        let bytes = other.signature().unwrap().clone();
        Signature::from_config(self.config(SignatureType::Text, hash, at), [0, 0], bytes).unwrap()
    }

    pub(crate) fn sign(&self, text: &str, config: SignatureConfig) -> Signature {
        let signed = text.strip_suffix('\n').unwrap_or(text).replace('\n', "\r\n");
        config.sign(&self.secret.primary_key, &Password::empty(), signed.as_bytes()).unwrap()
    }

    pub(crate) fn config(&self, typ: SignatureType, hash: HashAlgorithm, at: u32) -> SignatureConfig {
        let key = &self.secret.primary_key;
        let mut config = SignatureConfig::v4(typ, key.algorithm(), hash);
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(at))).unwrap(),
            Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).unwrap(),
        ];
        config
    }

    /// A whole signed message as an archive serves it.
    pub(crate) fn in_release(&self, text: &str, at: u32) -> String {
        let signature = self.signature(text, at, HashAlgorithm::Sha512);
        format!("{}{}", TestKey::head(text), armored(&[signature]))
    }
}

/// The armored block of several signatures.
pub(crate) fn armored(signatures: &[Signature]) -> String {
    struct All<'a>(&'a [Signature]);
    impl Serialize for All<'_> {
        fn to_writer<W: std::io::Write>(&self, writer: &mut W) -> pgp::errors::Result<()> {
            self.0.iter().try_for_each(|signature| signature.to_writer_with_header(writer))
        }
        fn write_len(&self) -> usize {
            self.0.iter().map(|signature| signature.write_len_with_header()).sum()
        }
    }
    if let [signature] = signatures {
        return DetachedSignature::new(signature.clone()).to_armored_string(ArmorOptions::default()).unwrap();
    }
    let mut out = Vec::new();
    armor::write(&All(signatures), BlockType::Signature, &mut out, None, true).unwrap();
    String::from_utf8(out).unwrap()
}
