//! Signs programs for Secure Boot, and reads their signatures.
//!
//! A signature is PKCS #7 over a hash of the program ("Windows Authenticode Portable Executable Signature Format" 1.0),
//! by RSA with PKCS #1 v1.5 padding and SHA-256. It says no time, so the same key makes the same bytes of the same
//! program: there is only one signature of a message by such a key.

mod key;
mod read;
mod spc;
mod write;

use std::fs;
use std::io::Write as _;

pub use key::{KeyError, Signer, parse_certificate};
pub use read::{Signature, signatures};
pub use write::{SignError, sign};

use crate::error::Error;
use crate::files::Directory;
use crate::spec::SignSpec;

/// Signs the program that `spec` names, and says who did.
pub(crate) fn run(spec: &SignSpec, directory: &Directory<'_>) -> Result<Vec<String>, Error> {
    let read = |file: &str| {
        let path = directory.path(file);
        fs::read(&path).map_err(|source| Error::Read { path, source })
    };
    let signer = Signer::new(&read(&spec.key)?, &read(&spec.certificate)?).map_err(Error::Key)?;
    let chain = spec.intermediates.iter().map(|file| read(file)).collect::<Result<Vec<_>, Error>>()?;
    let signer = signer.certified_by(chain.iter().map(Vec::as_slice)).map_err(Error::Key)?;
    let input = read(&spec.input)?;
    let path = || directory.path(&spec.input);
    let signed = sign(&input, &signer).map_err(|source| Error::Sign { path: path(), source })?;
    let output = directory.create(&spec.output)?;
    let mut writer = output.writer();
    writer.write_all(&signed).map_err(|source| output.error(source))?;
    output.close(writer)?;
    Ok(Vec::new())
}
