//! The keys of Secure Boot as variables.

use super::store::{Error, Store, Variable};
use crate::disk::Guid;

/// The certificates that are enrolled, each X.509 in DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// The one of the owner of the machine (PK).
    pub platform_key: Vec<u8>,
    /// Those of who may change what is allowed (KEK).
    pub exchange_keys: Vec<Vec<u8>>,
    /// Those by whose keys programs may be signed (db).
    pub allowed: Vec<Vec<u8>>,
    /// Who says so.
    pub owner: Guid,
}

/// `EFI_GLOBAL_VARIABLE`, `EFI_IMAGE_SECURITY_DATABASE_GUID`, `EFI_CERT_X509_GUID`.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const SECURITY_DATABASE: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";
const X509: &str = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072";
/// `gEfiSecureBootEnableDisableGuid`: whether keys are used, once they are there (EDK II, `SecurityPkg`).
const ENABLE: &str = "f0a30bc7-af08-4556-99c4-001009c93a44";
/// Kept, and readable before and after the system has started; changed only by who signs the change.
const OF_KEYS: u32 = 0x27;
/// Kept, and readable before the system has started.
const OF_FIRMWARE: u32 = 0x03;

/// Returns these variables of a firmware with keys; a template of zeros is one for Arm machines. It fails if there are keys already, or no room.
pub fn enrol(template: &[u8], keys: &Certificates) -> Result<Vec<u8>, Error> {
    let mut store = Store::open(template)?;
    let guid = |text: &str| Guid::parse(text).unwrap_or(Guid::NIL);
    let owner = std::slice::from_ref(&keys.platform_key);
    let lists = [
        ("PK", GLOBAL, owner),
        ("KEK", GLOBAL, &keys.exchange_keys),
        ("db", SECURITY_DATABASE, &keys.allowed),
    ];
    for (name, vendor, certificates) in lists {
        let mut data = Vec::new();
        for certificate in certificates {
            append_list(&mut data, guid(X509), keys.owner, certificate);
        }
        if !certificates.is_empty() {
            let (vendor, name) = (guid(vendor), name.to_owned());
            store.add(Variable { vendor, name, attributes: OF_KEYS, data })?;
        }
    }
    let enable = Variable {
        vendor: guid(ENABLE),
        name: "SecureBootEnable".to_owned(),
        attributes: OF_FIRMWARE,
        data: vec![1],
    };
    // What was chosen before stays so.
    let is_chosen = |other: &Variable| other.name == enable.name && other.vendor == enable.vendor;
    if !store.variables().iter().any(is_chosen) {
        store.add(enable)?;
    }
    Ok(store.into_bytes())
}

/// Adds an `EFI_SIGNATURE_LIST` with one certificate: lists have entries of one size.
fn append_list(data: &mut Vec<u8>, kind: Guid, owner: Guid, certificate: &[u8]) {
    let signature = 16 + certificate.len();
    data.extend(kind.0);
    // No certificate is as large as what does not fit here: a store has some hundred kilobytes.
    let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
    data.extend(size(28 + signature));
    data.extend(size(0));
    data.extend(size(signature));
    data.extend(owner.0);
    data.extend(certificate);
}
