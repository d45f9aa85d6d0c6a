//! Puts signatures on programs.

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::ContentInfo;
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode, Encode};
use sha2::{Digest, Sha256};
use x509_cert::attr::Attribute;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::key::Signer;
use super::spc::{self, DigestInfo, IndirectData, TypedValue};
use crate::pe::{self, HashError, Pe, ReadError};

/// Why a program could not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// It is no program.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its hash has no meaning.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The signature has no form.
    #[error("the signature cannot be encoded: {0}")]
    Encode(String),
}

impl From<der::Error> for SignError {
    fn from(error: der::Error) -> SignError {
        SignError::Encode(error.to_string())
    }
}

/// Returns the program with one more signature. A signature that it has already is not added again.
pub fn sign(program: &[u8], signer: &Signer) -> Result<Vec<u8>, SignError> {
    let pe = Pe::parse(program)?;
    let signature = signature(pe::authenticode(&pe)?, signer)?;
    let mut all = Vec::new();
    for other in pe::certificates(&pe)? {
        // Of one of ours the padding is no part.
        let is_same = other.starts_with(&signature) && other[signature.len()..].iter().all(|byte| *byte == 0);
        if !is_same {
            all.push(other.to_vec());
        }
    }
    all.push(signature);
    Ok(pe::with_certificates(&pe, &all)?)
}

/// Returns a signature of the program that has this hash, in DER.
fn signature(hash: [u8; 32], signer: &Signer) -> der::Result<Vec<u8>> {
    let null = |oid| AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) };
    let content = IndirectData {
        data: TypedValue { r#type: spc::PE_IMAGE_DATA, value: Any::from_der(spc::IMAGE_DATA)? },
        message_digest: DigestInfo { algorithm: null(spc::SHA256), digest: OctetString::new(hash)? },
    };
    let content = Any::encode_from(&content)?;
    // Of the content what is in the sequence is hashed, without its tag and length (RFC 2315, 9.3).
    let content_hash: [u8; 32] = Sha256::digest(content.value()).into();
    let attributes = SetOfVec::try_from(vec![
        attribute(spc::CONTENT_TYPE, &spc::INDIRECT_DATA)?,
        attribute(spc::MESSAGE_DIGEST, &OctetString::new(content_hash)?)?,
    ])?;
    let signature = signer.sign(&attributes.to_der()?);
    let certificate = &signer.certificate.tbs_certificate;
    let info = SignerInfo {
        version: spc::VERSION,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: certificate.issuer.clone(),
            serial_number: certificate.serial_number.clone(),
        }),
        digest_alg: null(spc::SHA256),
        signed_attrs: Some(attributes),
        signature_algorithm: null(spc::RSA),
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let certificates = std::iter::once(&signer.certificate).chain(&signer.intermediates);
    let certificates: Vec<_> = certificates.cloned().map(CertificateChoices::Certificate).collect();
    let data = SignedData {
        version: spc::VERSION,
        digest_algorithms: SetOfVec::try_from(vec![null(spc::SHA256)])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: spc::INDIRECT_DATA,
            econtent: Some(content),
        },
        certificates: Some(CertificateSet(SetOfVec::try_from(certificates)?)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![info])?),
    };
    ContentInfo { content_type: spc::SIGNED_DATA, content: Any::encode_from(&data)? }.to_der()
}

fn attribute(oid: ObjectIdentifier, value: &(impl der::EncodeValue + der::Tagged)) -> der::Result<Attribute> {
    Ok(Attribute { oid, values: SetOfVec::try_from(vec![Any::encode_from(value)?])? })
}
