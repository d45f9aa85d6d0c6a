//! Programs as text.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::read::Pe;
use crate::dump::short;
use crate::sign::{SignError, signatures};

/// Describes a program: what it is for, its sections, and who signed it.
pub fn dump(bytes: &[u8]) -> Result<String, SignError> {
    let pe = Pe::parse(bytes)?;
    let mut text = format!("program for {}, headers {:#x}\n", pe.machine().short(), pe.headers_size());
    for section in pe.sections() {
        let hash = short(Sha256::new_with_prefix(pe.contents(section)));
        let (name, address, size) = (&section.name, section.address, section.virtual_size);
        let (offset, raw, flags) = (section.offset, section.raw_size, section.characteristics);
        // Writing to a string never fails.
        let _ = writeln!(
            text,
            "{name:8} memory {address:#x}+{size:#x} file {offset:#x}+{raw:#x} flags {flags:#x} sha256={hash}"
        );
    }
    if let Ok(hash) = super::authenticode(&pe) {
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "authenticode sha256={hash}");
    }
    for signature in signatures(bytes)? {
        let subject = signature.subject.as_deref().unwrap_or("somebody");
        let issuer = signature.issuer.as_deref().unwrap_or("nobody");
        let problem = signature.problem.map_or(String::new(), |problem| format!(": wrong: {problem}"));
        let _ = writeln!(text, "signed by `{subject}`, certified by `{issuer}`{problem}");
    }
    Ok(text)
}
