//! Reads and checks the signatures of a program.

use cms::cert::CertificateChoices;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::Encode;
use der::asn1::OctetString;
use rsa::pkcs1v15::{Signature as RsaSignature, VerifyingKey};
use rsa::sha2::Sha256 as RsaSha256;
use rsa::signature::Verifier;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;

use super::key::public_key;
use super::spc::{self, IndirectData};
use super::write::SignError;
use crate::pe::{self, Pe};

/// A signature of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Whose it is, or nothing if its certificate is not there.
    pub subject: Option<String>,
    /// Who says so.
    pub issuer: Option<String>,
    /// Why it is not one of this program by the key of that certificate.
    pub problem: Option<&'static str>,
}

/// Returns the signatures of a program. Whether their certificates are to be trusted is for others to say.
pub fn signatures(program: &[u8]) -> Result<Vec<Signature>, SignError> {
    let pe = Pe::parse(program)?;
    let certificates = pe::certificates(&pe)?;
    if certificates.is_empty() {
        return Ok(Vec::new());
    }
    let hash = pe::authenticode(&pe)?;
    Ok(certificates.into_iter().map(|certificate| examine(certificate, &hash)).collect())
}

fn examine(bytes: &[u8], hash: &[u8]) -> Signature {
    let mut signature = Signature { subject: None, issuer: None, problem: None };
    let data = match spc::signed_data(bytes) {
        Ok(data) => data,
        Err(error) => {
            let is_too_large = error.kind() == der::ErrorKind::Overlength;
            signature.problem =
                Some(if is_too_large { "it is larger than any that is read" } else { "it is not PKCS #7" });
            return signature;
        }
    };
    let Some(signer) = data.signer_infos.0.get(0) else {
        signature.problem = Some("nobody signed it");
        return signature;
    };
    let Some(certificate) = certificate_of(&data, signer) else {
        signature.problem = Some("the certificate of who signed it is missing");
        return signature;
    };
    signature.subject = Some(certificate.tbs_certificate.subject.to_string());
    signature.issuer = Some(certificate.tbs_certificate.issuer.to_string());
    signature.problem = check(&data, signer, certificate, hash).err();
    signature
}

fn certificate_of<'a>(data: &'a SignedData, signer: &SignerInfo) -> Option<&'a Certificate> {
    let SignerIdentifier::IssuerAndSerialNumber(wanted) = &signer.sid else { return None };
    data.certificates.as_ref()?.0.iter().find_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => {
            let is_it = certificate.tbs_certificate.issuer == wanted.issuer
                && certificate.tbs_certificate.serial_number == wanted.serial_number;
            is_it.then_some(certificate)
        }
        CertificateChoices::Other(_) => None,
    })
}

/// Checks the chain from the signature over its attributes and its content to the program.
fn check(
    data: &SignedData,
    signer: &SignerInfo,
    certificate: &Certificate,
    hash: &[u8],
) -> Result<(), &'static str> {
    if signer.digest_alg.oid != spc::SHA256 {
        return Err("it is not of a SHA-256");
    }
    let content = data.encap_content_info.econtent.as_ref().ok_or("it has no content")?;
    let indirect: IndirectData =
        content.decode_as().map_err(|_| "its content is not the hash of a program")?;
    let is_program = data.encap_content_info.econtent_type == spc::INDIRECT_DATA
        && indirect.data.r#type == spc::PE_IMAGE_DATA
        && indirect.message_digest.algorithm.oid == spc::SHA256;
    if !is_program {
        return Err("its content is not the SHA-256 of a program");
    }
    if indirect.message_digest.digest.as_bytes() != hash {
        return Err("it is of other bytes: the program was changed");
    }
    let kind = spc::attribute(signer, spc::CONTENT_TYPE).and_then(|value| value.decode_as().ok());
    if kind != Some(spc::INDIRECT_DATA) {
        return Err("its attributes are not those of its content");
    }
    let digest =
        spc::attribute(signer, spc::MESSAGE_DIGEST).and_then(|value| value.decode_as::<OctetString>().ok());
    if digest.is_none_or(|digest| digest.as_bytes() != &Sha256::digest(content.value())[..]) {
        return Err("its attributes are not those of its content");
    }
    let attributes = signer.signed_attrs.as_ref().and_then(|attributes| attributes.to_der().ok());
    let attributes = attributes.ok_or("its attributes have no form")?;
    let key = public_key(certificate).ok_or("its key is not one of RSA")?;
    let signature = RsaSignature::try_from(signer.signature.as_bytes()).map_err(|_| "it has no number")?;
    VerifyingKey::<RsaSha256>::new(key)
        .verify(&attributes, &signature)
        .map_err(|_| "it was not made by the key of its certificate")
}
