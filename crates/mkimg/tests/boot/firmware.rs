//! Small programs for firmware, and a volume for its variables.

use mkimg::disk::Guid;

/// Where the headers of [`program`] begin, and how large they are.
pub(crate) const HEADERS_AT: usize = 0x80;
pub(crate) const HEADERS: usize = 0x400;
const ALIGN: usize = 0x200;

/// What systemd's stub of this version says of itself.
pub(crate) fn magic(version: &str) -> Vec<u8> {
    format!("#### LoaderInfo: systemd-stub {version} ####\0").into_bytes()
}

/// A program for 64-bit x86 with these sections.
pub(crate) fn program(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; HEADERS];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    let coff = HEADERS_AT + 4;
    let optional = coff + 20;
    put(0, b"MZ");
    put(0x3c, &(HEADERS_AT as u32).to_le_bytes());
    put(HEADERS_AT, b"PE\0\0");
    put(coff, &0x8664u16.to_le_bytes());
    put(coff + 2, &(sections.len() as u16).to_le_bytes());
    put(coff + 16, &240u16.to_le_bytes());
    put(coff + 18, &0x0206u16.to_le_bytes());
    put(optional, &0x020bu16.to_le_bytes());
    put(optional + 16, &0x1000u32.to_le_bytes());
    put(optional + 32, &0x1000u32.to_le_bytes());
    put(optional + 36, &(ALIGN as u32).to_le_bytes());
    put(optional + 60, &(HEADERS as u32).to_le_bytes());
    put(optional + 68, &10u16.to_le_bytes());
    put(optional + 108, &16u32.to_le_bytes());
    let mut raw = Vec::new();
    let mut address = 0x1000u32;
    for (idx, (name, contents)) in sections.iter().enumerate() {
        let entry = optional + 240 + 40 * idx;
        let size = contents.len().next_multiple_of(ALIGN);
        put(entry, name.as_bytes());
        let numbers = [contents.len(), address as usize, size, HEADERS + raw.len()];
        for (idx, number) in numbers.into_iter().enumerate() {
            put(entry + 8 + 4 * idx, &(number as u32).to_le_bytes());
        }
        put(entry + 36, &0x6000_0020u32.to_le_bytes());
        raw.extend_from_slice(contents);
        raw.resize(raw.len().next_multiple_of(ALIGN), 0);
        address += (size as u32).next_multiple_of(0x1000);
    }
    put(optional + 56, &address.to_le_bytes());
    bytes.extend(raw);
    bytes
}

/// A program that does nothing.
pub(crate) fn small() -> Vec<u8> {
    // xor eax, eax; ret
    program(&[(".text", &[0x31, 0xc0, 0xc3]), (".data", &[7; 600])])
}

/// An empty volume, as OVMF's build makes it, of 64 KiB with a store of 32.
pub(crate) fn template() -> Vec<u8> {
    let mut bytes = vec![0xff; 64 << 10];
    bytes[..72 + 28].fill(0);
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(16, &Guid::parse("fff12b8d-7696-4c8b-a985-2747075b4f50").unwrap().0);
    put(32, &(64u64 << 10).to_le_bytes());
    put(40, b"_FVH");
    put(48, &72u16.to_le_bytes());
    put(55, &[2]);
    put(72, &Guid::parse("aaf32c78-947b-439a-a180-2e144ec37792").unwrap().0);
    put(88, &((32u32 << 10) - 72).to_le_bytes());
    put(92, &[0x5a, 0xfe]);
    let sum = bytes[..72]
        .chunks_exact(2)
        .fold(0u16, |sum, word| sum.wrapping_add(u16::from_le_bytes([word[0], word[1]])));
    bytes[50..52].copy_from_slice(&0u16.wrapping_sub(sum).to_le_bytes());
    bytes
}
