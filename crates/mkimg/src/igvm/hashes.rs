//! The hashes of a kernel, its initramfs and its command line, which OVMF checks before it starts them.
//!
//! QEMU puts the table into the guest before it is measured (`build_kernel_loader_hashes` in `target/i386/sev.c`), and
//! OVMF looks for it there (`OvmfPkg/AmdSev/BlobVerifierLibSevHashes`).

use sha2::{Digest as _, Sha256};

use super::firmware::guid;

/// What the firmware is to start, and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Hashed<'a> {
    /// The kernel, as it is given to QEMU.
    pub kernel: &'a [u8],
    /// Its initramfs.
    pub initrd: Option<&'a [u8]>,
    /// What it is told.
    pub cmdline: &'a str,
}

const TABLE: [u8; 16] = guid(0x9438_d606_4f22_4cc9_b479_a793_d411_fd21);
const CMDLINE: [u8; 16] = guid(0x97d0_2dd8_bd20_4c94_aa78_e771_4d36_ab2a);
const INITRD: [u8; 16] = guid(0x44ba_f731_3a2f_4bd7_9af1_41e2_9169_781d);
const KERNEL: [u8; 16] = guid(0x4de7_9437_abd2_427f_b835_d5b1_72d2_045b);

/// A GUID and the length of an entry, which counts both.
const HEAD: u16 = 18;
const ENTRY: u16 = HEAD + 32;
/// The length that the table says of itself.
const LENGTH: u16 = HEAD + 3 * ENTRY;

/// Returns the table.
pub(super) fn table(hashed: &Hashed<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let head = |bytes: &mut Vec<u8>, name: &[u8; 16], length: u16| {
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&length.to_le_bytes());
    };
    head(&mut bytes, &TABLE, LENGTH);
    // The zero that ends it is hashed, too.
    let cmdline = [hashed.cmdline.as_bytes(), &[0]].concat();
    for (name, blob) in
        [(&CMDLINE, &cmdline[..]), (&INITRD, hashed.initrd.unwrap_or_default()), (&KERNEL, hashed.kernel)]
    {
        head(&mut bytes, name, ENTRY);
        bytes.extend_from_slice(&Sha256::digest(blob));
    }
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    bytes
}
