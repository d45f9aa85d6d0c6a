//! IGVM files: what a confidential guest is launched from. What is loaded is listed by its address, so that a kernel in it
//! is looked into as any other; registers and parameters are texts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use launch::map::{Range, ranges};
use launch::{
    Architecture, Directive, File, Initialization, Platform, Revision, ZeroPages, id_block, measure,
};
use layer::ReadAt;

use super::{Container, MOST_WHOLE, Opened, damaged};
use crate::entry::{Entry, EntryKind, Place};
use crate::error::Error;
use crate::facts::{Fact, Region, Value, hex};
use crate::format::Format;
use crate::source::{Source, Window, whole};

/// Files whose pages come to more are described, and not measured: 1 GiB.
const MOST_MEASURED: u64 = 1 << 18;

/// Reads the headers of a file.
pub(super) fn open(name: &str, source: &Source) -> Result<Opened, Error> {
    let bytes = whole(name, source, MOST_WHOLE)?;
    let file = File::parse(&bytes).map_err(|error| damaged(name, Format::Igvm, error))?;
    let mut container = Igvm { source: Arc::clone(source), entries: Vec::new(), pieces: Vec::new() };
    let mut regions = Vec::new();
    for range in ranges(&file, u32::MAX) {
        let platforms = file.names(range.mask);
        let is_for_all = platforms.len() == file.platforms.len();
        let gpa = format!("{:#x}", range.gpa);
        let path = if is_for_all { gpa } else { format!("{gpa}.{}", platforms.join("+")) };
        let mut what = range.kind.name().to_owned();
        if let Some(contents) = range.contents {
            let _ = write!(what, ", {contents}");
        }
        if !is_for_all {
            let _ = write!(what, " ({})", platforms.join(", "));
        }
        let origin = container.add(&path, &range);
        let _ = write!(what, ", {origin}");
        regions.push(Region::new(what, range.gpa..range.gpa.saturating_add(range.size)));
    }
    for directive in &file.directives {
        if let Directive::VpContext(context) = directive {
            let platforms = file.names(context.mask).join("+");
            let processor = match context.vp_index {
                0 => String::new(),
                number => format!(".{number}"),
            };
            let registers = context.registers(file.revision.architecture());
            let lines = registers.iter().map(|register| format!("{}  {}\n", register.name, register.value));
            container.text(&format!("registers.{platforms}{processor}"), lines.collect());
        }
    }
    let parameters = parameters(&file);
    if !parameters.is_empty() {
        container.text("parameters", parameters);
    }
    let facts = facts(&file);
    Ok(Opened { facts, regions, ..Opened::with(Format::Igvm, container) })
}

fn facts(file: &File<'_>) -> Vec<Fact> {
    let version = match file.revision {
        Revision::V1 => "1".to_owned(),
        Revision::V2(Architecture::X64) => "2, for x86-64".to_owned(),
        Revision::V2(Architecture::Aarch64) => "2, for arm64".to_owned(),
    };
    let platforms = file.platforms.iter().map(|Platform { kind, mask, highest_vtl, shared_gpa_boundary }| {
        let mut text = format!("{kind}, mask {mask:#x}");
        if *highest_vtl != 0 {
            let _ = write!(text, ", highest VTL {highest_vtl}");
        }
        if *shared_gpa_boundary != 0 {
            let _ = write!(text, ", shared from {shared_gpa_boundary:#x} on");
        }
        text
    });
    let mut facts =
        vec![Fact::new("version", version), Fact::new("platforms", Value::List(platforms.collect()))];
    let mut headers = Vec::new();
    for header in &file.initializations {
        let of = |mask: u32| file.names(mask).join(", ");
        headers.push(match header {
            Initialization::GuestPolicy { policy, mask } => format!("policy {policy:#x} ({})", of(*mask)),
            Initialization::CcaPolicy(policy) => format!(
                "policy with {:#x} set and {:#x} clear ({})",
                policy.attributes_required_ones,
                policy.attributes_required_zeroes,
                of(policy.compatibility_mask)
            ),
            Initialization::RelocatableRegion(region) => format!(
                "{:#x}-{:#x} may be loaded elsewhere ({})",
                region.relocation_region_gpa,
                region.relocation_region_gpa.saturating_add(region.relocation_region_size),
                of(region.compatibility_mask)
            ),
            Initialization::PageTableRelocation(region) => format!(
                "{:#x}-{:#x} has page tables that follow ({})",
                region.gpa,
                region.gpa.saturating_add(region.size),
                of(region.compatibility_mask)
            ),
            Initialization::Corim { mask, .. } => format!("CoRIM document ({})", of(*mask)),
            Initialization::CorimSignature { mask, .. } => {
                format!("signature of the CoRIM document ({})", of(*mask))
            }
            Initialization::VersionString(text) => format!("version {text:?}"),
            Initialization::Unknown(typ) => format!("type {typ:#x}, which is unknown and may be ignored"),
        });
    }
    if !headers.is_empty() {
        facts.push(Fact::new("headers", Value::List(headers)));
    }
    let memory: Vec<String> =
        file.directives.iter().filter_map(|directive| memory(file, directive)).collect();
    if !memory.is_empty() {
        facts.push(Fact::new("memory", Value::List(memory)));
    }
    let gpas = file.directives.iter().filter_map(|directive| match directive {
        Directive::Page(page) => Some(page.gpa),
        _ => None,
    });
    facts.push(Fact::new("order of pages", if gpas.is_sorted() { "that of addresses" } else { "another" }));
    for platform in &file.platforms {
        measurements(file, platform, &mut facts);
    }
    facts
}

