//! IGVM files of Debian's firmware and kernels: what is measured of them, and guests that start from them.
//!
//! Debian's QEMU is built without IGVM. So a few instructions stand in for its loader: what the file loads is put into the
//! memory of a QEMU without firmware, and where firmware would start, they put the processor into the state of the file.
//! `stacks/igvm-guest` builds a QEMU that reads the files itself, which takes minutes: that test is started by hand.

use std::fs;

use cas::Digest;
use launch::{Directive, File, PlatformKind, ZeroPages, measure};

use crate::harness::{Project, unique};

const FIRMWARE: &str = r#"
[stack]
name = "confidential"

[target.ovmf]
kind     = "extract"
distro   = "debian:bookworm"
packages = ["ovmf"]
files    = { "OVMF.fd" = "/usr/share/ovmf/OVMF.fd" }

[target.guest]
kind      = "igvm"
platforms = ["snp", "tdx", "native"]
firmware  = "ovmf"
memory    = "2G"

[target.several]
kind      = "igvm"
platforms = ["snp"]
firmware  = "ovmf/OVMF.fd"
cpus      = 4
cpu       = "EPYC-Milan"
"#;

/// The firmware of ovmf 2022.11-6+deb12u2, and what sev-snp-measure 0.0.13 calculates of it, for one processor of type
/// `EPYC-v4` and for four of type `EPYC-Milan`.
const KNOWN: &str = "7b456907dd0786d415999e801a1ac4637b8ed4d7cf5378cfc6edbe5e574dd773";
const CALCULATED: [(&str, &str); 2] = [
    (
        "guest",
        "11570979c77a0adb515761a702527c8b9e11554e730552621d950988613a3a75c6ff1703f540bd22a9beede8fe7a97e3",
    ),
    (
        "several",
        "e9c10ab98f8086bf4a4993dcdc1f768b1128bcb02301d1791f1d3274329e790db2d12a301d66d99a462a13b5d87e2840",
    ),
];

#[test]
fn firmware_of_debian_is_measured_as_qemu_launches_it() {
    let project = Project::new(FIRMWARE);
    project.succeed(&["lock"]);
    project.succeed(&["build", "guest", "several", "ovmf"]);
    let firmware = fs::read(project.path().join("out/ovmf/OVMF.fd")).unwrap();
    let is_known = Digest::of(&firmware).hex() == KNOWN;
    for (name, calculated) in CALCULATED {
        let path = format!("out/{name}/{name}.igvm");
        let measured =
            project.succeed(&["measure", &path, "--platform", "snp", "--native-zero", "--bare"]).stdout;
        if is_known {
            assert_eq!(measured.trim().to_lowercase(), calculated, "{name}");
        } else {
            eprintln!("a newer ovmf than 2022.11-6+deb12u2: nothing was calculated of it");
        }
        let text = project.read(&format!("out/{name}/{name}.txt"));
        assert!(text.contains(measured.trim().to_lowercase().as_str()), "{text}");
    }
    project.succeed(&["measure", "out/guest/guest.igvm", "--check-kvm"]);
    let shown = project.succeed(&["inspect", "out/guest/guest.igvm"]).stdout;
    for part in ["sev-snp", "tdx", "native", "0x30000", "OVMF", "secrets", "cpuid"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }

    let bytes = fs::read(project.path().join("out/guest/guest.igvm")).unwrap();
    let mrtd = measure(&File::parse(&bytes).unwrap(), PlatformKind::Tdx, ZeroPages::Normal).unwrap();
    assert!(project.read("out/guest/guest.txt").contains(&mrtd.digest.to_string()));
    // Another build of the same is the same.
    project.succeed(&["verify", "guest"]);
    let again = Project::new(FIRMWARE);
    fs::copy(project.path().join("bootwright.lock"), again.path().join("bootwright.lock")).unwrap();
    again.succeed(&["build", "guest"]);
    assert_eq!(fs::read(again.path().join("out/guest/guest.igvm")).unwrap(), bytes);
}

