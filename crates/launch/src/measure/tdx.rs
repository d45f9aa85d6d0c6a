//! The MRTD of TDX: Intel Trust Domain Extensions Module ABI, "TDH.MEM.PAGE.ADD" and "TDH.MR.EXTEND".
//!
//! It is one SHA-384 of 128 bytes for every page that is added, which have its address, and, if its contents are
//! measured, of 128 bytes and 256 of contents for each sixteenth of the page. Everything is hashed one after the other.

use sha2::{Digest as _, Sha384};

use super::ZEROS;
use crate::Platform;
use crate::file::{Directive, File, Import, PAGE};

/// How many bytes say what is done to what.
const HEAD: usize = 128;
/// How many bytes are extended at once.
const CHUNK: usize = 256;

/// Everything that is hashed for one page.
struct Record {
    bytes: Vec<u8>,
}

impl Record {
    fn new() -> Record {
        Record { bytes: Vec::with_capacity(HEAD + PAGE as usize / CHUNK * (HEAD + CHUNK)) }
    }

    fn head(&mut self, operation: &[u8], address: u64) {
        let end = self.bytes.len() + HEAD;
        self.bytes.extend_from_slice(operation);
        self.bytes.resize(end - HEAD + 16, 0);
        self.bytes.extend_from_slice(&address.to_le_bytes());
        self.bytes.resize(end, 0);
    }

    /// Puts a page together whose contents are measured if there are some.
    fn fill(&mut self, gpa: u64, contents: Option<&[u8]>) -> &[u8] {
        self.bytes.clear();
        self.head(b"MEM.PAGE.ADD", gpa);
        for (number, chunk) in contents.unwrap_or_default().chunks_exact(CHUNK).enumerate() {
            self.head(b"MR.EXTEND", gpa + (number * CHUNK) as u64);
            self.bytes.extend_from_slice(chunk);
        }
        &self.bytes
    }
}

/// Returns the MRTD.
pub(super) fn mrtd(file: &File<'_>, platform: &Platform) -> [u8; 48] {
    let mut digest = Sha384::new();
    let mut record = Record::new();
    for directive in file.directives_for(platform) {
        match directive {
            Directive::Page(page) if page.import != Import::Shared => {
                for (gpa, data) in page.small() {
                    let contents = data.map_or(&ZEROS[..], |data| data.bytes);
                    let is_measured = page.import == Import::Measured;
                    digest.update(record.fill(gpa, is_measured.then_some(contents)));
                }
            }
            Directive::ParameterInsert { gpa, size, .. } => {
                (0..size / PAGE).for_each(|number| digest.update(record.fill(gpa + number * PAGE, None)));
            }
            _ => {}
        }
    }
    digest.finalize().into()
}
