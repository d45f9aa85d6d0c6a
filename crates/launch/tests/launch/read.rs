//! Files as they are read: the same as was written, and whatever is wrong with them an error.

use launch::{
    Directive, File, HeaderError, ParameterArea, PlatformKind, ReadError, ZeroPages, map, measure, write,
};

use crate::files::{self, ALL, SNP, VSM, page};

/// Sets the checksum of the headers right.
fn checksummed(mut bytes: Vec<u8>) -> Vec<u8> {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (start, size) = (number(8), number(12));
    let fixed = if number(4) == 1 { 24 } else { 32 };
    if bytes.len() >= start.saturating_add(size) {
        bytes[20..24].fill(0);
        let sum = crc32fast::hash(&[&bytes[..fixed], &bytes[start..start + size]].concat());
        bytes[20..24].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// Does with a file what anybody does, and returns whether it was read.
fn looked_into(bytes: &[u8]) -> bool {
    let Ok(file) = File::parse(bytes) else { return false };
    let _ = map::ranges(&file, u32::MAX);
    for platform in &file.platforms {
        let _ = launch::check_kvm(&file, platform);
        let _ = launch::unlike_igvmmeasure(&file, platform);
        // What takes long is tried elsewhere.
        if file.n_pages(platform) < 64 {
            let _ = measure(&file, platform.kind, ZeroPages::Normal);
        }
    }
    for directive in &file.directives {
        if let Directive::VpContext(context) = directive {
            let _ = context.registers(file.revision.architecture());
        }
    }
    true
}

#[test]
fn what_is_read_is_written_the_same() {
    for (name, bytes) in files::all() {
        let file = File::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(write(&file).unwrap() == bytes, "{name}");
    }
}

#[test]
fn the_igvm_crate_reads_and_writes_the_same_bytes() {
    for name in ["everything", "second version", "a page after the state", "not in order"] {
        let bytes = files::all().into_iter().find(|(other, _)| *other == name).unwrap().1;
        let file =
            igvm::IgvmFile::new_from_binary(&bytes, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut written = Vec::new();
        file.serialize(&mut written).unwrap();
        assert!(written == bytes, "{name}");
    }
}

#[test]
fn every_flipped_byte_is_an_error_or_another_file() {
    let mut file = files::everything();
    // Data is looked at by nobody while reading, so little of it is enough.
    file.directives.retain(|directive| {
        !matches!(
            directive,
            Directive::ParameterArea(_) | Directive::Parameter { .. } | Directive::ParameterInsert { .. }
        )
    });
    file.directives.truncate(12);
    file.directives.extend([
        Directive::ParameterArea(ParameterArea { index: 0, size: 4096, data: None }),
        Directive::Parameter { kind: launch::ParameterKind::MemoryMap, area: 0, offset: 0 },
        Directive::ParameterInsert { gpa: 0x81_0000, mask: ALL, area: 0, size: 4096 },
        Directive::VpContext(files::registers(VSM)),
        Directive::VpContext(files::vmsa(files::KVM_VMSA, SNP, 0)),
    ]);
    let bytes = write(&file).unwrap();
    let headers = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize + 24;
    let mut n_read = 0;
    for at in 0..headers {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(!looked_into(&damaged), "byte {at:#x} is not covered by the checksum");
            n_read += usize::from(looked_into(&checksummed(damaged)));
        }
    }
    assert!(n_read > headers, "{n_read}");
    // The list of registers is the one structure that is in the data.
    let registers = file.directives.iter().rev().nth(1);
    let Some(Directive::VpContext(context)) = registers else { panic!("{registers:?}") };
    let at = bytes.windows(context.data.bytes.len()).position(|window| window == context.data.bytes).unwrap();
    for at in at..at + context.data.bytes.len() {
        for value in [0, 1, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            looked_into(&damaged);
        }
    }
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = write(&files::everything()).unwrap();
    let headers = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize + 24;
    for length in (0..headers + 64).chain(bytes.len() - 64..bytes.len()) {
        assert!(!looked_into(&bytes[..length]), "{length}");
        // The size is put right, too: what is missing is missed where it is referred to.
        if length >= 32 {
            let mut cut = bytes[..length].to_vec();
            cut[16..20].copy_from_slice(&(length as u32).to_le_bytes());
            assert!(!looked_into(&checksummed(cut)), "{length}");
        }
    }
}

/// Changes a file of one page and some parameters, and returns why it cannot be read.
#[track_caller]
fn check(change: impl FnOnce(&mut Vec<u8>), expected: ReadError) {
    let mut file = files::empty(SNP);
    file.directives = vec![
        Directive::Page(page(0x1000, SNP)),
        Directive::ParameterArea(ParameterArea { index: 5, size: 4096, data: None }),
        Directive::Parameter { kind: launch::ParameterKind::MemoryMap, area: 5, offset: 0 },
        Directive::ParameterInsert { gpa: 0x2000, mask: SNP, area: 5, size: 4096 },
    ];
    let mut bytes = write(&file).unwrap();
    change(&mut bytes);
    let bytes = if bytes.len() < 24 { bytes } else { checksummed(bytes) };
    assert_eq!(File::parse(&bytes).map(drop), Err(expected));
}

/// Where the headers of that file are: each is 8 bytes longer than what it says.
const PLATFORM: usize = 24;
const POLICY: usize = PLATFORM + 24;
const PAGE: usize = POLICY + 24;
const AREA: usize = PAGE + 32;
const PARAMETER: usize = AREA + 24;
const INSERT: usize = PARAMETER + 16;

fn put(at: usize, value: u32) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes())
}

