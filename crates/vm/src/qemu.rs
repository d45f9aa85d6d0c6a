//! The QEMU command line of a machine: a pure function.

use crate::spec::{Arch, Disk, DiskAccess, DiskFormat, Machine};

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

/// Returns the name of the QEMU program for guests of `arch`.
pub fn program(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "qemu-system-x86_64",
        Arch::Arm64 => "qemu-system-aarch64",
        Arch::Riscv64 => "qemu-system-riscv64",
    }
}

/// Returns the arguments that make QEMU be `machine`. The guest sees the same devices with either engine.
pub fn arguments(machine: &Machine, engine: Engine, console: &Console) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut push = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    push(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    push(&["-machine", board(machine.arch)]);
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
    for (disk_idx, disk) in machine.disks.iter().enumerate() {
        push(&["-drive", &drive(disk_idx, disk)]);
        push(&["-device", &format!("virtio-blk-pci,drive=disk{disk_idx}")]);
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
    arguments.extend(machine.arguments.iter().cloned());
    arguments
}

fn board(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "q35",
        Arch::Arm64 => "virt,gic-version=3",
        Arch::Riscv64 => "virt",
    }
}

fn drive(disk_idx: usize, disk: &Disk) -> String {
    let format = match disk.format {
        DiskFormat::Raw => "raw",
        DiskFormat::Qcow2 => "qcow2",
    };
    let access = match disk.access {
        DiskAccess::Snapshot => "snapshot=on",
        DiskAccess::ReadOnly => "readonly=on",
    };
    format!("if=none,id=disk{disk_idx},file={},format={format},{access}", escape(&disk.file))
}

/// In QEMU's option lists a comma ends a value unless it is doubled.
fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Accelerator;

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
            }],
            accelerator: Accelerator::Auto,
            arguments: vec!["-device".into(), "i6300esb".into()],
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
}
