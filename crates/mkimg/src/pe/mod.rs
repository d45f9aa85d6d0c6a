//! Portable executables, as firmware runs them: boot loaders, kernels, unified kernel images.
//!
//! [`Pe`] reads them, strictly where a section could be read from the wrong place; [`with_sections`] makes another one
//! of one. What is signed of them, and how, is in [`crate::sign`]. A program that firmware loads has to fit into memory
//! several times over, so here it is a slice of bytes.
//!
//! The format is that of Microsoft's "PE Format"; what is hashed for signatures that of "Windows Authenticode Portable
//! Executable Signature Format" 1.0.

mod certificates;
mod dump;
mod hash;
mod read;
mod write;

pub use certificates::{certificates, with_certificates};
pub use dump::dump;
pub use hash::{HashError, authenticode};
pub use read::{Machine, Pe, ReadError, Section};
pub use write::{NewSection, WriteError, with_sections};