/// Says what a file wants of memory that it does not load.
fn memory(file: &File<'_>, directive: &Directive<'_>) -> Option<String> {
    let (gpa, size, mask, what) = match directive {
        Directive::RequiredMemory { gpa, size, mask, vtl2_protectable: false } => {
            (*gpa, *size, *mask, "required")
        }
        Directive::RequiredMemory { gpa, size, mask, vtl2_protectable: true } => {
            (*gpa, *size, *mask, "required, protectable")
        }
        Directive::ErrorRange { gpa, size, mask } => (*gpa, *size, *mask, "for errors"),
        _ => return None,
    };
    let end = gpa.saturating_add(u64::from(size));
    Some(format!("{gpa:#x}-{end:#x} {what} ({})", file.names(mask).join(", ")))
}

/// Adds what a platform measures, and the blocks that expect something of it.
fn measurements(file: &File<'_>, platform: &Platform, facts: &mut Vec<Fact>) {
    use launch::PlatformKind::{Cca, Native, Sev, SevEs, SevSnp, Tdx, Vsm};
    let name = match platform.kind {
        SevSnp => "sev-snp launch digest",
        SevEs => "sev-es launch digest",
        Sev => "sev launch digest",
        Tdx => "tdx MRTD",
        Vsm => "vsm boot digest",
        Native | Cca => return,
    };
    if file.n_pages(platform) > MOST_MEASURED {
        facts.push(Fact::new(name, "not measured: too many pages"));
        return;
    }
    let measured = measure(file, platform.kind, ZeroPages::Normal);
    let value = match &measured {
        Ok(measured) => measured.digest.to_string(),
        Err(error) => error.to_string(),
    };
    facts.push(Fact::new(name, value));
    let blocks = file.directives_for(platform).filter_map(|directive| match directive {
        Directive::IdBlock(block) if platform.kind == SevSnp => Some(block),
        _ => None,
    });
    for block in blocks {
        let digest = measured.as_ref().map_or(&[][..], |measured| measured.digest.bytes());
        let mut lines = vec![
            format!("key {}", hex(&id_block::key_digest(&block.id_public_key))),
            format!(
                "family {}, image {}, version {}",
                hex(&block.family_id),
                hex(&block.image_id),
                block.guest_svn
            ),
        ];
        if block.author_key_enabled != 0 {
            lines.push(format!("author {}", hex(&id_block::key_digest(&block.author_public_key))));
        }
        let problems = id_block::check(block, digest, file.policy(platform));
        lines.extend(problems.iter().map(ToString::to_string));
        facts.push(Fact::new("ID block", Value::List(lines)));
    }
}

/// Returns a line for each area of parameters, and one for each parameter in it.
fn parameters(file: &File<'_>) -> String {
    // What there is of each area, in the order of the file. There may be thousands of both.
    let mut by_area: BTreeMap<u32, (String, String)> = BTreeMap::new();
    for directive in &file.directives {
        // Writing to a string never fails.
        match directive {
            Directive::ParameterInsert { gpa, mask, area, .. } => {
                let (inserted, _) = by_area.entry(*area).or_default();
                let _ = write!(inserted, " at {gpa:#x} ({})", file.names(*mask).join(", "));
            }
            Directive::Parameter { kind, area, offset } => {
                let (_, listed) = by_area.entry(*area).or_default();
                let _ = writeln!(listed, "    {offset:#06x}  {}", kind.name());
            }
            _ => {}
        }
    }
    let mut text = String::new();
    for directive in &file.directives {
        let Directive::ParameterArea(area) = directive else { continue };
        // An area that is there again has nothing of its own.
        let (inserted, listed) = by_area.remove(&area.index).unwrap_or_default();
        let _ = write!(text, "area {}: {} bytes{inserted}\n{listed}", area.index, area.size);
    }
    text
}

struct Igvm {
    source: Source,
    entries: Vec<Entry>,
    /// The contents of entries with a place among them.
    pieces: Vec<Vec<Piece>>,
}

