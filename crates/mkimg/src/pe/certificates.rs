//! The table of certificates at the end of a file ("The Attribute Certificate Table").

use super::read::{CERTIFICATES, Pe, ReadError};
use super::write::seal;
use crate::bytes::{get_u16, get_u32, put_u32};

/// The header in front of each certificate: its length with that of the header, revision and type.
const HEADER: usize = 8;
/// `WIN_CERT_REVISION_2_0`.
const REVISION: u16 = 0x0200;
/// `WIN_CERT_TYPE_PKCS_SIGNED_DATA`.
const SIGNED_DATA: u16 = 0x0002;

/// More certificates are not read: programs have one, or a few of different owners.
const MOST: usize = 64;

/// Returns the signatures of a program, each PKCS #7 in DER, perhaps with zeros behind it.
pub fn certificates<'a>(pe: &Pe<'a>) -> Result<Vec<&'a [u8]>, ReadError> {
    let mut table = &pe.bytes[pe.certificate_range()?];
    let mut found = Vec::new();
    while !table.is_empty() {
        let length = if table.len() < HEADER { 0 } else { get_u32(table, 0) as usize };
        let Some(certificate) = table.get(HEADER..length) else {
            return Err(ReadError::Wrong(format!(
                "a certificate of {length} bytes does not fit into their table"
            )));
        };
        if get_u16(table, 4) == REVISION && get_u16(table, 6) == SIGNED_DATA {
            if found.len() == MOST {
                return Err(ReadError::Wrong(format!("it has more than {MOST} certificates")));
            }
            found.push(certificate);
        }
        table = table.get(length.next_multiple_of(8)..).unwrap_or_default();
    }
    Ok(found)
}

/// Returns the program with these signatures, each PKCS #7 in DER, in place of those that it has.
///
/// Fails if it has no place for them, or they do not fit into a file of 4 GiB.
pub fn with_certificates(pe: &Pe<'_>, certificates: &[Vec<u8>]) -> Result<Vec<u8>, ReadError> {
    let Some(directory) = pe.directory_at(CERTIFICATES) else {
        return Err(ReadError::Wrong("it has no place for certificates".to_owned()));
    };
    let mut bytes = pe.bytes[..pe.certificate_range()?.start].to_vec();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let start = bytes.len();
    let too_large = || ReadError::Wrong("it would have more than 4 GiB with its certificates".to_owned());
    for certificate in certificates {
        let length = u32::try_from(certificate.len() + HEADER).map_err(|_| too_large())?;
        bytes.extend(length.to_le_bytes());
        bytes.extend(REVISION.to_le_bytes());
        bytes.extend(SIGNED_DATA.to_le_bytes());
        bytes.extend(certificate);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let size = bytes.len() - start;
    let (Ok(address), Ok(size)) = (u32::try_from(start), u32::try_from(size)) else {
        return Err(too_large());
    };
    put_u32(&mut bytes, directory, if size == 0 { 0 } else { address });
    put_u32(&mut bytes, directory + 4, size);
    seal(&mut bytes, pe.checksum_at());
    Ok(bytes)
}
