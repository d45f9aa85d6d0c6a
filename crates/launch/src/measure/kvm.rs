//! What QEMU and KVM do otherwise than a file says, and where COCONUT's igvmmeasure counts otherwise than a platform does.

use std::collections::BTreeSet;

use crate::file::{ContextFormat, Directive, File, Import, PAGE};
use crate::{Platform, PlatformKind, VpContext};

/// Where KVM says the states of all processors are.
const KVM_VMSA: u64 = 0xffff_ffff_f000;

/// Why KVM would measure something else than a file says.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KvmProblem {
    /// It measures a state for every processor.
    #[error(
        "the file has no state of the first processor (VMSA): KVM measures one all the same, as QEMU resets it"
    )]
    NoVmsa,
    /// QEMU takes one.
    #[error("the file has {0} states of processors (VMSA): QEMU takes that of the first one only")]
    SeveralVmsas(usize),
    /// QEMU takes that of the first one.
    #[error("the state (VMSA) is of processor {0}: QEMU takes that of processor 0 only")]
    OtherProcessor(u16),
    /// It has an address of its own for them.
    #[error(
        "the state of the processor (VMSA) is at {0:#x}: KVM puts it at 0xfffffffff000, whatever the file says"
    )]
    VmsaAddress(u64),
    /// It sets CR0.
    #[error("CR0 is {0:#x}: KVM sets it to 0x31 (protected mode) or 0x30 (real mode) before it is measured")]
    VmsaCr0(u64),
    /// It measures states after everything else.
    #[error("page {gpa:#x} comes after the state of the processor (VMSA): KVM measures the state last")]
    AfterVmsa {
        /// The first such page.
        gpa: u64,
    },
}

/// Returns why QEMU with KVM would have a guest measured otherwise than [`crate::measure()`] does; nothing on platforms
/// whose processors have no state that is measured.
pub fn check_kvm(file: &File<'_>, platform: &Platform) -> Vec<KvmProblem> {
    if !matches!(platform.kind, PlatformKind::SevSnp | PlatformKind::SevEs) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut states: Vec<&VpContext<'_>> = Vec::new();
    let mut after = None;
    for directive in file.directives_for(platform) {
        match directive {
            Directive::VpContext(context) => states.push(context),
            Directive::Page(page) if page.import != Import::Shared && !states.is_empty() => {
                after.get_or_insert(page.gpa);
            }
            Directive::ParameterInsert { gpa, .. } if !states.is_empty() => {
                after.get_or_insert(*gpa);
            }
            _ => {}
        }
    }
    match states[..] {
        [] => problems.push(KvmProblem::NoVmsa),
        [state] if state.vp_index != 0 => problems.push(KvmProblem::OtherProcessor(state.vp_index)),
        [_] => {}
        _ => problems.push(KvmProblem::SeveralVmsas(states.len())),
    }
    if let Some(state) = states.iter().find(|state| state.gpa != KVM_VMSA) {
        problems.push(KvmProblem::VmsaAddress(state.gpa));
    }
    // 0x10 is what KVM keeps of the state after a reset, in which firmware starts.
    if let Some(state) = states.iter().find(|state| !matches!(state.vmsa_cr0(), 0x10 | 0x30 | 0x31)) {
        problems.push(KvmProblem::VmsaCr0(state.vmsa_cr0()));
    }
    if let Some(gpa) = after {
        problems.push(KvmProblem::AfterVmsa { gpa });
    }
    problems
}

/// Returns why igvmmeasure, as it was in August 2026, would print something else than [`crate::measure()`] returns; nothing
/// if it would not.
pub fn unlike_igvmmeasure(file: &File<'_>, platform: &Platform) -> Vec<&'static str> {
    let is_snp = platform.kind == PlatformKind::SevSnp;
    if !is_snp && !matches!(platform.kind, PlatformKind::Sev | PlatformKind::SevEs) {
        return vec!["it knows SEV, SEV-ES and SEV-SNP only"];
    }
    let mut reasons = BTreeSet::new();
    for directive in &file.directives {
        let is_own = directive.mask() & platform.mask != 0;
        match directive {
            Directive::VpContext(context) if context.format == ContextFormat::Vmsa && !is_own => {
                reasons.insert("it measures states of processors that are for other platforms");
            }
            Directive::ParameterInsert { size, .. } if is_own && is_snp && *size > PAGE => {
                reasons.insert("it measures one page of memory for parameters, however many there are");
            }
            Directive::Page(page) if is_own => {
                if page.size > PAGE && page.data.is_some() {
                    reasons.insert("it reads the first 4 KiB of large pages only, and stops there");
                }
                if page.import == Import::Shared && (is_snp || page.data.is_some()) {
                    reasons.insert("it measures shared pages");
                }
                if !is_snp && page.import == Import::Measured && page.data.is_none() {
                    reasons.insert("it leaves out pages of zeros, which SEV and SEV-ES measure as any other");
                }
                if !is_snp && page.import == Import::Unmeasured && page.data.is_some() {
                    reasons.insert("it measures pages that SEV and SEV-ES do not");
                }
            }
            _ => {}
        }
    }
    reasons.into_iter().collect()
}
