//! The boot digest of VSM, which Hyper-V's secure kernel measures. There is no specification of it beside the code that
//! Microsoft published with OpenVMM (`vbs_defs`, the structure `VBS_VM_BOOT_MEASUREMENT_CHUNK`).
//!
//! The digest begins as zeros, and each chunk makes it the SHA-256 of itself and the chunk. There is a chunk for each page,
//! in the file's order, and after all of them one for each register.

use sha2::{Digest as _, Sha256};

use super::ZEROS;
use crate::file::{ContextFormat, Directive, File, Import, PAGE};
use crate::{Platform, registers};

/// Chunks of pages have a head of 32 bytes and the page.
const PAGE_CHUNK: u32 = 32 + PAGE as u32;
/// Chunks of registers have 48 bytes.
const REGISTER_CHUNK: u32 = 48;
/// What a chunk is of.
const OF_REGISTER: u32 = 0;
const OF_PAGE: u32 = 2;

/// What is said of a page: the first two bits are what the guest accepts it as, readable and writable.
const ACCEPTED: u64 = 0b11;
const UNMEASURED: u64 = 0b100;

struct Chain([u8; 32]);

impl Chain {
    fn page(&mut self, gpa: u64, metadata: u64, contents: &[u8]) {
        let mut digest = Sha256::new();
        digest.update(self.0);
        digest.update(PAGE_CHUNK.to_le_bytes());
        digest.update(OF_PAGE.to_le_bytes());
        digest.update([0; 8]);
        digest.update(metadata.to_le_bytes());
        digest.update((gpa / PAGE).to_le_bytes());
        digest.update(contents);
        self.0 = digest.finalize().into();
    }

    fn pages(&mut self, gpa: u64, size: u64, metadata: u64) {
        (0..size / PAGE).for_each(|number| self.page(gpa + number * PAGE, metadata, &ZEROS));
    }

    fn register(&mut self, register: &igvm_defs::VbsVpContextRegister) {
        let mut digest = Sha256::new();
        digest.update(self.0);
        digest.update(REGISTER_CHUNK.to_le_bytes());
        digest.update(OF_REGISTER.to_le_bytes());
        digest.update([0; 12]);
        digest.update([register.vtl, 0, 0, 0, 0, 0, 0, 0]);
        digest.update(register.register_name.get().to_le_bytes());
        digest.update(register.register_value);
        self.0 = digest.finalize().into();
    }
}

/// Returns the boot digest.
pub(super) fn boot_digest(file: &File<'_>, platform: &Platform) -> [u8; 32] {
    let mut chain = Chain([0; 32]);
    for directive in file.directives_for(platform) {
        match directive {
            Directive::Page(page) => match page.import {
                Import::Shared => {}
                Import::Unmeasured => chain.pages(page.gpa, page.size, UNMEASURED),
                Import::Measured => {
                    for (gpa, data) in page.small() {
                        chain.page(gpa, 0, data.map_or(&ZEROS[..], |data| data.bytes));
                    }
                }
            },
            Directive::ParameterInsert { gpa, size, .. } => chain.pages(*gpa, *size, UNMEASURED),
            Directive::ErrorRange { gpa, size, .. } => {
                chain.pages(*gpa, u64::from(*size), UNMEASURED | ACCEPTED)
            }
            _ => {}
        }
    }
    for directive in file.directives_for(platform) {
        if let Directive::VpContext(context) = directive
            && context.format == ContextFormat::Vbs
        {
            registers::vbs(context.data.bytes).for_each(|register| chain.register(&register));
        }
    }
    chain.0
}
