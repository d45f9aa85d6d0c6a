//! Files to try things on.

use launch::{
    Architecture, ContextFormat, Data, Directive, File, Import, Initialization, Page, PageKind,
    ParameterArea, ParameterKind, Platform, PlatformKind, Revision, VpContext, write,
};

/// The bits of the platforms in these files.
pub(crate) const NATIVE: u32 = 1;
pub(crate) const VSM: u32 = 2;
pub(crate) const SNP: u32 = 4;
pub(crate) const TDX: u32 = 8;
pub(crate) const SEV: u32 = 16;
pub(crate) const SEV_ES: u32 = 32;
pub(crate) const ALL: u32 = 63;

/// Where KVM has the states of processors.
pub(crate) const KVM_VMSA: u64 = 0xffff_ffff_f000;

pub(crate) fn platform(kind: PlatformKind, mask: u32) -> Platform {
    let (highest_vtl, shared_gpa_boundary) = match kind {
        PlatformKind::SevSnp => (2, 1 << 46),
        _ => (0, 0),
    };
    Platform { kind, mask, highest_vtl, shared_gpa_boundary }
}

/// Returns a file without directives, for the platforms with a bit in `mask`.
pub(crate) fn empty(mask: u32) -> File<'static> {
    let kinds = [
        (PlatformKind::Native, NATIVE),
        (PlatformKind::Vsm, VSM),
        (PlatformKind::SevSnp, SNP),
        (PlatformKind::Tdx, TDX),
        (PlatformKind::Sev, SEV),
        (PlatformKind::SevEs, SEV_ES),
    ];
    File {
        revision: Revision::V1,
        platforms: kinds
            .into_iter()
            .filter(|(_, bit)| bit & mask != 0)
            .map(|(kind, bit)| platform(kind, bit))
            .collect(),
        initializations: vec![Initialization::GuestPolicy { policy: 0x30000, mask: SNP }],
        directives: Vec::new(),
    }
}

/// Returns bytes that are like no others. They live as long as the test.
pub(crate) fn noise(seed: u64, size: usize) -> Data<'static> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let bytes: Vec<u8> = (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect();
    Data::new(Vec::leak(bytes))
}

pub(crate) fn page(gpa: u64, mask: u32) -> Page<'static> {
    Page {
        gpa,
        mask,
        kind: PageKind::Normal,
        import: Import::Measured,
        size: 4096,
        data: Some(noise(gpa + 1, 4096)),
    }
}

/// Returns the state of a processor as SEV-SNP has it, with what KVM wants.
pub(crate) fn vmsa(gpa: u64, mask: u32, vp_index: u16) -> VpContext<'static> {
    let mut bytes = vec![0; 4096];
    bytes[0x10..0x20].copy_from_slice(&[0x08, 0, 0x9b, 0x0c, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes[0x158] = 0x31;
    bytes[0x178..0x17c].copy_from_slice(&0x0080_0000_u32.to_le_bytes());
    bytes[0x3b0] = 1;
    VpContext { gpa, mask, vp_index, format: ContextFormat::Vmsa, data: Data::new(Vec::leak(bytes)) }
}

/// Returns registers as Hyper-V has them: RIP and CS.
pub(crate) fn registers(mask: u32) -> VpContext<'static> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (name, value) in [(0x20010_u32, 0x10_0000_u128), (0x60001, 0xa09b_0008_ffff_ffff << 64)] {
        bytes.push(0);
        bytes.extend_from_slice(&name.to_le_bytes());
        bytes.extend_from_slice(&[0; 11]);
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    VpContext { gpa: 0, mask, vp_index: 0, format: ContextFormat::Vbs, data: Data::new(Vec::leak(bytes)) }
}

/// Returns registers as a guest without isolation has them.
pub(crate) fn native(mask: u32) -> VpContext<'static> {
    let mut bytes = vec![0; 4096];
    bytes[0x80..0x84].copy_from_slice(&0x0080_0000_u32.to_le_bytes());
    VpContext { gpa: 0, mask, vp_index: 0, format: ContextFormat::Native, data: Data::new(Vec::leak(bytes)) }
}

