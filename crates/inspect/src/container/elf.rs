//! ELF: programs, libraries, objects and kernels, and their sections.

use std::sync::Arc;

use object::read::elf::{ElfFile32, ElfFile64};
use object::{Object, ObjectKind, ObjectSection};

use super::parts::Parts;
use super::{MOST_WHOLE, Opened, damaged};
use crate::error::Error;
use crate::facts::{Fact, Region, Value, hex};
use crate::format::Format;
use crate::source::{Source, whole};

/// Reads the headers of a file.
pub(super) fn open(name: &str, source: &Source) -> Result<Opened, Error> {
    let bytes = whole(name, source, MOST_WHOLE)?;
    let bytes = &bytes[..];
    let wrong = |error: object::Error| damaged(name, Format::Elf, error);
    // The class is the fifth byte.
    if bytes.get(4) == Some(&1) {
        let file = ElfFile32::<object::Endianness, _>::parse(bytes).map_err(wrong)?;
        Ok(describe(&file, source))
    } else {
        let file = ElfFile64::<object::Endianness, _>::parse(bytes).map_err(wrong)?;
        Ok(describe(&file, source))
    }
}

fn describe<'d>(file: &impl Object<'d>, source: &Source) -> Opened {
    let kind = match file.kind() {
        ObjectKind::Executable => "program",
        ObjectKind::Dynamic => "library or relocatable program",
        ObjectKind::Relocatable => "object",
        ObjectKind::Core => "core dump",
        _ => "unknown",
    };
    let mut facts = vec![
        Fact::new("kind", kind),
        Fact::new("machine", format!("{:?}", file.architecture()).to_lowercase()),
        Fact::new("class", Value::Number(if file.is_64() { 64 } else { 32 })),
        Fact::new("entry", Value::Address(file.entry())),
    ];
    if let Ok(Some(id)) = file.build_id() {
        facts.push(Fact::new("build id", hex(id)));
    }
    let mut parts = Parts { source: Arc::clone(source), entries: Vec::new() };
    let mut regions = Vec::new();
    for section in file.sections() {
        let name = section.name_bytes().unwrap_or_default().escape_ascii().to_string();
        let Some((start, size)) = section.file_range().filter(|_| !name.is_empty()) else { continue };
        let Some(end) = start.checked_add(size) else { continue };
        // Names may repeat: those of functions in objects do.
        let repeated = parts.entries.iter().filter(|entry| entry.path == name.as_bytes()).count();
        let path = if repeated > 0 { format!("{name}#{}", repeated + 1) } else { name };
        let entry = parts.add(&path, start..end);
        if section.address() > 0 {
            entry.details.push(("address", format!("{:#x}", section.address())));
        }
        regions.push(Region::new(path, start..end));
    }
    regions.sort_by_key(|region| region.range.start);
    Opened { facts, regions, ..Opened::with(Format::Elf, parts) }
}
