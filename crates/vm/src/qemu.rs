//! The QEMU command line of a machine: a pure function.

mod loader;

pub use loader::{bare_kernel, needs_bare_kernel};

use crate::map::Map;
use crate::spec::{Agent, Arch, Disk, DiskAccess, DiskBus, DiskFormat, Listen, Machine};
use loader::Loading;

/// The name that [`arguments`] gives the file with a [`bare_kernel`].
pub const BARE_KERNEL: &str = "bare.elf";

/// What executes the guest's instructions, once that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The processor, through `/dev/kvm`.
    Kvm,
    /// QEMU's own translator.
    Tcg,
}

/// Who is at the serial console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Console {
    /// A program, over QEMU's standard input and output; QMP listens at the given socket.
    Program {
        /// The path of the socket.
        qmp_socket: String,
    },
    /// A person at a terminal. QEMU puts it into raw mode and back, and Ctrl-a x ends it.
    Terminal {
        /// The path of the socket at which QMP listens, too, if it shall.
        qmp_socket: Option<String>,
    },
}

/// Returns the QEMU program of `machine`: a path, or the usual name, which is looked for on `PATH`.
pub fn program(machine: &Machine) -> &str {
    if let Some(qemu) = &machine.qemu {
        return qemu;
    }
    match machine.arch {
        Arch::X86_64 => "qemu-system-x86_64",
        Arch::Arm64 => "qemu-system-aarch64",
        Arch::Riscv64 => "qemu-system-riscv64",
    }
}

