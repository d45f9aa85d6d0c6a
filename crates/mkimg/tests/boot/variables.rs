//! Variables of a firmware with keys in them.

use mkimg::disk::Guid;
use mkimg::efi_variables::{Certificates, Error, Store, Variable, enrol};
use mkimg::sign::parse_certificate;

use crate::firmware::template;
use crate::support::CERTIFICATE;

fn keys() -> Certificates {
    let der = der::Encode::to_der(&parse_certificate(CERTIFICATE).unwrap()).unwrap();
    Certificates {
        platform_key: der.clone(),
        exchange_keys: vec![der.clone()],
        allowed: vec![der.clone(), der],
        owner: Guid::parse("6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a11").unwrap(),
    }
}

#[test]
fn keys_are_lists_of_certificates() {
    let enrolled = enrol(&template(), &keys()).unwrap();
    assert_eq!(enrolled.len(), template().len());
    let store = Store::parse(&enrolled).unwrap();
    let names: Vec<_> =
        store.variables().iter().map(|variable| (variable.name.as_str(), variable.attributes)).collect();
    assert_eq!(names, [("PK", 0x27), ("KEK", 0x27), ("db", 0x27), ("SecureBootEnable", 3)]);
    let certificate = keys().platform_key;
    let list = 28 + 16 + certificate.len();
    assert_eq!(store.variables()[0].data.len(), list);
    assert_eq!(store.variables()[2].data.len(), 2 * list);
    assert!(store.variables()[0].data.ends_with(&certificate));
    // Every one begins at a multiple of four, and nothing is behind the last one.
    assert_eq!(enrol(&template(), &keys()).unwrap(), enrolled);
    assert_eq!(enrol(&enrolled, &keys()), Err(Error::Exists("PK".to_owned())));
    assert!(Error::Exists("PK".to_owned()).help().unwrap().contains("OVMF_VARS_4M.fd"));
}

#[test]
fn a_store_has_an_end() {
    let mut store = Store::parse(&template()).unwrap();
    let variable = |name: &str, size: usize| Variable {
        vendor: Guid::NIL,
        name: name.to_owned(),
        attributes: 3,
        data: vec![1; size],
    };
    store.add(variable("a", 30_000)).unwrap();
    let full = store.add(variable("b", 3000)).unwrap_err();
    assert_eq!(full.to_string(), "`b` takes 3064 bytes, and there are 2604 left");
    store.add(variable("c", 2000)).unwrap();
    let store = Store::parse(&store.into_bytes()).unwrap();
    assert_eq!(store.variables().len(), 2);
}

#[test]
fn what_is_no_volume_of_variables_is_refused() {
    let check = |bytes: &[u8], expected: &str| {
        let text = Store::parse(bytes).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    };
    check(b"", "does not begin as a firmware volume");
    check(&[0; 4096], "does not begin as a firmware volume");
    let mut other = template();
    other[16] ^= 1;
    check(&other, "a volume of something else");
    let mut other = template();
    other[60] ^= 1;
    check(&other, "checksum");
    let mut other = template();
    other[72] ^= 1;
    check(&other, "not authenticated");
    let good = enrol(&template(), &keys()).unwrap();
    for at in (0..400).chain(900..1400) {
        for value in [0, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            let _ = enrol(&bad, &keys());
        }
    }
    for length in (0..2000).step_by(13) {
        assert!(Store::parse(&good[..length]).is_err());
    }
}

#[test]
fn a_chip_without_anything_is_formatted_as_that_of_arm_machines() {
    let enrolled = enrol(&vec![0; 1 << 20], &keys()).unwrap();
    assert_eq!(enrolled.len(), 1 << 20);
    // The first bytes are those that the firmware itself writes, but for its number of blocks, which nobody reads.
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex(&enrolled[16..50]),
        "8d2bf1ff96768b4ca9852747075b4f5000000c00000000005f465648360e00004800"
    );
    assert_eq!(hex(&enrolled[72..100]), "782cf3aa7b949a43a1802e144ec37792b8ff03005afe000000000000");
    assert!(enrolled[0x3_0000..0xc_0000].iter().all(|byte| *byte == 0xff));
    assert!(enrolled[0xc_0000..].iter().all(|byte| *byte == 0));
    assert_eq!(Store::parse(&enrolled).unwrap().variables().len(), 4);
    // Where there is too little room for that, nothing is known.
    assert!(matches!(enrol(&vec![0; 0x8_0000], &keys()), Err(Error::NotVariables(_))));
}
