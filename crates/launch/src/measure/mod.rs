//! What each platform measures.

mod kvm;
mod sev;
mod sha384;
mod snp;
mod tdx;
mod vbs;

use std::fmt;

pub use kvm::{KvmProblem, check_kvm, unlike_igvmmeasure};

use crate::file::{Directive, File, MOST_PAGES, PAGE, PageKind};
use crate::{Platform, PlatformKind};

/// A page without contents.
const ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];

/// What the pages are measured as that have no contents in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroPages {
    /// Normal pages full of zeros, as the format has it.
    #[default]
    Normal,
    /// What the platform has for pages of zeros, as some loaders have it. Only SEV-SNP has something.
    Native,
}

/// What a platform measures, in its own words.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest(Vec<u8>);

impl Digest {
    /// Returns its bytes: 32 of SHA-256, 48 of SHA-384.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Digest {
    /// Writes hexadecimal digits, small ones, or with `{:#}` capitals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| {
            if f.alternate() { write!(f, "{byte:02X}") } else { write!(f, "{byte:02x}") }
        })
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// On which platform.
    pub platform: PlatformKind,
    /// What it will report.
    pub digest: Digest,
    /// How many pages are loaded.
    pub n_pages: u64,
}

/// Why something cannot be measured.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MeasureError {
    /// A platform that the file is not for.
    #[error("the file is not for {platform}: it is for {}", has.join(", "))]
    NoPlatform {
        /// Which.
        platform: PlatformKind,
        /// For which it is.
        has: Vec<&'static str>,
    },
    /// A platform without a measurement.
    #[error("nothing is measured on the platform `native`")]
    NotMeasured,
    /// A platform whose measurement is not known here.
    #[error("what {0} measures is not known to this version")]
    Unsupported(PlatformKind),
    /// Memory that is loaded twice.
    #[error("page {gpa:#x} is loaded twice on {platform}")]
    Overlap {
        /// Which page.
        gpa: u64,
        /// On which platform.
        platform: PlatformKind,
    },
    /// A kind of page that a platform does not have.
    #[error("page {gpa:#x} has {kind:?}, which {platform} does not have")]
    PageKind {
        /// Which page.
        gpa: u64,
        /// What it has.
        kind: PageKind,
        /// The platform.
        platform: PlatformKind,
    },
    /// Too much.
    #[error("{n_pages} pages are loaded on {platform}, and {MOST_PAGES} are the most that are measured")]
    TooMuch {
        /// How many.
        n_pages: u64,
        /// On which platform.
        platform: PlatformKind,
    },
}

/// Measures what a file loads on one of its platforms.
///
/// # Errors
///
/// When the file is not for the platform, when the platform measures nothing, or when it would refuse what is loaded.
pub fn measure(file: &File<'_>, kind: PlatformKind, zeros: ZeroPages) -> Result<Measurement, MeasureError> {
    let Some(platform) = file.platform(kind) else {
        return Err(MeasureError::NoPlatform { platform: kind, has: file.names(u32::MAX) });
    };
    let n_pages = check(file, platform)?;
    let digest = match kind {
        PlatformKind::Native => return Err(MeasureError::NotMeasured),
        PlatformKind::Cca => return Err(MeasureError::Unsupported(kind)),
        PlatformKind::SevSnp => snp::launch_digest(file, platform, zeros).to_vec(),
        PlatformKind::Tdx => tdx::mrtd(file, platform).to_vec(),
        PlatformKind::Sev | PlatformKind::SevEs => sev::launch_digest(file, platform).to_vec(),
        PlatformKind::Vsm => vbs::boot_digest(file, platform).to_vec(),
    };
    Ok(Measurement { platform: kind, digest: Digest(digest), n_pages })
}

/// Refuses what no platform can load, and returns how many pages are loaded.
fn check(file: &File<'_>, platform: &Platform) -> Result<u64, MeasureError> {
    let n_pages = file.n_pages(platform);
    if n_pages > MOST_PAGES {
        return Err(MeasureError::TooMuch { n_pages, platform: platform.kind });
    }
    // Other pages than normal ones are what SEV-SNP brought. Nobody measures what the last two load.
    let has_kinds = matches!(platform.kind, PlatformKind::SevSnp | PlatformKind::Native | PlatformKind::Cca);
    let mut loaded: Vec<(u64, u64)> = Vec::new();
    for directive in file.directives_for(platform) {
        match directive {
            Directive::Page(page) if page.kind != PageKind::Normal && !has_kinds => {
                return Err(MeasureError::PageKind {
                    gpa: page.gpa,
                    kind: page.kind,
                    platform: platform.kind,
                });
            }
            Directive::Page(page) => loaded.push((page.gpa, page.size)),
            Directive::ParameterInsert { gpa, size, .. } => loaded.push((*gpa, *size)),
            _ => {}
        }
    }
    // All processors may have their states at one address, which then is none of memory.
    let states = file.directives_for(platform).filter_map(|directive| match directive {
        Directive::VpContext(context) if context.format == crate::ContextFormat::Vmsa => {
            Some((context.gpa, PAGE))
        }
        _ => None,
    });
    let mut states: Vec<_> = states.collect();
    states.sort_unstable();
    states.dedup();
    loaded.extend(states);
    loaded.sort_unstable();
    for pair in loaded.windows(2) {
        if let [(gpa, size), (next, _)] = *pair
            && next - gpa < size
        {
            return Err(MeasureError::Overlap { gpa: next, platform: platform.kind });
        }
    }
    Ok(n_pages)
}
