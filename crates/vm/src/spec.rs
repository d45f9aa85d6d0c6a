//! What `runvm` is told: a machine, and what is expected of its guest.

use serde::{Deserialize, Serialize};

/// A boot to try: a machine and the conversation on its serial console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// The machine.
    pub machine: Machine,
    /// The conversation, in order. What is expected must appear after what was expected before.
    pub script: Vec<Talk>,
    /// Text that fails the boot as soon as the console shows it, beside [`crate::boot::PANICS`].
    #[serde(default)]
    pub forbid: Vec<String>,
    /// How the boot must end once the script is through.
    pub ending: Ending,
    /// Seconds from the start of QEMU to the end of the boot.
    pub timeout_seconds: u64,
}

/// One turn of the conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Talk {
    /// Wait until the console shows this text. Escape sequences and carriage returns are not looked at.
    Expect(String),
    /// Type this text; a newline is the enter key.
    Send(String),
}

/// How a boot ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The guest powers itself off.
    #[default]
    PowerOff,
    /// The guest resets itself.
    Reset,
    /// The guest is left running and is stopped from outside.
    Running,
}

/// A machine: the one description from which the QEMU command line is made. Paths are relative to the
/// directory in which `runvm` runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The instruction set of its processors.
    pub arch: Arch,
    /// How many processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// A kernel image to load directly.
    #[serde(default)]
    pub kernel: Option<String>,
    /// An initramfs for that kernel.
    #[serde(default)]
    pub initrd: Option<String>,
    /// The command line of that kernel.
    #[serde(default)]
    pub cmdline: String,
    /// Disks, in the order in which the guest finds them.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// What executes the guest's instructions.
    #[serde(default)]
    pub accelerator: Accelerator,
    /// Further QEMU arguments, verbatim and last.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// An instruction set, by the name that Linux gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arch {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit ARM.
    #[serde(rename = "arm64")]
    Arm64,
    /// 64-bit RISC-V.
    #[serde(rename = "riscv64")]
    Riscv64,
}

/// A disk on virtio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// The image file.
    pub file: String,
    /// The format of that file.
    #[serde(default)]
    pub format: DiskFormat,
    /// What the guest may do to it.
    #[serde(default)]
    pub access: DiskAccess,
}

/// The format of a disk image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFormat {
    /// The bytes of the disk, one after another.
    #[default]
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
}

/// What becomes of a guest's writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskAccess {
    /// They are kept until the machine stops; the image file is never changed.
    #[default]
    Snapshot,
    /// The disk is write-protected.
    ReadOnly,
}

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// KVM where it works for this guest, else TCG.
    #[default]
    Auto,
    /// KVM; without it the boot fails.
    Kvm,
    /// QEMU's own translator.
    Tcg,
}
