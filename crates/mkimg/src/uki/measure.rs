//! What systemd's stub measures of an image into PCR 11, and what the system measures into it later.

use sha2::{Digest, Sha256};

use super::release::stub_version;
use crate::pe::Pe;

/// The phases of a boot for which `systemd-measure` says a value unless it is told otherwise
/// (systemd-pcrphase.service(8)).
pub const PHASES: [&str; 4] = [
    "enter-initrd",
    "enter-initrd:leave-initrd",
    "enter-initrd:leave-initrd:sysinit",
    "enter-initrd:leave-initrd:sysinit:ready",
];

/// The sections in the order in which they are measured, with the first version of systemd that does so (systemd-stub(7),
/// `src/fundamental/uki.h`). That of signatures of this very value is not among them.
const SECTIONS: [(&str, u32); 10] = [
    (".linux", 252),
    (".osrel", 252),
    (".cmdline", 252),
    (".initrd", 252),
    (".ucode", 256),
    (".splash", 252),
    (".dtb", 252),
    (".uname", 254),
    (".sbat", 254),
    (".pcrpkey", 252),
];

/// What PCR 11 will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The version of the stub.
    pub stub: String,
    /// The sections that it measures, in this order.
    pub sections: Vec<&'static str>,
    /// The value when the stub is done.
    pub start: String,
    /// The value in each of [`PHASES`].
    pub phases: Vec<(&'static str, String)>,
}

/// Returns what PCR 11 will be of an image, in the bank of SHA-256 and hexadecimal digits. Nothing is known of one with
/// another stub than systemd's, or with one that does not say its version.
pub fn measure(image: &Pe<'_>) -> Option<Measured> {
    let (stub, version) = stub_version(image)?;
    let mut pcr = [0; 32];
    let mut sections = Vec::new();
    for (name, since) in SECTIONS {
        let Some(contents) = image.section(name).filter(|_| version >= since) else { continue };
        // First the name with the zero behind it, then what is in the section.
        extend(&mut pcr, &[name.as_bytes(), b"\0"].concat());
        extend(&mut pcr, contents);
        sections.push(name);
    }
    let start = hex(&pcr);
    let phases = PHASES.map(|phase| {
        let mut pcr = pcr;
        phase.split(':').for_each(|word| extend(&mut pcr, word.as_bytes()));
        (phase, hex(&pcr))
    });
    Some(Measured { stub, sections, start, phases: phases.into() })
}

/// Extends a register by the hash of something (Trusted Platform Module Library, part 1, 17.2).
fn extend(pcr: &mut [u8; 32], measured: &[u8]) {
    let hash = Sha256::new().chain_update(*pcr).chain_update(Sha256::digest(measured)).finalize();
    *pcr = hash.into();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
