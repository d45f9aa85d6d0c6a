//! Firmware and kernels to try things on.

use mkimg::igvm::{Confidential, Firmware, Guest, Hashed, Snp};

/// The GUIDs of OVMF's table as its assembler source has them, in the order of bytes.
pub(crate) const FOOTER: [u8; 16] = *b"\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d";
pub(crate) const RESET: [u8; 16] = *b"\xde\x71\xf7\x00\x7e\x1a\xcb\x4f\x89\x0e\x68\xc7\x7e\x2f\xb4\x4e";
pub(crate) const HASHES: [u8; 16] = *b"\x1f\x37\x55\x72\x3b\x3a\x04\x4b\x92\x7b\x1d\xa6\xef\xa8\xd4\x54";
pub(crate) const SEV: [u8; 16] = *b"\x66\x65\x88\xdc\x4a\x98\x98\x47\xa7\x5e\x55\x85\xa7\xbf\x67\xcc";
pub(crate) const TDX: [u8; 16] = *b"\x35\x65\x7a\xe4\x4a\x98\x98\x47\x86\x5e\x46\x85\xa7\xbf\x8e\xc2";

pub(crate) const SIZE: usize = 0x8000;
/// Where further processors start.
pub(crate) const AP: u32 = 0x80_b004;
/// Where the hashes of a kernel go.
pub(crate) const HASHES_AT: u32 = 0x80_f400;
/// Sections of AMD's firmware: address, size, type.
pub(crate) const SEV_SECTIONS: [[u32; 3]; 6] = [
    [0x80_0000, 0x9000, 1],
    [0x80_d000, 0x1000, 2],
    [0x80_e000, 0x1000, 3],
    [0x80_a000, 0x3000, 1],
    [0x80_f000, 0x1000, 0x10],
    [0x81_0000, 0x1000, 4],
];
/// Sections of Intel's: offset and size in the file, address, size, type, attributes.
pub(crate) const TDX_SECTIONS: [(u32, u32, u64, u64, u32, u32); 4] = [
    (0x4000, 0x4000, 0xffff_c000, 0x4000, 0, 1),
    (0, 0x4000, 0xffff_8000, 0x4000, 1, 0),
    (0, 0, 0x81_0000, 0x1_0000, 3, 0),
    (0, 0, 0x80_9000, 0x2000, 2, 0),
];

/// Returns firmware with a table of these entries. Its bytes are like no others, but for a page of zeros.
pub(crate) fn firmware(entries: &[([u8; 16], Vec<u8>)]) -> Vec<u8> {
    let mut image: Vec<u8> =
        (0..SIZE as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    image[0x1000..0x2000].fill(0);
    let mut table = Vec::new();
    for (name, contents) in entries {
        table.extend_from_slice(contents);
        table.extend_from_slice(&(contents.len() as u16 + 18).to_le_bytes());
        table.extend_from_slice(name);
    }
    let length = table.len() as u16 + 18;
    table.extend_from_slice(&length.to_le_bytes());
    table.extend_from_slice(&FOOTER);
    image[SIZE - 32 - table.len()..SIZE - 32].copy_from_slice(&table);
    image
}

/// Returns the entries of firmware that all platforms start, and puts the metadata that they lead to into an image.
pub(crate) fn ovmf() -> Vec<u8> {
    let hashes = [HASHES_AT.to_le_bytes(), 0x400_u32.to_le_bytes()].concat();
    let mut image = firmware(&[
        (TDX, 0x2000_u32.to_le_bytes().to_vec()),
        (SEV, 0x3000_u32.to_le_bytes().to_vec()),
        (HASHES, hashes),
        (RESET, AP.to_le_bytes().to_vec()),
    ]);
    let mut sev = b"ASEV".to_vec();
    for number in [16 + SEV_SECTIONS.len() as u32 * 12, 1, SEV_SECTIONS.len() as u32] {
        sev.extend_from_slice(&number.to_le_bytes());
    }
    for number in SEV_SECTIONS.as_flattened() {
        sev.extend_from_slice(&number.to_le_bytes());
    }
    image[SIZE - 0x3000..][..sev.len()].copy_from_slice(&sev);
    let mut tdx = b"TDVF".to_vec();
    for number in [16 + TDX_SECTIONS.len() as u32 * 32, 1, TDX_SECTIONS.len() as u32] {
        tdx.extend_from_slice(&number.to_le_bytes());
    }
    for (offset, raw, gpa, size, kind, attributes) in TDX_SECTIONS {
        tdx.extend_from_slice(&offset.to_le_bytes());
        tdx.extend_from_slice(&raw.to_le_bytes());
        tdx.extend_from_slice(&gpa.to_le_bytes());
        tdx.extend_from_slice(&size.to_le_bytes());
        tdx.extend_from_slice(&kind.to_le_bytes());
        tdx.extend_from_slice(&attributes.to_le_bytes());
    }
    image[SIZE - 0x2000..][..tdx.len()].copy_from_slice(&tdx);
    image
}

/// Returns a guest of everything that firmware can be started on.
pub(crate) fn guest<'a>(image: &'a [u8], n_processors: u16, hashed: Option<Hashed<'a>>) -> Guest<'a> {
    let snp = Snp { policy: 0x30000, n_processors, signature: 0x80_0f12, hashed };
    Guest::Firmware {
        firmware: Firmware::parse(image).unwrap(),
        native: true,
        confidential: Confidential { snp: Some(snp), tdx: Some(1 << 30) },
    }
}

/// A segment of a program: linked address, address, contents, size in memory.
pub(crate) type Segment<'a> = (u64, u64, &'a [u8], u64);

/// Returns an ELF file of a type.
pub(crate) fn elf(kind: u16, entry: u64, segments: &[Segment<'_>]) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&62_u16.to_le_bytes());
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    for number in [entry, 64, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&[0; 4]);
    for number in [64, 56, segments.len() as u16, 0, 0, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let mut offset = bytes.len() as u64 + segments.len() as u64 * 56;
    for (linked, address, contents, size) in segments {
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&7_u32.to_le_bytes());
        for number in [offset, *linked, *address, contents.len() as u64, *size, 0x1000] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        offset += contents.len() as u64;
    }
    segments.iter().for_each(|(_, _, contents, _)| bytes.extend_from_slice(contents));
    bytes
}

/// Returns something with the header of a Linux kernel for 64-bit mode, and this behind it.
pub(crate) fn linux(code: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x600];
    bytes[0x1f1] = 2;
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x200..0x202].copy_from_slice(&[0xeb, 0x6a]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    let mut put = |at: usize, number: &[u8]| bytes[at..at + number.len()].copy_from_slice(number);
    put(0x206, &0x20f_u16.to_le_bytes());
    put(0x22c, &0x7fff_ffff_u32.to_le_bytes());
    put(0x236, &1_u16.to_le_bytes());
    put(0x238, &2047_u32.to_le_bytes());
    put(0x258, &0x100_0000_u64.to_le_bytes());
    put(0x260, &0x20_0000_u32.to_le_bytes());
    bytes.extend_from_slice(code);
    bytes
}