#[test]
fn what_a_tool_cannot_do_is_told() {
    let project = Project::new(
        r#"
[stack]
name = "wrong"

[target.firmware]
kind      = "igvm"
platforms = ["snp"]
firmware  = { file = "firmware" }

[target.kernel]
kind      = "igvm"
platforms = ["native"]
kernel    = { file = "firmware" }
memory    = "64M"
"#,
    );
    fs::write(project.path().join("firmware"), [unique().as_bytes(), &[1; 8192]].concat().split_at(8192).0)
        .unwrap();
    project.fail(
        &["build", "firmware"],
        1,
        &["could not make the IGVM file", "no table of GUIDs", "OVMF.fd"],
    );
    project.fail(&["build", "kernel"], 1, &["does not say where it lies", "load-address"]);
}

/// Says what the kernel is told, then what the initramfs has, and ends the machine.
fn speaker() -> Vec<u8> {
    let mut code: Vec<u8> = vec![
        0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8: the serial port
        0x8b, 0x9e, 0x28, 0x02, 0x00, 0x00, // mov ebx, [rsi + 0x228]: the command line
        0x8a, 0x03, // mov al, [rbx]
        0x84, 0xc0, // test al, al
        0x74, 0x06, // jz 6
        0xee, // out dx, al
        0x48, 0xff, 0xc3, // inc rbx
        0xeb, 0xf4, // jmp -12
        0x8b, 0x9e, 0x18, 0x02, 0x00, 0x00, // mov ebx, [rsi + 0x218]: the initramfs
        0x8b, 0x8e, 0x1c, 0x02, 0x00, 0x00, // mov ecx, [rsi + 0x21c]: its size
        0x8a, 0x03, // mov al, [rbx]
        0xee, // out dx, al
        0x48, 0xff, 0xc3, // inc rbx
        0xff, 0xc9, // dec ecx
        0x75, 0xf6, // jnz -10
        0x66, 0xba, 0xf4, 0x00, // mov dx, 0xf4: the end
        0xee, // out dx, al
        0xf4, // hlt
    ];
    code.extend_from_slice(unique().as_bytes());
    code
}

