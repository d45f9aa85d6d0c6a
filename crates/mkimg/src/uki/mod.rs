//! Unified kernel images: a kernel with its initramfs and command line, behind a stub, as one program for firmware.
//!
//! The sections are those of the UAPI group's "Unified Kernel Image" specification, in the order of systemd's `ukify`.
//! What its stub measures of them is known beforehand: [`measure`] says it, as `systemd-measure` does.

mod build;
mod make;
mod measure;
mod release;

pub use build::{BuildError, Built, Parts, build};
pub(crate) use make::write;
pub use measure::{Measured, PHASES, measure};
pub use release::{kernel_release, stub_version};
