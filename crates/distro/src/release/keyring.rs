//! The public keys that may sign an archive.

use std::cmp::Reverse;

use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType, SubpacketData, UserId};
use pgp::types::{Fingerprint, KeyDetails, KeyId, Tag};

use crate::timestamp::Timestamp;

/// Keys that can sign, taken from certificates whose self-signatures hold.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    pub(super) keys: Vec<SigningKey>,
}

/// A primary key or subkey.
#[derive(Clone, Debug)]
pub(super) struct SigningKey {
    pub(super) key: KeyMaterial,
    /// Whose it is, as the certificate says.
    pub(super) owner: String,
    pub(super) created: Timestamp,
    pub(super) expires: Option<Timestamp>,
    pub(super) revoked: bool,
}

#[derive(Clone, Debug)]
pub(super) enum KeyMaterial {
    Primary(PublicKey),
    Sub(PublicSubkey),
}

/// Why a file is no keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It is not OpenPGP.
    #[error("could not read the OpenPGP certificates")]
    Format(#[source] Box<pgp::errors::Error>),
    /// It has no key that could sign.
    #[error("there is no usable signing key in the keyring")]
    Empty,
}

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

impl Keyring {
    /// The archive keys of Debian 11 to 13 that come with this program; see `keys/README.md`.
    pub fn debian() -> Keyring {
        const FILES: [&str; 9] = [
            include_str!("../../keys/debian-archive-bullseye-automatic.asc"),
            include_str!("../../keys/debian-archive-bullseye-security-automatic.asc"),
            include_str!("../../keys/debian-archive-bullseye-stable.asc"),
            include_str!("../../keys/debian-archive-bookworm-automatic.asc"),
            include_str!("../../keys/debian-archive-bookworm-security-automatic.asc"),
            include_str!("../../keys/debian-archive-bookworm-stable.asc"),
            include_str!("../../keys/debian-archive-trixie-automatic.asc"),
            include_str!("../../keys/debian-archive-trixie-security-automatic.asc"),
            include_str!("../../keys/debian-archive-trixie-stable.asc"),
        ];
        let mut keyring = Keyring::default();
        for file in FILES {
            keyring.extend(Keyring::parse(file.as_bytes()).expect("a test reads the shipped keys"));
        }
        keyring
    }

    /// Reads certificates, binary or armored, one block or several.
    ///
    /// Certificates and subkeys that cannot sign, or whose self-signatures do not hold, are left out; that none
    /// is left is an error.
    pub fn parse(bytes: &[u8]) -> Result<Keyring, KeyringError> {
        let mut keyring = Keyring::default();
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains(BEGIN) => {
                for block in
                    text.split_inclusive(END).filter_map(|part| part.find(BEGIN).map(|start| &part[start..]))
                {
                    let (certificates, _) = SignedPublicKey::from_string_many(block).map_err(format_error)?;
                    keyring.add(certificates)?;
                }
            }
            _ => keyring.add(SignedPublicKey::from_bytes_many(bytes).map_err(format_error)?)?,
        }
        if keyring.keys.is_empty() { Err(KeyringError::Empty) } else { Ok(keyring) }
    }

    /// Adds the keys of `other`.
    pub fn extend(&mut self, other: Keyring) {
        self.keys.extend(other.keys);
    }

    /// Owner and fingerprint of every key, for `doctor` and messages.
    pub fn describe(&self) -> impl Iterator<Item = (String, &str)> {
        self.keys.iter().map(|key| (format!("{:X}", key.fingerprint()), key.owner.as_str()))
    }

    fn add(
        &mut self,
        certificates: impl Iterator<Item = pgp::errors::Result<SignedPublicKey>>,
    ) -> Result<(), KeyringError> {
        for certificate in certificates {
            self.add_certificate(&certificate.map_err(format_error)?);
        }
        Ok(())
    }

    fn add_certificate(&mut self, certificate: &SignedPublicKey) {
        let primary = &certificate.primary_key;
        let (of_user, of_key) = (user_binding(certificate), key_binding(certificate));
        let Some(binding) = of_user.map(|(signature, _)| signature).or(of_key) else { return };
        let created = timestamp(primary.created_at());
        let bindings = of_user.iter().map(|(signature, _)| *signature).chain(of_key);
        let expires = bindings.filter_map(|signature| expiration(created, signature)).min();
        let owner = match of_user {
            Some((_, user)) => String::from_utf8_lossy(user.id()).into_owned(),
            None => format!("{:X}", primary.fingerprint()),
        };
        let revoked =
            certificate.details.revocation_signatures.iter().any(|sig| sig.verify_key(primary).is_ok());
        if binding.key_flags().sign() {
            let key = KeyMaterial::Primary(primary.clone());
            self.keys.push(SigningKey { key, owner: owner.clone(), created, expires, revoked });
        }
        for subkey in &certificate.public_subkeys {
            let Some(binding) = subkey_binding(certificate, subkey) else { continue };
            let created = timestamp(subkey.key.created_at());
            // A subkey ends with its primary key.
            let expires = match (expiration(created, binding), expires) {
                (Some(own), Some(primary)) => Some(own.min(primary)),
                (own, primary) => own.or(primary),
            };
            let revoked = revoked
                || subkey.signatures.iter().any(|sig| {
                    sig.typ() == Some(SignatureType::SubkeyRevocation)
                        && sig.verify_subkey_binding(primary, &subkey.key).is_ok()
                });
            let key = KeyMaterial::Sub(subkey.key.clone());
            self.keys.push(SigningKey { key, owner: owner.clone(), created, expires, revoked });
        }
    }
}