fn wrong(number: usize, at: usize, name: &str, source: HeaderError) -> ReadError {
    ReadError::Header { number, at, name: name.to_owned(), source }
}

#[test]
fn the_fixed_header_is_checked() {
    check(|bytes| bytes.truncate(20), ReadError::Short { length: 20, needed: 24 });
    check(put(0, 0x1234), ReadError::Magic { found: 0x1234 });
    check(put(4, 3), ReadError::Version(3));
    check(put(16, 5), ReadError::Size { said: 5, length: 24 + 24 + 24 + 32 + 24 + 16 + 24 + 4096 });
    check(put(8, 16), ReadError::Area { offset: 16, size: 144 });
    check(put(8, 28), ReadError::Area { offset: 28, size: 144 });
    check(put(12, u32::MAX), ReadError::Area { offset: 24, size: u32::MAX });
    check(|bytes| bytes[12..16].fill(0), ReadError::NoPlatform);
}

#[test]
fn headers_are_checked() {
    let platform = |source| wrong(0, PLATFORM, "supported platform", source);
    check(put(PLATFORM + 4, 0xffff_fff8), platform(HeaderError::Cut { length: 0xffff_fff8, left: 136 }));
    check(put(PLATFORM + 4, 15), platform(HeaderError::Length { expected: 16, found: 15 }));
    check(put(PLATFORM + 8, 3), platform(HeaderError::Mask(3)));
    check(|bytes| bytes[PLATFORM + 12] = 1, platform(HeaderError::Vtl(1)));
    check(|bytes| bytes[PLATFORM + 13] = 9, platform(HeaderError::Platform(9)));
    check(|bytes| bytes[PLATFORM + 13] = 6, platform(HeaderError::OtherProcessor));
    check(|bytes| bytes[PLATFORM + 13] = 0, platform(HeaderError::SharedBoundary(1 << 46)));
    check(|bytes| bytes[PLATFORM + 14] = 2, platform(HeaderError::PlatformVersion(2)));
    check(put(PLATFORM, 0x99), wrong(0, PLATFORM, "type 0x99", HeaderError::Type));
    check(
        put(POLICY, 0x8000_0001),
        wrong(1, POLICY, "supported platform, optional", HeaderError::Mask(0x30000)),
    );
    check(put(POLICY, 0x302), wrong(1, POLICY, "page data", HeaderError::Length { expected: 24, found: 16 }));
    check(|bytes| bytes[POLICY + 20] = 1, wrong(1, POLICY, "guest policy", HeaderError::Reserved));
    check(|bytes| bytes.copy_within(POLICY..PAGE, AREA), wrong(3, AREA, "guest policy", HeaderError::Order));

    let page = |source| wrong(2, PAGE, "page data", source);
    let unaligned = |unit| HeaderError::Unaligned { what: "address", value: 0x1001, unit };
    check(|bytes| bytes[PAGE + 8] = 1, page(unaligned(4096)));
    check(put(PAGE + 24, 1), page(HeaderError::Unaligned { what: "address", value: 0x1000, unit: 2 << 20 }));
    check(put(PAGE + 24, 8), page(HeaderError::Reserved));
    check(|bytes| bytes[PAGE + 28] = 4, page(HeaderError::PageType(4)));
    check(|bytes| bytes[PAGE + 30] = 1, page(HeaderError::Reserved));
    check(
        |bytes| bytes[PAGE + 8..PAGE + 16].copy_from_slice(&[0, 0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        page(HeaderError::Range { gpa: 0xffff_ffff_ffff_f000, size: 4096 }),
    );
    let end = 168 + 4096;
    for offset in [1, 160, 169, 5000, u32::MAX] {
        check(put(PAGE + 20, offset), page(HeaderError::Data { offset, size: 4096, start: 168, end }));
    }
}

#[test]
fn parameters_are_checked() {
    let area = |source| wrong(3, AREA, "parameter area", source);
    check(put(AREA + 8, 0), area(HeaderError::AreaSize(0)));
    check(put(AREA + 12, 0x100), area(HeaderError::AreaSize((0x100 << 32) + 4096)));
    check(put(AREA + 8, 5), area(HeaderError::Unaligned { what: "size", value: 5, unit: 4096 }));
    let memory_map = |source| wrong(4, PARAMETER, "memory map", source);
    check(put(PARAMETER + 8, 6), memory_map(HeaderError::NoArea(6)));
    check(put(PARAMETER + 12, 4096), memory_map(HeaderError::Outside { offset: 4096, size: 4096 }));
    check(put(INSERT + 20, 6), wrong(5, INSERT, "parameter insert", HeaderError::NoArea(6)));
    let repeated = |bytes: &mut Vec<u8>| {
        bytes[PAGE..PAGE + 8].copy_from_slice(&[3, 3, 0, 0, 16, 0, 0, 0]);
        bytes[PAGE + 8..PAGE + 32].fill(0);
    };
    check(repeated, wrong(2, PAGE, "parameter insert", HeaderError::NoArea(0)));
}

#[test]
fn what_may_be_ignored_is_ignored() {
    let mut file = files::empty(SNP);
    file.directives = vec![Directive::Page(page(0x1000, SNP))];
    let mut bytes = write(&file).unwrap();
    let expected = measure(&File::parse(&bytes).unwrap(), PlatformKind::SevSnp, ZeroPages::Normal).unwrap();
    // A header of 4 bytes, padded to 8, in front of the data, which moves.
    let end = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize + 24;
    bytes.splice(end..end, [0x99, 3, 0, 0x80, 4, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0]);
    for (at, by) in [(12, 16), (16, 16), (PAGE + 20, 16)] {
        let value = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        bytes[at..at + 4].copy_from_slice(&(value + by).to_le_bytes());
    }
    let good = checksummed(bytes);
    let file = File::parse(&good).unwrap();
    assert!(matches!(file.directives[1], Directive::Unknown(0x399)));
    assert_eq!(measure(&file, PlatformKind::SevSnp, ZeroPages::Normal).unwrap(), expected);
    assert!(write(&file).is_err());

    let mut bad = good.clone();
    bad[end + 3] = 0;
    assert_eq!(File::parse(&checksummed(bad)).map(drop), Err(wrong(3, end, "type 0x399", HeaderError::Type)));
    let mut bad = good;
    bad[end + 12] = 1;
    assert_eq!(
        File::parse(&checksummed(bad)).map(drop),
        Err(wrong(3, end, "type 0x399, optional", HeaderError::Padding))
    );
}

#[test]
fn states_of_processors_are_checked() {
    let check = |mask: u32, context: launch::VpContext<'static>, expected: HeaderError| {
        let mut file = files::empty(mask);
        file.directives = vec![Directive::VpContext(context)];
        match File::parse(&write(&file).unwrap()) {
            Err(ReadError::Header { source, .. }) => assert_eq!(source, expected),
            other => panic!("{:?}", other.map(drop)),
        }
    };
    let of = |platforms: &str| HeaderError::Context { platforms: platforms.to_owned() };
    check(files::TDX, files::vmsa(0, files::TDX, 0), of("tdx"));
    check(SNP, files::vmsa(0, VSM, 0), of("no platform"));
    check(SNP | VSM, files::vmsa(0, SNP | VSM, 0), of("vsm, sev-snp"));
    let registers = |bytes: Vec<u8>| launch::VpContext {
        data: launch::Data::new(Vec::leak(bytes)),
        ..files::registers(VSM)
    };
    let good = files::registers(VSM).data.bytes;
    check(VSM, registers(vec![0; 4]), HeaderError::Registers("no registers"));
    let mut other = good.to_vec();
    other[4 + 32] = 2;
    check(VSM, registers(other), HeaderError::Registers("registers of several virtual trust levels"));
    let mut other = good.to_vec();
    other[4] = 3;
    check(VSM, registers(other), HeaderError::Vtl(3));
    let mut other = good.to_vec();
    other[4 + 32 + 6] = 1;
    check(VSM, registers(other), HeaderError::Reserved);
    let mut other = good.to_vec();
    other[3] = 0xff;
    let (start, size) = (24 + 24 + 24 + 32, 4 + 0xff00_0002 * 32);
    check(
        VSM,
        registers(other),
        HeaderError::Data { offset: start, size, start: start as usize, end: start as usize + good.len() },
    );
    let many = [&1025_u32.to_le_bytes()[..], &[0; 1025 * 32]].concat();
    check(VSM, registers(many), HeaderError::Registers("more than 1024 registers"));
    let behind = launch::VpContext { data: files::noise(5, 4096), ..files::native(files::NATIVE) };
    check(files::NATIVE, behind, HeaderError::Registers("something behind its registers"));
}

#[test]
fn registers_of_hyper_v_are_there_once() {
    let mut file = files::empty(VSM);
    // Each would be measured again, and a list of registers may be as long as the file.
    file.directives = vec![Directive::VpContext(files::registers(VSM)); 2];
    match File::parse(&write(&file).unwrap()) {
        Err(ReadError::Header { source, .. }) => {
            assert_eq!(
                source,
                HeaderError::Registers("registers of a virtual trust level that has some already")
            );
        }
        other => panic!("{:?}", other.map(drop)),
    }
}
