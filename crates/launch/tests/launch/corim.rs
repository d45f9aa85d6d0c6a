//! Documents of what is expected: those of the `igvm` crate, byte for byte.

use igvm::corim::launch_measurement::{LaunchMeasurement, MeasurementKind};
use igvm_defs::IgvmPlatformType;
use launch::{CorimError, File, PlatformKind, ZeroPages, corim, measure, write};

use crate::files;

#[test]
fn documents_are_those_of_the_igvm_crate() {
    let bytes = write(&files::everything()).unwrap();
    let file = File::parse(&bytes).unwrap();
    let other = igvm::IgvmFile::new_from_binary(&bytes, None).unwrap();
    for (kind, number) in [
        (PlatformKind::SevSnp, IgvmPlatformType::SEV_SNP),
        (PlatformKind::Tdx, IgvmPlatformType::TDX),
        (PlatformKind::Vsm, IgvmPlatformType::VSM_ISOLATION),
    ] {
        let measured = measure(&file, kind, ZeroPages::Normal).unwrap();
        for svn in [0, 1, 23, 24, 65_536, u64::MAX] {
            let mut serializer = igvm::IgvmSerializer::new(&other).unwrap();
            let mut expected = LaunchMeasurement::for_platform(number).unwrap();
            expected.set_measurement(MeasurementKind::Launch).unwrap();
            expected.endorse(svn).with(MeasurementKind::Launch).unwrap().finish().unwrap();
            serializer.add_corim(number, expected.build()).unwrap();
            assert_eq!(
                corim(&measured, svn).unwrap(),
                serializer.corim_for(number).unwrap(),
                "{kind}, {svn}"
            );
        }
    }
}

/// The document as RFC 8949 has it, by hand: that the bytes are right is not left to one library.
#[test]
fn a_document_is_what_the_draft_says() {
    let bytes = write(&files::everything()).unwrap();
    let measured = measure(&File::parse(&bytes).unwrap(), PlatformKind::Tdx, ZeroPages::Normal).unwrap();
    let text = |text: &str| {
        let mut bytes = match text.len() {
            length @ 0..24 => vec![0x60 + length as u8],
            length => vec![0x78, length as u8],
        };
        bytes.extend(text.bytes());
        bytes
    };
    // environment-map, class: vendor, model
    let environment = [&[0xa1, 0x00, 0xa2, 0x01][..], &text("Intel"), &[0x02], &text("TDX")].concat();
    // measurement-map: mkey, mval: digests: [[SHA-384, digest]]
    let launch = [
        &[0xa2, 0x00][..],
        &text("MRTD"),
        &[0x01, 0xa1, 0x02, 0x81, 0x82, 0x07, 0x58, 48],
        measured.digest.bytes(),
    ]
    .concat();
    // measurement-map: mval: svn: 552(5)
    let version = [0xa1, 0x01, 0xa1, 0x01, 0xd9, 0x02, 0x28, 0x05];
    let comid = [
        // tag-identity: tag-id; triples
        &[0xa2, 0x01, 0xa1, 0x00][..],
        &text("e0510081-7b78-5b2a-97a6-d73d890e07b6"),
        // reference-triples
        &[0x04, 0xa2, 0x00, 0x81, 0x82],
        &environment,
        &[0x81],
        &launch,
        // conditional-endorsement-series-triples: [[[environment, []], [[selection, addition]]]]
        &[0x08, 0x81, 0x82, 0x82],
        &environment,
        &[0x80, 0x81, 0x82, 0x81],
        &launch,
        &[0x81],
        &version,
    ]
    .concat();
    let expected = [
        // 501(corim-map): id, tags: [506(comid)], profile
        &[0xd9, 0x01, 0xf5, 0xa3, 0x00][..],
        &text("Intel/TDX/launch-measurement"),
        &[0x01, 0x81, 0xd9, 0x01, 0xfa, 0x58, u8::try_from(comid.len()).unwrap()],
        &comid,
        // The draft's grammar has a tag, 32, in front of a URI; those who write and read such documents have none.
        &[0x03],
        &text("tag:microsoft.com,2026:launch-measurement/v1"),
    ]
    .concat();
    assert_eq!(corim(&measured, 5).unwrap(), expected);
}

#[test]
fn what_the_profile_does_not_have_is_refused() {
    let bytes = write(&files::everything()).unwrap();
    let measured = measure(&File::parse(&bytes).unwrap(), PlatformKind::Sev, ZeroPages::Normal).unwrap();
    assert!(matches!(corim(&measured, 1), Err(CorimError::Platform(PlatformKind::Sev))));
}
