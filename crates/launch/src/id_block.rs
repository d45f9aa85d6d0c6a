//! ID blocks of SEV-SNP: they bind a guest to the digest that it is expected to have, signed by who made it. The firmware
//! refuses to start a guest with another digest (SEV-SNP Firmware ABI, "SNP_LAUNCH_FINISH", "ID Block" and "ID
//! Authentication Information Structure").
//!
//! Signatures are those of RFC 6979, so the same key makes the same bytes of the same digest.

use igvm_defs::{
    IGVM_VHS_SNP_ID_BLOCK, IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY, IGVM_VHS_SNP_ID_BLOCK_SIGNATURE,
    IgvmVariableHeaderType as Type,
};
use p384::ecdsa::signature::{Signer as _, Verifier as _};
use p384::ecdsa::{Signature, SigningKey, VerifyingKey};
use p384::pkcs8::DecodePrivateKey as _;
use p384::{EncodedPoint, FieldBytes, SecretKey};
use sha2::{Digest as _, Sha384};
use zerocopy::{FromZeros as _, IntoBytes as _};

use crate::file::{Directive, File, Initialization, PREFIX, ReadError, raw_headers};
use crate::measure::{MeasureError, ZeroPages, measure};
use crate::{PlatformKind, write};

/// P-384 with SHA-384, the only algorithm of the firmware.
const ECDSA_P384_SHA384: u32 = 1;
/// P-384, the only curve of the firmware.
const P384: u32 = 2;
/// The only version of the structure.
const VERSION: u32 = 1;

/// A private key on the curve P-384.
pub struct Key(SigningKey);

/// Why a key could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// A key with a password.
    #[error("the key is encrypted")]
    Encrypted,
    /// No key, or one of another kind.
    #[error("the key is not one of ECDSA on P-384 in SEC 1 or PKCS #8, as PEM or DER: {0}")]
    Key(String),
}

impl KeyError {
    /// Returns what the reader of the message can do about it.
    pub fn help(&self) -> &'static str {
        match self {
            KeyError::Encrypted => "take the password off a copy: `openssl pkey -in KEY -out COPY`",
            KeyError::Key(_) => "`openssl ecparam -name secp384r1 -genkey -noout -out KEY` makes one",
        }
    }
}

impl Key {
    /// Reads a key as OpenSSL writes it: PEM, with parameters in front or not, or DER.
    ///
    /// # Errors
    ///
    /// When it is encrypted, damaged, or not of this curve.
    pub fn parse(bytes: &[u8]) -> Result<Key, KeyError> {
        let wrong = |error: &dyn std::fmt::Display| KeyError::Key(error.to_string());
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN "));
        let key = match text {
            Some(text) => {
                if text.contains("-----BEGIN ENCRYPTED ") || text.contains("Proc-Type: 4,ENCRYPTED") {
                    return Err(KeyError::Encrypted);
                }
                match text.find("-----BEGIN EC PRIVATE KEY-----") {
                    Some(at) => {
                        SecretKey::from_sec1_pem(text[at..].trim_end()).map_err(|error| wrong(&error))?
                    }
                    None => {
                        let at = text.find("-----BEGIN ").unwrap_or(0);
                        SecretKey::from_pkcs8_pem(text[at..].trim_end()).map_err(|error| wrong(&error))?
                    }
                }
            }
            None => {
                let key = SecretKey::from_pkcs8_der(bytes);
                key.or_else(|error| SecretKey::from_sec1_der(bytes).map_err(|_| wrong(&error)))?
            }
        };
        Ok(Key(SigningKey::from(&key)))
    }

    fn public(&self) -> IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY {
        let mut public =
            IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY { curve: P384, reserved: 0, qx: [0; 72], qy: [0; 72] };
        let point = self.0.verifying_key().to_encoded_point(false);
        for (to, from) in [(&mut public.qx, point.x()), (&mut public.qy, point.y())] {
            put(to, from.map(|bytes| &bytes[..]).unwrap_or_default());
        }
        public
    }

    fn sign(&self, message: &[u8]) -> IGVM_VHS_SNP_ID_BLOCK_SIGNATURE {
        let signature: Signature = self.0.sign(message);
        let (r, s) = signature.split_bytes();
        let mut structure = IGVM_VHS_SNP_ID_BLOCK_SIGNATURE::new_zeroed();
        put(&mut structure.r_comp, &r);
        put(&mut structure.s_comp, &s);
        structure
    }
}

/// Writes a number, the most significant byte of which is the first, the other way round.
fn put(to: &mut [u8; 72], number: &[u8]) {
    for (to, from) in to.iter_mut().zip(number.iter().rev()) {
        *to = *from;
    }
}

/// Returns a number of 48 bytes, the most significant one first; none if it has more.
fn get(from: &[u8; 72]) -> Option<FieldBytes> {
    let (number, rest) = from.split_at(48);
    let mut bytes = FieldBytes::default();
    for (to, from) in bytes.iter_mut().zip(number.iter().rev()) {
        *to = *from;
    }
    rest.iter().all(|byte| *byte == 0).then_some(bytes)
}