/// Returns a ROM that puts the processor into 64-bit mode with the state of a file.
fn loader(state: &[u8]) -> Vec<u8> {
    let number = |at: usize, n_bytes: usize| -> u64 {
        state[at..at + n_bytes].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    const BASE: u32 = 0xffff_0000;
    let (code, data) = (number(0xa8, 2), number(0xb4, 2) as u8);
    let mut rom = vec![0xf4; 0x1_0000];
    let mut put = |at: usize, parts: &[&[u8]]| {
        let bytes = parts.concat();
        rom[at..at + bytes.len()].copy_from_slice(&bytes);
    };
    let low = |register: u64| (register as u32).to_le_bytes();
    // Segments of our own: 32-bit code, data, 64-bit code; and what is loaded of them, and of the guest's.
    let segments = [0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x00af_9b00_0000_ffff_u64];
    put(0x100, &[segments.map(u64::to_le_bytes).as_flattened()]);
    put(0x120, &[&31_u16.to_le_bytes(), &(BASE + 0x100).to_le_bytes()]);
    put(0x130, &[&state[0x9e..0xa0], &state[0xa0..0xa8]]);
    // Real mode: lgdt cs:[0x120], set CR0.PE, jump to 32-bit code.
    put(
        0,
        &[
            &[0xfa, 0x2e, 0x66, 0x0f, 0x01, 0x16, 0x20, 0x01, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0],
            &[0x66, 0xea],
            &(BASE + 0x40).to_le_bytes(),
            &[0x08, 0x00],
        ],
    );
    // Data segments, CR4, CR3, EFER without what the processor sets itself, CR0, jump to 64-bit code.
    put(
        0x40,
        &[
            &[0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xd0],
            &[0xb8],
            &low(number(0xd8, 8)),
            &[0x0f, 0x22, 0xe0, 0xb8],
            &low(number(0xd0, 8)),
            &[0x0f, 0x22, 0xd8, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0xb8],
            &low(number(0xe0, 8) & !0x400),
            &[0x31, 0xd2, 0x0f, 0x30, 0xb8],
            &low(number(0xc8, 8)),
            &[0x0f, 0x22, 0xc0, 0xea],
            &(BASE + 0xa0).to_le_bytes(),
            &[0x18, 0x00],
        ],
    );
    // lgdt, the guest's data segments, RSP, RSI, and a far return to where it starts.
    let displacement = (0x130_i32 - (0xa0 + 7)).to_le_bytes();
    put(
        0xa0,
        &[
            &[0x0f, 0x01, 0x15],
            &displacement,
            &[0x66, 0xb8, data, 0x00, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0x8e, 0xe0, 0x8e, 0xe8],
            &[0x48, 0xbc],
            &state[0x20..0x28],
            &[0x48, 0xbe],
            &state[0x30..0x38],
            &[0x6a, code as u8, 0x48, 0xb8],
            &state[0x80..0x88],
            &[0x50, 0x48, 0xcb],
        ],
    );
    // The reset vector: a jump to the beginning of the ROM.
    put(0xfff0, &[&[0xe9], &(0x1_0000_u32.wrapping_sub(0xfff3) as u16).to_le_bytes()]);
    rom
}

/// Puts what a file loads into files of the project, and returns the arguments with which QEMU loads them.
fn unpack(project: &Project, igvm: &[u8]) -> String {
    let file = File::parse(igvm).unwrap();
    let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
    let directory = project.path().join("loaded");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    for directive in &file.directives {
        match directive {
            Directive::Page(page) => {
                let contents = page.data.map_or(vec![0; 4096], |data| data.bytes.to_vec());
                match runs.last_mut() {
                    Some((gpa, bytes)) if *gpa + bytes.len() as u64 == page.gpa => bytes.extend(contents),
                    _ => runs.push((page.gpa, contents)),
                }
            }
            Directive::VpContext(context) => {
                fs::write(directory.join("rom"), loader(context.data.bytes)).unwrap();
            }
            _ => {}
        }
    }
    let mut arguments = String::from("-bios src/loaded/rom");
    for (gpa, bytes) in runs {
        fs::write(directory.join(format!("{gpa:x}")), bytes).unwrap();
        arguments += &format!(" -device loader,file=src/loaded/{gpa:x},addr={gpa:#x},force-raw=on");
    }
    arguments
}

/// Runs what a target of a project loads, and returns what it says on the serial port.
fn booted(recipe: &str, prepare: impl Fn(&Project), name: &str, memory: &str) -> String {
    let project = Project::new(recipe);
    prepare(&project);
    project.succeed(&["lock"]);
    project.succeed(&["build", name]);
    let igvm = fs::read(project.path().join(format!("out/{name}/{name}.igvm"))).unwrap();
    let arguments = unpack(&project, &igvm);
    let run = format!(
        r#"
[source.loaded]
path = "loaded"

[env.vm]
distro   = "debian:bookworm"
packages = ["qemu-system-x86"]

[target.boot]
kind    = "command"
env     = "vm"
sources = ["loaded"]
outputs = ["serial"]
timeout = "5m"
run     = '''
timeout 280 qemu-system-x86_64 -accel tcg -cpu max -machine q35 -m {memory} -display none -nodefaults -no-reboot \
    -serial file:$OUT/serial -device isa-debug-exit,iobase=0xf4,iosize=1 {arguments} || true
'''
"#
    );
    fs::write(project.path().join("bootwright.toml"), format!("{recipe}{run}")).unwrap();
    project.succeed(&["lock"]);
    project.succeed(&["build", "boot"]);
    String::from_utf8_lossy(&fs::read(project.path().join("out/boot/serial")).unwrap()).into_owned()
}

#[test]
fn a_program_starts_in_the_state_of_the_file() {
    let recipe = r#"
[stack]
name = "program"

[target.guest]
kind      = "igvm"
platforms = ["native"]
kernel    = { file = "program" }
initrd    = { file = "initrd" }
cmdline   = "told "
memory    = "256M"

[target.flat]
kind         = "igvm"
platforms    = ["native"]
kernel       = { file = "flat" }
initrd       = { file = "initrd" }
cmdline      = "told flat "
load-address = "3M"
entry        = "0x300001"
memory       = "256M"
"#;
    let prepare = |project: &Project| {
        let code = speaker();
        fs::write(project.path().join("program"), program(&code)).unwrap();
        fs::write(project.path().join("flat"), [&[0xf4], &code[..]].concat()).unwrap();
        project.write("initrd", "and given\n");
    };
    assert_eq!(booted(recipe, prepare, "guest", "256M"), "told and given\n");
    assert_eq!(booted(recipe, prepare, "flat", "256M"), "told flat and given\n");
}

/// Returns an ELF file for x86-64 that is entered where it lies, linked for another address.
fn program(code: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend_from_slice(&[2, 0, 62, 0, 1, 0, 0, 0]);
    for number in [0xffff_ffff_8020_0000_u64, 64, 0] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    file.extend_from_slice(&[0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend_from_slice(&[1, 0, 0, 0, 7, 0, 0, 0]);
    let size = code.len() as u64;
    for number in [120, 0xffff_ffff_8020_0000, 0x20_0000, size, size + 0x2000, 0x1000] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    file.extend_from_slice(code);
    file
}

/// Linux, and an init that says how it was started and who is said to have made the machine.
const LINUX: &str = r#"
[stack]
name = "linux"

[target.kernel]
kind    = "kernel-package"
distro  = "debian:bookworm"
package = "linux-image-cloud-amd64"

[target.initrd]
kind     = "initramfs"
distro   = "debian:bookworm"
packages = ["busybox-static"]
busybox  = ["cat", "mount", "reboot", "sh"]
init     = """
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
echo "started with: $(cat /proc/cmdline)"
echo "made by $(cat /sys/class/dmi/id/sys_vendor)"
reboot -f
"""

[target.guest]
kind      = "igvm"
platforms = ["native"]
kernel    = "kernel/vmlinuz"
initrd    = "initrd"
cmdline   = "console=ttyS0 panic=-1 quiet igvm"
memory    = "512M"
"#;

#[test]
fn linux_of_debian_starts_its_init() {
    let serial = booted(LINUX, |_| {}, "guest", "512M");
    assert!(serial.contains("started with: console=ttyS0 panic=-1 quiet igvm"), "{serial}");
}

#[test]
#[ignore = "compiles QEMU, which takes ten minutes, from a release of Debian that moves"]
fn guests_start_in_a_qemu_that_reads_the_files() {
    let project = Project::copy_of("stacks/igvm-guest");
    project.succeed(&["lock", "--ignore-dates"]);
    let ran = project.succeed(&["test"]);
    assert!(ran.stdout.contains("2 passed, 0 failed"), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn a_machine_has_a_qemu_of_its_own_and_says_what_it_cannot_start() {
    let machines = r#"
[env.vm]
distro   = "debian:bookworm"
packages = ["qemu-system-x86"]

# It finds the text beside it.
[target.qemu]
kind    = "command"
env     = "vm"
outputs = ["bin/qemu", "vendor"]
run     = """
mkdir $OUT/bin
echo somebody > $OUT/vendor
printf '%s\\n' '#!/bin/sh' 'exec qemu-system-x86_64 -smbios type=1,manufacturer=$(cat $${0%/*}/../vendor) "$@"' > $OUT/bin/qemu
chmod +x $OUT/bin/qemu
"""

[machine.vm]
env     = "vm"
qemu    = "qemu/bin/qemu"
accel   = "tcg"
kernel  = "kernel"
initrd  = "initrd"
cmdline = "console=ttyS0 quiet panic=-1"

[test.boots]
machine = "vm"
expect  = ["made by somebody"]
end     = "reset"

[machine.igvm]
env  = "vm"
igvm = "guest/guest.igvm"

[test.igvm]
machine = "igvm"
"#;
    let project = Project::new(&format!("{LINUX}{machines}"));
    project.succeed(&["lock"]);
    project.succeed(&["test", "boots"]);
    project.fail(&["test", "igvm"], 1, &["`qemu-system-x86_64` knows nothing of IGVM files", "`qemu`"]);
    let line = project.succeed(&["run", "--dry-run", "vm"]).stdout;
    let program = project.path().join("out/qemu/bin/qemu");
    assert!(line.starts_with(&format!("{} ", program.display())), "{line}");
    assert!(program.is_file());
    let line = project.succeed(&["run", "--dry-run", "igvm"]).stdout;
    assert!(line.contains("out/guest/guest.igvm -machine q35,igvm-cfg=igvm"), "{line}");
}
