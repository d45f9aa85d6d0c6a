//! Puts an IGVM file together.

use std::borrow::Cow;

use launch::{
    Architecture, ContextFormat, Data, Directive, File, Import, Initialization, Measurement, Page, PageKind,
    Platform, PlatformKind, Revision, VpContext, ZeroPages, measure,
};

use super::direct::{self, Direct};
use super::firmware::{Firmware, SevSection, TdxSection};
use super::hashes::{self, Hashed};
use super::{BuildError, PAGE, hob, state};

/// What a file starts.
#[derive(Clone, Debug)]
pub enum Guest<'a> {
    /// Firmware.
    Firmware {
        /// Which.
        firmware: Firmware<'a>,
        /// Whether without any isolation, too.
        native: bool,
        /// With which isolation.
        confidential: Confidential<'a>,
    },
    /// A kernel without firmware and without any isolation.
    Direct(Direct<'a>),
}

/// The platforms that isolate a guest from its host.
#[derive(Clone, Debug, Default)]
pub struct Confidential<'a> {
    /// SEV-SNP.
    pub snp: Option<Snp<'a>>,
    /// TDX: how many bytes of memory the guest has.
    pub tdx: Option<u64>,
}

/// A guest of SEV-SNP.
#[derive(Clone, Copy, Debug)]
pub struct Snp<'a> {
    /// What its owner allows the host.
    pub policy: u64,
    /// How many processors it has.
    pub n_processors: u16,
    /// What CPUID says of family, model and stepping.
    pub signature: u32,
    /// The kernel that the firmware is to start.
    pub hashed: Option<Hashed<'a>>,
}

/// A file that was made.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What will be measured of it on each platform, on SEV-SNP with pages without contents as QEMU loads them: as the
    /// platform's own pages of zeros.
    pub measured: Vec<Measurement>,
}

/// Where KVM says the states of all processors are, whatever a file says.
const VMSA: u64 = 0xffff_ffff_f000;

const NATIVE: u32 = 1;
const SNP: u32 = 2;
const TDX: u32 = 4;

/// A page, or the state of a processor, with contents that are not borrowed yet.
enum Part<'a> {
    Page { gpa: u64, mask: u32, kind: PageKind, import: Import, data: Option<Cow<'a, [u8]>> },
    State { gpa: u64, mask: u32, processor: u16, format: ContextFormat, data: Vec<u8> },
}

/// Puts a file together. The same guest is always the same bytes.
///
/// # Errors
///
/// When the firmware cannot be started on a platform, or the kernel cannot be loaded.
pub fn build(guest: &Guest<'_>) -> Result<Built, BuildError> {
    let mut parts = Vec::new();
    let mut policy = None;
    let mut kinds = Vec::new();
    match guest {
        Guest::Direct(direct) => {
            let (pages, state) = direct::load(direct)?;
            let page = |(gpa, data)| normal(gpa, NATIVE, Import::Measured, data);
            parts.extend(pages.into_iter().map(page));
            parts.push(native(state));
            kinds.push((PlatformKind::Native, NATIVE));
        }
        Guest::Firmware { firmware, native: is_native, confidential: Confidential { snp, tdx } } => {
            let mask = if *is_native { NATIVE } else { 0 } | if snp.is_some() { SNP } else { 0 };
            if mask != 0 {
                let pages = pages(firmware.gpa(), firmware.image());
                parts.extend(pages.map(|(gpa, data)| normal(gpa, mask, Import::Measured, Some(data))));
            }
            if *is_native {
                parts.push(native(state::native_reset()));
                kinds.push((PlatformKind::Native, NATIVE));
            }
            if let Some(snp) = snp {
                sev_snp(firmware, snp, &mut parts)?;
                policy = Some(snp.policy);
                kinds.push((PlatformKind::SevSnp, SNP));
            }
            if let Some(memory) = tdx {
                trust_domain(firmware, *memory, &mut parts)?;
                kinds.push((PlatformKind::Tdx, TDX));
            }
        }
    }
    let platform = |(kind, mask): &(PlatformKind, u32)| Platform {
        kind: *kind,
        mask: *mask,
        highest_vtl: 0,
        shared_gpa_boundary: 0,
    };
    // States of processors without isolation came with the second version; loaders of SEV-SNP and TDX know the first one.
    let has_native = kinds.iter().any(|(kind, _)| *kind == PlatformKind::Native);
    let file = File {
        revision: if has_native { Revision::V2(Architecture::X64) } else { Revision::V1 },
        platforms: kinds.iter().map(platform).collect(),
        initializations: policy
            .map(|policy| Initialization::GuestPolicy { policy, mask: SNP })
            .into_iter()
            .collect(),
        directives: parts.iter().map(directive).collect(),
    };
    let mut measured = Vec::new();
    for (kind, _) in kinds {
        if kind.measurement().is_some() {
            measured.push(measure(&file, kind, ZeroPages::Native).map_err(BuildError::Measure)?);
        }
    }
    Ok(Built { bytes: launch::write(&file).map_err(BuildError::Write)?, measured })
}

