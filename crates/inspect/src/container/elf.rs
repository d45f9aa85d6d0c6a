//! ELF: programs, libraries, objects and kernels, and their sections.

use std::collections::BTreeMap;
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
        describe(name, &file, source)
    } else {
        let file = ElfFile64::<object::Endianness, _>::parse(bytes).map_err(wrong)?;
        describe(name, &file, source)
    }
}

/// Returns how many bytes the names in a program of `length` bytes may have together. Names share bytes where one is the
/// end of another; only what is made to do harm has the same long one thousands of times.
pub(crate) fn most_names(length: u64) -> usize {
    usize::try_from(length.saturating_mul(8).min(128 << 20)).unwrap_or(usize::MAX)
}

fn describe<'d>(called: &str, file: &impl Object<'d>, source: &Source) -> Result<Opened, Error> {
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
    let io = |source| Error::Io { what: called.to_owned(), source };
    let mut left = most_names(source.size().map_err(io)?);
    let mut n_named: BTreeMap<String, usize> = BTreeMap::new();
    for section in file.sections() {
        // Where one name does not end, the others need not be looked for an end either.
        let Ok(name) = section.name_bytes() else { break };
        left = left.checked_sub(name.len()).ok_or_else(|| {
            let problem = "has names of sections that are too long together".to_owned();
            Error::Limit { what: called.to_owned(), problem }
        })?;
        let name = name.escape_ascii().to_string();
        let Some((start, size)) = section.file_range().filter(|_| !name.is_empty()) else { continue };
        let Some(end) = start.checked_add(size) else { continue };
        // Names may repeat: those of functions in objects do.
        let number = n_named.entry(name.clone()).or_default();
        *number += 1;
        let path = if *number > 1 { format!("{name}#{number}") } else { name };
        let entry = parts.add(&path, start..end);
        if section.address() > 0 {
            entry.details.push(("address", format!("{:#x}", section.address())));
        }
        regions.push(Region::new(path, start..end));
    }
    regions.sort_by_key(|region| region.range.start);
    Ok(Opened { facts, regions, ..Opened::with(Format::Elf, parts) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an object of `n_sections` that have bytes and all are called by the first byte of `names` and on.
    fn elf(n_sections: u16, names: &[u8]) -> Source {
        let number = |n: u64| n.to_le_bytes();
        let headers = 64 + names.len().next_multiple_of(8) as u64;
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend([1, 0, 62, 0, 1, 0, 0, 0]);
        bytes.extend([number(0), number(0), number(headers)].concat());
        bytes.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0]);
        bytes.extend((n_sections + 2).to_le_bytes());
        bytes.extend(1_u16.to_le_bytes());
        bytes.extend_from_slice(names);
        bytes.resize(headers as usize + 64, 0);
        for kind in std::iter::once(3_u8).chain(std::iter::repeat_n(1, n_sections.into())) {
            bytes.extend([0, 0, 0, 0, kind, 0, 0, 0]);
            let place = [
                number(0),
                number(0),
                number(64),
                number(names.len() as u64),
                number(0),
                number(1),
                number(0),
            ];
            bytes.extend(place.concat());
        }
        Arc::new(bytes)
    }

    #[test]
    fn names_that_many_sections_share_are_bounded() {
        // The first is that of the names themselves.
        let opened = open("x", &elf(60_000, b"text\0")).unwrap();
        let names: Vec<&str> = opened.regions.iter().map(|region| region.name.as_str()).collect();
        assert_eq!((names.len(), names[0], names[60_000]), (60_001, "text", "text#60001"));
        let long = [vec![0xff; 1 << 20], vec![0]].concat();
        let Err(error) = open("x", &elf(2000, &long)) else { panic!("it was taken") };
        assert_eq!(error.to_string(), "`x` has names of sections that are too long together");
    }
}
