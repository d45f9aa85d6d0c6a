//! Boot loaders, signatures and hash trees that a recipe describes: what becomes of them, and wrong input.

mod stand_ins;

use std::collections::BTreeMap;

use cas::Digest;
use recipe::{Goal, Imported, Lock, Lowered, Resolved, Reuse, Settings, lower, needs, parse};

const STACK: &str = r#"
[stack]
name = "loaders"

[env.grub]
distro   = "debian:bookworm"
packages = ["grub-common"]

[target.system]
kind       = "uki"
stub       = { file = "stub.efi" }
kernel     = { file = "vmlinuz" }
initrds    = ["initrd", { file = "more.cpio" }]
cmdline    = "quiet"
root-hash  = "root"
os-release = { file = "os-release" }
sbat       = ["a,1,b,c,d,e"]

[target.initrd]
kind = "initramfs"
init = "hello"

[target.signed]
kind        = "signed"
program     = "system"
key         = { file = "db.key" }
certificate = { file = "db.crt" }

[target.data]
kind  = "filesystem"
files = { "/a" = "" }

[target.root]
kind = "verity"
image = "data"
append = true
salt = "00C0FFEE"

[target.plain]
kind = "verity"
image = "data"

[target.grub]
kind    = "grub"
env     = "grub"
arch    = "arm64"
modules = ["fat", "normal"]
config  = "boot\n"
sbat    = ["grub,3,b,c,d,e"]

[target.variables]
kind         = "efi-variables"
template     = { file = "VARS.fd" }
platform-key = { file = "db.crt" }
allowed      = [{ file = "db.crt" }]

[machine.guest]
env      = "grub"
firmware = { code = "data", variables = "variables", secure-boot = true }
"#;

