//! Device trees that a recipe describes, and initramfs with more than files: what becomes of them, and wrong input.

mod stand_ins;

use std::collections::BTreeMap;

use cas::Digest;
use recipe::{Goal, Imported, Lock, Lowered, Resolved, Reuse, Settings, lower, needs, parse};

const STACK: &str = r#"
[stack]
name = "trees"

[source.linux]
path = "linux"

[env.dtc]
distro   = "debian:bookworm"
packages = ["dtc"]

[target.guest]
kind   = "dtb"
root   = { model = "linux,guest", compatible = ["linux,dummy-virt"] }
memory = [{ at = "0x48000000", size = "512M" }]
cpus   = { count = 4 }
psci   = "hvc"
gic-v3 = { distributor = { at = "0x8000000", size = "64K" }, redistributors = { at = "0x80a0000", size = "512K" } }
timer  = true
pl011  = [{ at = "0x9000000", spi = 1 }]
chosen = { bootargs = "quiet", stdout-path = "/serial@9000000" }
virtio-mmio = [{ at = "0xa000000", spi = 16, count = 2 }]

[target.guest.nodes."/dog"]
interrupts       = [1, 9, 4]
interrupt-parent = { phandle = "gic" }
window           = [{ u64 = ["0x100000000", "2M", -1] }, { u32 = ["64K", 7] }]

[target.board]
kind     = "dtb"
dts      = { source = "linux", path = "arch/arm64/boot/dts/a.dts" }
includes = [{ source = "linux", path = "include" }, "boards"]
overlays = ["boards/b.dtso", { target = "guest" }]
env      = "dtc"
rename   = { "/soc" = "bus", "/soc/a" = "b" }
symbols  = true

[target.initrd]
kind    = "initramfs"
init    = "hello"
devices = { "/dev/console" = { type = "char", major = 5, minor = 1 }, "/run/pipe" = { type = "fifo" } }
early   = { "/kernel/x86/microcode/GenuineIntel.bin" = "odd" }
prepend = ["other", { file = "more.cpio" }]
compression = "lz4"

[target.other]
kind = "initramfs"
init = "hello"
"#;

