//! What a signature is of: everything but the checksum and the certificates.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::read::{CERTIFICATES, Pe};

/// Why there is no telling what a signature of a program would be of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// It has no place for certificates.
    #[error("it has no place for certificates: only {0} data directories")]
    NoDirectory(usize),
    /// Its sections share bytes, or leave some out. What is hashed of such a program differs from reader to reader.
    #[error("its sections do not follow each other in the file: {0}")]
    Gap(String),
}

/// Returns the SHA-256 that signatures of this program are of ("Calculating the PE Image Hash").
///
/// Without certificates, the file is taken to be filled up with zeros to a multiple of eight bytes, as it will be when it
/// gets some.
pub fn authenticode(pe: &Pe<'_>) -> Result<[u8; 32], HashError> {
    let bytes = pe.bytes;
    let Some(directory) = pe.directory_at(CERTIFICATES) else {
        return Err(HashError::NoDirectory(pe.n_directories));
    };
    let headers = pe.headers_size() as usize;
    let checksum = pe.checksum_at();
    let mut hash = Sha256::new();
    for part in [0..checksum, checksum + 4..directory, directory + 8..headers] {
        hash.update(&bytes[part]);
    }
    let end = pe.certificate_range().map_err(|error| HashError::Gap(error.to_string()))?.start;
    let mut at = headers;
    for (name, range) in sections_by_offset(pe) {
        if range.start != at {
            let what = if range.start > at { "nothing has the bytes" } else { "two have the bytes" };
            let (first, last) = (range.start.min(at), range.start.max(at));
            return Err(HashError::Gap(format!("{what} {first:#x}..{last:#x} in front of `{name}`")));
        }
        at = range.end;
        hash.update(&bytes[range]);
    }
    if at > end {
        return Err(HashError::Gap(format!("they reach to {at:#x}, into the certificates at {end:#x}")));
    }
    // What is behind the sections counts, too.
    hash.update(&bytes[at..end]);
    hash.update(&[0; 8][..end.next_multiple_of(8) - end]);
    Ok(hash.finalize().into())
}

fn sections_by_offset<'p>(pe: &'p Pe<'_>) -> Vec<(&'p str, Range<usize>)> {
    let sections = pe.sections().iter().filter(|section| section.raw_size > 0);
    let mut ranges: Vec<_> = sections
        .map(|section| {
            let start = section.offset as usize;
            (section.name.as_str(), start..start + section.raw_size as usize)
        })
        .collect();
    ranges.sort_by_key(|(_, range)| range.start);
    ranges
}
