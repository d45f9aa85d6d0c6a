//! Guests of a few instructions, booted by `test` and `run`: how a boot goes wrong, and what lies where.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::harness::guest::{AGAIN, POWER_OFF, POWER_OFF_AT_EL2, SAY_LEVEL, SLEEP, elf, program};
use crate::harness::{Project, unique};

/// Returns what an arm64 kernel begins with (Documentation/arm64/booting.rst of Linux), and `byte` behind it.
fn kernel(byte: u8) -> Vec<u8> {
    let mut file = vec![0; 4096];
    file[16..24].copy_from_slice(&0x20_0000u64.to_le_bytes());
    file[56..60].copy_from_slice(b"ARM\x64");
    file[64] = byte;
    file
}

/// The start of a project whose target `guest` has the files that are given to [`project`].
const HEAD: &str = r#"
[stack]
name = "tiny"

[source.files]
path = "files"

[env.vm]
distro   = "debian:bookworm"
packages = ["qemu-system-arm"]

[target.guest]
kind    = "command"
env     = "vm"
sources = ["files"]
run     = 'cp src/files/* "$OUT"'
outputs = ["."]
"#;

fn project(files: &[(&str, Vec<u8>)], recipe: &str) -> Project {
    let names: Vec<String> = files.iter().map(|(name, _)| format!("{name:?}")).collect();
    let head = HEAD.replace("[\".\"]", &format!("[{}]", names.join(", ")));
    let project = Project::new(&format!("{head}{recipe}"));
    fs::create_dir(project.path().join("files")).unwrap();
    for (name, bytes) in files {
        fs::write(project.path().join("files").join(name), bytes).unwrap();
    }
    project
}

/// Returns a machine that starts `file`, and a test of it.
fn booted(name: &str, file: &str, test: &str) -> String {
    format!(
        r#"
[machine.{name}]
arch   = "arm64"
env    = "vm"
memory = "64M"
accel  = "tcg"

[machine.{name}.regions]
guest = {{ raw = "guest/{file}", at = "0x40000000", entry = true }}

[test.{name}]
machine = "{name}"
{test}
"#
    )
}

