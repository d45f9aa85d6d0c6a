//! IGVM files: what is loaded is looked into, and two of them are compared.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use inspect::{Aspect, Found, Ignored, Limits, Object, Value, diff};
use launch::{
    ContextFormat, Data, Directive, File, Import, Initialization, Page, PageKind, ParameterArea,
    ParameterKind, Platform, PlatformKind, Revision, VpContext, write,
};

const ZEROS: &[u8] = &[0; 4096];

/// Returns a file whose guest starts at `rip` and has `text` in its second page; shared by two platforms.
fn igvm(rip: u64, text: &[u8]) -> Vec<u8> {
    let mut second = text.to_vec();
    second.resize(4096, 0);
    let mut vmsa = ZEROS.to_vec();
    vmsa[0x178..0x180].copy_from_slice(&rip.to_le_bytes());
    let page = |gpa, mask, import, data| {
        Directive::Page(Page { gpa, mask, kind: PageKind::Normal, import, size: 4096, data })
    };
    let platform = |kind, mask| Platform { kind, mask, highest_vtl: 0, shared_gpa_boundary: 0 };
    let file = File {
        revision: Revision::V1,
        platforms: vec![platform(PlatformKind::SevSnp, 1), platform(PlatformKind::Tdx, 2)],
        initializations: vec![Initialization::GuestPolicy { policy: 0x30000, mask: 1 }],
        directives: vec![
            Directive::RequiredMemory { gpa: 0, mask: 3, size: 1 << 20, vtl2_protectable: false },
            page(0x1000, 3, Import::Measured, Some(Data::new(ZEROS))),
            page(0x2000, 3, Import::Measured, Some(Data::new(&second))),
            page(0x3000, 3, Import::Measured, None),
            page(0x9000, 1, Import::Unmeasured, None),
            Directive::ParameterArea(ParameterArea { index: 4, size: 4096, data: None }),
            Directive::Parameter { kind: ParameterKind::MemoryMap, area: 4, offset: 16 },
            Directive::ParameterInsert { gpa: 0xa000, mask: 3, area: 4, size: 4096 },
            Directive::VpContext(VpContext {
                gpa: 0xffff_ffff_f000,
                mask: 1,
                vp_index: 0,
                format: ContextFormat::Vmsa,
                data: Data::new(&vmsa),
            }),
        ],
    };
    write(&file).unwrap()
}

fn open(bytes: Vec<u8>) -> Object {
    Object::of("test.igvm".to_owned(), Arc::new(bytes), 0, Limits::default()).unwrap()
}

fn contents(object: Object, path: &str) -> Vec<u8> {
    let Found::Object(found) = object.find(path.as_bytes()).unwrap() else { panic!("{path} is no object") };
    let mut bytes = Vec::new();
    inspect::copy_to(&**found.source().unwrap(), &mut bytes).unwrap();
    bytes
}

#[test]
fn what_is_loaded_is_listed_by_its_address() {
    let object = open(igvm(0x1000, b"text"));
    let described = object.described();
    assert_eq!(described.format.name(), "an IGVM file");
    let regions: Vec<String> = described
        .regions
        .iter()
        .map(|region| {
            format!("{:#x}+{:#x} {}", region.range.start, region.range.end - region.range.start, region.name)
        })
        .collect();
    assert_eq!(
        regions,
        [
            "0x1000+0x3000 normal, from 0x160 of the file on, 0x2000 bytes in 2 pieces",
            "0x9000+0x1000 unmeasured (sev-snp), nothing in the file",
            "0xa000+0x1000 parameters, nothing in the file",
            "0xfffffffff000+0x1000 vmsa (sev-snp), from 0x2160 of the file"
        ]
    );
    assert_eq!(described.mapped(), 0x1_0000_0000_0000);
    let fact =
        |name: &str| described.facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.clone());
    assert_eq!(fact("headers"), Some(Value::List(vec!["policy 0x30000 (sev-snp)".to_owned()])));
    assert_eq!(fact("memory"), Some(Value::List(vec!["0x0-0x100000 required (sev-snp, tdx)".to_owned()])));
    assert!(matches!(fact("tdx MRTD"), Some(Value::Text(digest)) if digest.len() == 96));

    let mut names = Vec::new();
    let visit = &mut |entry: inspect::Entry| {
        names.push(String::from_utf8(entry.path).unwrap());
        Ok(())
    };
    object.container().unwrap().walk(visit).unwrap();
    assert_eq!(
        names,
        ["0x1000", "0x9000.sev-snp", "0xa000", "0xfffffffff000.sev-snp", "registers.sev-snp", "parameters"]
    );
    assert_eq!(contents(open(igvm(0x1000, b"text")), "registers.sev-snp"), b"rip  0x1000\n");
    assert_eq!(
        contents(open(igvm(0x1000, b"text")), "parameters"),
        b"area 4: 4096 bytes at 0xa000 (sev-snp, tdx)\n    0x0010  memory map\n"
    );
    let mut expected = ZEROS.to_vec();
    expected.extend(b"text");
    expected.resize(3 * 4096, 0);
    assert!(contents(open(igvm(0x1000, b"text")), "0x1000") == expected);
}

#[test]
fn differences_are_those_of_ranges_registers_and_measurements() {
    let compare = |a: Vec<u8>, b: Vec<u8>| {
        let found = diff(&open(a), &open(b), Ignored::default()).unwrap();
        let changes = found.changes.into_iter().map(|change| {
            let aspects = change.aspects.iter().map(|aspect| match aspect {
                Aspect::Contents(a, b, _) => format!("{a} → {b} bytes"),
                Aspect::Lines(removed, added) => format!("{removed:?} → {added:?}"),
                Aspect::Fact(name, ..) => (*name).to_owned(),
                other => format!("{other:?}"),
            });
            format!("{}: {}", change.path, aspects.collect::<Vec<_>>().join(", "))
        });
        changes.collect::<Vec<String>>()
    };
    assert!(compare(igvm(1, b"a"), igvm(1, b"a")).is_empty());
    assert_eq!(
        compare(igvm(1, b"a"), igvm(1, b"b")),
        ["0x1000: 12288 → 12288 bytes", ".: sev-snp launch digest, tdx MRTD"]
    );
    let found = compare(igvm(1, b"a"), igvm(2, b"a"));
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0], "0xfffffffff000.sev-snp: 4096 → 4096 bytes");
    assert!(found[1].starts_with("registers.sev-snp: [\"rip  0x1"), "{}", found[1]);
    assert_eq!(found[2], ".: sev-snp launch digest");
}

#[test]
fn damage_is_an_error() {
    let mut bytes = igvm(1, b"a");
    bytes[40] ^= 1;
    let Err(error) = Object::of("test.igvm".to_owned(), Arc::new(bytes), 0, Limits::default()) else {
        panic!("it was opened")
    };
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("the checksum of the headers is"), "{cause}");
}
