//! What signatures of programs have that no other PKCS #7 has.

use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{SignedData, SignerInfo};
use der::asn1::{Any, ObjectIdentifier, OctetString};
use der::{Decode, Reader, Sequence, SliceReader};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// `SPC_INDIRECT_DATA_OBJID`: what is signed is the hash of something.
pub(super) const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
/// `SPC_PE_IMAGE_DATAOBJ`: which is a program.
pub(super) const PE_IMAGE_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");
pub(super) const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
pub(super) const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
pub(super) const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(super) const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// The version of PKCS #7 in which its certificates are X.509 and its signers are named by their issuers.
pub(super) const VERSION: CmsVersion = CmsVersion::V1;

/// The longest PKCS #7 that is read: with a chain of certificates and a time stamp it has some 10 KiB, with the hash of each
/// page of a program a hundredth of that.
const MOST: usize = 4 << 20;
/// How many elements a set in it can have: certificates, or attributes. What reads it sorts them in the square of their
/// number.
const MOST_ELEMENTS: usize = 64;

const SEQUENCE: u8 = 0x30;
/// The bit of a tag that says that what it is of consists of other values.
const CONSTRUCTED: u8 = 0x20;

/// `SpcPeImageData` as everybody writes it: no flags, and the file that is no longer named, in DER.
pub(super) const IMAGE_DATA: &[u8] = b"\x30\x25\x03\x01\x00\xa0\x20\xa2\x1e\x80\x1c\
    \0<\0<\0<\0O\0b\0s\0o\0l\0e\0t\0e\0>\0>\0>";

/// `SpcIndirectDataContent`.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct IndirectData {
    pub(super) data: TypedValue,
    pub(super) message_digest: DigestInfo,
}

/// `SpcAttributeTypeAndOptionalValue`.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct TypedValue {
    pub(super) r#type: ObjectIdentifier,
    pub(super) value: Any,
}

/// `DigestInfo`.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct DigestInfo {
    pub(super) algorithm: AlgorithmIdentifierOwned,
    pub(super) digest: OctetString,
}

/// Reads PKCS #7, behind which there may be zeros. Fails if it is none, or larger than those of real programs.
pub(super) fn signed_data(bytes: &[u8]) -> der::Result<SignedData> {
    if bytes.len() > MOST || !has_small_sets(bytes) {
        return Err(der::ErrorKind::Overlength.into());
    }
    let mut reader = SliceReader::new(bytes)?;
    let info = ContentInfo::decode(&mut reader)?;
    if info.content_type != SIGNED_DATA {
        return Err(der::ErrorKind::OidUnknown { oid: info.content_type }.at(reader.position()));
    }
    info.content.decode_as()
}

/// Says whether nothing in what `bytes` begin with, which is DER, has many elements, but for sequences.
fn has_small_sets(bytes: &[u8]) -> bool {
    // Of what is not at its end yet: where that is, and how many more elements it can have.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    loop {
        let Some((tag, head_len, length)) = bytes.get(at..).and_then(head) else { return false };
        at += head_len;
        match tag {
            SEQUENCE => open.push((at + length, usize::MAX)),
            // A set can have another tag.
            _ if tag & CONSTRUCTED != 0 => open.push((at + length, MOST_ELEMENTS)),
            _ => at += length,
        }
        while open.last().is_some_and(|(end, _)| *end <= at) {
            open.pop();
        }
        let Some((_, left)) = open.last_mut() else { return true };
        let Some(rest) = left.checked_sub(1) else { return false };
        *left = rest;
    }
}

/// Returns the tag of a value in DER, how many bytes come before its contents, and how many these have.
fn head(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    let n_bytes = usize::from(first & 0x7f);
    match first {
        // Tags of several bytes are not in use, and neither are lengths that are told at the end.
        _ if tag & 0x1f == 0x1f => None,
        0..=0x7f => Some((tag, 2, first.into())),
        0x81..=0x83 => {
            let length = rest.get(..n_bytes)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            Some((tag, 2 + n_bytes, length))
        }
        _ => None,
    }
}

/// Returns the first value of a signed attribute.
pub(super) fn attribute(signer: &SignerInfo, oid: ObjectIdentifier) -> Option<&Any> {
    let attribute = signer.signed_attrs.as_ref()?.iter().find(|attribute| attribute.oid == oid)?;
    attribute.values.get(0)
}