/// Returns a file for every platform of x86-64 with a directive of each kind, as the `igvm` crate reads it too.
pub(crate) fn everything() -> File<'static> {
    let mut file = empty(ALL);
    let only_snp = VSM ^ ALL ^ TDX ^ SEV ^ SEV_ES ^ NATIVE;
    file.directives.extend([
        Directive::RequiredMemory { gpa: 0, mask: ALL, size: 1 << 20, vtl2_protectable: true },
        Directive::Page(page(0x80_0000, ALL)),
        Directive::Page(page(0x80_1000, ALL)),
        Directive::Page(Page { data: None, ..page(0x80_2000, ALL) }),
        // The same contents again.
        Directive::Page(Page { data: Some(noise(0x80_0001, 4096)), ..page(0x80_3000, ALL) }),
        Directive::Page(Page { import: Import::Unmeasured, ..page(0x80_4000, ALL) }),
        Directive::Page(Page { import: Import::Unmeasured, data: None, ..page(0x80_5000, SNP | TDX) }),
        Directive::Page(Page { import: Import::Shared, ..page(0x80_6000, SNP | VSM | TDX) }),
        Directive::Page(Page { kind: PageKind::CpuidData, ..page(0x80_7000, only_snp) }),
        Directive::Page(Page { kind: PageKind::CpuidXf, data: None, ..page(0x80_8000, only_snp) }),
        Directive::Page(Page { kind: PageKind::Secrets, data: None, ..page(0x80_9000, only_snp) }),
        Directive::Page(page(0x80_a000, TDX)),
        Directive::ParameterArea(ParameterArea { index: 0, size: 4096, data: None }),
        Directive::ParameterArea(ParameterArea { index: 7, size: 3 * 4096, data: Some(noise(7, 3 * 4096)) }),
        Directive::Parameter { kind: ParameterKind::MemoryMap, area: 0, offset: 0 },
        Directive::Parameter { kind: ParameterKind::VpCount, area: 7, offset: 16 },
        Directive::Parameter { kind: ParameterKind::EnvironmentInfo, area: 7, offset: 20 },
        Directive::Parameter { kind: ParameterKind::Srat, area: 7, offset: 32 },
        Directive::Parameter { kind: ParameterKind::Madt, area: 7, offset: 4096 },
        Directive::Parameter { kind: ParameterKind::Slit, area: 7, offset: 5000 },
        Directive::Parameter { kind: ParameterKind::Pptt, area: 7, offset: 6000 },
        Directive::Parameter { kind: ParameterKind::MmioRanges, area: 7, offset: 7000 },
        Directive::Parameter { kind: ParameterKind::CommandLine, area: 7, offset: 8000 },
        Directive::Parameter { kind: ParameterKind::DeviceTree, area: 7, offset: 9000 },
        Directive::ParameterInsert { gpa: 0x81_0000, mask: ALL, area: 0, size: 4096 },
        Directive::ParameterInsert { gpa: 0x82_0000, mask: ALL, area: 7, size: 3 * 4096 },
        Directive::ErrorRange { gpa: 0x83_0000, mask: VSM, size: 2 * 4096 },
        Directive::VpContext(native(NATIVE)),
        Directive::VpContext(native(SEV)),
        Directive::VpContext(registers(VSM)),
        Directive::VpContext(vmsa(KVM_VMSA, SNP, 0)),
        Directive::VpContext(VpContext { data: noise(9, 4096), ..vmsa(KVM_VMSA, SEV_ES, 0) }),
    ]);
    file
}

/// Returns files by name, each with what is special about it.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let with = |mask: u32, directives: Vec<Directive<'static>>| {
        let mut file = empty(mask);
        file.directives = directives;
        write(&file).unwrap()
    };
    let large = |gpa: u64, data| Page { size: 2 << 20, data, ..page(gpa, ALL) };
    let regions = || {
        use igvm_defs::{IGVM_VHS_PAGE_TABLE_RELOCATION, IGVM_VHS_RELOCATABLE_REGION};
        let mut file = empty(VSM);
        file.initializations = vec![
            Initialization::VersionString("1.0"),
            Initialization::RelocatableRegion(IGVM_VHS_RELOCATABLE_REGION {
                compatibility_mask: VSM,
                vp_index: 0,
                vtl: 0,
                flags: 3,
                relocation_alignment: 1 << 20,
                relocation_region_gpa: 1 << 20,
                relocation_region_size: 1 << 20,
                minimum_relocation_gpa: 0,
                maximum_relocation_gpa: 1 << 30,
            }),
            Initialization::PageTableRelocation(IGVM_VHS_PAGE_TABLE_RELOCATION {
                compatibility_mask: VSM,
                vp_index: 0,
                vtl: 0,
                reserved: 0,
                gpa: 0,
                size: 8192,
                used_size: 4096,
            }),
            Initialization::Corim { mask: VSM, data: Some(noise(3, 100)) },
            Initialization::CorimSignature { mask: VSM, data: Some(noise(4, 100)) },
        ];
        file.directives = vec![Directive::Page(page(0x1000, VSM)), Directive::VpContext(registers(VSM))];
        write(&file).unwrap()
    };
    let arm64 = || {
        let mut file = empty(0);
        file.revision = Revision::V2(Architecture::Aarch64);
        file.platforms = vec![platform(PlatformKind::Vsm, VSM), platform(PlatformKind::Cca, 64)];
        let state =
            |mask, format| VpContext { gpa: 0, mask, vp_index: 0, format, data: Data::new(&[0; 4096]) };
        file.directives = vec![
            Directive::Page(page(0x4000_0000, VSM | 64)),
            Directive::VpContext(state(64, ContextFormat::Cca)),
            Directive::VpContext(registers(VSM)),
        ];
        write(&file).unwrap()
    };
    let second = || {
        let mut file = everything();
        file.revision = Revision::V2(Architecture::X64);
        write(&file).unwrap()
    };
    vec![
        ("everything", write(&everything()).unwrap()),
        ("second version", second()),
        ("no directives", with(ALL, vec![])),
        (
            "large pages",
            with(
                ALL,
                vec![
                    Directive::Page(large(0x20_0000, None)),
                    Directive::Page(large(0x40_0000, Some(noise(1, 2 << 20)))),
                    Directive::Page(Page { import: Import::Unmeasured, ..large(0x60_0000, None) }),
                ],
            ),
        ),
        (
            "several processors",
            with(
                SNP | SEV_ES,
                vec![
                    Directive::Page(page(0x1000, SNP | SEV_ES)),
                    Directive::VpContext(VpContext {
                        data: noise(2, 4096),
                        ..vmsa(KVM_VMSA, SNP | SEV_ES, 1)
                    }),
                    Directive::VpContext(vmsa(KVM_VMSA, SNP | SEV_ES, 0)),
                ],
            ),
        ),
        (
            "a page after the state",
            with(SNP, vec![Directive::VpContext(vmsa(KVM_VMSA, SNP, 0)), Directive::Page(page(0x1000, SNP))]),
        ),
        (
            "not in order",
            with(
                ALL,
                vec![
                    Directive::Page(page(0x5000, ALL)),
                    Directive::Page(page(0x1000, ALL)),
                    Directive::Page(page(0x3000, ALL)),
                ],
            ),
        ),
        ("regions", regions()),
        ("arm64", arm64()),
    ]
}
