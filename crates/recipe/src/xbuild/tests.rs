//! What recipes come to, and what is told of wrong ones.

use std::sync::Arc;

use cas::Digest;
use engine::{Graph, Input, Requirements};

use super::*;

const QEMU: &str = r#"{
    "igvm": { "qemu": {
        "output": "coconut-qemu.igvm", "platforms": ["snp", "tdp", "native"], "policy": "0x30000",
        "measure": "print", "check-kvm": true
    } },
    "kernel": {
        "svsm": { "features": "vtpm,uefivars", "binary": false },
        "bldr": { "manifest": "boot/bldr/Cargo.toml", "binary": true, "objcopy": "binary" },
        "tdx-stage1": { "manifest": "stage1/Cargo.toml", "binary": true, "objcopy": "binary" }
    },
    "firmware": { "env": "FW_FILE" },
    "fs": { "modules": { "userinit": { "path": "/init" } } }
}"#;

fn read(text: &str, strictness: Strictness) -> Parsed {
    parse(&Arc::new(SourceFile { name: "x.json".to_owned(), text: text.to_owned() }), strictness)
}

fn recipe(text: &str) -> Recipe {
    let parsed = read(text, Strictness::Strict);
    let problems: Vec<String> = parsed.problems.iter().map(Problem::render_plain).collect();
    parsed.recipe.unwrap_or_else(|| panic!("{}", problems.join("\n")))
}

fn commands(recipes: &[Recipe], options: &Options) -> Vec<String> {
    plan(recipes, options, &Firmwares::new()).parts.iter().map(|part| part.command.join(" ")).collect()
}

