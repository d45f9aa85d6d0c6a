//! What the platform of a confidential guest measures of an IGVM file before the guest runs.
//!
//! A [`File`] is read, with everything in it checked, and [`measure()`] computes for one of its platforms what the hardware,
//! or the hypervisor in its place, will report: the launch digest of SEV, SEV-ES and SEV-SNP, the MRTD of TDX, the boot
//! digest of VSM. [`id_block`] makes and checks what binds a guest of SEV-SNP to its digest, [`write()`] makes files,
//! [`map`] says what lies where, and [`lock`] keeps what is expected.
//!
//! All of it is pure: bytes in, bytes out.

mod corim;
mod file;
pub mod id_block;
pub mod lock;
pub mod map;
mod measure;
mod platform;
mod registers;
mod write;

pub use corim::{CorimError, corim};
pub use file::{
    Architecture, ContextFormat, Data, Directive, File, HeaderError, Import, Initialization, PAGE, Page,
    PageKind, ParameterArea, ParameterKind, ReadError, Revision, VpContext,
};
pub use igvm_defs::{IGVM_VHS_SNP_ID_BLOCK as IdBlock, IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY as IdPublicKey};
pub use measure::{
    Digest, KvmProblem, MeasureError, Measurement, ZeroPages, check_kvm, measure, unlike_igvmmeasure,
};
pub use platform::{Platform, PlatformKind};
pub use registers::Register;
pub use write::{WriteError, write};

/// Returns bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