impl SigningKey {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        match &self.key {
            KeyMaterial::Primary(key) => key.fingerprint(),
            KeyMaterial::Sub(key) => key.fingerprint(),
        }
    }

    pub(super) fn key_id(&self) -> KeyId {
        match &self.key {
            KeyMaterial::Primary(key) => key.legacy_key_id(),
            KeyMaterial::Sub(key) => key.legacy_key_id(),
        }
    }

    pub(super) fn is_valid_at(&self, time: Timestamp) -> bool {
        self.created <= time && self.expires.is_none_or(|expires| time < expires)
    }
}

fn format_error(error: pgp::errors::Error) -> KeyringError {
    KeyringError::Format(Box::new(error))
}

/// Whether a hash is strong enough for a signature to mean anything; also for those that bind keys.
pub(super) fn is_strong(hash: Option<HashAlgorithm>) -> bool {
    matches!(
        hash,
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    )
}

/// The newest self-signature over a user id, which says what the key is for.
fn user_binding(certificate: &SignedPublicKey) -> Option<(&Signature, &UserId)> {
    let primary = &certificate.primary_key;
    let of_users = certificate.details.users.iter().flat_map(|user| {
        let could_bind =
            |signature: &&Signature| signature.is_certification() && is_strong(signature.hash_alg());
        user.signatures.iter().filter(could_bind).map(|signature| (signature, &user.id))
    });
    let mut newest_first: Vec<_> = of_users.collect();
    newest_first.sort_by_key(|(signature, _)| Reverse(signature.created()));
    newest_first
        .into_iter()
        .find(|(signature, user)| signature.verify_certification(primary, Tag::UserId, user).is_ok())
}

/// The newest self-signature over the key itself. Debian's only name who else may revoke it.
fn key_binding(certificate: &SignedPublicKey) -> Option<&Signature> {
    let could_bind = |signature: &&Signature| {
        signature.typ() == Some(SignatureType::Key) && is_strong(signature.hash_alg())
    };
    let mut newest_first: Vec<&Signature> =
        certificate.details.direct_signatures.iter().filter(could_bind).collect();
    newest_first.sort_by_key(|signature| Reverse(signature.created()));
    newest_first.into_iter().find(|signature| signature.verify_key(&certificate.primary_key).is_ok())
}

/// The newest signature that makes a subkey one that signs, checked in both directions.
fn subkey_binding<'a>(
    certificate: &SignedPublicKey,
    subkey: &'a SignedPublicSubKey,
) -> Option<&'a Signature> {
    let primary = &certificate.primary_key;
    let could_bind = |signature: &&Signature| {
        signature.typ() == Some(SignatureType::SubkeyBinding) && is_strong(signature.hash_alg())
    };
    let mut newest_first: Vec<&Signature> = subkey.signatures.iter().filter(could_bind).collect();
    newest_first.sort_by_key(|signature| Reverse(signature.created()));
    let newest = newest_first
        .into_iter()
        .find(|signature| signature.verify_subkey_binding(primary, &subkey.key).is_ok())?;
    let back = newest.embedded_signature()?;
    let signs = newest.key_flags().sign()
        && is_strong(back.hash_alg())
        && back.verify_primary_key_binding(&subkey.key, primary).is_ok();
    signs.then_some(newest)
}

fn timestamp(time: pgp::types::Timestamp) -> Timestamp {
    Timestamp(u64::from(time.as_secs()))
}

/// When a key ends, by the hashed part of the signature that binds it.
fn expiration(created: Timestamp, binding: &Signature) -> Option<Timestamp> {
    let hashed = binding.config()?.hashed_subpackets();
    let seconds = hashed
        .filter_map(|subpacket| match &subpacket.data {
            SubpacketData::KeyExpirationTime(after) => Some(after.as_secs()),
            _ => None,
        })
        .next()?;
    // RFC 9580, 5.2.3.13: zero means never.
    (seconds != 0).then(|| created.plus(u64::from(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_keys_are_the_ones_in_the_readme() {
        let readme = include_str!("../../keys/README.md");
        let keyring = Keyring::debian();
        // Six certificates with a signing subkey, three with only a primary key; all their keys sign.
        assert_eq!(keyring.keys.len(), 15);
        for key in &keyring.keys {
            let fingerprint = format!("{:X}", key.fingerprint());
            assert!(readme.contains(&fingerprint), "{fingerprint} of {}", key.owner);
            assert!(!key.revoked && key.expires.is_some(), "{fingerprint}");
        }
        let last = keyring.keys.iter().filter_map(|key| key.expires).max().unwrap();
        assert_eq!(last.to_string(), "2035-03-28T12:51:41Z");
    }

    #[test]
    fn what_is_no_keyring_is_refused() {
        for bytes in [&b""[..], b"no key", b"\x99\x02", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQI="] {
            assert!(Keyring::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn several_blocks_are_read() {
        let one = include_str!("../../keys/debian-archive-bookworm-stable.asc");
        let two = include_str!("../../keys/debian-archive-trixie-stable.asc");
        assert_eq!(Keyring::parse(format!("# keys\n{one}\n{two}").as_bytes()).unwrap().keys.len(), 2);
    }
}
