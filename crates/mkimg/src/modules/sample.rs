//! Modules made of nothing but a `.modinfo` section, to try things on.

/// Returns a 64-bit little-endian object with the sections `""`, `.modinfo` and `.shstrtab`.
pub(crate) fn module(modinfo: &[&str]) -> Vec<u8> {
    let info: Vec<u8> = modinfo.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect();
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let info_at = bytes.len();
    bytes.extend_from_slice(&info);
    let names_at = bytes.len();
    bytes.extend_from_slice(names);
    let headers_at = bytes.len() as u64;
    for (name, at, size) in [(0, 0, 0), (1, info_at, info.len()), (10, names_at, names.len())] {
        let mut header = [0; 64];
        header[..4].copy_from_slice(&u32::to_le_bytes(name));
        header[0x18..0x20].copy_from_slice(&(at as u64).to_le_bytes());
        header[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
        bytes.extend_from_slice(&header);
    }
    bytes[0x28..0x30].copy_from_slice(&headers_at.to_le_bytes());
    bytes[0x3a..0x40].copy_from_slice(&[64, 0, 3, 0, 2, 0]);
    bytes
}
