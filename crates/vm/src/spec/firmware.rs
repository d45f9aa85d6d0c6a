//! UEFI firmware, in two flash chips: its code, and its variables.

use serde::{Deserialize, Serialize};

use super::Arch;

/// The firmware of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// The chip with its code, which is write-protected.
    pub code: String,
    /// The chip with its variables as they are at the start of every boot. What is written there is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<String>,
    /// Whether only code in system management mode writes the chips (x86 only): the firmware that checks signatures
    /// insists on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub smm: bool,
}

impl Firmware {
    /// Returns the firmware that Debian packages for the instruction set, where its package puts it. One that checks
    /// signatures is another file for x86, the same for ARM, and not there for RISC-V; of its variables, those without
    /// any keys.
    pub fn packaged(arch: Arch, checks_signatures: bool) -> Firmware {
        let (code, variables) = match arch {
            Arch::X86_64 if checks_signatures => ("OVMF/OVMF_CODE_4M.secboot.fd", "OVMF/OVMF_VARS_4M.fd"),
            Arch::X86_64 => ("OVMF/OVMF_CODE_4M.fd", "OVMF/OVMF_VARS_4M.fd"),
            Arch::Arm64 => ("AAVMF/AAVMF_CODE.fd", "AAVMF/AAVMF_VARS.fd"),
            Arch::Riscv64 => ("qemu-efi-riscv64/RISCV_VIRT_CODE.fd", "qemu-efi-riscv64/RISCV_VIRT_VARS.fd"),
        };
        let file = |path: &str| format!("/usr/share/{path}");
        Firmware {
            code: file(code),
            variables: Some(file(variables)),
            smm: checks_signatures && arch == Arch::X86_64,
        }
    }

    /// Returns the Debian package that has the firmware for the instruction set.
    pub fn package(arch: Arch) -> &'static str {
        match arch {
            Arch::X86_64 => "ovmf",
            Arch::Arm64 => "qemu-efi-aarch64",
            Arch::Riscv64 => "qemu-efi-riscv64",
        }
    }
}
