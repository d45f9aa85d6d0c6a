//! Digests: against an implementation from the specifications, against that of the `igvm` crate, and pinned.

use launch::{
    ContextFormat, Directive, File, Import, KvmProblem, MeasureError, Page, PageKind, ParameterArea,
    PlatformKind, VpContext, ZeroPages, check_kvm, measure, unlike_igvmmeasure, write,
};

use crate::files::{self, ALL, KVM_VMSA, SEV, SEV_ES, SNP, TDX, VSM, page, vmsa};
use crate::naive;

/// Returns what each platform measures of a file, in the order of the platforms.
fn digests(bytes: &[u8], zeros: ZeroPages) -> Vec<(PlatformKind, Vec<u8>)> {
    let file = File::parse(bytes).unwrap();
    let measured = file.platforms.iter().filter_map(|platform| match measure(&file, platform.kind, zeros) {
        Ok(measured) => Some((platform.kind, measured.digest.bytes().to_vec())),
        Err(MeasureError::NotMeasured | MeasureError::Unsupported(_)) => None,
        Err(error) => panic!("{}: {error}", platform.kind),
    });
    measured.collect()
}

fn naively(bytes: &[u8], kind: PlatformKind, mask: u32, zeros: ZeroPages) -> Vec<u8> {
    match kind {
        PlatformKind::SevSnp => naive::snp(bytes, mask, zeros == ZeroPages::Native),
        PlatformKind::Tdx => naive::tdx(bytes, mask),
        PlatformKind::Sev => naive::sev(bytes, mask, false),
        PlatformKind::SevEs => naive::sev(bytes, mask, true),
        _ => naive::vbs(bytes, mask),
    }
}

#[test]
fn digests_are_those_of_the_specifications() {
    let mut n_compared = 0;
    for (name, bytes) in files::all() {
        let file = File::parse(&bytes).unwrap();
        for zeros in [ZeroPages::Normal, ZeroPages::Native] {
            for (kind, digest) in digests(&bytes, zeros) {
                let mask = file.platform(kind).unwrap().mask;
                assert_eq!(digest, naively(&bytes, kind, mask, zeros), "{name}, {kind}, {zeros:?}");
                n_compared += 1;
            }
        }
    }
    assert!(n_compared > 50, "{n_compared}");
}

#[test]
fn digests_are_those_of_the_igvm_crate() {
    // It reads large pages as small ones, and has no SEV.
    for (name, bytes) in
        files::all().into_iter().filter(|(name, _)| !["large pages", "arm64", "regions"].contains(name))
    {
        let other = igvm::IgvmFile::new_from_binary(&bytes, None);
        let other = match other {
            Ok(other) => other,
            // It wants data in every file, and states for one platform each.
            Err(_) if ["no directives", "several processors"].contains(&name) => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        for (kind, digest) in digests(&bytes, ZeroPages::Normal) {
            let directives = other.directives();
            let expected = match kind {
                PlatformKind::SevSnp => {
                    igvm::measurement::generate_snp_measurement(other.initializations(), directives, SNP)
                        .unwrap()
                        .to_vec()
                }
                PlatformKind::Tdx => {
                    igvm::measurement::generate_tdx_measurement(directives, TDX).unwrap().to_vec()
                }
                PlatformKind::Vsm => {
                    igvm::measurement::generate_vbs_measurement(directives, VSM).unwrap().to_vec()
                }
                _ => continue,
            };
            assert_eq!(digest, expected, "{name}, {kind}");
        }
    }
}

/// What is measured now must not change later.
#[test]
fn digests_are_pinned() {
    let bytes = write(&files::everything()).unwrap();
    let shown: Vec<String> = digests(&bytes, ZeroPages::Normal)
        .into_iter()
        .map(|(kind, digest)| {
            format!("{kind} {}", digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>())
        })
        .collect();
    assert_eq!(shown, PINNED);
}

const PINNED: [&str; 5] = [
    "vsm 5141ce24c1d046d3",
    "sev-snp 8a1d7fde35527fd6",
    "tdx 9627d4379d016ea4",
    "sev f0d5ade04d41d667",
    "sev-es a1307c11e9d14a65",
];

#[test]
fn what_no_platform_can_load_is_refused() {
    let check = |directives: Vec<Directive<'static>>, kind: PlatformKind, expected: MeasureError| {
        let mut file = files::empty(ALL ^ SEV);
        file.directives = directives;
        let bytes = write(&file).unwrap();
        let file = File::parse(&bytes).unwrap();
        assert_eq!(measure(&file, kind, ZeroPages::Normal), Err(expected));
    };
    let overlap = |gpa, platform| MeasureError::Overlap { gpa, platform };
    let twice = vec![Directive::Page(page(0x1000, ALL)), Directive::Page(page(0x1000, SNP))];
    check(twice, PlatformKind::SevSnp, overlap(0x1000, PlatformKind::SevSnp));
    let in_large = Page { size: 2 << 20, data: None, ..page(0, ALL) };
    let twice = vec![Directive::Page(page(0x5000, ALL)), Directive::Page(in_large)];
    check(twice, PlatformKind::Tdx, overlap(0x5000, PlatformKind::Tdx));
    let inserted = vec![
        Directive::ParameterArea(ParameterArea { index: 1, size: 8192, data: None }),
        Directive::ParameterInsert { gpa: 0x1000, mask: VSM, area: 1, size: 8192 },
        Directive::Page(page(0x2000, VSM)),
    ];
    check(inserted, PlatformKind::Vsm, overlap(0x2000, PlatformKind::Vsm));
    let state = vec![Directive::Page(page(0x3000, SEV_ES)), Directive::VpContext(vmsa(0x3000, SEV_ES, 0))];
    check(state, PlatformKind::SevEs, overlap(0x3000, PlatformKind::SevEs));

    for (kind, platform) in [
        (PageKind::Secrets, PlatformKind::Tdx),
        (PageKind::CpuidData, PlatformKind::Vsm),
        (PageKind::CpuidXf, PlatformKind::SevEs),
    ] {
        let wrong = Directive::Page(Page { kind, ..page(0x1000, ALL) });
        check(vec![wrong], platform, MeasureError::PageKind { gpa: 0x1000, kind, platform });
    }
    check(vec![], PlatformKind::Native, MeasureError::NotMeasured);
    let has = vec!["native", "vsm", "sev-snp", "tdx", "sev-es"];
    check(vec![], PlatformKind::Sev, MeasureError::NoPlatform { platform: PlatformKind::Sev, has });
    // Nine areas of 2 GiB.
    let many = (0..9_u32).flat_map(|area| {
        let size = 2 << 30;
        [
            Directive::ParameterArea(ParameterArea { index: area, size, data: None }),
            Directive::ParameterInsert { gpa: u64::from(area) << 32, mask: SNP, area, size },
        ]
    });
    let error = MeasureError::TooMuch { n_pages: 9 << 19, platform: PlatformKind::SevSnp };
    check(many.collect(), PlatformKind::SevSnp, error);
}

