//! What machines start from: the catalog, what loaders find in themselves, and the tables of partitions.

use mkimg::disk::{self, Guid};
use mkimg::iso::{BootEntry, Hybrid, HybridTable, MbrPatch, Options, Platform, ROOT, StartEntry};

use crate::support::{Tree, hybrid, noise, options, read, sector_of};

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// An image with a loader for BIOS and one for UEFI of this size, and the first sectors of both.
fn image(hybrid: Option<Hybrid>, efi_size: usize) -> (Vec<u8>, [u64; 2]) {
    let mut tree = Tree::new(Options { hybrid, ..options() });
    let bios = tree.file(ROOT, "eltorito.img", noise(9001, 1));
    let efi = tree.builder.hidden(efi_size as u64).unwrap();
    tree.fill(efi, noise(efi_size, 2));
    tree.boot(BootEntry { info_table: true, grub2: true, ..BootEntry::new(Platform::Bios, bios) });
    tree.boot(BootEntry::new(Platform::Efi, efi));
    let sealed = tree.seal().unwrap();
    let sectors = [bios, efi].map(|node| sector_of(&sealed, node));
    (sealed.bytes(), sectors)
}

#[test]
fn the_catalog_leads_to_both_images() {
    let (bytes, [bios, efi]) = image(None, 5000);
    let entry = |platform, units, sector: u64| StartEntry {
        platform,
        is_bootable: true,
        media: 0,
        units,
        sector: u32::try_from(sector).unwrap(),
    };
    assert_eq!(read(bytes.clone()).boot(), [entry(0, 4, bios), entry(0xef, 10, efi)]);
    assert_eq!(bytes[efi as usize * 2048..][..5000], noise(5000, 2));
    // More than 16 bits can say is all up to the end.
    let (bytes, [_, efi]) = image(None, 40 << 20);
    assert_eq!(read(bytes).boot()[1], entry(0xef, 0, efi));
}

#[test]
fn loaders_find_where_they_are() {
    let (bytes, [bios, _]) = image(Some(hybrid(HybridTable::None)), 5000);
    let loader = &bytes[bios as usize * 2048..][..9001];
    let mut expected = noise(9001, 1);
    expected[2548..2556].copy_from_slice(&(bios * 4 + 5).to_le_bytes());
    let mut sum = 0_u32;
    for word in expected[64..].chunks(4) {
        let mut padded = [0; 4];
        padded[..word.len()].copy_from_slice(word);
        sum = sum.wrapping_add(u32::from_le_bytes(padded));
    }
    for (at, value) in [(8, 16), (12, bios as u32), (16, 9001), (20, sum)] {
        expected[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    expected[24..64].fill(0);
    assert!(loader == expected);
    assert_eq!(u64_at(&bytes, 432), bios * 4 + 4);
    assert_eq!(bytes[..432], noise(440, 99)[..432]);

    let isolinux = Hybrid { patch: MbrPatch::Isolinux, ..hybrid(HybridTable::None) };
    let (bytes, [bios, _]) = image(Some(isolinux), 5000);
    assert_eq!(u64::from(u32_at(&bytes, 432)), bios * 4);
}

#[test]
fn the_guid_partition_table_is_right() {
    let guid = Guid(*b"guid-of-the-disk");
    let (bytes, [_, efi]) = image(Some(hybrid(HybridTable::Gpt { guid })), 5000);
    let text = disk::Reader::open(bytes.clone()).unwrap().dump().unwrap();
    assert!(text.contains(&guid.to_string()), "{text}");
    assert!(text.contains("EFI System"), "{text}");
    assert_eq!(u64_at(&bytes, 1024 + 32), efi * 4);
    assert_eq!(u64_at(&bytes, 1024 + 40), efi * 4 + 9);
    read(bytes);
}

#[test]
fn the_old_table_has_the_whole_and_the_image_of_uefi() {
    let (bytes, [_, efi]) = image(Some(hybrid(HybridTable::Mbr { signature: 0x1234_abcd })), 5000);
    let units = (bytes.len() / 512) as u32;
    assert_eq!(u32_at(&bytes, 440), 0x1234_abcd);
    assert_eq!((bytes[446], bytes[450], u32_at(&bytes, 454), u32_at(&bytes, 458)), (0x80, 0x17, 0, units));
    assert_eq!(
        (bytes[462], bytes[466], u32_at(&bytes, 470), u32_at(&bytes, 474)),
        (0, 0xef, efi as u32 * 4, 10)
    );
    assert_eq!(bytes[478..510], [0; 32]);
    assert_eq!(bytes[510..512], [0x55, 0xaa]);
}