/// Returns a command as one line that a shell takes.
pub fn shell_line(program: &str, arguments: &[String]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+.,/:@%".contains(&byte);
    let quoted = |word: &str| {
        if !word.is_empty() && word.bytes().all(is_plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let words: Vec<String> =
        std::iter::once(program).chain(arguments.iter().map(String::as_str)).map(quoted).collect();
    words.join(" ")
}

/// Returns the arguments that make QEMU be `machine`. The guest sees the same devices with either engine.
///
/// Regions that are placed by a rule have words in place of their addresses, which are known only when their
/// files are there: QEMU takes what [`arguments_with_map`] returns.
pub fn arguments(machine: &Machine, engine: Engine, console: &Console) -> Vec<String> {
    build(machine, &board(machine), engine, console, &Loading::without_map(machine))
}

/// Returns the arguments that make QEMU be `machine`, whose regions lie as in `map`. If
/// [`needs_bare_kernel`], there must be a [`bare_kernel`] in the file of that name.
pub fn arguments_with_map(
    machine: &Machine,
    map: &Map,
    bare_kernel: &str,
    engine: Engine,
    console: &Console,
) -> Vec<String> {
    build(machine, &board(machine), engine, console, &Loading::new(machine, map, bare_kernel))
}

/// Returns the arguments with which QEMU writes the device tree of `machine` to `file` and ends. It has the
/// same devices, but needs none of the files of disks and regions, one of which may be made from what is
/// written.
pub fn device_tree_arguments(
    machine: &Machine,
    engine: Engine,
    console: &Console,
    file: &str,
) -> Vec<String> {
    let mut machine = machine.clone();
    for disk in &mut machine.disks {
        disk.file = "null-co://".to_owned();
        disk.format = DiskFormat::Raw;
    }
    if let Some(network) = &mut machine.network {
        network.boot = None;
    }
    (machine.regions, machine.dtb, machine.igvm, machine.gdb) = (Vec::new(), None, None, None);
    let mut board = board(&machine);
    // Otherwise QEMU puts seeds into the tree that differ each time.
    match machine.arch {
        Arch::Arm64 => board.push_str(",dtb-randomness=off"),
        Arch::X86_64 | Arch::Riscv64 => machine.arguments.extend(["-seed", "0"].map(str::to_owned)),
    }
    board.push_str(&format!(",dumpdtb={}", escape(file)));
    build(&machine, &board, engine, console, &Loading::default())
}

fn build(
    machine: &Machine,
    board: &str,
    engine: Engine,
    console: &Console,
    loading: &Loading,
) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut push = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    push(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    if let Some(igvm) = &machine.igvm {
        push(&["-object", &format!("igvm-cfg,id=igvm,file={}", escape(igvm))]);
    }
    push(&["-machine", board]);
    match engine {
        Engine::Kvm => push(&["-accel", "kvm", "-cpu", "host"]),
        Engine::Tcg => push(&["-accel", "tcg", "-cpu", "max"]),
    }
    push(&["-smp", &machine.cpus.to_string(), "-m", &format!("{}M", machine.memory_mib)]);
    match console {
        Console::Program { .. } => {
            push(&["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]);
        }
        Console::Terminal { .. } => push(&[
            "-chardev",
            "stdio,id=console,mux=on,signal=off",
            "-serial",
            "chardev:console",
            "-mon",
            "chardev=console,mode=readline",
        ]),
    }
    if let Console::Program { qmp_socket } | Console::Terminal { qmp_socket: Some(qmp_socket) } = console {
        push(&["-qmp", &format!("unix:{},server=on,wait=off", escape(qmp_socket))]);
    }
    push(&["-device", "virtio-rng-pci"]);
    if let Some(firmware) = &machine.firmware {
        if firmware.smm {
            push(&["-global", "driver=cfi.pflash01,property=secure,value=on"]);
        }
        let code = format!("if=pflash,unit=0,format=raw,readonly=on,file={}", escape(&firmware.code));
        push(&["-drive", &code]);
        if let Some(variables) = &firmware.variables {
            push(&["-drive", &format!("if=pflash,unit=1,format=raw,snapshot=on,file={}", escape(variables))]);
        }
    }
    // Firmware has an order of its own for disks, drives and networks, unless it is told one.
    let served = machine.network.as_ref().and_then(|network| network.boot.as_ref());
    let is_ordered = served.is_some() || machine.disks.iter().any(|disk| disk.cd);
    let first_disk = usize::from(served.is_some());
    for (disk_idx, disk) in machine.disks.iter().enumerate() {
        push(&["-drive", &drive(disk_idx, disk)]);
        let device = match (disk.bus, disk.cd) {
            (DiskBus::Pci, false) => "virtio-blk-pci".to_owned(),
            (DiskBus::Mmio, false) => "virtio-blk-device".to_owned(),
            (DiskBus::Sata, false) => format!("ide-hd,bus=ide.{}", sata_port(machine, disk_idx)),
            (DiskBus::Sata, true) => format!("ide-cd,bus=ide.{}", sata_port(machine, disk_idx)),
            (DiskBus::Pci | DiskBus::Mmio, true) => {
                let controller =
                    if disk.bus == DiskBus::Pci { "virtio-scsi-pci" } else { "virtio-scsi-device" };
                push(&["-device", &format!("{controller},id=scsi{disk_idx}")]);
                format!("scsi-cd,bus=scsi{disk_idx}.0")
            }
        };
        let order = if is_ordered { format!(",bootindex={}", first_disk + disk_idx) } else { String::new() };
        push(&["-device", &format!("{device},drive=disk{disk_idx}{order}")]);
    }
    if machine.network.is_some() {
        let files =
            served.map(|boot| format!(",tftp={},bootfile={}", escape(&boot.directory), escape(&boot.file)));
        push(&["-netdev", &format!("user,id=net,restrict=on{}", files.unwrap_or_default())]);
        // What other firmware starts it starts by itself, and QEMU's own code is for x86.
        let card = match (served, machine.arch) {
            (Some(_), Arch::X86_64) => "virtio-net-pci,netdev=net,bootindex=0",
            (Some(_), Arch::Arm64 | Arch::Riscv64) => "virtio-net-pci,netdev=net,romfile=,bootindex=0",
            (None, _) => "virtio-net-pci,netdev=net,romfile=",
        };
        push(&["-device", card]);
    }
    if let Some(kernel) = &machine.kernel {
        push(&["-kernel", kernel]);
        if let Some(initrd) = &machine.initrd {
            push(&["-initrd", initrd]);
        }
        if !machine.cmdline.is_empty() {
            push(&["-append", &machine.cmdline]);
        }
    }
    if let Some(dtb) = &machine.dtb {
        push(&["-dtb", dtb]);
    }
    for words in &loading.arguments {
        push(&words.each_ref().map(String::as_str));
    }
    match machine.gdb.as_ref().map(|gdb| &gdb.listen) {
        Some(Listen::Unix(path)) => push(&["-gdb", &format!("unix:{},server=on,wait=off", escape(path))]),
        Some(Listen::Tcp(port)) => push(&["-gdb", &format!("tcp:127.0.0.1:{port}")]),
        Some(Listen::Inherited(fd)) => {
            let socket = format!("socket,id=gdb,fd={fd},server=on,wait=off");
            push(&["-chardev", &socket, "-gdb", "chardev:gdb"]);
        }
        None => {}
    }
    if let Some(agent) = machine.agent {
        let channel = match agent {
            Agent::Nobody => "null,id=agent".to_owned(),
            Agent::Inherited(fd) => format!("socket,id=agent,fd={fd}"),
        };
        push(&["-chardev", &channel, "-device", "virtio-serial-pci"]);
        push(&["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"]);
    }
    if waits_for_debugger(machine) || is_held(machine, console) {
        push(&["-S"]);
    }
    arguments.extend(machine.arguments.iter().cloned());
    arguments
}

/// Returns whether QEMU lets the guest start only when it is told to over QMP.
///
/// A guest without firmware may be through before QMP is listened to, and then nobody knows how it ended.
pub fn is_held(machine: &Machine, console: &Console) -> bool {
    let is_watched = matches!(console, Console::Program { .. });
    let is_bare = !machine.regions.is_empty() || machine.igvm.is_some();
    is_watched && is_bare && !waits_for_debugger(machine)
}

fn waits_for_debugger(machine: &Machine) -> bool {
    machine.gdb.as_ref().is_some_and(|gdb| gdb.wait)
}

fn board(machine: &Machine) -> String {
    let smm = machine.firmware.as_ref().is_some_and(|firmware| firmware.smm);
    let board = match machine.arch {
        Arch::X86_64 if smm => "q35,smm=on",
        Arch::X86_64 => "q35",
        Arch::Arm64 if machine.virtualization => "virt,gic-version=3,virtualization=on",
        Arch::Arm64 => "virt,gic-version=3",
        Arch::Riscv64 => "virt",
    };
    if machine.igvm.is_some() { format!("{board},igvm-cfg=igvm") } else { board.to_owned() }
}

/// Returns the port of a disk on the board's SATA controller: that of its place among those that are there.
fn sata_port(machine: &Machine, disk_idx: usize) -> usize {
    machine.disks[..disk_idx].iter().filter(|disk| disk.bus == DiskBus::Sata).count()
}

fn drive(disk_idx: usize, disk: &Disk) -> String {
    let format = match disk.format {
        DiskFormat::Raw => "raw",
        DiskFormat::Qcow2 => "qcow2",
    };
    let access = if disk.cd { DiskAccess::ReadOnly } else { disk.access };
    let (file, access) = match (&disk.keep, access) {
        // Whoever loses power here builds again.
        (Some(copy), DiskAccess::Snapshot) => (copy, "cache=unsafe"),
        (None, DiskAccess::Snapshot) => (&disk.file, "snapshot=on"),
        (_, DiskAccess::ReadOnly) => (&disk.file, "readonly=on"),
    };
    format!("if=none,id=disk{disk_idx},file={},format={format},{access}", escape(file))
}

/// In QEMU's option lists a comma ends a value unless it is doubled.
fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Firmware, Gdb, Network, NetworkBoot};

    #[test]
    fn a_line_for_a_shell_keeps_every_word() {
        let arguments = ["-append", "a 'b' $c", "", "x,y"].map(str::to_owned);
        assert_eq!(shell_line("qemu", &arguments), r"qemu -append 'a '\''b'\'' $c' '' x,y");
    }

    fn machine() -> Machine {
        Machine {
            arch: Arch::X86_64,
            cpus: 2,
            memory_mib: 512,
            kernel: Some("in/vmlinuz".into()),
            initrd: Some("in/initrd".into()),
            cmdline: "console=ttyS0".into(),
            disks: vec![Disk {
                file: "in/a,b.img".into(),
                format: DiskFormat::Raw,
                access: DiskAccess::Snapshot,
                bus: DiskBus::Pci,
                cd: false,
                keep: None,
            }],
            arguments: vec!["-device".into(), "i6300esb".into()],
            ..Machine::default()
        }
    }

    #[test]
    fn x86_machine_with_a_disk() {
        let console = Console::Program { qmp_socket: "/tmp/q".into() };
        assert_eq!(
            arguments(&machine(), Engine::Tcg, &console).join(" "),
            "-nodefaults -no-user-config -display none -no-reboot -machine q35 -accel tcg -cpu max -smp 2 \
             -m 512M -chardev stdio,id=console,signal=off -serial chardev:console \
             -qmp unix:/tmp/q,server=on,wait=off -device virtio-rng-pci \
             -drive if=none,id=disk0,file=in/a,,b.img,format=raw,snapshot=on \
             -device virtio-blk-pci,drive=disk0 -kernel in/vmlinuz -initrd in/initrd \
             -append console=ttyS0 -device i6300esb"
        );
    }

    #[test]
    fn a_terminal_gets_the_monitor_on_ctrl_a() {
        let shown = |qmp_socket: Option<&str>| {
            let console = Console::Terminal { qmp_socket: qmp_socket.map(str::to_owned) };
            arguments(&machine(), Engine::Kvm, &console).join(" ")
        };
        let alone = shown(None);
        assert!(alone.contains("stdio,id=console,mux=on,signal=off"), "{alone}");
        assert!(!alone.contains("-qmp"), "{alone}");
        assert!(shown(Some("/tmp/q")).contains(" -qmp unix:/tmp/q,"));
    }

    #[test]
    fn a_hypervisor_with_a_debugger_and_a_device_tree() {
        let machine = Machine {
            arch: Arch::Arm64,
            virtualization: true,
            kernel: Some("in/hv".into()),
            dtb: Some("in/dtb".into()),
            gdb: Some(Gdb { listen: Listen::Unix("a,b".into()), wait: true }),
            ..Machine::default()
        };
        let console = Console::Terminal { qmp_socket: None };
        let shown = arguments(&machine, Engine::Tcg, &console).join(" ");
        assert!(shown.contains(" -machine virt,gic-version=3,virtualization=on -accel"), "{shown}");
        let end = " -kernel in/hv -dtb in/dtb -gdb unix:a,,b,server=on,wait=off -S";
        assert!(shown.ends_with(end), "{shown}");
        let machine =
            Machine { gdb: Some(Gdb { listen: Listen::Tcp(1234), wait: false }), ..Machine::default() };
        let shown = arguments(&machine, Engine::Tcg, &console).join(" ");
        assert!(shown.ends_with(" -gdb tcp:127.0.0.1:1234"), "{shown}");
        let machine =
            Machine { gdb: Some(Gdb { listen: Listen::Inherited(3), wait: true }), ..Machine::default() };
        let shown = arguments(&machine, Engine::Tcg, &console).join(" ");
        let end = " -chardev socket,id=gdb,fd=3,server=on,wait=off -gdb chardev:gdb -S";
        assert!(shown.ends_with(end), "{shown}");
    }

    #[test]
    fn the_agent_has_a_port_whether_somebody_listens_or_not() {
        let shown = |agent| {
            let machine = Machine { agent: Some(agent), arguments: Vec::new(), ..machine() };
            arguments(&machine, Engine::Tcg, &Console::Terminal { qmp_socket: None }).join(" ")
        };
        let port =
            "-device virtio-serial-pci -device virtserialport,chardev=agent,name=org.qemu.guest_agent.0";
        let nobody = shown(Agent::Nobody);
        assert!(nobody.ends_with(&format!(" -chardev null,id=agent {port}")), "{nobody}");
        let somebody = shown(Agent::Inherited(3));
        assert!(somebody.ends_with(&format!(" -chardev socket,id=agent,fd=3 {port}")), "{somebody}");
    }

    #[test]
    fn firmware_comes_in_two_chips_before_the_disks() {
        let console = Console::Program { qmp_socket: "/tmp/q".into() };
        let firmware = |arch, secure| {
            let machine = Machine { arch, firmware: Some(Firmware::packaged(arch, secure)), ..machine() };
            arguments(&machine, Engine::Tcg, &console).join(" ")
        };
        let plain = firmware(Arch::Arm64, false);
        assert!(plain.contains("file=/usr/share/AAVMF/AAVMF_CODE.fd -drive if=pflash,unit=1,"), "{plain}");
        assert!(!plain.contains("smm"), "{plain}");
        let checked = firmware(Arch::X86_64, true);
        assert!(checked.contains("-machine q35,smm=on "), "{checked}");
        assert!(checked.contains("value=on -drive if=pflash,unit=0,format=raw,readonly=on,"), "{checked}");
        assert!(checked.find("unit=1") < checked.find("id=disk0"), "{checked}");
    }

    #[test]
    fn an_igvm_file_takes_the_place_of_firmware() {
        let machine = Machine {
            igvm: Some("in/a,b.igvm".into()),
            qemu: Some("in/qemu/bin/qemu".into()),
            kernel: None,
            initrd: None,
            cmdline: String::new(),
            ..machine()
        };
        let console = Console::Program { qmp_socket: "/tmp/q".into() };
        let shown = arguments(&machine, Engine::Tcg, &console).join(" ");
        let loaded = "-object igvm-cfg,id=igvm,file=in/a,,b.igvm -machine q35,igvm-cfg=igvm -accel tcg";
        assert!(shown.contains(loaded), "{shown}");
        assert_eq!(program(&machine), "in/qemu/bin/qemu");
        assert!(is_held(&machine, &console), "it may be through before anybody listens");
        let moved = machine.with_files(|file| format!("/x/{file}"));
        assert_eq!(moved.igvm.as_deref(), Some("/x/in/a,b.igvm"));
        assert_eq!(program(&moved), "/x/in/qemu/bin/qemu");
    }

    #[test]
    fn a_cd_lies_in_a_drive_and_disks_start_in_their_order() {
        let shown = |arch, bus| {
            let mut machine = Machine { arch, ..machine() };
            let cd = Disk { file: "in/cd.iso".into(), cd: true, bus, ..machine.disks[0].clone() };
            machine.disks.insert(0, cd);
            machine.disks.push(Disk { bus, ..machine.disks[1].clone() });
            arguments(&machine, Engine::Tcg, &Console::Program { qmp_socket: "/tmp/q".into() }).join(" ")
        };
        let arm = shown(Arch::Arm64, DiskBus::Pci);
        let drive = "-drive if=none,id=disk0,file=in/cd.iso,format=raw,readonly=on \
                     -device virtio-scsi-pci,id=scsi0 -device scsi-cd,bus=scsi0.0,drive=disk0,bootindex=0";
        assert!(arm.contains(drive), "{arm}");
        assert!(arm.contains("-device virtio-blk-pci,drive=disk1,bootindex=1"), "{arm}");
        let sata = shown(Arch::X86_64, DiskBus::Sata);
        assert!(sata.contains("-device ide-cd,bus=ide.0,drive=disk0,bootindex=0"), "{sata}");
        assert!(sata.contains("-device virtio-blk-pci,drive=disk1,bootindex=1"), "{sata}");
        assert!(sata.contains("-device ide-hd,bus=ide.1,drive=disk2,bootindex=2"), "{sata}");
        let mmio = shown(Arch::Arm64, DiskBus::Mmio);
        assert!(mmio.contains("-device virtio-scsi-device,id=scsi0 -device scsi-cd,bus=scsi0.0"), "{mmio}");
    }

    #[test]
    fn a_network_is_tried_before_the_disks_and_leads_nowhere() {
        let shown = |arch, boot| {
            let machine = Machine { arch, network: Some(Network { boot }), ..machine() };
            arguments(&machine, Engine::Tcg, &Console::Program { qmp_socket: "/tmp/q".into() }).join(" ")
        };
        let boot = NetworkBoot { directory: "in/a,b".into(), file: "ipxe.cfg".into() };
        let started = shown(Arch::X86_64, Some(boot.clone()));
        assert!(started.contains("virtio-blk-pci,drive=disk0,bootindex=1"), "{started}");
        let network = "-netdev user,id=net,restrict=on,tftp=in/a,,b,bootfile=ipxe.cfg \
                       -device virtio-net-pci,netdev=net,bootindex=0";
        assert!(started.contains(network), "{started}");
        let arm = shown(Arch::Arm64, Some(boot));
        assert!(arm.contains("-device virtio-net-pci,netdev=net,romfile=,bootindex=0"), "{arm}");
        let alone = shown(Arch::X86_64, None);
        assert!(alone.contains("restrict=on -device virtio-net-pci,netdev=net,romfile= "), "{alone}");
        assert!(!alone.contains("bootindex"), "{alone}");
    }

    #[test]
    fn a_guest_writes_into_the_copy_that_is_kept() {
        let mut machine = machine();
        machine.disks[0].keep = Some("out/disks/a.qcow2".into());
        let arguments = arguments(&machine, Engine::Tcg, &Console::Program { qmp_socket: "/tmp/q".into() });
        let drive = "if=none,id=disk0,file=out/disks/a.qcow2,format=raw,cache=unsafe";
        assert!(arguments.iter().any(|argument| argument == drive), "{arguments:?}");
    }

    #[test]
    fn the_device_tree_is_of_the_same_machine_without_its_files() {
        let of = |arch| {
            let machine = Machine { arch, ..machine() };
            let console = Console::Program { qmp_socket: "/tmp/q".into() };
            device_tree_arguments(&machine, Engine::Tcg, &console, "out/a,b").join(" ")
        };
        let arm = of(Arch::Arm64);
        assert!(
            arm.contains("-machine virt,gic-version=3,dtb-randomness=off,dumpdtb=out/a,,b -accel"),
            "{arm}"
        );
        assert!(arm.contains("file=null-co://,format=raw,snapshot=on -device virtio-blk-pci"), "{arm}");
        assert!(arm.ends_with("-append console=ttyS0 -device i6300esb"), "{arm}");
        let riscv = of(Arch::Riscv64);
        assert!(riscv.contains("-machine virt,dumpdtb=out/a,,b -accel"), "{riscv}");
        assert!(riscv.ends_with(" -seed 0"), "{riscv}");
    }
}