/// Lowers everything, with stand-ins for what would be locked and fetched.
fn lowered() -> Lowered {
    let (stack, problems) = parse(STACK, &Settings::default());
    let stack = stack.unwrap_or_else(|| panic!("{problems:?}"));
    let goals: Vec<Goal> = stack.targets.keys().cloned().map(Goal::Target).collect();
    let needs = needs(&stack, &goals);
    let lock = Lock { packages: stand_ins::packages(&needs, "dtc"), ..Lock::default() };
    let tree = Imported::Tree(Digest::of(b"tree"));
    let file = Imported::File { digest: Digest::of(b"file"), executable: false };
    let paths = needs.paths.keys();
    let paths = paths.map(|path| (path.clone(), if path.as_str() == "boards" { tree } else { file }));
    let sources = needs.sources.keys().map(|name| (name.clone(), tree));
    let resolved = Resolved {
        sources: sources.collect(),
        paths: paths.collect(),
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
    assert_eq!(
        inputs["board/source"],
        [
            "",
            "build/tools/mkimg",
            "build/src/linux",
            "build/in/source/1/b.dtso",
            "build/in/source/2/of-target",
            "build/in/include/1/boards",
            "build/in/spec.json"
        ]
    );
    for (step, input) in [
        ("board", "build/in/base.dtb"),
        ("board", "build/in/overlay0.dtbo"),
        ("board", "build/in/overlay1.dtbo"),
        ("initrd/early", "build/in/layers/0000-early.tar"),
        ("initrd", "build/in/prepend/0"),
        ("initrd", "build/in/prepend/2"),
    ] {
        assert!(inputs[step].contains(&input), "{step}: {:?}", inputs[step]);
    }
    let blobs: Vec<String> =
        lowered.blobs.iter().map(|blob| String::from_utf8_lossy(blob).split_whitespace().collect()).collect();
    for text in [
        r#"{"kind":"device-tree-sources","sources":[{"source":"src/linux/arch/arm64/boot/dts/a.dts","output":"out/base.dtb"},{"source":"in/source/1/b.dtso","output":"out/overlay0.dtbo"},"#,
        r#""includes":["src/linux/include","in/include/1/boards"]"#,
        r#""base":"in/base.dtb","strict":true,"overlays":["in/overlay0.dtbo","in/overlay1.dtbo"],"edits":[{"kind":"rename-node","node":"/soc/a","name":"b"},{"kind":"rename-node","node":"/soc","name":"bus"}]}"#,
        r#"[{"u64":[4294967296,2097152,18446744073709551615]},{"u32":[65536,7]}]"#,
        r#"{"kind":"set-property","node":"/virtio@a000200","property":"interrupts","value":[{"u32":[0,17,1]}]}"#,
        r#""labels":{"gic":"/interrupt-controller@8000000"}"#,
        r#"{"path":"dev/console","type":"char-device","mode":384,"uid":0,"gid":0,"major":5,"minor":1}"#,
        r#"{"path":"run/pipe","type":"fifo","mode":384,"uid":0,"gid":0}"#,
        r#""compression":"lz4","prepend":["in/prepend/0","in/prepend/1","in/prepend/2"]"#,
    ] {
        assert!(blobs.iter().any(|blob| blob.contains(text)), "{text}\n{}", blobs.join("\n"));
    }
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
fn one_base_or_none() {
    check(
        "env      = \"dtc\"\n",
        "env = \"dtc\"\nbase = \"guest\"\n",
        &[
            "`base` and `dts` exclude each other; help: a device tree starts as one of them: keep one, or none to start with nothing",
        ],
    );
    check(
        "env      = \"dtc\"\n",
        "",
        &[
            "source without an environment to compile it in; help: name one that has `device-tree-compiler` and `cpp`: `env = …`",
        ],
    );
    check(
        "psci   = \"hvc\"",
        "psci = \"hvc\"\nenv = \"dtc\"\nincludes = [\"boards\"]\nsymbols = true",
        &[
            "`symbols` keeps the labels of source, and there is none; help: give it `dts`, or leave `symbols` out: another base keeps what it has",
            "there is nothing to compile in this environment; help: `env` is for `dts` and `overlays`: leave it out",
            "there is no source that would include anything; help: `includes` is for `dts` and `overlays`: leave it out",
        ],
    );
    check(
        "path = \"include\"",
        "file = \"include\"",
        &[
            "`target.board.includes` has no `path`",
            "unknown key `file` in `target.board.includes`; help: known keys: `source`, `path`",
        ],
    );
    check(
        "\"/soc\" = \"bus\"",
        "\"/soc\" = \"/bus\"",
        &[
            "`/bus` cannot be the name of a node; help: it is a name without slashes, and perhaps `@` and an address: `serial@9000000`",
        ],
    );
}

#[test]
fn parts_that_make_no_machine() {
    check("count = 4", "count = 5", &["5 processors, and an interrupt controller for 4"]);
    check("count = 4", "count = 0", &["0 processors are out of range; help: the range is 1 to 4096"]);
    check(
        "psci   = \"hvc\"\n",
        "",
        &[
            "processors that nothing starts; help: say how PSCI is called: `psci = \"hvc\"` or `psci = \"smc\"`",
        ],
    );
    check("\"hvc\"", "\"svc\"", &["unknown method `svc`; help: did you mean `hvc`?"]);
    check(
        "spi = 16",
        "spi = 987",
        &["interrupt 988 is out of range; help: shared interrupts are counted from 0 to 987"],
    );
    check("size = \"512M\"", "size = \"0\"", &["nothing fits into no bytes"]);
    check("0x48000000", "0xffffffffffffffff", &["this ends behind the last address that there is"]);
    check("count = 2", "count = 1000", &["1000 devices are out of range; help: the range is 1 to 988"]);
    check(
        "timer  = true",
        "timer = true\ngic-v2 = { distributor = { at = \"0\", size = \"4K\" }, cpu-interface = { at = \"8K\", size = \"4K\" } }",
        &["`gic-v3` and `gic-v2` exclude each other; help: keep one of them"],
    );
    check(
        "gic-v3 = { distributor = { at = \"0x8000000\", size = \"64K\" }, redistributors = { at = \"0x80a0000\", size = \"512K\" } }\n",
        "",
        &[
            "a device whose interrupt goes nowhere; help: give the tree an interrupt controller: `gic-v3` or `gic-v2`",
        ],
    );
}

#[test]
fn a_tree_out_of_nothing_is_looked_over_at_once() {
    check(
        "phandle = \"gic\"",
        "phandle = \"git\"",
        &[
            "could not let `interrupt-parent` of `/dog` refer to `&git`: there is no label `git`; help: did you mean `gic`?",
        ],
    );
    check(
        "[1, 9, 4]",
        "[1, 9]",
        &[
            "`interrupts` of `/dog` should be entries of 3 cells (3 by `/interrupt-controller@8000000`), but is 8 bytes",
        ],
    );
    check(
        "chosen = {",
        "delete = [\"/nothing\"]\nchosen = {",
        &["could not delete `/nothing`: there is no node `/nothing`"],
    );
    check(
        "stdout-path = \"/serial@9000000\"",
        "stdout-path = \"serial0\"",
        &[
            "`stdout-path` of `/chosen` should be the path of a node or an alias, and perhaps `:` and options, but is `\"serial0\"`",
        ],
    );
    check(
        "\"64K\", 7]",
        "\"8G\", 7]",
        &["0x200000000 does not fit into a cell; help: `u64` makes two cells of a number"],
    );
    check(
        "\"64K\", 7]",
        "\"many\", 7]",
        &["`many` is neither an address nor a size; help: write it as in `0x48000000` or `512M`"],
    );
}

#[test]
fn devices_and_archives_that_cannot_be() {
    check(
        "minor = 1",
        "minor = 1048576",
        &["1048576 is out of range; help: Linux has room for minor numbers below 1048576"],
    );
    check(
        ", minor = 1",
        "",
        &[
            "device node `/dev/console` has no `minor`; help: write both numbers, as in `major = 5, minor = 1`",
        ],
    );
    check("type = \"fifo\"", "type = \"fifo\", major = 1", &["a pipe has no `major`; help: leave it out"]);
    check(
        "type = \"char\"",
        "type = \"character\"",
        &["unknown type of device `character`; help: it is called `char` here"],
    );
    check("[\"other\",", "[\"otter\",", &["unknown target `otter`; help: did you mean `other`?"]);
    check(
        "[\"other\",",
        "[\"initrd\",",
        &["target `initrd` needs itself; help: one of these references has to go"],
    );
}

#[test]
fn a_machine_whose_qemu_comes_of_its_tree_is_a_cycle() {
    let recipe = "[stack]\nname = \"round\"\n[env.e]\ndistro = \"debian:bookworm\"\npackages = [\"make\"]\n\
                  [target.board]\nkind = \"dtb\"\nmachine = \"m\"\n\
                  [target.qemu]\nkind = \"command\"\nenv = \"e\"\nrun = \"true\"\ninputs = { board = \"board\" }\n\
                  outputs = [\"qemu\"]\n\
                  [machine.m]\nenv = \"e\"\narch = \"arm64\"\nqemu = \"qemu/qemu\"\n";
    let (_, problems) = parse(recipe, &Settings::default());
    let problems: Vec<String> = problems.iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(problems, ["targets need each other: `board` → `qemu` → `board`"]);
}