/// Lowers everything, with stand-ins for what would be locked and fetched.
fn lowered() -> Lowered {
    let (stack, problems) = parse(STACK, &Settings::default());
    let stack = stack.unwrap_or_else(|| panic!("{problems:?}"));
    let goals = stack.targets.keys().cloned().map(Goal::Target);
    let goals: Vec<Goal> = goals.chain(stack.machines.keys().cloned().map(Goal::Machine)).collect();
    let needs = needs(&stack, &goals);
    let lock = Lock { packages: stand_ins::packages(&needs, "grub-common"), ..Lock::default() };
    let file = Imported::File { digest: Digest::of(b"file"), executable: false };
    let resolved = Resolved {
        paths: needs.paths.keys().map(|path| (path.clone(), file)).collect(),
        tools: stand_ins::tools(),
        ..Resolved::default()
    };
    lower(&stack, &lock, &resolved, &goals, Reuse::Nothing).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn what_is_asked_for_reaches_the_tools() {
    let lowered = lowered();
    let inputs: BTreeMap<&str, Vec<&str>> = lowered
        .graph
        .steps()
        .map(|(_, step)| (step.label.as_str(), step.inputs.iter().map(|input| input.path.as_str()).collect()))
        .collect();
    let of = |names: &[&str]| -> Vec<String> {
        let names = names.iter().map(|name| format!("build/in/{name}"));
        std::iter::once("build/tools/mkimg".to_owned()).chain(names).collect()
    };
    assert_eq!(
        inputs["system"],
        of(&["stub", "linux", "initrds/0", "initrds/1", "roothash", "os-release", "spec.json"])
    );
    assert_eq!(inputs["signed"], of(&["program", "key", "certificate", "spec.json"]));
    assert_eq!(inputs["root"], of(&["image", "spec.json"]));
    assert_eq!(
        inputs["grub"],
        ["", "build/tools/mkimg", "build/in/config", "build/in/sbat.csv", "build/in/spec.json"]
    );
    assert_eq!(inputs["variables"], of(&["template", "platform-key", "allowed/0", "spec.json"]));

    let blobs: Vec<String> =
        lowered.blobs.iter().map(|blob| String::from_utf8_lossy(blob).split_whitespace().collect()).collect();
    for text in [
        r#""initrds":["in/initrds/0","in/initrds/1"],"cmdline":{"text":"quiet"},"root_hash":"in/roothash","os_release":{"file":"in/os-release"},"sbat":["a,1,b,c,d,e"]}"#,
        r#"{"kind":"sign","output":"out/signed.efi","input":"in/program","key":"in/key","certificate":"in/certificate"}"#,
        r#""output":"out/root.img","appended":true,"root_hash_output":"out/root.roothash","hash":"sha256","data_block_size":4096,"hash_block_size":4096,"salt":"00c0ffee","uuid":""#,
        r#""outputs":["out/BOOTAA64.EFI"],"format":"arm64-efi","modules":["fat","normal"],"config":"in/config","prefix":"/boot/grub","sbat":"in/sbat.csv"}"#,
        r#""platform_key":"in/platform-key","exchange_keys":["in/platform-key"],"allowed":["in/allowed/0"],"owner":""#,
        r#""firmware":{"code":"in/firmware","variables":"in/variables","smm":true}"#,
        "sbat,1,SBATVersion,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.mdgrub,3,b,c,d,e",
    ] {
        assert!(blobs.iter().any(|blob| blob.contains(text)), "{text}\n{}", blobs.join("\n"));
    }
    // A salt that is not given has as many bytes as a hash, and belongs to the target.
    let plain = blobs.iter().find(|blob| blob.contains("out/plain.verity")).map_or("", String::as_str);
    let salt = plain.split("\"salt\":\"").nth(1).and_then(|rest| rest.split('"').next());
    assert_eq!(salt.map(str::len), Some(64), "{plain}");
}

/// Replaces a part of the recipe, and compares what is reported, without where and with what could be done.
#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(STACK.contains(from), "{from}");
    let (_, problems) = parse(&STACK.replacen(from, to, 1), &Settings::default());
    let found: Vec<String> = problems
        .iter()
        .map(|problem| {
            let text = problem.to_string();
            let is_told = |line: &&str| line.starts_with("error: ") || line.contains("= help: ");
            let lines = text.lines().filter(is_told);
            lines
                .map(|line| line.trim_start_matches("error: ").trim().trim_start_matches("= "))
                .collect::<Vec<_>>()
                .join("; ")
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn files_are_there_and_are_files() {
    check(
        "program     = \"system\"",
        "program = \"system/a.efi\"",
        &["target `system` leaves no `a.efi`; help: known files of it: `system.efi`, `system.txt`"],
    );
    check(
        "root-hash  = \"root\"",
        "root-hash = \"data\"",
        &[
            "`data` is not a target of kind `verity`; help: name the target whose root's hash the kernel is told",
        ],
    );
    check("code = \"data\"", "code = \"dat\"", &["unknown target `dat`; help: did you mean `data`?"]);
    check(
        "image = \"data\"\nappend",
        "image = \"system\"\nappend",
        &["targets need each other: `root` → `system` → `root`; help: one of these references has to go"],
    );
}

#[test]
fn numbers_and_texts_that_cannot_be() {
    check(
        "append = true",
        "append = true\nhash-block-size = 1000",
        &["a block cannot have 1000 bytes; help: a block has 512, 1024, 2048 or 4096 bytes"],
    );
    check(
        "00C0FFEE",
        "c0ffe",
        &[
            "`c0ffe` is not up to 256 bytes in hexadecimal digits; help: write two digits for each byte: `00c0ffee`",
        ],
    );
    check(
        "\"a,1,b,c,d,e\"",
        "\"a,1\"",
        &[
            "`a,1` is no line of SBAT; help: write name, generation, vendor, package, version and address: `os.example,1,Example,os,1.0,https://example.org`",
        ],
    );
    check("\"quiet\"", "\"a\\nb\"", &["this is one line"]);
    check(
        "arch    = \"arm64\"",
        "arch = \"arm64\"\nfirmware = \"bios\"",
        &[
            "there is no BIOS for arm64; help: leave `firmware` out: it is `efi` then",
            "a BIOS knows no SBAT; help: leave `sbat` out",
        ],
    );
    check(
        "[\"fat\", \"normal\"]",
        "[\"--fat\"]",
        &["`--fat` is no module of GRUB; help: modules are like `part_gpt` and `fat`"],
    );
    check(
        "modules = [\"fat\", \"normal\"]\n",
        "",
        &[
            "this GRUB could do nothing: it has no `modules`; help: list what it needs to find the rest: `[\"part_gpt\", \"fat\", \"normal\", \"linux\"]`",
        ],
    );
}
