//! Keys and certificates, from files.

use der::pem::PemLabel;
use der::{Decode, Document, Encode};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer as _};
use rsa::{RsaPrivateKey, RsaPublicKey};
use x509_cert::Certificate;

/// Why there is no signing with a key and a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key with a password.
    #[error("the key is encrypted")]
    Encrypted,
    /// No key, or one of another kind.
    #[error("the key is not an RSA key in PKCS #8 or PKCS #1, as PEM or DER: {0}")]
    Key(String),
    /// No certificate.
    #[error("the certificate is not one of X.509, as PEM or DER: {0}")]
    Certificate(String),
    /// A certificate for a key of another kind.
    #[error("the certificate of `{0}` is not for an RSA key")]
    NotRsa(String),
    /// A certificate of another key.
    #[error("the key is not that of the certificate of `{0}`")]
    Mismatch(String),
    /// A chain with a gap.
    #[error("`{issuer}` certifies `{subject}`, and the certificate that follows is that of `{other}`")]
    Chain {
        /// Whose certificate it is.
        subject: String,
        /// Who says so.
        issuer: String,
        /// Who is next.
        other: String,
    },
}

impl KeyError {
    /// Returns what the reader of the message can do about it.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            KeyError::Encrypted => "take the password off a copy: `openssl pkey -in KEY -out COPY`",
            KeyError::Key(_) => "`openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048` makes one",
            KeyError::Certificate(_) => "`openssl req -new -x509 -key KEY -subj '/CN=NAME/'` makes one",
            KeyError::NotRsa(_) => "firmware knows RSA",
            KeyError::Mismatch(_) => "is one of the two files of another pair?",
            KeyError::Chain { .. } => {
                "list who certifies the signer first, and then who certifies that one, once each"
            }
        };
        Some(text.to_owned())
    }
}

/// A key, and the certificate that says whose it is.
pub struct Signer {
    key: SigningKey<Sha256>,
    pub(super) certificate: Certificate,
    pub(super) intermediates: Vec<Certificate>,
}

impl Signer {
    /// Reads a key and its certificate. Fails unless they belong together.
    pub fn new(key: &[u8], certificate: &[u8]) -> Result<Signer, KeyError> {
        let key = parse_key(key)?;
        let certificate = parse_certificate(certificate)?;
        let subject = certificate.tbs_certificate.subject.to_string();
        let Some(public) = public_key(&certificate) else { return Err(KeyError::NotRsa(subject)) };
        if public != key.to_public_key() {
            return Err(KeyError::Mismatch(subject));
        }
        Ok(Signer { key: SigningKey::new(key), certificate, intermediates: Vec::new() })
    }

    /// Returns the signer with the certificates that lead from its own towards one that firmware trusts, each of who
    /// certifies the one before. Fails unless they do.
    pub fn certified_by<'a>(
        mut self,
        intermediates: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Signer, KeyError> {
        for bytes in intermediates {
            let next = parse_certificate(bytes)?;
            let last = self.intermediates.last().unwrap_or(&self.certificate);
            let (last, of_next) = (&last.tbs_certificate, &next.tbs_certificate);
            if last.issuer != of_next.subject || *last == *of_next {
                return Err(KeyError::Chain {
                    subject: last.subject.to_string(),
                    issuer: last.issuer.to_string(),
                    other: of_next.subject.to_string(),
                });
            }
            self.intermediates.push(next);
        }
        Ok(self)
    }

    /// Returns the only signature of a message.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message).to_vec()
    }
}

fn parse_key(bytes: &[u8]) -> Result<RsaPrivateKey, KeyError> {
    let wrong = |error: &dyn std::fmt::Display| KeyError::Key(error.to_string());
    let Some(text) = pem(bytes) else {
        let key = RsaPrivateKey::from_pkcs8_der(bytes);
        return key.or_else(|error| RsaPrivateKey::from_pkcs1_der(bytes).map_err(|_| wrong(&error)));
    };
    if text.contains("-----BEGIN ENCRYPTED ") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(KeyError::Encrypted);
    }
    if text.contains("-----BEGIN RSA PRIVATE KEY-----") {
        return RsaPrivateKey::from_pkcs1_pem(text).map_err(|error| wrong(&error));
    }
    RsaPrivateKey::from_pkcs8_pem(text).map_err(|error| wrong(&error))
}

/// Reads an X.509 certificate as PEM, which may have text in front, or DER.
pub fn parse_certificate(bytes: &[u8]) -> Result<Certificate, KeyError> {
    let parsed = match pem(bytes) {
        // The reader of the library that goes without a copy does not come to an end if the text ends early.
        Some(text) => Document::from_pem(text).and_then(|(label, document)| {
            Certificate::validate_pem_label(label)?;
            document.decode_msg()
        }),
        None => Certificate::from_der(bytes),
    };
    parsed.map_err(|error| KeyError::Certificate(error.to_string()))
}

/// Returns the part of the file that begins as PEM does, if there is one.
fn pem(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text[text.find("-----BEGIN ")?..].trim_end())
}

/// Returns the key that a certificate is for, if it is one of RSA.
pub(super) fn public_key(certificate: &Certificate) -> Option<RsaPublicKey> {
    let info = certificate.tbs_certificate.subject_public_key_info.to_der().ok()?;
    rsa::pkcs8::DecodePublicKey::from_public_key_der(&info).ok()
}
