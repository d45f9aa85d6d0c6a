//! What lies where in a guest's memory, and where in the file it comes from.

use crate::file::{ContextFormat, Data, Directive, File, Import, PAGE, PageKind};

/// What some memory is to the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RangeKind {
    /// Code and data, measured.
    Normal,
    /// Data that the guest must not believe.
    Unmeasured,
    /// Seen by the host.
    Shared,
    /// Secrets of the firmware of SEV-SNP.
    Secrets,
    /// What the guest may believe of the processor.
    Cpuid,
    /// Parameters of the loader.
    Parameters,
    /// The state of a processor.
    Vmsa,
}

impl RangeKind {
    /// Returns what people call it.
    pub fn name(self) -> &'static str {
        match self {
            RangeKind::Normal => "normal",
            RangeKind::Unmeasured => "unmeasured",
            RangeKind::Shared => "shared",
            RangeKind::Secrets => "secrets",
            RangeKind::Cpuid => "cpuid",
            RangeKind::Parameters => "parameters",
            RangeKind::Vmsa => "vmsa",
        }
    }

    /// Returns whether the contents are measured, and not only that something is there.
    pub fn is_measured(self) -> bool {
        matches!(self, RangeKind::Normal | RangeKind::Vmsa)
    }
}

/// Pages one after the other that are loaded alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range<'a> {
    /// Where they begin.
    pub gpa: u64,
    /// How many bytes they have.
    pub size: u64,
    /// For which platforms they are.
    pub mask: u32,
    /// What they are.
    pub kind: RangeKind,
    /// What they seem to contain, as far as that can be told.
    pub contents: Option<&'static str>,
    /// Where their contents come from, in order.
    pub pieces: Vec<Piece<'a>>,
}

impl Range<'_> {
    /// Returns how many pages they are.
    pub fn n_pages(&self) -> u64 {
        self.size / PAGE
    }

    fn end(&self) -> u64 {
        self.gpa.saturating_add(self.size)
    }
}

/// A part of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// How many bytes it has.
    pub size: u64,
    /// What is in it; zeros if there is nothing.
    pub data: Option<Data<'a>>,
}

/// Returns what is loaded for the platforms with a bit in `mask`, in the order of addresses.
pub fn ranges<'a>(file: &File<'a>, mask: u32) -> Vec<Range<'a>> {
    let known = file.platforms.iter().fold(0, |known, platform| known | platform.mask);
    let mask = mask & known;
    let mut areas = std::collections::BTreeMap::new();
    let mut single = Vec::new();
    for directive in &file.directives {
        let (gpa, size, kind, data) = match directive {
            Directive::ParameterArea(area) => {
                areas.insert(area.index, area.data);
                continue;
            }
            Directive::Page(page) => {
                let kind = match (page.import, page.kind) {
                    (Import::Shared, _) => RangeKind::Shared,
                    (_, PageKind::Secrets) => RangeKind::Secrets,
                    (_, PageKind::CpuidData | PageKind::CpuidXf) => RangeKind::Cpuid,
                    (Import::Unmeasured, PageKind::Normal) => RangeKind::Unmeasured,
                    (Import::Measured, PageKind::Normal) => RangeKind::Normal,
                };
                (page.gpa, page.size, kind, page.data)
            }
            Directive::ParameterInsert { gpa, size, area, .. } => {
                (*gpa, *size, RangeKind::Parameters, areas.get(area).copied().flatten())
            }
            Directive::VpContext(context) if context.format == ContextFormat::Vmsa => {
                (context.gpa, PAGE, RangeKind::Vmsa, Some(context.data))
            }
            _ => continue,
        };
        let mask = directive.mask() & mask;
        if mask != 0 {
            let contents = data.and_then(|data| beginning(data.bytes));
            single.push(Range { gpa, size, mask, kind, contents, pieces: vec![Piece { size, data }] });
        }
    }
    single.sort_by_key(|range| (range.mask, range.gpa));
    let mut ranges: Vec<Range<'a>> = Vec::new();
    for mut next in single {
        match ranges.last_mut() {
            Some(last)
                if (last.mask, last.kind) == (next.mask, next.kind)
                    && last.end() == next.gpa
                    && next.contents.is_none()
                    && !matches!(next.kind, RangeKind::Parameters | RangeKind::Vmsa) =>
            {
                last.size += next.size;
                last.pieces.append(&mut next.pieces);
            }
            _ => ranges.push(next),
        }
    }
    for range in &mut ranges {
        let last = range.pieces.last().and_then(|piece| piece.data);
        if range.kind == RangeKind::Normal && last.is_some_and(|data| is_ovmf(data.bytes)) {
            range.contents = Some("OVMF");
        } else if range.kind == RangeKind::Normal && range.pieces.iter().all(|piece| piece.data.is_none()) {
            range.contents = Some("zeros");
        }
    }
    ranges.sort_by_key(|range| (range.gpa, range.mask));
    ranges
}

/// Returns what begins with a page.
fn beginning(page: &[u8]) -> Option<&'static str> {
    match page {
        [0x7f, b'E', b'L', b'F', ..] => Some("ELF"),
        [b'P', b'K', b'I', b'T', ..] => Some("PackIt archive"),
        page if page.get(0x202..0x206) == Some(b"HdrS") => Some("Linux kernel"),
        _ => None,
    }
}

/// What is in the end of firmware that has a table of what it needs: its GUID, 32 bytes before the end.
const OVMF_FOOTER: [u8; 16] =
    [0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d];

fn is_ovmf(page: &[u8]) -> bool {
    page.len().checked_sub(48).is_some_and(|start| page[start..].starts_with(&OVMF_FOOTER))
}