#[test]
fn commands_are_those_of_upstream() {
    let recipe = recipe(QEMU);
    assert_eq!(
        commands(&[recipe.clone(), recipe.clone()], &Options::default()),
        [
            "cargo build --package svsm --target x86_64-unknown-none --features vtpm,uefivars",
            "cargo build --bin bldr --target x86_64-unknown-none --manifest-path boot/bldr/Cargo.toml",
            "cargo build --bin tdx-stage1 --target x86_64-unknown-none --manifest-path stage1/Cargo.toml",
            "cargo build --package userinit --target x86_64-unknown-none",
            "cargo build --package igvmbuilder --target-dir target/tools",
        ]
    );
    let features = ["attest", "userinit:x", "igvmbuilder:y", "nobody:z"].map(|text| text.parse().unwrap());
    let options = Options { release: true, offline: true, features: features.to_vec(), ..Options::default() };
    let tail = "--release --offline --locked";
    assert_eq!(
        commands(std::slice::from_ref(&recipe), &options),
        [
            format!(
                "cargo build --package svsm --target x86_64-unknown-none --features vtpm,uefivars,attest {tail}"
            ),
            format!(
                "cargo build --bin bldr --target x86_64-unknown-none --manifest-path boot/bldr/Cargo.toml {tail}"
            ),
            format!(
                "cargo build --bin tdx-stage1 --target x86_64-unknown-none --manifest-path stage1/Cargo.toml {tail}"
            ),
            format!("cargo build --package userinit --target x86_64-unknown-none --features x {tail}"),
            format!("cargo build --package igvmbuilder --target-dir target/tools --features y {tail}"),
        ]
    );
    let planned = plan(std::slice::from_ref(&recipe), &options, &Firmwares::new());
    assert_eq!(planned.unused, ["nobody:z".parse().unwrap()]);

    // Make calls cargo, which has the standard library built all the same.
    let made =
        QEMU.replace(r#""manifest": "stage1/Cargo.toml""#, r#""type": "make", "output_file": "bin/stage1""#);
    let made = self::recipe(&made.replace(r#""bin/stage1", "binary": true"#, r#""bin/stage1""#));
    let options = Options { build_std: Some("-Zbuild-std=core,alloc".to_owned()), ..Options::default() };
    let parts = plan(&[made], &options, &Firmwares::new()).parts;
    assert_eq!(parts[2].command.join(" "), "make bin/stage1");
    assert_eq!(parts[2].environment["CARGO_UNSTABLE_BUILD_STD"], "core,alloc");
    assert_eq!(planned.parts[0].product, Product::File("target/x86_64-unknown-none/release/svsm".to_owned()));
}

#[test]
fn tests_and_makefiles_are_components_too() {
    let text = r#"{
        "igvm": {},
        "kernel": {
            "svsm": { "type": "test", "toolchain": "nightly", "no_default_features": true, "env": { "LINK_TEST": "1" } },
            "stage2": { "type": "make", "output_file": "stage2/stage2.bin", "features": "a, b" }
        },
        "fs": { "modules": {} }
    }"#;
    let options = Options { verbose: true, ..Options::default() };
    let planned = plan(&[recipe(text)], &options, &Firmwares::new());
    let [svsm, stage2, _] = &planned.parts[..] else { panic!("{:?}", planned.parts) };
    assert_eq!(
        svsm.command.join(" "),
        "cargo +nightly test --no-run --message-format=json-render-diagnostics --package svsm --target \
         x86_64-unknown-none --no-default-features -vv"
    );
    assert_eq!(svsm.environment["LINK_TEST"], "1");
    assert_eq!(planned.toolchains(), ["nightly"].into());
    assert_eq!(svsm.product, Product::Test("svsm".to_owned()));
    assert_eq!(stage2.command.join(" "), "make stage2/stage2.bin V=2");
    assert_eq!(stage2.environment["FEATURES"], "a,b");
    assert_eq!(stage2.environment["FEATURES_TEST"], "a,b");
}

#[test]
fn images_are_described_as_upstream_does() {
    let firmwares = Firmwares::from([(0, "OVMF.fd".into())]);
    let planned = plan(&[recipe(QEMU)], &Options::default(), &firmwares);
    let here = Here {
        tree: Input::Tree(Digest::of(b"tree")),
        beside: Vec::new(),
        prefix: String::new(),
        requirements: Requirements::default(),
        firmwares: [(0, Input::File { digest: Digest::of(b"firmware"), executable: false })].into(),
        mkimg: Digest::of(b"mkimg"),
        root: None,
        version: None,
        environment: std::collections::BTreeMap::new(),
    };
    let mut graph = Graph::default();
    let lowered = lower(&planned, &here, &mut graph);
    let [image] = &lowered.images[..] else { panic!("{:?}", lowered.images) };
    assert_eq!(image.path, "bin/coconut-qemu.igvm");
    assert_eq!(
        graph.step(image.step).arguments.join(" "),
        "in/builder --sort --output out/coconut-qemu.igvm --policy 0x30000 --kernel in/svsm --tdx-stage1 \
         in/tdx-stage1 --bldr in/bldr --firmware in/firmware --filesystem in/svsm-fs.bin --snp --tdp --native qemu"
    );
    let files: Vec<&str> = lowered.files.keys().map(String::as_str).collect();
    assert_eq!(
        files,
        ["bin/bldr", "bin/coconut-qemu.igvm", "bin/fs/init", "bin/svsm", "bin/svsm-fs.bin", "bin/tdx-stage1"]
    );
    let steps: Vec<&str> = graph.steps().map(|(_, step)| step.label.as_str()).collect();
    assert_eq!(steps[..2], ["svsm (vtpm,uefivars)", "bldr"]);
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    #[track_caller]
    fn check(from: &str, to: &str, expected: &[(&str, &str)]) {
        let text = QEMU.replacen(from, to, 1);
        assert_ne!(text, QEMU, "`{from}` is not in the recipe");
        let found: Vec<(String, String)> = read(&text, Strictness::Strict)
            .problems
            .iter()
            .map(|problem| (problem.message.clone(), problem.help.clone().unwrap_or_default()))
            .collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(message, help)| (&**message, &**help)).collect();
        assert_eq!(found, expected);
    }
    check(
        "check-kvm",
        "check_kvm",
        &[("unknown attribute `check_kvm` in `qemu`", "did you mean `check-kvm`?")],
    );
    check("\"qemu\": {", "\"quemu\": {", &[("unknown target `quemu`", "did you mean `qemu`?")]);
    check("\"tdp\"", "\"tdx\"", &[("unknown platform `tdx`", "it is called `tdp` here")]);
    check("\"tdp\"", "\"snp\"", &[("the platform `snp` is there twice", "")]);
    check(
        "\"0x30000\"",
        "196608",
        &[("`policy` must be a string, not an integer", "write it in quotes: \"196608\"")],
    );
    check(
        "\"0x30000\"",
        "\"0xg\"",
        &[("`0xg` is no policy", "write a number of 64 bits, as in \"0x30000\"")],
    );
    check(
        "[\"snp\", \"tdp\", \"native\"]",
        "[\"native\"]",
        &[("`policy` is one of SEV-SNP, and `platforms` has no `snp`", "take it out, or add the platform")],
    );
    check(
        "[\"snp\", \"tdp\", \"native\"]",
        "[]",
        &[
            (
                "`platforms` is empty, and an image is for one at least",
                "known platforms: `native`, `snp`, `tdp`, `vsm`",
            ),
            ("`policy` is one of SEV-SNP, and `platforms` has no `snp`", "take it out, or add the platform"),
        ],
    );
    check(
        "tdx-stage1",
        "tdx-stage",
        &[
            (
                "`tdp` needs the part `tdx-stage1` of the kernel",
                "add it to `kernel`, or take the platform out",
            ),
            (
                "unknown part `tdx-stage` of the kernel, which goes into no image",
                "did you mean `tdx-stage1`?",
            ),
        ],
    );
    check(
        "\"binary\": false",
        "\"type\": \"make\"",
        &[(
            "`svsm` is built by `make`, and has no `output_file`",
            "name what `make` is asked for and leaves",
        )],
    );
    check("\"binary\": false", "\"type\": \"cmake\"", &[("unknown type `cmake`", "did you mean `make`?")]);
    check(
        "\"binary\": false",
        "\"toolchain\": \"nightly\"",
        &[(
            "`toolchain` is for components of the type `test` only",
            "the toolchain of all others is that of the tree",
        )],
    );
    check("\"binary\": false", "\"binary\": \"no\"", &[("`binary` must be a boolean, not a string", "")]);
    check(
        "\"/init\"",
        "\"/../init\"",
        &[("`/../init` is no path of a file in a file system", "write it as in `/init`, without `..`")],
    );
    check(
        "\"coconut-qemu.igvm\"",
        "\"../x.igvm\"",
        &[("`../x.igvm` leads out of the tree", "write a path from the root of the tree")],
    );
    check(
        "\"fs\": {",
        "\"filesystem\": {",
        &[
            ("the recipe has no `fs`", ""),
            (
                "unknown attribute `filesystem` in the recipe",
                "known attributes: `kernel`, `igvm`, `fs`, `firmware`",
            ),
        ],
    );
    check(
        "\"env\": \"FW_FILE\"",
        "\"command\": []",
        &[("`command` is empty", "write a program and its arguments, each a string")],
    );
}

#[test]
fn what_upstream_passes_over_is_a_warning_for_those_who_want_that() {
    let text = QEMU.replacen("check-kvm", "check_kvm", 1);
    let parsed = read(&text, Strictness::Upstream);
    assert!(parsed.recipe.is_some());
    let warnings: Vec<&str> = parsed.warnings.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(warnings, ["unknown attribute `check_kvm` in `qemu`"]);
}

#[test]
fn the_order_is_that_of_the_recipe() {
    let text = QEMU.replacen(
        "\"userinit\": { \"path\": \"/init\" }",
        "\"zz\": {}, \"userinit\": { \"path\": \"/init\" }, \"aa\": { \"path\": \"zz\" }",
        1,
    );
    let problems = read(&text, Strictness::Strict).problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].message, "two modules go to `zz`");
    let recipe = recipe(&text.replacen("\"path\": \"zz\"", "\"path\": \"a/a\"", 1));
    let modules: Vec<&str> = recipe.modules.iter().map(Component::packed_as).collect();
    assert_eq!(modules, ["zz", "init", "a/a"]);
}

#[test]
fn many_modules_are_each_looked_at_once() {
    // Comparing each with all before it would take half a minute.
    let modules: Vec<String> = (0..20_000).map(|idx| format!("\"m{idx}\": {{}}")).collect();
    let modules = format!("\"modules\": {{ {}, ", modules.join(", "));
    let recipe = recipe(&QEMU.replacen("\"modules\": {", &modules, 1));
    let parts = plan(&[recipe.clone(), recipe], &Options::default(), &Firmwares::new()).parts;
    assert_eq!(parts.len(), 20_005);
    assert_eq!((parts[3].name.as_str(), parts[20_002].name.as_str()), ("m0", "m19999"));
}
