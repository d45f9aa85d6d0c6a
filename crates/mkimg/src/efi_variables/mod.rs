//! Variables of a firmware for virtual machines, with keys for Secure Boot in them.
//!
//! What OVMF and its like keep in flash is a firmware volume with one store of authenticated variables (UEFI Platform
//! Initialization specification 1.8, volume 3, 3.2.1; EDK II, `MdeModulePkg/Include/Guid/VariableFormat.h`). Keys are
//! lists of signatures (UEFI specification 2.10, 32.4.1). Firmware that finds a platform key there checks the programs
//! that it starts.

mod keys;
mod store;

use std::fs;

pub use keys::{Certificates, enrol};
pub use store::{Error, Store, Variable};

use crate::disk::Guid;
use crate::error::Error as RunError;
use crate::files::Directory;
use crate::sign::parse_certificate;
use crate::spec::EfiVariablesSpec;

/// Writes the variables that `spec` describes.
pub(crate) fn write(spec: &EfiVariablesSpec, directory: &Directory<'_>) -> Result<(), RunError> {
    let certificates = |files: &[String]| {
        files.iter().map(|file| certificate(file, directory)).collect::<Result<Vec<_>, RunError>>()
    };
    let keys = Certificates {
        platform_key: certificate(&spec.platform_key, directory)?,
        exchange_keys: certificates(&spec.exchange_keys)?,
        allowed: certificates(&spec.allowed)?,
        owner: Guid::parse(&spec.owner).ok_or_else(|| RunError::Uuid { text: spec.owner.clone() })?,
    };
    let path = directory.path(&spec.template);
    let template = fs::read(&path).map_err(|source| RunError::Read { path: path.clone(), source })?;
    let written = enrol(&template, &keys).map_err(|source| RunError::Variables { path, source })?;
    let output = directory.create(&spec.output)?;
    std::io::Write::write_all(&mut &output.file, &written).map_err(|source| output.error(source))
}

/// Returns a certificate in DER.
fn certificate(file: &str, directory: &Directory<'_>) -> Result<Vec<u8>, RunError> {
    let path = directory.path(file);
    let bytes = fs::read(&path).map_err(|source| RunError::Read { path: path.clone(), source })?;
    let parsed = parse_certificate(&bytes);
    let der = parsed.and_then(|certificate| {
        der::Encode::to_der(&certificate)
            .map_err(|error| crate::sign::KeyError::Certificate(error.to_string()))
    });
    der.map_err(|source| RunError::Certificate { path, source })
}
