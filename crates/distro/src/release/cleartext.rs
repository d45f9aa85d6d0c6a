//! Verifies the cleartext signature framework of an `InRelease` file (RFC 9580, section 7).
//!
//! The framing is read here, strictly: one message, nothing before, between or after its parts, so that no
//! text which nobody signed can be mistaken for text that somebody did. rPGP's own reader of the framing is
//! more lenient and takes time quadratic in the text. The signatures themselves are rPGP's business.

use std::collections::BTreeSet;

use pgp::composed::{Deserializable, DetachedSignature};
use pgp::packet::{Signature, SignatureType, SubpacketData};

use super::keyring::{KeyMaterial, Keyring, SigningKey, is_strong};
use crate::timestamp::Timestamp;

/// How far a signature or a date may lie in the future, for clocks that differ.
pub(super) const CLOCK_TOLERANCE: u64 = 3600;

/// Far more than any archive's; bounds the work that an altered file can cause.
const MAX_SIGNATURES: usize = 32;

/// A good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Of the key or subkey, in upper-case hexadecimal.
    pub fingerprint: String,
    /// Whose the key is.
    pub owner: String,
    /// When it signed.
    pub signed: Timestamp,
}

/// Why a file is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is not a cleartext signed message and nothing else.
    #[error("not a signed message: {0}")]
    Framing(&'static str),
    /// The signatures cannot be read.
    #[error("the signatures cannot be read: {0}")]
    Armor(String),
    /// A known key made a signature, but not over this text.
    #[error("the signature of {0} does not belong to this text: it was altered")]
    Altered(String),
    /// There is no signature that counts; the reasons, one for each.
    #[error("no good signature: {}", .0.join(", "))]
    NoneGood(Vec<String>),
}

impl SignatureError {
    /// What the reader can do about it.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            SignatureError::Framing(_) => {
                Some("the mirror may answer with a login or error page; try another one")
            }
            SignatureError::Armor(_) | SignatureError::Altered(_) => Some("try another mirror"),
            SignatureError::NoneGood(_) => Some(
                "check the clock of this machine, and that what `--mirror` names has Debian's own archive: only its \
                 keys are known, and new ones to a newer version of this program",
            ),
        }
    }
}

/// Returns the signed text of `in_release` and who signed it.
///
/// At least one signature must be by a key of `keyring` that was valid when it signed and is at `now`, with a
/// hash no weaker than SHA-256. Signatures by other keys do not count, for nor against; one by a known key that
/// does not fit the text is an error even beside a good one.
pub fn verify(
    in_release: &[u8],
    keyring: &Keyring,
    now: Timestamp,
) -> Result<(String, Vec<Signer>), SignatureError> {
    let text =
        std::str::from_utf8(in_release).map_err(|_| SignatureError::Framing("the text is not UTF-8"))?;
    let message = split(text)?;
    let signatures = signatures(message.signatures)?;
    let mut signers = Vec::new();
    let mut reasons = BTreeSet::new();
    for signature in &signatures {
        match check(signature, &message.signed, keyring, now)? {
            Ok(signer) => signers.push(signer),
            Err(reason) => {
                reasons.insert(reason);
            }
        }
    }
    if signers.is_empty() {
        return Err(SignatureError::NoneGood(reasons.into_iter().collect()));
    }
    Ok((message.signed, signers))
}

struct Message<'a> {
    /// Without dash escapes and white space at the ends of lines; lines end with `\n`, the last with nothing.
    signed: String,
    /// The armored block.
    signatures: &'a str,
}

fn split(text: &str) -> Result<Message<'_>, SignatureError> {
    let error = |what| Err(SignatureError::Framing(what));
    let mut lines = text.split_inclusive('\n');
    let mut offset = 0;
    let mut next = || {
        let start = offset;
        let line = lines.next()?;
        offset += line.len();
        Some((start, line.trim_end_matches(['\n', '\r', ' ', '\t'])))
    };
    if next().is_none_or(|(_, line)| line != "-----BEGIN PGP SIGNED MESSAGE-----") {
        return error("it does not begin with `-----BEGIN PGP SIGNED MESSAGE-----`");
    }
    loop {
        match next() {
            Some((_, "")) => break,
            Some((_, line)) if line.starts_with("Hash: ") => {}
            Some(_) => return error("a header other than `Hash`"),
            None => return error("it ends before the text begins"),
        }
    }
    let mut signed = String::with_capacity(text.len());
    let mut is_first = true;
    let start = loop {
        let Some((start, line)) = next() else {
            return error("there is no signature, the file is truncated");
        };
        if line == "-----BEGIN PGP SIGNATURE-----" {
            break start;
        }
        if !std::mem::take(&mut is_first) {
            signed.push('\n');
        }
        signed.push_str(match line.strip_prefix("- ") {
            Some(escaped) => escaped,
            // A `-` alone on its line is an escaped empty line whose space was trimmed.
            None if line == "-" => "",
            None if line.starts_with('-') => {
                return error("a line that begins with a dash and is not escaped");
            }
            None => line,
        });
    };
    let end = loop {
        match next() {
            Some((start, "-----END PGP SIGNATURE-----")) => {
                break start + "-----END PGP SIGNATURE-----".len();
            }
            Some(_) => {}
            None => return error("the signature does not end, the file is truncated"),
        }
    };
    if !text[end..].trim_ascii().is_empty() {
        return error("there is text after the signature, which nobody signed");
    }
    Ok(Message { signed, signatures: &text[start..end] })
}

