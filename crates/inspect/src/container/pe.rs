//! Programs for firmware, unified kernel images among them: their sections, and who signed them.

use std::sync::Arc;

use mkimg::pe::{Pe, authenticode};
use mkimg::sign::signatures;

use super::parts::Parts;
use super::{MOST_WHOLE, Opened, damaged};
use crate::error::Error;
use crate::facts::{Fact, Region, Value, hex};
use crate::format::Format;
use crate::source::{Source, whole};

/// Reads the headers and signatures of a program.
pub(super) fn open(name: &str, source: &Source) -> Result<Opened, Error> {
    let bytes = whole(name, source, MOST_WHOLE)?;
    let pe = match Pe::parse(&bytes) {
        Ok(pe) => pe,
        // Programs for DOS begin the same.
        Err(mkimg::pe::ReadError::NotPe(_)) => return Ok(Opened::leaf(Format::Data)),
        Err(error) => return Err(damaged(name, Format::Pe, error)),
    };
    let mut facts = vec![Fact::new("machine", pe.machine().short())];
    if pe.section(".linux").is_some() {
        facts.push(Fact::new("kind", "unified kernel image"));
    }
    for (fact, section) in [("command line", ".cmdline"), ("release", ".uname")] {
        if let Some(text) = pe.section(section).and_then(|text| std::str::from_utf8(text).ok()) {
            facts.push(Fact::new(fact, text.trim_matches(['\0', '\n'])));
        }
    }
    if let Ok(hash) = authenticode(&pe) {
        facts.push(Fact::new("authenticode", hex(&hash)));
    }
    let signed = signatures(&bytes).map_err(|error| damaged(name, Format::Pe, error))?;
    let signed: Vec<String> = signed
        .into_iter()
        .map(|signature| {
            let subject = signature.subject.unwrap_or_else(|| "somebody".to_owned());
            let issuer = signature.issuer.unwrap_or_else(|| "nobody".to_owned());
            let problem = signature.problem.map_or(String::new(), |problem| format!(": wrong: {problem}"));
            format!("{subject}, certified by {issuer}{problem}")
        })
        .collect();
    if !signed.is_empty() {
        facts.push(Fact::new("signed by", Value::List(signed)));
    }
    let mut parts = Parts { source: Arc::clone(source), entries: Vec::new() };
    let mut regions = Vec::new();
    for section in pe.sections() {
        let start = u64::from(section.offset);
        let size = pe.contents(section).len() as u64;
        let entry = parts.add(&section.name, start..start + size);
        entry.details.push(("address", format!("{:#x}", section.address)));
        entry.details.push(("flags", format!("{:#x}", section.characteristics)));
        if section.raw_size > 0 {
            regions.push(Region::new(section.name.clone(), start..start + u64::from(section.raw_size)));
        }
    }
    regions.sort_by_key(|region| region.range.start);
    if let Some(first) = regions.first().map(|region| region.range.start) {
        regions.insert(0, Region::new("headers", 0..first));
    }
    Ok(Opened { facts, regions, ..Opened::with(Format::Pe, parts) })
}
