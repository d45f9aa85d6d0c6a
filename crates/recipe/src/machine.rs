//! Virtual machines and what is expected of them.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Spanned;
use crate::firmware::Firmware;
use crate::network::Network;
use crate::reader::{Read, Reader, table, words};
use crate::region::Region;
use crate::scalar::{Arch, EnvRef, GuestPath, MachineRef, Name, Size, TargetRef, TestRef, TimeSpan};
use crate::target::FileEntry;
use crate::value::{Kind, Value};

table! {
    /// A virtual machine: the one description from which it is run and tested.
    pub struct Machine {
        /// The instruction set of its processors.
        arch: Spanned<Arch> = "amd64",
        /// The environment that has QEMU, or what `qemu` needs to run.
        env: Spanned<EnvRef>,
        /// QEMU itself, a file of a target, in place of that of the environment. It finds what lies beside it in the target.
        qemu: Option<Spanned<TargetRef>>,
        /// How many processors.
        cpus: Spanned<u32> = 1,
        /// How much memory.
        memory: Spanned<Size> = "512M",
        /// What starts first, and starts what is on the disks: `"uefi"`, or a table. Without it, what QEMU has: a BIOS on
        /// amd64.
        firmware: Option<Spanned<Firmware>>,
        /// An IGVM file from which it starts, in place of firmware and a kernel (amd64). The file has to say the state of
        /// a processor without isolation, and QEMU to be one that reads such a file: not Debian's, so see `qemu`.
        igvm: Option<Spanned<TargetRef>>,
        /// The kernel to load: a target, or a file of one.
        kernel: Option<Spanned<TargetRef>>,
        /// The initramfs for that kernel.
        initrd: Option<Spanned<TargetRef>>,
        /// The command line of that kernel.
        cmdline: String = "",
        /// A device tree for that kernel in place of QEMU's own.
        dtb: Option<Spanned<TargetRef>>,
        /// What lies where in memory, by name, when nothing is left to QEMU: images that are loaded at addresses, reserved
        /// memory, device windows. What overlaps or does not fit is an error with a drawing of the map.
        regions: BTreeMap<Name, Spanned<Region>>,
        /// Whether the guest may itself be a hypervisor (arm64).
        virtualization: bool = false,
        /// The disks, in the order in which the guest finds them.
        disks: Vec<Spanned<Disk>>,
        /// The network card: a table, which may be empty. Without it there is none.
        network: Option<Spanned<Network>>,
        /// What executes the guest's instructions.
        accel: Accel = "auto",
        /// What goes into the running guest when `bootwright watch --run` has built it, so that it need not start anew.
        push: Option<Spanned<Push>>,
        /// Further QEMU arguments, verbatim and last.
        arguments: Vec<String>,
    }
}

table! {
    /// What is pushed into a running guest. The guest needs QEMU's agent for it, Debian's `qemu-guest-agent`, and the
    /// driver `virtio_console`: the machine has the port that the agent listens at.
    pub struct Push {
        /// Files by path: the text itself, or a table with `content`, `file` or `target`.
        files: BTreeMap<GuestPath, Spanned<FileEntry>>,
        /// What a shell of the guest runs when they are there: `"systemctl restart tool"`.
        then: Option<Spanned<String>>,
    }
}

impl Machine {
    /// Returns every file that the machine loads, has as a disk or starts from the network.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Spanned<TargetRef>> {
        let loaded =
            self.kernel.iter().chain(&self.initrd).chain(&self.dtb).chain(&self.igvm).chain(&self.qemu);
        let regions = self.regions.values().filter_map(|region| region.content.file());
        let firmware = self.firmware.iter().flat_map(|firmware| firmware.files());
        let served = self.network.iter().filter_map(|network| network.boot.as_ref());
        let disks = self.disks.iter().filter_map(|disk| disk.target.as_ref());
        loaded.chain(firmware).chain(regions).chain(disks).chain(served)
    }

    /// Returns the files that are pushed into its guest.
    pub(crate) fn pushed(&self) -> impl Iterator<Item = (&GuestPath, &Spanned<FileEntry>)> {
        self.push.iter().flat_map(|push| &push.files)
    }

    /// Returns the disks, each with the name by which it is told from the others.
    pub(crate) fn named_disks(&self) -> impl Iterator<Item = (String, &Spanned<Disk>)> {
        self.disks.iter().enumerate().map(|(idx, disk)| match &disk.name {
            Some(name) => (name.to_string(), disk),
            None => (format!("disk{idx}"), disk),
        })
    }
}

