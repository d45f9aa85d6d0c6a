//! What `dtc`, which others wrote, makes of our trees, and we of its.

use std::io::Write;
use std::process::{Command, Stdio};

use fdt::Tree;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::blob::trees;
use crate::virtual_machine;

const SOURCE: &[u8] = br#"/dts-v1/;
/memreserve/ 0x10000000 0x4000;
/memreserve/ 0x0 0x1000;
/ {
    #address-cells = <2>;
    #size-cells = <1>;
    model = "a \"model\"\\\t\n";
    compatible = "vendor,one", "vendor,two";
    interrupt-parent = <&gic>;
    aliases { serial0 = &uart; };
    cpus { #address-cells = <1>; #size-cells = <0>; cpu@7 { device_type = "cpu"; reg = <7>; }; };
    gic: interrupt-controller@1000 { reg = <0 0x1000 0x100>; interrupt-controller; #interrupt-cells = <2>; };
    soc { ranges; #address-cells = <1>; #size-cells = <1>; empty { };
        uart: serial@2000 { reg = <0x2000 0x10>; interrupts = <1 2>; cells = <1 2>; mac = [00 11 22 33 44 55];
            xcells = <3>; size-cells = /bits/ 64 <0x123456789abcdef0>; b = "a", "", [01]; bits = /bits/ 16 <1 2 3>; };
    };
};
"#;

/// A base and what is laid over it; the overlay numbers a node of the base by itself, too.
const BOARD: &[u8] = br#"/dts-v1/;
/ {
    gic: intc { interrupt-controller; #interrupt-cells = <3>; phandle = <40>; };
    soc: soc { uart: uart { status = "disabled"; interrupt-parent = <&gic>; }; };
};
"#;
const EXTENSION: &[u8] = br#"/dts-v1/;
/plugin/;
&uart { status = "okay"; clocks = <&clk 1>, <&clk 2>; child { parents = <&uart &gic>; }; };
&soc { clk: clock { #clock-cells = <1>; users = <&uart>; }; };
/ { fragment@9 { target-path = "/"; __overlay__ { on-root = <&clk>; late: late { x; }; }; }; };
"#;

/// Says whether there is `dtc`. Under `CI=1` there has to be.
#[allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "CI is told by the environment; a skipped test says why"
)]
fn has_dtc() -> bool {
    let has_dtc = Command::new("dtc").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_dtc {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "1"), "under CI=1 this has to run: no `dtc`");
        println!("skipped: there is no `dtc` (Debian's device-tree-compiler)");
    }
    has_dtc
}

/// Returns what `dtc` makes of `input`, and what it complains about.
fn dtc(arguments: &str, input: &[u8]) -> (Vec<u8>, String) {
    let mut child = Command::new("dtc")
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaints}\n{}", String::from_utf8_lossy(input));
    (output.stdout, complaints)
}

/// Checks that `dtc` makes the same bytes of our source and of our bytes; returns its complaints about these.
fn check(tree: &Tree) -> String {
    let blob = tree.write().unwrap();
    let source = tree.to_dts();
    let (from_source, _) = dtc(&format!("-q -I dts -O dtb -b {}", tree.boot_cpu), source.as_bytes());
    assert_eq!(Tree::parse(&from_source).as_ref(), Ok(tree), "{source}");
    assert_eq!(from_source, blob);
    let (from_blob, complaints) = dtc("-I dtb -O dtb", &blob);
    assert_eq!(from_blob, blob);
    complaints
}

#[test]
fn blobs_of_dtc_are_written_as_they_were() {
    if !has_dtc() {
        return;
    }
    let (blob, _) = dtc("-q -I dts -O dtb", SOURCE);
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(tree.boot_cpu, 7);
    assert_eq!(tree.write().unwrap(), blob);
    check(&tree);
}

#[test]
fn dtc_has_no_complaints_about_the_virtual_machine() {
    if has_dtc() {
        assert_eq!(check(&virtual_machine()), "");
    }
}

#[test]
fn source_of_any_tree_is_understood() {
    if !has_dtc() {
        return;
    }
    let mut runner = TestRunner::new(ProptestConfig::with_cases(40));
    let outcome = runner.run(&trees(), |tree| {
        check(&tree);
        Ok(())
    });
    outcome.unwrap();
}

/// Orders what is in a node, since `fdtoverlay` puts what is new in front.
fn sort(node: &mut fdt::Node) {
    node.properties.sort_by(|a, b| a.name.cmp(&b.name));
    node.children.sort_by(|a, b| a.name.cmp(&b.name));
    node.children.iter_mut().for_each(sort);
}

#[test]
fn overlays_give_what_fdtoverlay_makes_of_them() {
    if !has_dtc() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let files = ["base", "overlay", "result"].map(|name| directory.path().join(name));
    for (file, source) in files.iter().zip([BOARD, EXTENSION]) {
        std::fs::write(file, dtc("-q -@ -I dts -O dtb", source).0).unwrap();
    }
    let [base, overlay, result] = &files;
    let output = Command::new("fdtoverlay")
        .args(["-i".as_ref(), base.as_os_str(), "-o".as_ref(), result.as_os_str(), overlay.as_os_str()])
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let [base, overlay, result] = files.map(|file| Tree::parse(&std::fs::read(file).unwrap()).unwrap());
    let mut trees = [base.overlaid(overlay).unwrap(), result];
    trees.iter_mut().for_each(|tree| sort(&mut tree.root));
    let [ours, theirs] = trees;
    assert_eq!(ours.to_dts(), theirs.to_dts());
}
