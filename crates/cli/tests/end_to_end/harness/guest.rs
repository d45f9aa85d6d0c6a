//! Guests for QEMU's `virt` of a few arm64 instructions, so that nothing need be compiled to be booted.

/// `hvc` with PSCI's SYSTEM_OFF.
pub(crate) const POWER_OFF: &[u32] = &[
    0x52b0_8000, // mov w0, 0x84000000
    0x7280_0100, // movk w0, 8
    0xd400_0002, // hvc 0
];
/// Does nothing for ever.
pub(crate) const SLEEP: &[u32] = &[
    0xd503_207f, // wfi
    0x17ff_ffff, // b -4
];
/// Says it again, for ever. It stands where [`program`] has what comes after the text.
pub(crate) const AGAIN: &[u32] = &[0x17ff_fffb]; // b -20

/// Returns a program that can run anywhere: it writes `text` to the PL011 of QEMU's `virt`, then does `then`.
pub(crate) fn program(text: &str, then: &[u32]) -> Vec<u8> {
    let text_offset = u32::try_from(4 * (6 + then.len())).unwrap();
    let words = [
        0xd2a1_2001,                                 // mov x1, 0x09000000
        0x1000_0000 | ((text_offset - 4) >> 2) << 5, // adr x0, text
        0x3840_1402,                                 // ldrb w2, [x0], 1
        0x3400_0062,                                 // cbz w2, then
        0x3900_0022,                                 // strb w2, [x1]
        0x17ff_fffd,                                 // b -12
    ];
    let mut bytes: Vec<u8> = words.iter().chain(then).flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(text.as_bytes());
    bytes.push(0);
    bytes
}

/// Returns an ELF file that is loaded at `address` and starts there.
pub(crate) fn elf(address: u64, code: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // ET_EXEC, EM_AARCH64, version, entry, program headers, section headers, flags, lengths and numbers.
    file.extend([2u16, 183].map(u16::to_le_bytes).as_flattened());
    file.extend(1u32.to_le_bytes());
    file.extend([address, 64, 0].map(u64::to_le_bytes).as_flattened());
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).as_flattened());
    // PT_LOAD, readable and executable: offset, virtual and physical address, sizes, alignment.
    file.extend([1u32, 5].map(u32::to_le_bytes).as_flattened());
    let size = code.len() as u64;
    file.extend([120, address, address, size, size, 4].map(u64::to_le_bytes).as_flattened());
    file.extend(code);
    file
}

/// `smc` with SYSTEM_OFF: where there is EL2, PSCI is called so.
pub(crate) const POWER_OFF_AT_EL2: &[u32] = &[
    0x52b0_8000, // mov w0, 0x84000000
    0x7280_0100, // movk w0, 8
    0xd400_0003, // smc 0
];
/// Writes the number of the exception level behind what a [`program`] says.
pub(crate) const SAY_LEVEL: &[u32] = &[
    0xd538_4242, // mrs x2, CurrentEL
    0x5302_7c42, // lsr w2, w2, 2
    0x1100_c042, // add w2, w2, '0'
    0x3900_0022, // strb w2, [x1]
];