#[test]
fn a_guest_that_goes_wrong_is_told_at_once() {
    let panic = format!(
        "Booting {}\nKernel panic - not syncing: VFS: no root\nCall trace:\n dump_backtrace+0x0\n",
        unique()
    );
    let files = [
        ("good", program(&format!("hello {}\n", unique()), POWER_OFF)),
        ("panics", program(&panic, SLEEP)),
        ("asserts", program("ready\nassertion failed: a == b\n", SLEEP)),
        ("floods", program("all work and no play\n", AGAIN)),
        ("silent", program("", SLEEP)),
    ];
    let waits = |timeout: &str| format!("expect = [\"hello\"]\ntimeout = \"{timeout}\"");
    let asserts = format!("{}\nforbid = [\"assertion failed\"]", waits("20m"));
    let recipe = [
        booted("good", "good", &waits("5m")),
        booted("panics", "panics", &waits("20m")),
        booted("asserts", "asserts", &asserts),
        booted("floods", "floods", &waits("3s")),
        booted("silent", "silent", &waits("2s")),
        booted("broken", "good", &waits("20m"))
            .replace("accel ", "arguments = [\"-device\", \"no-such\"]\naccel "),
    ];
    let project = project(&files, &recipe.concat());
    let ran = project.fail(
        &["test", "-k"],
        1,
        &[
            "| Kernel panic - not syncing: VFS: no root",
            "dump_backtrace+0x0",
            "the console shows `assertion failed`",
            "the console did not show `hello` within 3 s",
            "all work and no play",
            "the console did not show `hello` within 2 s",
            "the console is empty",
            "it ran: qemu-system-aarch64 -nodefaults",
            "QEMU failed: exit status: 1",
            "'no-such' is not a valid device model name",
        ],
    );
    assert!(ran.stdout.ends_with("1 passed, 5 failed\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("test good ... passed"), "{}", ran.stdout);
    // A flood fills neither the report nor the disk.
    assert!(ran.stderr.len() < 40_000, "{}", ran.stderr.len());
}

#[test]
fn what_a_guest_loads_is_within_its_budget() {
    let files = [("good", program(&format!("hello {}\n", unique()), POWER_OFF))];
    let recipe = |budget: &str| {
        let region = "[machine.good.regions]\nroot = { raw = \"root\", at = \"0x41000000\" }\n";
        let root = format!(
            "[target.root]\nkind = \"filesystem\"\ntype = \"squashfs\"\nmax-size = \"{budget}\"\n\
             files = {{ \"/etc/motd\" = \"hello\" }}\n"
        );
        let booted = booted("good", "good", "expect = [\"hello\"]\ntimeout = \"5m\"");
        root + &booted.replace("[machine.good.regions]\n", region)
    };
    let project = project(&files, &recipe("1K"));
    let over = ["`root/budgets` failed", "`root` is over budget:", "more than its budget of 1.0 KiB"];
    let tested = project.fail(&["test", "-k"], 1, &over);
    // It runs all the same, and that is not what is wrong.
    assert!(tested.stdout.contains("test good ... passed"), "{}", tested.stdout);
    project.fail(&["run"], 1, &over);
    let text = project.read("bootwright.toml").replace("1K", "64K");
    project.write("bootwright.toml", &text);
    project.succeed(&["test"]);
    project.succeed(&["run"]);
}

const HYPERVISOR: &str = r#"
[machine.host]
arch           = "arm64"
env            = "vm"
memory         = "1G"
accel          = "tcg"
virtualization = true

[machine.host.regions]
hypervisor = { elf = "guest/hypervisor", within = ["0x40000000", "0x41000000"], entry = true }
heap       = { reserve = "16M", after = "hypervisor", align = "16M" }
ram0       = { reserve = "512M", at = "0x48000000" }
kernel0    = { linux = "guest/kernel0", at = "0x48000000", inside = "ram0" }
disk0      = { raw = "guest/disk", inside = "ram0", within = ["0x58000000", "0x68000000"] }
ram1       = { reserve = "256M", after = "ram0" }
kernel1    = { linux = "guest/kernel1", inside = "ram1" }
initrd1    = { raw = "guest/disk", inside = "ram1", after = "kernel1", align = "4K", max = "1M" }
uart       = { device = "4K", at = "0x09000000" }

[test.boots]
machine = "host"
expect  = ["I am ", "2 with AB"]
timeout = "5m"
"#;

/// A hypervisor that says at which level it runs, and what is at the guests' addresses.
fn two_guests() -> Project {
    let say = |words: &[u32]| [words, &[0x3900_0022]].concat(); // strb w2, [x1]
    let then = [
        SAY_LEVEL.to_vec(),
        // For each letter of ` with `: mov w2, letter
        " with ".bytes().flat_map(|byte| say(&[0x5280_0002 | u32::from(byte) << 5])).collect(),
        // mov x3, 0x48000000; ldrb w2, [x3, 64]; the same at 0x68000000
        say(&[0xd2a9_0003, 0x3941_0062]),
        say(&[0xd2ad_0003, 0x3941_0062]),
        POWER_OFF_AT_EL2.to_vec(),
    ];
    let code = program(&format!("{}: I am ", unique()), &then.concat());
    let files = [
        ("hypervisor", elf(0x4000_0000, &code)),
        ("kernel0", kernel(b'A')),
        ("kernel1", kernel(b'B')),
        ("disk", vec![7; 5000]),
    ];
    project(&files, HYPERVISOR)
}

#[test]
fn a_hypervisor_starts_with_the_images_of_two_guests() {
    let project = two_guests();
    let ran = project.succeed(&["test"]);
    assert!(ran.stdout.ends_with("1 passed, 0 failed\n"), "{}", ran.stdout);

    let shown = project.succeed(&["inspect"]).stdout;
    let rows: Vec<String> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for row in [
        "│ 0x09000000 │ 0x09001000 │ 4 KiB │ uart │ device │",
        "│ 0x40000000 │ 0x80000000 │ 1 GiB │ RAM │ │",
        "│ 0x41000000 │ 0x42000000 │ 16 MiB │ heap │ reserved │",
        "│ 0x48000000 │ 0x48200000 │ 2 MiB │ kernel0 │ linux-image │",
        "│ 0x58000000 │ 0x58001388 │ 4.9 KiB │ disk0 │ raw │",
        "│ 0x68000000 │ 0x68200000 │ 2 MiB │ kernel1 │ linux-image │",
        "│ 0x68200000 │ 0x68201388 │ 4.9 KiB │ initrd1 │ raw │",
    ] {
        assert!(rows.iter().any(|found| found == row), "{row}\n{shown}");
    }
    assert!(shown.ends_with("the first processor starts in hypervisor at 0x40000000\n"), "{shown}");
    let map: serde_json::Value =
        serde_json::from_str(&project.succeed(&["inspect", "--json"]).stdout).unwrap();
    assert_eq!((&map["version"], &map["machine"]), (&1.into(), &"host".into()));
    assert_eq!(map["map"]["entry"]["address"], "0x40000000");

    let line = project.succeed(&["run", "--dry-run", "--gdb"]).stdout;
    let out = project.path().canonicalize().unwrap().join("out");
    let out = out.display();
    for part in [
        "qemu-system-aarch64 -nodefaults".to_owned(),
        "virt,gic-version=3,virtualization=on ".to_owned(),
        format!(" -kernel {out}/.run/host/bare.elf "),
        format!(" -device loader,file={out}/guest/hypervisor "),
        format!(" -device loader,file={out}/guest/kernel0,addr=0x48000000,force-raw=on "),
        format!(" -device loader,file={out}/guest/disk,addr=0x58000000,force-raw=on "),
        format!(" -device loader,file={out}/guest/kernel1,addr=0x68000000,force-raw=on "),
        format!(" -device loader,file={out}/guest/disk,addr=0x68200000,force-raw=on "),
        " -gdb tcp:127.0.0.1:1234 -S\n".to_owned(),
    ] {
        assert!(line.contains(&part), "{part}\n{line}");
    }
    for file in [".run/host/bare.elf", "guest/hypervisor", "guest/kernel1"] {
        assert!(project.path().join("out").join(file).is_file(), "{file}");
    }
}

#[test]
fn a_map_that_is_wrong_names_the_lines_and_starts_nothing() {
    let project = two_guests();
    let recipe = project.read("bootwright.toml");
    let line = |text: &str| 1 + recipe.lines().position(|line| line.starts_with(text)).unwrap();
    let [kernel, disk, ram] = ["kernel0", "disk0", "ram1"].map(line);
    project.write(
        "bootwright.toml",
        &recipe
            .replace("inside = \"ram0\" }\ndisk0", "inside = \"ram0\", max = \"1M\" }\ndisk0")
            .replace("within = [\"0x58000000\", \"0x68000000\"]", "at = \"0x48100000\"")
            .replace("ram1       = { reserve = \"256M\"", "ram1       = { reserve = \"512M\""),
    );
    let said = [
        "error: `map host` failed".to_owned(),
        "(OVERLAP)".to_owned(),
        "`kernel0` takes 2 MiB, 1 MiB more than its limit of 1 MiB".to_owned(),
        format!("bootwright.toml:{kernel}: `kernel0`"),
        "`kernel0` has grown past the start of `disk0`: place that at 0x48200000 or later".to_owned(),
        format!("bootwright.toml:{disk}: `disk0`"),
        "reaches past the end of RAM at 0x80000000: 128 MiB are missing".to_owned(),
        format!("bootwright.toml:{ram}: `ram1`"),
    ];
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    for command in [&["test"][..], &["run"], &["inspect"], &["run", "--dry-run"]] {
        project.fail(command, 1, &said);
    }
}

#[test]
fn lines_that_move_boot_nothing_again() {
    let project = two_guests();
    project.succeed(&["test"]);
    let recipe = project.read("bootwright.toml");
    project.write("bootwright.toml", &format!("# one line more\n{recipe}"));
    let ran = project.succeed(&["test"]);
    assert!(ran.stdout.contains("test boots ... passed (remembered)"), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn a_debugger_starts_the_guest() {
    let hello = format!("hello {}\n", unique());
    let project = project(&[("good", program(&hello, POWER_OFF))], &booted("vm", "good", "expect = []"));
    // A port that is free, and taken at first.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let gdb = format!("--gdb={port}");
    project.fail(&["run", &gdb], 3, &[&format!("port {port} of 127.0.0.1"), "choose another one"]);
    drop(taken);

    let mut command = project.command(&["run", &gdb]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut debugger = (0..3000)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        })
        .unwrap();
    // "Why did it stop?" It was stopped by signal 5 before it began; nothing was said yet.
    debugger.write_all(b"$?#3f").unwrap();
    let mut answer = Vec::new();
    while !answer.contains(&b'#') {
        let mut byte = [0];
        debugger.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    assert!(answer.starts_with(b"+$T05") || answer.starts_with(b"+$S05"), "{answer:?}");
    debugger.write_all(b"+$c#63").unwrap();
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains(&hello), "{stdout}\n{stderr}");
    let told = format!("the guest waits for a debugger: gdb-multiarch -ex 'target remote 127.0.0.1:{port}'");
    assert!(stderr.contains(&told), "{stderr}");
}

#[test]
fn a_machine_that_leaves_everything_to_qemu_has_no_map() {
    let project = Project::copy_of("examples/quickstart");
    project.fail(&["inspect"], 2, &["machine `vm` leaves to QEMU what lies where", "give it `regions`"]);
    project.fail(&["inspect", "v"], 2, &["no machine `v`", "did you mean `vm`?"]);
}

#[test]
fn a_machine_that_runs_is_ended_with_its_builder() {
    let files = [("guest", program("I run\n", SLEEP))];
    let project = project(&files, &booted("guest", "guest", "expect = [\"I run\"]"));
    let mut child = project
        .command(&["run"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"I run");
    Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.ends_with("error: interrupted\n"), "{printed}");
}
