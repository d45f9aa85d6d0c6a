//! SHA-384 of many pages.

use sha2::{Digest as _, Sha384};

/// Returns the SHA-384 of each of some pages.
pub(super) fn sha384_of_pages(pages: &[&[u8]]) -> Vec<[u8; 48]> {
    pages.iter().map(|page| Sha384::digest(page).into()).collect()
}
