//! Why an IGVM file cannot be made.

use launch::{MeasureError, WriteError};

/// Why an IGVM file cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Firmware that could not end where firmware ends.
    #[error("the firmware has {size} bytes, and not some whole pages up to 64 MiB")]
    FirmwareSize {
        /// How many.
        size: usize,
    },
    /// Firmware without the table in which OVMF says what it needs.
    #[error(
        "the firmware has no table of GUIDs at its end, so it says of no platform what that has to give it"
    )]
    NoTable,
    /// A table that is not one.
    #[error("the firmware's table of GUIDs is damaged: {0}")]
    Table(&'static str),
    /// Firmware that is not for a platform.
    #[error("the firmware has no {metadata} metadata, so it cannot start a guest of {platform}")]
    NoMetadata {
        /// Whose.
        metadata: &'static str,
        /// Of which platform.
        platform: &'static str,
    },
    /// Metadata that is damaged, or says what nobody understands.
    #[error("the firmware's {metadata} metadata cannot be used: {problem}")]
    Metadata {
        /// Whose.
        metadata: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Firmware that says nothing of further processors.
    #[error("the firmware does not say where further processors start, so it can have one only")]
    NoResetVector,
    /// Firmware that checks no kernel.
    #[error("the firmware has no place for the hashes of a kernel, so it would start any")]
    NoHashes,
    /// A kernel that is a program of another kind.
    #[error("the kernel is an ELF file that cannot be loaded: {0}")]
    Elf(String),
    /// A kernel of Linux that cannot be started in 64-bit mode.
    #[error("the kernel is one of Linux that cannot be started: {0}")]
    Linux(String),
    /// A kernel of which nobody knows where it lies.
    #[error(
        "the kernel is neither an ELF file nor one of Linux for x86-64, so it does not say where it lies"
    )]
    NoAddress,
    /// A kernel that says itself where it lies.
    #[error("the kernel is {0}, which says itself where it lies")]
    HasAddress(&'static str),
    /// A place in a flat kernel that is not in it.
    #[error("the kernel lies from {start:#x} to {end:#x}, and {entry:#x} is not in it")]
    Entry {
        /// Where it begins.
        start: u64,
        /// Where it ends.
        end: u64,
        /// Where it would be entered.
        entry: u64,
    },
    /// Two things at one address.
    #[error("{what} and {other} overlap at {at:#x}")]
    Overlap {
        /// One of them.
        what: &'static str,
        /// The other one.
        other: &'static str,
        /// Where.
        at: u64,
    },
    /// Something that is where no memory is.
    #[error(
        "{what} would lie from {start:#x} to {end:#x}, where a guest with {memory:#x} bytes has no memory"
    )]
    NoMemory {
        /// What.
        what: &'static str,
        /// Where it begins.
        start: u64,
        /// Where it ends.
        end: u64,
        /// How much memory there is.
        memory: u64,
    },
    /// An initramfs for which there is no room.
    #[error(
        "the initramfs has {size} bytes, and the kernel leaves {free} of the memory that it could lie in"
    )]
    NoRoom {
        /// How many.
        size: u64,
        /// How many there are.
        free: u64,
    },
    /// A command line that the kernel would cut off.
    #[error("the command line has {size} bytes, and the kernel takes {most} of it")]
    CommandLine {
        /// How many.
        size: usize,
        /// How many it takes.
        most: usize,
    },
    /// The file is too large.
    #[error("the file cannot be written")]
    Write(#[source] WriteError),
    /// The file cannot be measured.
    #[error("what a platform measures of the file cannot be computed")]
    Measure(#[source] MeasureError),
}

impl BuildError {
    /// Returns what the reader of the message can do about it, if we know.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            BuildError::FirmwareSize { .. } => {
                "firmware is one file with its variables, as `OVMF.fd` is; `OVMF_CODE.fd` ends there as well"
            }
            BuildError::NoTable | BuildError::NoMetadata { platform: "snp", .. } => {
                "Debian's package `ovmf` has `/usr/share/ovmf/OVMF.fd`, newer ones `OVMF.amdsev.fd` in `ovmf-amdsev`"
            }
            BuildError::NoMetadata { .. } => {
                "Debian's package `ovmf` has `/usr/share/ovmf/OVMF.fd`, newer ones `OVMF.inteltdx.ms.fd` in `ovmf-inteltdx`"
            }
            BuildError::NoResetVector => "leave `vcpus` out",
            BuildError::NoHashes => {
                "OVMF for SEV with a kernel is built from `OvmfPkg/AmdSev`: `OVMF.amdsev.fd` in Debian's `ovmf-amdsev`"
            }
            BuildError::NoAddress => {
                "say where with `load-address`, and where in it it is entered with `entry`"
            }
            BuildError::HasAddress(_) => "leave `load-address` and `entry` out",
            BuildError::NoMemory { .. } | BuildError::NoRoom { .. } => "give the guest more `memory`",
            BuildError::Elf(problem) if problem.contains("relocated") => {
                "link it for fixed addresses, as with `-static -no-pie`"
            }
            _ => return None,
        };
        Some(help.to_owned())
    }
}