fn directive<'a>(part: &'a Part<'_>) -> Directive<'a> {
    match part {
        Part::Page { gpa, mask, kind, import, data } => Directive::Page(Page {
            gpa: *gpa,
            mask: *mask,
            kind: *kind,
            import: *import,
            size: PAGE,
            data: data.as_deref().map(Data::new),
        }),
        Part::State { gpa, mask, processor, format, data } => Directive::VpContext(VpContext {
            gpa: *gpa,
            mask: *mask,
            vp_index: *processor,
            format: *format,
            data: Data::new(data),
        }),
    }
}

fn normal<'a>(gpa: u64, mask: u32, import: Import, data: Option<Cow<'a, [u8]>>) -> Part<'a> {
    Part::Page { gpa, mask, kind: PageKind::Normal, import, data }
}

fn native<'a>(data: Vec<u8>) -> Part<'a> {
    Part::State { gpa: 0, mask: NATIVE, processor: 0, format: ContextFormat::Native, data }
}

/// Returns the pages of something that consists of pages.
fn pages<'a>(gpa: u64, bytes: &'a [u8]) -> impl Iterator<Item = (u64, Cow<'a, [u8]>)> {
    let pages = bytes.chunks_exact(PAGE as usize).enumerate();
    pages.map(move |(number, page)| (gpa + number as u64 * PAGE, Cow::Borrowed(page)))
}

/// Returns the addresses of some pages.
fn addresses(gpa: u64, size: u64) -> impl Iterator<Item = u64> {
    (0..size / PAGE).map(move |number| gpa + number * PAGE)
}

/// Adds what firmware is given on SEV-SNP, in the order in which QEMU does it.
fn sev_snp<'a>(firmware: &Firmware<'a>, snp: &Snp<'a>, parts: &mut Vec<Part<'a>>) -> Result<(), BuildError> {
    let mut hashes = match &snp.hashed {
        None => None,
        Some(hashed) => {
            let (table, (at, room)) = (hashes::table(hashed), firmware.hashes()?);
            if room < table.len() as u64 || at % PAGE + table.len() as u64 > PAGE {
                return Err(BuildError::NoHashes);
            }
            let mut page = vec![0; PAGE as usize];
            page[(at % PAGE) as usize..][..table.len()].copy_from_slice(&table);
            Some((at - at % PAGE, page))
        }
    };
    for section in firmware.sev()? {
        let kind = match section.what {
            SevSection::Secrets => PageKind::Secrets,
            SevSection::Cpuid => PageKind::CpuidData,
            SevSection::Zeros | SevSection::CallingArea | SevSection::KernelHashes => PageKind::Normal,
        };
        for gpa in addresses(section.gpa, section.size) {
            let data = match section.what {
                SevSection::KernelHashes => hashes.take_if(|(at, _)| *at == gpa).map(|(_, page)| page.into()),
                _ => None,
            };
            parts.push(Part::Page { gpa, mask: SNP, kind, import: Import::Measured, data });
        }
    }
    if hashes.is_some() {
        return Err(BuildError::NoHashes);
    }
    for processor in 0..snp.n_processors {
        let address = if processor == 0 { state::RESET } else { firmware.reset_address()? };
        let data = state::vmsa(address, snp.signature);
        parts.push(Part::State { gpa: VMSA, mask: SNP, processor, format: ContextFormat::Vmsa, data });
    }
    Ok(())
}

/// Adds what firmware is given on TDX, in the order of its sections.
fn trust_domain<'a>(
    firmware: &Firmware<'a>,
    memory: u64,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), BuildError> {
    let sections = firmware.tdx()?;
    let is_loaded = |what: &TdxSection<'_>| matches!(what, TdxSection::Hob | TdxSection::Zeros);
    let added = sections.iter().filter(|section| is_loaded(&section.what));
    let added: Vec<(u64, u64)> = added.map(|section| (section.gpa, section.size)).collect();
    for section in sections {
        let import = if section.is_measured { Import::Measured } else { Import::Unmeasured };
        let (gpa, size) = (section.gpa, section.size);
        let page = |(gpa, data)| normal(gpa, TDX, import, data);
        match section.what {
            TdxSection::Volume(bytes) => {
                parts.extend(pages(gpa, bytes).map(|(gpa, data)| page((gpa, Some(data)))));
            }
            TdxSection::Zeros => parts.extend(addresses(gpa, size).map(|gpa| page((gpa, None)))),
            TdxSection::Hob => {
                let list = hob::list(memory, gpa, size, added.clone())?;
                let mut list = list.chunks(PAGE as usize).map(|piece| {
                    let mut contents = piece.to_vec();
                    contents.resize(PAGE as usize, 0);
                    Cow::Owned(contents)
                });
                parts.extend(addresses(gpa, size).map(|gpa| page((gpa, list.next()))));
            }
        }
    }
    Ok(())
}
