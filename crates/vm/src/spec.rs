//! What `runvm` is told: a machine, and what is expected of its guest.

use std::iter;

use serde::{Deserialize, Serialize};

mod firmware;
mod network;
mod region;

pub use firmware::Firmware;
pub use network::{Network, NetworkBoot};
pub use region::{AddressRange, Content, Entry, Place, Region};

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
    /// Whether the guest may itself be a hypervisor: the processors have EL2 (arm64 only).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub virtualization: bool,
    /// A device tree to give to the kernel in place of QEMU's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtb: Option<String>,
    /// What starts first, and starts what is on the disks. Without it, what QEMU has: a BIOS on x86, nothing on others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// An IGVM file that says what is loaded, and in which state the processors start, in place of firmware and kernel
    /// (x86 only). Not every QEMU reads these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub igvm: Option<String>,
    /// QEMU itself, if it is not the program of the usual name on `PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qemu: Option<String>,
    /// The network card. Without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What lies where in memory, beside what QEMU itself puts there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// Where a debugger can connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gdb: Option<Gdb>,
    /// The port for QEMU's guest agent. Without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
}

/// One x86 processor with 512 MiB of memory and nothing to execute.
impl Default for Machine {
    fn default() -> Machine {
        Machine {
            arch: Arch::X86_64,
            cpus: 1,
            memory_mib: 512,
            kernel: None,
            initrd: None,
            cmdline: String::new(),
            disks: Vec::new(),
            accelerator: Accelerator::Auto,
            arguments: Vec::new(),
            virtualization: false,
            dtb: None,
            firmware: None,
            igvm: None,
            qemu: None,
            network: None,
            regions: Vec::new(),
            gdb: None,
            agent: None,
        }
    }
}

impl Machine {
    /// Returns the same machine with other paths for its files.
    #[must_use]
    pub fn with_files(&self, path: impl Fn(&str) -> String) -> Machine {
        let mut machine = self.clone();
        let firmware = machine.firmware.iter_mut();
        let firmware =
            firmware.flat_map(|firmware| iter::once(&mut firmware.code).chain(&mut firmware.variables));
        let single = [&mut machine.kernel, &mut machine.initrd, &mut machine.dtb];
        let single = single.into_iter().chain([&mut machine.igvm, &mut machine.qemu]);
        let disks = machine.disks.iter_mut().map(|disk| &mut disk.file);
        let served = machine.network.iter_mut().filter_map(|network| network.boot.as_mut());
        let served = served.map(|boot| &mut boot.directory);
        let regions = machine.regions.iter_mut().filter_map(|region| region.content.file_mut());
        for file in single.flatten().chain(disks).chain(regions).chain(firmware).chain(served) {
            *file = path(file);
        }
        machine
    }

    /// Returns what may execute the guest: a hypervisor runs on TCG unless KVM is insisted on, since hardly
    /// any KVM can give a guest EL2.
    pub fn demand(&self) -> Accelerator {
        match self.accelerator {
            Accelerator::Auto if self.virtualization => Accelerator::Tcg,
            accelerator => accelerator,
        }
    }
}

/// QEMU's stub for the debugger GDB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gdb {
    /// Where it listens.
    pub listen: Listen,
    /// Whether the guest does not start until the debugger lets it.
    #[serde(default)]
    pub wait: bool,
}

/// Where a debugger connects to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listen {
    /// A socket at this path.
    Unix(String),
    /// A TCP port of 127.0.0.1: whoever can connect owns the guest.
    Tcp(u16),
    /// The socket that QEMU inherits as this file descriptor, and on which somebody listens already.
    Inherited(i32),
}

/// Who talks to the guest's agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agent {
    /// Nobody: what the agent says is not heard.
    Nobody,
    /// Whoever has the other end of the connected socket that QEMU inherits as this file descriptor.
    Inherited(i32),
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

/// A disk.
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
    /// Where the guest finds it.
    #[serde(default, skip_serializing_if = "DiskBus::is_pci")]
    pub bus: DiskBus,
    /// Whether it lies in a CD drive. Nobody writes to that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cd: bool,
    /// Where a copy of the image is made, in the same format, that has all that the guest wrote. For images that are
    /// small as long as nobody wrote, such as a qcow2 over another image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
}

/// Where a guest finds a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskBus {
    /// On virtio, on PCI.
    #[default]
    Pci,
    /// On virtio, at an address, as the device tree says: for kernels without PCI.
    Mmio,
    /// On the SATA controller that the board has (x86 only): for guests without virtio.
    Sata,
}

impl DiskBus {
    fn is_pci(&self) -> bool {
        *self == DiskBus::Pci
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"arch":"arm64","cpus":1,"memory_mib":64,"kernel":null,"initrd":null,"cmdline":"","disks":[],"accelerator":"auto","arguments":[]}"#;

    #[test]
    fn a_machine_without_regions_is_written_as_ever() {
        let machine: Machine = serde_json::from_str(OLD).unwrap();
        assert_eq!(machine, Machine { arch: Arch::Arm64, memory_mib: 64, ..Machine::default() });
        assert_eq!(serde_json::to_string(&machine).unwrap(), OLD);
    }

    #[test]
    fn regions_are_read_and_written() {
        let text = r#"{"arch":"arm64","cpus":2,"memory_mib":1024,"kernel":null,"initrd":null,"cmdline":"","disks":[],"accelerator":"tcg","arguments":[],"virtualization":true,"dtb":"in/dtb","regions":[{"name":"hv","content":{"elf":"in/hv.elf"},"entry":{"offset":"0x00000000"}},{"name":"guest","content":{"reserved":"0x20000000"},"place":{"at":"0x48000000"}},{"name":"linux","content":{"linux-image":"in/Image"},"place":{"after":"hv"},"inside":"guest","within":{"start":"0x48000000","end":"0x50000000"},"align":"0x00200000","max":"0x04000000"}],"gdb":{"listen":{"tcp":1234},"wait":true}}"#;
        let machine: Machine = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&machine).unwrap(), text);
        assert_eq!(machine.regions[0].entry, Some(Entry::default()));
        assert_eq!(machine.regions[1].content, Content::Reserved(512 << 20));
    }

    #[test]
    fn addresses_may_be_numbers_or_text_and_nothing_else() {
        let region = |content: &str| {
            serde_json::from_str::<Region>(&format!(r#"{{"name":"a","content":{{"reserved":{content}}}}}"#))
        };
        assert_eq!(region("4096").unwrap().content, region("\"4K\"").unwrap().content);
        for wrong in ["-1", "1.5", "\"4 K\"", "null", "[]"] {
            let error = region(wrong).unwrap_err().to_string();
            assert!(error.contains("expected a number, or a text such as"), "{error}");
        }
        assert!(serde_json::from_str::<Entry>(r#"{"ofset":1}"#).is_err());
    }

    #[test]
    fn a_hypervisor_is_not_tried_on_kvm() {
        let demand =
            |accelerator| Machine { accelerator, virtualization: true, ..Machine::default() }.demand();
        assert_eq!(demand(Accelerator::Auto), Accelerator::Tcg);
        assert_eq!(demand(Accelerator::Kvm), Accelerator::Kvm);
        assert_eq!(Machine::default().demand(), Accelerator::Auto);
    }
}
