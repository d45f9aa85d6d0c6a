//! IGVM files that a recipe describes: what reaches the tool.

use std::collections::BTreeMap;

use cas::Digest;
use recipe::{Goal, Imported, Lock, Lowered, Resolved, Reuse, Settings, lower, needs, parse};

const STACK: &str = r#"
[stack]
name = "guests"

[target.initrd]
kind = "initramfs"
init = "hello"

[target.confidential]
kind      = "igvm"
platforms = ["snp", "tdx", "native"]
firmware  = { file = "OVMF.fd" }
kernel    = { file = "vmlinuz" }
initrd    = "initrd"
cmdline   = "quiet"
memory    = "2G"
cpus      = 4
cpu       = "EPYC-Milan"
policy    = "0xB0000"

[target.plain]
kind      = "igvm"
platforms = ["snp"]
firmware  = { file = "OVMF.fd" }

[target.direct]
kind      = "igvm"
platforms = ["native"]
kernel    = { file = "vmlinuz" }
initrd    = "initrd"
memory    = "512M"

[target.flat]
kind         = "igvm"
platforms    = ["native"]
kernel       = { file = "kernel.bin" }
load-address = "2M"
memory       = "64M"
"#;

/// Lowers everything, with stand-ins for what would be fetched.
fn lowered() -> Lowered {
    let (stack, problems) = parse(STACK, &Settings::default());
    let stack = stack.unwrap_or_else(|| panic!("{problems:?}"));
    let goals: Vec<Goal> = stack.targets.keys().cloned().map(Goal::Target).collect();
    let needs = needs(&stack, &goals);
    let file = Imported::File { digest: Digest::of(b"file"), executable: false };
    let tools = ["kbuild", "mkimg", "pkgroot", "runvm"];
    let tools = tools.map(|tool| (tool.to_owned(), Digest::of(tool.as_bytes())));
    let resolved = Resolved {
        paths: needs.paths.keys().map(|path| (path.clone(), file)).collect(),
        tools: tools.into(),
        ..Resolved::default()
    };
    lower(&stack, &Lock::default(), &resolved, &goals, Reuse::Nothing)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn what_is_asked_for_reaches_the_tool() {
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
    assert_eq!(inputs["confidential"], of(&["firmware", "kernel", "initrd", "spec.json"]));
    assert_eq!(inputs["plain"], of(&["firmware", "spec.json"]));
    assert_eq!(inputs["direct"], of(&["kernel", "initrd", "spec.json"]));

    let specs: Vec<serde_json::Value> =
        lowered.blobs.iter().filter_map(|blob| serde_json::from_slice(blob).ok()).collect();
    let spec = |name: &str| {
        let output = format!("out/{name}.igvm");
        let spec = specs.iter().find(|spec| spec["output"] == output.as_str());
        spec.unwrap_or_else(|| panic!("there is a specification of {name}"))["start"].clone()
    };
    let expected = serde_json::json!({ "firmware": {
        "image": "in/firmware",
        "native": true,
        "snp": {
            "policy": 0xb0000,
            "processors": 4,
            "signature": 0xa0_0f11,
            "kernel": { "kernel": "in/kernel", "initrd": "in/initrd", "cmdline": "quiet" },
        },
        "tdx": { "memory": 2_u64 << 30 },
    } });
    assert_eq!(spec("confidential"), expected);
    let expected = serde_json::json!({ "firmware": {
        "image": "in/firmware",
        "snp": { "policy": 0x30000, "processors": 1, "signature": 0x80_0f12 },
    } });
    assert_eq!(spec("plain"), expected);
    let expected = serde_json::json!({ "direct": {
        "kernel": "in/kernel",
        "initrd": "in/initrd",
        "memory": 512 << 20,
    } });
    assert_eq!(spec("direct"), expected);
    let expected = serde_json::json!({ "direct": {
        "kernel": "in/kernel",
        "flat": { "address": 2 << 20, "entry": 2 << 20 },
        "memory": 64 << 20,
    } });
    assert_eq!(spec("flat"), expected);
    let main = lowered.targets["plain"].main.as_deref();
    assert_eq!(main, Some("plain.igvm"));
}
