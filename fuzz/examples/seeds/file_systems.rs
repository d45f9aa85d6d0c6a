//! Images of file systems, and a hash tree.

use layer::Tree;
use mkimg::ext4::{Journal, Options, Size, Timestamp};
use mkimg::{MemorySink, fat, iso, write_ext4};

use crate::Result;

pub(crate) fn ext4(tree: &Tree, journal: Journal) -> Result<Vec<u8>> {
    let mut options = Options::new(Size::Fit { slack: 0 }, [0x42; 16], [0x24; 16], Timestamp::default());
    options.journal = journal;
    let mut sink = MemorySink::default();
    write_ext4(tree, options, &mut sink)?;
    Ok(sink.into_bytes())
}

/// Takes `metadata_csum` off the features, so that changed bytes are not refused for their checksum.
pub(crate) fn without_checksums(mut image: Vec<u8>) -> Vec<u8> {
    const RO_COMPAT: usize = 1024 + 0x64;
    const METADATA_CSUM: u8 = 0x04;
    image[RO_COMPAT + 1] &= !METADATA_CSUM;
    image
}

/// Returns a small ISO that starts by BIOS and UEFI.
pub(crate) fn iso(tree: &Tree, joliet: bool) -> Result<Vec<u8>> {
    let mut options = iso::Options::new("SEED", iso::Timestamp::saturating(1_700_000_000));
    options.joliet = joliet;
    let loader = vec![b'x'; 3000];
    let image = |platform| iso::BootImage {
        platform,
        source: iso::BootSource::Hidden(&loader),
        load_units: None,
        info_table: true,
        grub2: false,
    };
    let mut sink = MemorySink::default();
    iso::write_iso(tree, options, &[image(iso::Platform::Bios), image(iso::Platform::Efi)], &mut sink)?;
    Ok(sink.into_bytes())
}

/// Returns a small FAT image with directories, long names and files.
pub(crate) fn fat(kind: fat::Kind) -> Result<Vec<u8>> {
    let mut options = fat::Options::new(fat::Size::Fit { slack: 0 }, 1, 1_700_000_000);
    // With the smallest clusters, the kinds with more bits have small images, too.
    (options.kind, options.cluster_size, options.label) = (Some(kind), Some(512), Some("SEED".to_owned()));
    let mut builder = fat::Builder::new(options)?;
    let aged =
        |seconds| fat::Metadata { mtime: fat::Timestamp::saturating(seconds), ..fat::Metadata::default() };
    let directory = builder.directory(fat::ROOT, b"directory", aged(1_700_000_000))?;
    builder.file(directory, b"a file with a long name", aged(0), 3000)?;
    builder.file(fat::ROOT, b"SHORT.TXT", aged(0), 10)?;
    let mut sink = MemorySink::default();
    builder.seal()?.write(
        &mut |_, _, buffer| {
            buffer.fill(b'x');
            Ok(())
        },
        &mut sink,
    )?;
    Ok(sink.into_bytes())
}

/// The superblock of a hash tree of three blocks of 4 KiB (cryptsetup, "dm-verity on-disk format").
pub(crate) fn hash_tree() -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"verity\0\0\x01\0\0\0\x01\0\0\0");
    put(32, b"sha256");
    put(64, &[4096_u32, 4096].map(u32::to_le_bytes).concat());
    put(72, &3_u64.to_le_bytes());
    put(80, &[2, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    bytes
}