fn signatures(armored: &str) -> Result<Vec<Signature>, SignatureError> {
    let error = |error: pgp::errors::Error| SignatureError::Armor(error.to_string());
    let (signatures, _) = DetachedSignature::from_string_many(armored).map_err(error)?;
    let signatures: Vec<Signature> = signatures
        .take(MAX_SIGNATURES + 1)
        .map(|signature| signature.map(|detached| detached.signature))
        .collect::<Result<_, _>>()
        .map_err(error)?;
    if signatures.len() > MAX_SIGNATURES {
        return Err(SignatureError::Armor(format!("there are more than {MAX_SIGNATURES}")));
    }
    Ok(signatures)
}

/// A good signature, or why it does not count; an error if it proves that the text was altered.
fn check(
    signature: &Signature,
    signed: &str,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Result<Signer, String>, SignatureError> {
    let issuer = issuer(signature);
    let Some(key) = keyring.keys.iter().find(|key| is_issuer(signature, key)) else {
        return Ok(Err(format!("key {issuer} is not known")));
    };
    let who = format!("key {:X} ({})", key.fingerprint(), key.owner);
    let Some((config, created)) = signature.config().zip(signature.created()) else {
        return Ok(Err(format!("the signature of {who} has no date or an unknown version")));
    };
    let signed_at = Timestamp(u64::from(created.as_secs()));
    let expires =
        signature.signature_expiration_time().map(|after| u64::from(after.as_secs())).filter(|&s| s != 0);
    let reason = if signature.typ() != Some(SignatureType::Text) {
        Some("is not made for text")
    } else if !is_strong(signature.hash_alg()) {
        Some("uses a weak hash")
    } else if has_unknown_critical_part(config) {
        Some("has a critical part that is not understood")
    } else if key.revoked {
        Some("is by a revoked key")
    } else if !key.is_valid_at(signed_at) {
        Some("was made when the key was not valid")
    } else if !key.is_valid_at(now) && signed_at <= now {
        Some("is by a key that has expired")
    } else if signed_at > now.plus(CLOCK_TOLERANCE) {
        Some("is dated in the future")
    } else if expires.is_some_and(|seconds| now > signed_at.plus(seconds)) {
        Some("has expired")
    } else {
        None
    };
    if let Some(reason) = reason {
        return Ok(Err(format!("the signature of {who} {reason}")));
    }
    let verified = match &key.key {
        KeyMaterial::Primary(primary) => signature.verify(primary, signed.as_bytes()),
        KeyMaterial::Sub(subkey) => signature.verify(subkey, signed.as_bytes()),
    };
    match verified {
        Ok(()) => Ok(Ok(Signer {
            fingerprint: format!("{:X}", key.fingerprint()),
            owner: key.owner.clone(),
            signed: signed_at,
        })),
        Err(_) => Err(SignatureError::Altered(who)),
    }
}

fn is_issuer(signature: &Signature, key: &SigningKey) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        signature.issuer_key_id().contains(&&key.key_id())
    } else {
        fingerprints.contains(&&key.fingerprint())
    }
}

fn issuer(signature: &Signature) -> String {
    match (signature.issuer_fingerprint().first(), signature.issuer_key_id().first()) {
        (Some(fingerprint), _) => format!("{fingerprint:X}"),
        (None, Some(key_id)) => key_id.to_string().to_uppercase(),
        (None, None) => "without a name".to_owned(),
    }
}

/// RFC 9580, 5.2.3.7: what is marked critical must be understood.
fn has_unknown_critical_part(config: &pgp::packet::SignatureConfig) -> bool {
    config.hashed_subpackets().any(|subpacket| {
        let is_unknown = matches!(
            subpacket.data,
            SubpacketData::Experimental(..) | SubpacketData::Other(..) | SubpacketData::Notation(..)
        );
        subpacket.is_critical && is_unknown
    })
}

#[cfg(test)]
mod tests;
