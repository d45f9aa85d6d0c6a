//! The launch digest of SEV and SEV-ES: Secure Encrypted Virtualization API, "LAUNCH_UPDATE_DATA" and
//! "LAUNCH_UPDATE_VMSA". It is the SHA-256 of everything that is encrypted into the guest's memory, one after the other,
//! without addresses. Pages of zeros are encrypted as any other. What is unmeasured is not encrypted into it at all, and
//! states of processors are, after everything else, when the launch ends.

use sha2::{Digest as _, Sha256};

use super::ZEROS;
use crate::file::{Directive, File, Import, PAGE};
use crate::{ContextFormat, Platform};

/// Returns the launch digest.
pub(super) fn launch_digest(file: &File<'_>, platform: &Platform) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut states = Vec::new();
    for directive in file.directives_for(platform) {
        match directive {
            Directive::Page(page) if page.import == Import::Measured => match page.data {
                Some(data) => digest.update(data.bytes),
                None => (0..page.size / PAGE).for_each(|_| digest.update(ZEROS)),
            },
            Directive::VpContext(context) if context.format == ContextFormat::Vmsa => states.push(context),
            _ => {}
        }
    }
    // One after the other, as KVM goes through the processors.
    states.sort_by_key(|context| context.vp_index);
    states.iter().for_each(|context| digest.update(context.data.bytes));
    digest.finalize().into()
}
