//! IGVM files.

use launch::{
    Architecture, ContextFormat, Data, Directive, File, Import, Initialization, Page, PageKind,
    ParameterArea, ParameterKind, Platform, PlatformKind, Revision, VpContext,
};

/// A file for every platform of x86-64 with a directive of each kind, and one for those of arm64.
pub(crate) fn igvm() -> [(&'static str, File<'static>); 2] {
    let platforms = |kinds: &[PlatformKind]| {
        let bits = (0..).map(|bit| 1 << bit);
        let all = kinds.iter().zip(bits);
        all.map(|(kind, mask)| Platform { kind: *kind, mask, highest_vtl: 0, shared_gpa_boundary: 0 })
            .collect()
    };
    const ZEROS: &[u8] = &[0; 4096];
    // A list of one register: RIP on x86-64.
    const REGISTERS: &[u8] = &[
        1, 0, 0, 0, 0, 0x10, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0,
    ];
    let page = |gpa, mask, kind, import, data: Option<&'static [u8]>| {
        Directive::Page(Page { gpa, mask, kind, import, size: 4096, data: data.map(Data::new) })
    };
    let state = |mask, format, data| {
        let gpa = if format == ContextFormat::Vmsa { 0xffff_ffff_f000 } else { 0 };
        Directive::VpContext(VpContext { gpa, mask, vp_index: 0, format, data: Data::new(data) })
    };
    let x64 = File {
        revision: Revision::V1,
        platforms: platforms(&PlatformKind::ALL[..6]),
        initializations: vec![
            Initialization::GuestPolicy { policy: 0x30000, mask: 4 },
            Initialization::VersionString("1"),
            Initialization::Corim { mask: 4, data: Some(Data::new(b"corim")) },
        ],
        directives: vec![
            Directive::RequiredMemory { gpa: 0, mask: 63, size: 1 << 20, vtl2_protectable: true },
            page(0x1000, 63, PageKind::Normal, Import::Measured, Some(ZEROS)),
            page(0x2000, 63, PageKind::Normal, Import::Unmeasured, None),
            page(0x3000, 4, PageKind::CpuidData, Import::Measured, Some(ZEROS)),
            page(0x4000, 4, PageKind::Secrets, Import::Measured, None),
            Directive::ParameterArea(ParameterArea { index: 1, size: 4096, data: None }),
            Directive::Parameter { kind: ParameterKind::MemoryMap, area: 1, offset: 0 },
            Directive::ParameterInsert { gpa: 0x5000, mask: 63, area: 1, size: 4096 },
            Directive::ErrorRange { gpa: 0x6000, mask: 2, size: 4096 },
            state(1, ContextFormat::Native, ZEROS),
            state(2, ContextFormat::Vbs, REGISTERS),
            state(4 | 32, ContextFormat::Vmsa, ZEROS),
        ],
    };
    let arm64 = File {
        revision: Revision::V2(Architecture::Aarch64),
        platforms: platforms(&[PlatformKind::Vsm, PlatformKind::Cca]),
        initializations: Vec::new(),
        directives: vec![
            page(0x1000, 3, PageKind::Normal, Import::Shared, Some(ZEROS)),
            state(1, ContextFormat::Vbs, REGISTERS),
            state(2, ContextFormat::Cca, ZEROS),
        ],
    };
    [("x64", x64), ("arm64", arm64)]
}