words! {
    /// What executes the guest's instructions.
    pub enum Accel("accelerator") {
        /// KVM where it works for this guest, else TCG.
        Auto = "auto",
        /// KVM; without it the machine does not start.
        Kvm = "kvm",
        /// QEMU's own translator, which works everywhere.
        Tcg = "tcg",
    }
}

table! {
    /// A disk of a machine: a `target`, or a `blank` one.
    pub struct Disk {
        /// Its image: a target, or a file of one.
        target: Option<Spanned<TargetRef>>,
        /// How large it is, when there is nothing on it.
        blank: Option<Spanned<Size>>,
        /// What tests that follow each other know it by: `disk0` for the first disk, and so on, unless it is given.
        name: Option<Spanned<Name>>,
        /// The format of the image.
        format: DiskFormat = "raw",
        /// What becomes of the guest's writes. The image itself is never changed.
        access: DiskAccess = "snapshot",
        /// Where the guest finds it.
        bus: Spanned<DiskBus> = "pci",
        /// Whether it lies in a CD drive, as an ISO does that is no USB stick. On `pci` and `mmio` that is a drive on
        /// virtio's SCSI (Linux: `virtio_scsi`, `sr_mod`), on `sata` one that every system knows (`ahci`, `sr_mod`).
        /// Firmware tries the disks of a machine with such a drive in their order.
        cd: bool = false,
    }
}

impl Disk {
    /// Returns whether what the guest writes there stays until the machine stops.
    pub(crate) fn is_written(&self) -> bool {
        self.access == DiskAccess::Snapshot && !self.cd
    }
}

words! {
    /// The format of a disk image.
    pub enum DiskFormat("disk format") {
        /// The bytes of the disk, one after another.
        Raw = "raw",
        /// QEMU's copy-on-write format.
        Qcow2 = "qcow2",
    }
}

words! {
    /// Where a guest finds a disk.
    pub enum DiskBus("bus") {
        /// On virtio, on PCI.
        Pci = "pci" not "virtio",
        /// On virtio, at an address, as the device tree says: for kernels without PCI.
        Mmio = "mmio",
        /// On SATA (amd64): for guests without virtio.
        Sata = "sata" not "ahci" not "ide",
    }
}

words! {
    /// What becomes of a guest's writes to a disk.
    pub enum DiskAccess("disk access") {
        /// They are kept until the machine stops.
        Snapshot = "snapshot",
        /// The disk is write-protected.
        ReadOnly = "read-only",
    }
}

table! {
    /// What must happen when a machine boots.
    pub struct Test {
        /// The machine.
        machine: Spanned<MachineRef>,
        /// Another test, which comes first. What its guest wrote is on the disks that have the same names here.
        after: Option<Spanned<TestRef>>,
        /// What the serial console must show, in this order; between them, what is typed:
        /// `["login:", { send = "root\n" }, "#"]`.
        expect: Vec<Spanned<Talk>>,
        /// Text that fails the test as soon as the console shows it. Kernel panics always do.
        forbid: Vec<String>,
        /// How the boot must end after that.
        end: End = "power-off",
        /// How long all of it may take.
        timeout: Spanned<TimeSpan> = "5m",
    }
}

words! {
    /// How a boot ends.
    pub enum End("end") {
        /// The guest powers itself off.
        PowerOff = "power-off" not "poweroff" not "shutdown",
        /// The guest resets itself.
        Reset = "reset" not "reboot",
        /// The guest is left running and is stopped from outside.
        Running = "running",
    }
}

/// One turn of the conversation on the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Talk {
    /// This text must appear.
    Expect(String),
    /// This text is typed; a newline is the enter key.
    Send(String),
}

table! {
    /// Text to type.
    pub(crate) struct Send {
        /// The text; a newline is the enter key.
        send: String,
    }
}

impl Read for Talk {
    fn read(value: &Value, reader: &mut Reader) -> Option<Talk> {
        match &value.kind {
            Kind::String(text) | Kind::Knob { text, .. } => Some(Talk::Expect(text.clone())),
            Kind::Table(_) => Send::read(value, reader).map(|send| Talk::Send(send.send)),
            _ => {
                reader.wrong_type(value, "a string or `{ send = … }`");
                None
            }
        }
    }
}

impl JsonSchema for Talk {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Talk".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let send = generator.subschema_for::<Send>();
        json_schema!({ "anyOf": [{ "type": "string" }, send] })
    }
}
