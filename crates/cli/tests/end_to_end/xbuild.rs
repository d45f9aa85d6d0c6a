//! `xbuild`: COCONUT's recipes in a small tree of the same shape, with this machine's tools and in an environment.

use std::fs;
use std::process::Command;

use launch::{File, PlatformKind, ZeroPages, measure};

use crate::harness::{Project, Ran, check_failure, run, skip};

const TREE: &str = "examples/coconut";

fn xbuild(project: &Project, arguments: &[&str]) -> Ran {
    let firmware = project.path().join("made/firmware.fd");
    run(project.command(&["xbuild"]).args(arguments).env("FW_FILE", firmware))
}

#[track_caller]
fn succeed(project: &Project, arguments: &[&str]) -> Ran {
    let ran = xbuild(project, arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
    ran
}

fn has_tools() -> bool {
    let missing = |tool: &&str| Command::new(tool).arg("--version").output().is_err();
    match ["make", "ld", "objcopy", "cargo"].into_iter().find(missing) {
        Some(tool) => skip(&format!("there is no `{tool}` here")),
        None => return true,
    }
    false
}

/// Returns the launch digest of an image for SEV-SNP.
fn digest(project: &Project, path: &str, zeros: ZeroPages) -> String {
    let bytes = fs::read(project.path().join(path)).unwrap();
    let file = File::parse(&bytes).unwrap();
    format!("{:#}", measure(&file, PlatformKind::SevSnp, zeros).unwrap().digest)
}

#[test]
fn recipe_is_built_with_the_tools_of_this_machine() {
    if !has_tools() {
        return;
    }
    let project = Project::copy_of(TREE);
    let first = succeed(&project, &["configs/made.json"]);
    assert!(first.stderr.contains("firmware: sh -c"), "{}", first.stderr);
    let launch = digest(&project, "bin/made-qemu.igvm", ZeroPages::Normal);
    assert!(first.stdout.contains(&format!("\nigvmmeasure 'bin/made-qemu.igvm'\nLaunch Digest: {launch}\n")));
    let native = digest(&project, "bin/hv/made.igvm", ZeroPages::Native);
    assert!(first.stdout.contains(&format!("\nigvmmeasure 'bin/hv/made.igvm'\nLaunch Digest: {native}\n")));
    assert!(first.stderr.contains("`bin/made-vanadium.igvm` is for no platform"), "{}", first.stderr);

    // What the parts are: the features reach make, `objcopy` makes of ELF files what it is asked for.
    let of = |path: &str| fs::read(project.path().join(path)).unwrap();
    assert_eq!(of("bin/stage2"), b"the stage2 features  release \n");
    assert!(of("bin/svsm").starts_with(b"\x7fELF"));
    let svsm = String::from_utf8_lossy(&of("bin/svsm")).into_owned();
    assert!(svsm.contains("the svsm features vtpm,attest release \n"));
    let packed = of("bin/svsm-fs.bin");
    let module = of("bin/fs/init");
    let size = (module.len() as u64).to_le_bytes();
    let expected = [
        b"PKIT\x08\0\0\0\x01\0\x04\0",
        &size[..],
        b"init",
        &module[..],
        b"\x01\0\x0a\0",
        &size[..],
        b"test/again",
        &module[..],
    ];
    assert_eq!(packed, expected.concat());
    let image = of("bin/made-qemu.igvm");
    assert!(String::from_utf8_lossy(&image).contains("firmware\n"));

    // Nothing is built twice, not even after a change and back.
    let again = succeed(&project, &["configs/made.json"]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    assert!(again.stdout.contains(&launch));
    project.write("made/init.txt", "another init\n");
    let other = succeed(&project, &["configs/made.json"]);
    assert!(!other.stdout.contains(&launch), "{}", other.stdout);
    project.write("made/init.txt", "the init\n");
    let back = succeed(&project, &["configs/made.json"]);
    assert!(back.stderr.contains("nothing to do"), "{}", back.stderr);
    assert_eq!(of("bin/made-qemu.igvm"), image);
    // A build script says in other words which commit this is.
    let module = project.read("release/src/git_version.rs");
    project.write("release/src/git_version.rs", &format!("// Written.\n{module}"));
    let said = succeed(&project, &["configs/made.json"]);
    assert!(said.stderr.contains("nothing to do"), "{}", said.stderr);

    // What others changed or left in `bin` is put right; what is not ours stays.
    project.write("bin/svsm", "broken");
    project.write("bin/fs/old", "of another recipe");
    project.write("bin/mine", "mine");
    succeed(&project, &["configs/made.json"]);
    assert!(of("bin/svsm").starts_with(b"\x7fELF"));
    assert!(!project.path().join("bin/fs/old").exists());
    assert_eq!(of("bin/mine"), b"mine");

    // The same bytes from an empty cache.
    let cache = tempfile::tempdir_in(crate::harness::scratch()).unwrap();
    fs::remove_dir_all(project.path().join("bin")).unwrap();
    let mut clean = project.command(&["xbuild", "configs/made.json", "--json"]);
    let clean = run(clean.env("BOOTWRIGHT_CACHE", cache.path()).env("FW_FILE", "made/firmware.fd"));
    assert_eq!(clean.code, Some(0), "{}", clean.stderr);
    assert_eq!(of("bin/made-qemu.igvm"), image);
    let lines: Vec<serde_json::Value> =
        clean.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [last] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(last["images"][0]["measurements"][0]["digest"], launch.to_lowercase());
    assert_eq!(last["images"][2]["measurements"], serde_json::json!([]));
    assert_eq!(last["steps"]["failed"], 0);
    assert!(last["files"].as_array().unwrap().iter().any(|path| path == "bin/fs/test/again"));

    let release = succeed(&project, &["-r", "-f", "extra", "configs/made.json"]);
    assert!(
        String::from_utf8_lossy(&of("bin/svsm")).contains("vtpm,attest,extra release 1"),
        "{}",
        release.stderr
    );
}

#[test]
fn what_was_edited_while_it_was_built_is_not_remembered() {
    if !has_tools() {
        return;
    }
    let project = Project::copy_of(TREE);
    let makefile = project.read("Makefile");
    let rule = "$(OBJECTS): made/%: made/%.txt\n";
    assert!(makefile.contains(rule));
    // As somebody who saves a file meanwhile, once: every write truncates first, which steps beside it can see.
    let edit = "grep -qx edited made/init.txt || echo edited > made/init.txt";
    project.write("Makefile", &makefile.replace(rule, &format!("{rule}\t{edit}\n")));
    let edited = xbuild(&project, &["configs/made.json"]);
    check_failure(&edited, 1, &["/made/init.txt` was edited while this was built: build again"]);
    let again = succeed(&project, &["configs/made.json"]);
    assert!(!again.stderr.contains("nothing to do"), "{}", again.stderr);
}

#[test]
fn digest_that_moved_fails_where_it_is_locked() {
    if !has_tools() {
        return;
    }
    let project = Project::copy_of(TREE);
    succeed(&project, &["configs/made.json"]);
    project.succeed(&["measure", "--update", "bin/made-qemu.igvm"]);
    project.succeed(&["measure", "--update", "--native-zero", "bin/hv/made.igvm"]);
    succeed(&project, &["--locked", "configs/made.json"]);
    project.write("made/svsm.txt", "another kernel\n");
    let moved = xbuild(&project, &["--locked", "configs/made.json"]);
    check_failure(&moved, 1, &["sev-snp: expected", "changed  0x800000: 1 page", "does not measure what"]);
    // Also after another build, down to the line that was edited.
    project.write("made/svsm.txt", "a third kernel\n");
    let moved = xbuild(&project, &["--locked", "configs/made.json"]);
    check_failure(
        &moved,
        1,
        &[
            "since `made-qemu.igvm` measured as expected:",
            "(from `svsm (vtpm,attest)`)",
            "made/svsm.txt",
            "- the svsm",
            "+ a third kernel",
        ],
    );
}

#[test]
fn what_fails_is_told_with_its_command() {
    if !has_tools() {
        return;
    }
    let project = Project::copy_of(TREE);
    succeed(&project, &["configs/made.json"]);
    let before = fs::read(project.path().join("bin/svsm")).unwrap();
    let parts = "made/svsm made/stage2 bin/stage1-trampoline made/init";
    project.write("Makefile", &format!("{parts}:\n\techo this cannot be built; exit 3\n.PHONY: {parts}\n"));
    let failed = xbuild(&project, &["-k", "configs/made.json"]);
    check_failure(
        &failed,
        1,
        &[
            "error: `svsm (vtpm,attest)` failed with exit code 2",
            "$ make made/svsm",
            "this cannot be built",
            "the whole log: ",
        ],
    );
    let log = failed.stderr.lines().find_map(|line| line.strip_prefix("  the whole log: ")).unwrap();
    assert!(fs::read_to_string(log).unwrap().contains("this cannot be built"));
    assert_eq!(fs::read(project.path().join("bin/svsm")).unwrap(), before);
}

#[test]
fn what_is_wrong_with_recipes_is_told() {
    let project = Project::copy_of(TREE);
    let recipe = project.read("configs/made.json");
    project
        .write("wrong.json", &recipe.replace("check-kvm", "check_kvm").replace("\"native\"]", "\"nativ\"]"));
    let wrong = xbuild(&project, &["wrong.json", "configs/nowhere.json"]);
    check_failure(&wrong, 2, &["could not read the recipe"]);
    let wrong = xbuild(&project, &["wrong.json"]);
    check_failure(
        &wrong,
        2,
        &[
            "unknown attribute `check_kvm` in `qemu`",
            "did you mean `check-kvm`?",
            "wrong.json:3",
            "unknown platform `nativ`",
            "the recipes have 3 problems",
        ],
    );
    project.write("wrong.json", "{ \"kernel\": {} ");
    check_failure(
        &xbuild(&project, &["wrong.json"]),
        2,
        &["not valid JSON: EOF while parsing an object", "wrong.json:1:15"],
    );
    check_failure(
        &xbuild(&project, &["-f", "svms:x", "configs/made.json"]),
        2,
        &["the feature `x` is for `svms`, which no recipe has", "did you mean `svsm`?"],
    );
    check_failure(&xbuild(&project, &["-f", ":x", "configs/made.json"]), 2, &["COMPONENT:FEATURE"]);
    check_failure(
        &xbuild(&project, &["--env", "rusty", "configs/made.json"]),
        2,
        &["the project has no environment `rusty`", "did you mean `rust`?"],
    );
    let absent = run(project.command(&["xbuild", "configs/made.json"]).env("FW_FILE", "nowhere.fd"));
    check_failure(
        &absent,
        2,
        &["there is no firmware `nowhere.fd` that `FW_FILE` names", "configs/made.json:"],
    );
    let elsewhere = Project::new("");
    check_failure(&xbuild(&elsewhere, &["x.json"]), 2, &["is no tree of COCONUT-SVSM", "-C DIR"]);
}

#[test]
fn recipe_is_built_in_an_environment() {
    let project = Project::copy_of(TREE);
    project.write("made/firmware.fd", "firmware\n");
    let first = succeed(&project, &["--env", "rust", "configs/qemu-target.json"]);
    let launch = digest(&project, "bin/qemu.igvm", ZeroPages::Normal);
    assert!(first.stdout.contains(&format!("Launch Digest: {launch}")), "{}", first.stdout);
    for path in ["bin/svsm", "bin/fs/init", "bin/fs/test/tester"] {
        assert!(fs::read(project.path().join(path)).unwrap().starts_with(b"\x7fELF"), "{path}");
    }
    let again = succeed(&project, &["--env", "rust", "configs/qemu-target.json"]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    assert!(!project.path().join("target").exists());

    // As a target of a project it is the same, bit for bit, and the tree is wherever it is.
    let elsewhere = Project::copy_of(TREE);
    let recipe = elsewhere.read("bootwright.toml");
    // What version the kernel tells, is of the commit that the tree is at.
    let module = project.read("release/src/git_version.rs");
    let version = module.rsplit('"').nth(1).unwrap();
    let said = format!("= {{ file = \"firmware.fd\" }}\nversion = \"{version}\"");
    elsewhere.write("bootwright.toml", &recipe.replace("= \"ovmf\"", &said));
    elsewhere.write("firmware.fd", "firmware\n");
    let built = elsewhere.succeed(&["build", "qemu"]);
    let of = |project: &Project, path: &str| fs::read(project.path().join(path)).unwrap();
    let is_same = of(&elsewhere, "out/qemu/qemu.igvm") == of(&project, "bin/qemu.igvm");
    assert!(is_same, "{}", built.stderr);
    let again = elsewhere.succeed(&["build", "qemu"]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);

    // What it is expected to measure is looked at each time, and nobody accepts another digest by the way.
    elsewhere.succeed(&["measure", "--update", "out/qemu/qemu.igvm"]);
    let expected = elsewhere.succeed(&["build", "qemu", "--locked"]);
    assert!(expected.stderr.contains("nothing to do"), "{}", expected.stderr);
    let digest = digest(&elsewhere, "out/qemu/qemu.igvm", ZeroPages::Normal).to_lowercase();
    let lock = elsewhere.read("measurements.lock");
    assert!(lock.contains(&digest), "{lock}");
    elsewhere.write("measurements.lock", &lock.replace(&digest, &"0".repeat(96)));
    let told = elsewhere.succeed(&["build", "qemu"]);
    assert!(told.stderr.contains("`qemu.igvm` does not measure what"), "{}", told.stderr);
    elsewhere.fail(&["build", "qemu", "--locked"], 1, &["sev-snp: expected 000", "measure --update"]);
}

#[test]
fn what_is_wrong_with_a_recipe_of_a_target_is_told() {
    let project = Project::copy_of(TREE);
    let recipe = project.read("bootwright.toml");
    let fail = |from: &str, to: &str, code: i32, expected: &[&str]| {
        project.write("bootwright.toml", &recipe.replace(from, to));
        project.fail(&["plan", "qemu"], code, expected);
    };
    fail(
        "qemu-target",
        "qemu-tagret",
        2,
        &["source `tree` has no `configs/qemu-tagret.json`", "bootwright.toml:"],
    );
    fail(
        "recipe   = \"configs/qemu-target.json\"\nfirmware = \"ovmf\"",
        "recipe = \"configs/made.json\"",
        2,
        &["takes its firmware from a command", "say with `firmware`"],
    );
    fail(
        "firmware = \"ovmf\"",
        "features = [\"vtmp:x\"]",
        2,
        &["the recipe has no component `vtmp`", "known components: "],
    );
    project.write("bootwright.toml", &recipe);
    project.write("configs/qemu-target.json", "{ \"igvm\": { \"qemv\": {} }, \"kernel\": { \"svsm\": {} } }");
    project.fail(&["plan", "qemu"], 2, &["tree/configs/qemu-target.json:1", "did you mean `qemu`?"]);
    fs::remove_file(project.path().join("Cargo.lock")).unwrap();
    project.fail(&["plan", "loader"], 2, &["source `tree` has no `Cargo.lock`", "cargo generate-lockfile"]);
}