/// What the maker of a guest says of it beside its digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// To what family it belongs.
    pub family_id: [u8; 16],
    /// Which image it is.
    pub image_id: [u8; 16],
    /// Its security version.
    pub guest_svn: u32,
}

/// Returns the structure ID_BLOCK, which is signed.
fn signed(block: &IGVM_VHS_SNP_ID_BLOCK, policy: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    bytes.extend_from_slice(&block.ld);
    bytes.extend_from_slice(&block.family_id);
    bytes.extend_from_slice(&block.image_id);
    bytes.extend_from_slice(&block.version.to_le_bytes());
    bytes.extend_from_slice(&block.guest_svn.to_le_bytes());
    bytes.extend_from_slice(&policy.to_le_bytes());
    bytes
}

/// Returns a key as the firmware has it: without the reserved word that a file has, and longer.
fn firmware_key(key: &IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY) -> Vec<u8> {
    let mut bytes = key.curve.to_le_bytes().to_vec();
    bytes.extend_from_slice(&key.qx);
    bytes.extend_from_slice(&key.qy);
    bytes.resize(0x404, 0);
    bytes
}

/// Returns the digest of a key, as attestation reports have it.
pub fn key_digest(key: &IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY) -> [u8; 48] {
    Sha384::digest(firmware_key(key)).into()
}

/// Returns the block that binds a guest with `policy` to `digest`. With an author's key, that signs the other one.
pub fn create(
    (mask, policy): (u32, u64),
    digest: &[u8; 48],
    identity: Identity,
    key: &Key,
    author: Option<&Key>,
) -> IGVM_VHS_SNP_ID_BLOCK {
    let mut block = IGVM_VHS_SNP_ID_BLOCK::new_zeroed();
    block.compatibility_mask = mask;
    block.ld = *digest;
    block.family_id = identity.family_id;
    block.image_id = identity.image_id;
    block.version = VERSION;
    block.guest_svn = identity.guest_svn;
    block.id_key_algorithm = ECDSA_P384_SHA384;
    block.author_key_algorithm = ECDSA_P384_SHA384;
    block.id_public_key = key.public();
    block.id_key_signature = key.sign(&signed(&block, policy));
    if let Some(author) = author {
        block.author_key_enabled = 1;
        block.author_public_key = author.public();
        block.author_key_signature = author.sign(&firmware_key(&block.id_public_key));
    }
    block
}