#[track_caller]
fn kvm(directives: Vec<Directive<'static>>, expected: &[KvmProblem]) {
    let mut file = files::empty(SNP | TDX);
    file.directives = directives;
    let bytes = write(&file).unwrap();
    let file = File::parse(&bytes).unwrap();
    assert_eq!(check_kvm(&file, file.platform(PlatformKind::SevSnp).unwrap()), expected);
    assert_eq!(check_kvm(&file, file.platform(PlatformKind::Tdx).unwrap()), []);
}

#[test]
fn what_kvm_does_otherwise_is_told() {
    let state = || Directive::VpContext(vmsa(KVM_VMSA, SNP, 0));
    let area = || Directive::ParameterArea(ParameterArea { index: 0, size: 4096, data: None });
    let insert = || Directive::ParameterInsert { gpa: 0x9000, mask: SNP, area: 0, size: 4096 };
    kvm(vec![Directive::Page(page(0x1000, SNP)), area(), insert(), state()], &[]);
    kvm(vec![], &[KvmProblem::NoVmsa]);
    kvm(vec![state(), Directive::Page(page(0x1000, SNP))], &[KvmProblem::AfterVmsa { gpa: 0x1000 }]);
    kvm(vec![area(), state(), insert()], &[KvmProblem::AfterVmsa { gpa: 0x9000 }]);
    // That of another platform, and a page that is not measured, change nothing.
    let shared = Page { import: Import::Shared, ..page(0x2000, SNP) };
    kvm(vec![state(), Directive::Page(page(0x1000, TDX)), Directive::Page(shared)], &[]);
    kvm(vec![state(), Directive::VpContext(vmsa(KVM_VMSA, SNP, 1))], &[KvmProblem::SeveralVmsas(2)]);
    kvm(vec![Directive::VpContext(vmsa(KVM_VMSA, SNP, 3))], &[KvmProblem::OtherProcessor(3)]);
    let elsewhere = VpContext { data: files::noise(1, 4096), ..vmsa(0x5000, SNP, 0) };
    let cr0 = u64::from_le_bytes(elsewhere.data.bytes[0x158..0x160].try_into().unwrap());
    kvm(vec![Directive::VpContext(elsewhere)], &[KvmProblem::VmsaAddress(0x5000), KvmProblem::VmsaCr0(cr0)]);
}

#[test]
fn where_igvmmeasure_counts_otherwise_is_told() {
    let file = files::everything();
    let reasons = |kind| unlike_igvmmeasure(&file, file.platform(kind).unwrap());
    assert_eq!(reasons(PlatformKind::SevSnp).len(), 3, "{:?}", reasons(PlatformKind::SevSnp));
    assert_eq!(reasons(PlatformKind::SevEs).len(), 3, "{:?}", reasons(PlatformKind::SevEs));
    assert_eq!(reasons(PlatformKind::Tdx).len(), 1);
    let mut plain = files::empty(SNP);
    plain.directives = vec![Directive::Page(page(0x1000, SNP)), Directive::VpContext(vmsa(KVM_VMSA, SNP, 0))];
    assert!(unlike_igvmmeasure(&plain, plain.platform(PlatformKind::SevSnp).unwrap()).is_empty());
}

#[test]
fn registers_have_their_names() {
    let bytes = write(&files::everything()).unwrap();
    let file = File::parse(&bytes).unwrap();
    let shown = |format: ContextFormat| {
        let context = file.directives.iter().find_map(|directive| match directive {
            Directive::VpContext(context) if context.format == format => Some(context),
            _ => None,
        });
        let registers = context.unwrap().registers(file.revision.architecture());
        registers
            .into_iter()
            .map(|register| format!("{} {}", register.name, register.value))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        shown(ContextFormat::Vmsa),
        [
            "cs selector 0x8, attributes 0xc9b, limit 0xffffffff, base 0x0",
            "cr0 0x31",
            "rip 0x800000",
            "sev_features 0x1"
        ]
    );
    assert_eq!(shown(ContextFormat::Native), ["rip 0x800000"]);
    assert_eq!(
        shown(ContextFormat::Vbs),
        ["vtl 0", "rip 0x100000", "cs selector 0x8, attributes 0xa09b, limit 0xffffffff, base 0x0"]
    );
}