/// Some bytes of a range: from a place in the file, or zeros.
#[derive(Clone, Copy)]
struct Piece {
    start: u64,
    size: u64,
    from: Option<u64>,
}

impl Igvm {
    /// Adds what is loaded at a place, and says where it comes from.
    fn add(&mut self, path: &str, range: &Range<'_>) -> String {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut start = 0;
        for piece in &range.pieces {
            let from = piece.data.map(|data| u64::from(data.offset));
            match pieces.last_mut() {
                Some(last)
                    if last.from.map(|from| from + last.size) == from
                        && last.from.is_some() == from.is_some() =>
                {
                    last.size += piece.size;
                }
                _ => pieces.push(Piece { start, size: piece.size, from }),
            }
            start += piece.size;
        }
        let place = Place::Range(self.pieces.len(), 0..range.size);
        let mut entry = Entry::new(path, EntryKind::Section, range.size, place);
        entry.details.push(("type", range.kind.name().to_owned()));
        if let Some(contents) = range.contents {
            entry.details.push(("contents", contents.to_owned()));
        }
        // Where it is in the file is no difference between two files, so it is no detail.
        if let [Piece { size, from: Some(from), .. }] = pieces[..] {
            entry.range = Some(from..from + size);
        }
        let origin = origin(&pieces);
        self.entries.push(entry);
        self.pieces.push(pieces);
        origin
    }

    fn text(&mut self, path: &str, text: String) {
        let place = Place::Bytes(Arc::new(text.into_bytes()));
        let size = if let Place::Bytes(bytes) = &place { bytes.len() as u64 } else { 0 };
        self.entries.push(Entry::new(path, EntryKind::Section, size, place));
    }
}

/// Says where in the file contents come from.
fn origin(pieces: &[Piece]) -> String {
    let stored: u64 = pieces.iter().filter(|piece| piece.from.is_some()).map(|piece| piece.size).sum();
    let first = pieces.iter().find_map(|piece| piece.from);
    match (first, pieces.len()) {
        (None, _) => "nothing in the file".to_owned(),
        (Some(from), 1) => format!("from {from:#x} of the file"),
        (Some(from), n_pieces) => {
            format!("from {from:#x} of the file on, {stored:#x} bytes in {n_pieces} pieces")
        }
    }
}

impl Container for Igvm {
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        self.entries.iter().try_for_each(|entry| visit(entry.clone()))
    }

    fn lookup(&self, path: &[u8]) -> Result<Option<Entry>, Error> {
        Ok(self.entries.iter().find(|entry| entry.path == path).cloned())
    }

    fn open(&self, entry: &Entry) -> Result<Source, Error> {
        Ok(match &entry.place {
            Place::Bytes(bytes) => Arc::clone(bytes) as Source,
            Place::Range(number, _) => match self.pieces.get(*number).map(|pieces| &pieces[..]) {
                Some([Piece { size, from: Some(from), .. }]) => Window::of(&self.source, *from, *size),
                Some(pieces) => Arc::new(Joined { of: Arc::clone(&self.source), pieces: pieces.to_vec() }),
                None => Arc::new(Vec::new()),
            },
            _ => Arc::new(Vec::new()),
        })
    }
}

/// Pieces one after the other.
struct Joined {
    of: Source,
    pieces: Vec<Piece>,
}

impl ReadAt for Joined {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let number = self.pieces.partition_point(|piece| piece.start + piece.size <= offset);
        let Some(piece) = self.pieces.get(number) else { return Ok(0) };
        let within = offset - piece.start;
        let length = buffer.len().min(usize::try_from(piece.size - within).unwrap_or(usize::MAX));
        match piece.from {
            Some(from) => self.of.read_at(&mut buffer[..length], from + within),
            None => {
                buffer[..length].fill(0);
                Ok(length)
            }
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.pieces.last().map_or(0, |piece| piece.start + piece.size))
    }
}

#[cfg(test)]
mod tests {
    use launch::{ParameterArea, ParameterKind};

    use super::*;

    #[test]
    fn areas_are_no_work_for_each_other() {
        const MANY: u32 = 60_000;
        let area = |index| Directive::ParameterArea(ParameterArea { index, size: 4096, data: None });
        let parameter = |area| Directive::Parameter { kind: ParameterKind::MemoryMap, area, offset: 16 };
        let directives = (0..MANY).map(area).chain((0..MANY).map(parameter)).chain([area(0)]).collect();
        let file = File { revision: Revision::V1, platforms: vec![], initializations: vec![], directives };
        let text = parameters(&file);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2 * MANY as usize + 1);
        assert_eq!(lines[2], "area 1: 4096 bytes");
        assert!(lines[3].starts_with("    0x0010  "), "{}", lines[3]);
    }
}