/// Why the firmware would refuse a block.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BlockProblem {
    /// Another guest.
    #[error("it expects the digest {expected}, and the file has {found}")]
    Digest {
        /// What it expects.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// Its signature is over a policy too.
    #[error("the file has no policy, which the block is signed with")]
    NoPolicy,
    /// Another form.
    #[error("its {what} is {found}, and {known} is the only one that is known")]
    Unknown {
        /// What of it.
        what: &'static str,
        /// Which it has.
        found: u32,
        /// Which there is.
        known: u32,
    },
    /// A key that is none.
    #[error("the {0} is no point of the curve P-384")]
    Key(&'static str),
    /// A wrong signature.
    #[error("the signature by the {0} is wrong")]
    Signature(&'static str),
    /// Something where nothing is meant to be.
    #[error("it has a key or a signature of an author, which it does not enable")]
    Author,
}

/// Returns why the firmware would refuse a block for a guest with this digest and policy; nothing if it would not.
pub fn check(block: &IGVM_VHS_SNP_ID_BLOCK, digest: &[u8], policy: Option<u64>) -> Vec<BlockProblem> {
    let mut problems = Vec::new();
    if block.ld[..] != *digest {
        let (expected, found) = (crate::hex(&block.ld), crate::hex(digest));
        problems.push(BlockProblem::Digest { expected, found });
    }
    let mut known = |what, found, known| {
        if found != known {
            problems.push(BlockProblem::Unknown { what, found, known });
        }
    };
    known("version", block.version, VERSION);
    known("algorithm", block.id_key_algorithm, ECDSA_P384_SHA384);
    known("curve", block.id_public_key.curve, P384);
    match policy {
        Some(policy) => {
            let message = signed(block, policy);
            problems.extend(verify("ID key", &block.id_public_key, &block.id_key_signature, &message));
        }
        None => problems.push(BlockProblem::NoPolicy),
    }
    if block.author_key_enabled != 0 {
        let message = firmware_key(&block.id_public_key);
        let (key, signature) = (&block.author_public_key, &block.author_key_signature);
        for (what, found, known) in [
            ("algorithm of the author's key", block.author_key_algorithm, ECDSA_P384_SHA384),
            ("curve of the author's key", key.curve, P384),
        ] {
            if found != known {
                problems.push(BlockProblem::Unknown { what, found, known });
            }
        }
        problems.extend(verify("author's key", key, signature, &message));
    } else if block.author_public_key.as_bytes().iter().any(|byte| *byte != 0)
        || block.author_key_signature.as_bytes().iter().any(|byte| *byte != 0)
    {
        problems.push(BlockProblem::Author);
    }
    problems
}

fn verify(
    name: &'static str,
    key: &IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY,
    signature: &IGVM_VHS_SNP_ID_BLOCK_SIGNATURE,
    message: &[u8],
) -> Option<BlockProblem> {
    let public = get(&key.qx).zip(get(&key.qy)).and_then(|(x, y)| {
        VerifyingKey::from_encoded_point(&EncodedPoint::from_affine_coordinates(&x, &y, false)).ok()
    });
    let Some(public) = public else { return Some(BlockProblem::Key(name)) };
    let signature = get(&signature.r_comp).zip(get(&signature.s_comp));
    let is_right = signature
        .and_then(|(r, s)| Signature::from_scalars(r, s).ok())
        .is_some_and(|signature| public.verify(message, &signature).is_ok());
    (!is_right).then_some(BlockProblem::Signature(name))
}

/// Why a file could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// No file.
    #[error("the file cannot be read")]
    Read(#[from] ReadError),
    /// Nothing to sign.
    #[error("the file cannot be measured")]
    Measure(#[from] MeasureError),
    /// The signature is over a policy too.
    #[error("the file has no policy for SEV-SNP, which the ID block is signed with")]
    NoPolicy,
    /// Offsets that nobody knows.
    #[error(
        "the file has a header of the unknown type {0:#x}, so its data cannot be moved to make room for the ID block"
    )]
    Unknown(u32),
    /// More than offsets can say.
    #[error("with an ID block the file would have more than 4 GiB")]
    TooLarge,
}

/// Returns a file with an ID block of its own digest behind everything else, in place of one that it may have had.
///
/// # Errors
///
/// When there is no digest of SEV-SNP, or no room for the block.
pub fn sign(
    bytes: &[u8],
    zeros: ZeroPages,
    identity: Identity,
    key: &Key,
    author: Option<&Key>,
) -> Result<Vec<u8>, SignError> {
    let file = File::parse(bytes)?;
    let unknown = file.initializations.iter().find_map(|header| match header {
        Initialization::Unknown(typ) => Some(*typ),
        _ => None,
    });
    let unknown = unknown.or_else(|| {
        file.directives.iter().find_map(|directive| match directive {
            Directive::Unknown(typ) => Some(*typ),
            _ => None,
        })
    });
    if let Some(typ) = unknown {
        return Err(SignError::Unknown(typ));
    }
    let measured = measure(&file, PlatformKind::SevSnp, zeros)?;
    let platform = file.platform(PlatformKind::SevSnp).copied();
    let policy = platform.as_ref().and_then(|platform| Some((platform.mask, file.policy(platform)?)));
    let Some((mask, policy)) = policy else { return Err(SignError::NoPolicy) };
    let mut digest = [0; 48];
    digest.copy_from_slice(measured.digest.bytes());
    let block = create((mask, policy), &digest, identity, key, author);
    with_block(bytes, &block)
}

fn with_block(bytes: &[u8], block: &IGVM_VHS_SNP_ID_BLOCK) -> Result<Vec<u8>, SignError> {
    let frame = raw_headers(bytes)?;
    let is_replaced = |typ: Type, content: &[u8]| {
        let mask = content.first_chunk().map_or(0, |mask| u32::from_le_bytes(*mask));
        typ == Type::IGVM_VHT_SNP_ID_BLOCK && mask & block.compatibility_mask != 0
    };
    let mut area = Vec::new();
    let mut kept = Vec::new();
    for header in &frame.headers {
        if !is_replaced(header.typ, header.content) {
            kept.push((header.typ, area.len()));
            area.extend_from_slice(&bytes[header.at..header.end]);
        }
    }
    let added = write::header(Type::IGVM_VHT_SNP_ID_BLOCK, block.as_bytes());
    let moved = (area.len() + added.len()) as i64 - (frame.data - frame.start) as i64;
    for (typ, at) in kept {
        let place = match typ {
            Type::IGVM_VHT_PAGE_DATA | Type::IGVM_VHT_PARAMETER_AREA | Type::IGVM_VHT_VP_CONTEXT => 12,
            Type(0x104 | 0x105) => 4,
            _ => continue,
        };
        let place = at + PREFIX + place;
        let Some(field) = area.get_mut(place..place + 4) else { continue };
        let offset = field.iter().rev().fold(0, |number, byte| number << 8 | i64::from(*byte));
        if offset != 0 {
            let offset = u32::try_from(offset + moved).map_err(|_| SignError::TooLarge)?;
            field.copy_from_slice(&offset.to_le_bytes());
        }
    }
    area.extend_from_slice(&added);
    let total = frame.start + area.len() + (bytes.len() - frame.data);
    let total = u32::try_from(total).map_err(|_| SignError::TooLarge)?;

    let mut fixed = bytes[..frame.start].to_vec();
    fixed[12..16].copy_from_slice(&(area.len() as u32).to_le_bytes());
    fixed[16..20].copy_from_slice(&total.to_le_bytes());
    fixed[20..24].fill(0);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&fixed[..frame.fixed_len]);
    checksum.update(&area);
    fixed[20..24].copy_from_slice(&checksum.finalize().to_le_bytes());
    let mut signed = fixed;
    signed.extend_from_slice(&area);
    signed.extend_from_slice(&bytes[frame.data..]);
    Ok(signed)
}
