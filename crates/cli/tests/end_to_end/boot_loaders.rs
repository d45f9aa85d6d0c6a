//! What firmware starts: made, signed, judged by the tools that own the formats, and started.

use crate::harness::Project;

fn project() -> Project {
    Project::copy_of("crates/cli/tests/projects/boot-loaders")
}

#[test]
fn foreign_tools_accept_images_signatures_and_hash_trees() {
    let project = project();
    project.succeed(&["build"]);
    let sections = project.read("out/images-accepted/sections");
    let sections: Vec<&str> = sections.lines().filter_map(|line| line.split(' ').next()).collect();
    let added = [".sdmagic", ".sbat", ".osrel", ".cmdline", ".uname", ".initrd", ".linux"];
    assert!(sections.ends_with(&added), "{sections:?}");
    let dump = project.read("out/verity-accepted/dump");
    for line in ["Hash algorithm:  \tsha512", "Salt:            \t00c0ffee", "Hash block size: \t1024"] {
        assert!(dump.contains(line), "{line}\n{dump}");
    }
    assert!(project.read("out/grub-accepted/sections").contains("pei-x86-64"));
}

#[test]
fn boot_loaders_are_the_same_in_another_world() {
    let project = project();
    for target in ["grub", "signed-loader", "root-appended"] {
        let ran = project.succeed(&["verify", target]);
        assert!(!ran.stdout.contains("not reproducible"), "{}", ran.stdout);
    }
}

#[test]
fn firmware_starts_what_is_signed_and_nothing_else() {
    let ran = project().succeed(&["test"]);
    for test in ["signed", "unsigned", "signed-arm", "unsigned-arm"] {
        assert!(ran.stdout.contains(&format!("test {test} ... passed")), "{}", ran.stdout);
    }
    assert!(ran.stdout.ends_with("4 passed, 0 failed\n"), "{}", ran.stdout);
}

#[test]
fn what_is_missing_or_does_not_belong_together_is_named() {
    let project = project();
    let recipe = project.read("bootwright.toml");
    let change = |from: &str, to: &str| {
        assert!(recipe.contains(from), "{from}");
        project.write("bootwright.toml", &recipe.replace(from, to));
    };
    change("\"grub-efi-arm64-bin:arm64\", ", "");
    let said = ["there is no GRUB for `arm64-efi`", "add the package `grub-efi-arm64-bin:arm64`"];
    project.fail(&["build", "grub-arm"], 1, &said);

    change("\"part_gpt\", \"fat\", \"normal\", \"linux\"]\n\n", "\"part_gtp\"]\n\n");
    let said = ["GRUB for `arm64-efi` has no module `part_gtp`", "there is `part_gpt`"];
    project.fail(&["build", "grub-arm"], 1, &said);

    change("keys/db.key", "keys/other.key");
    let said = ["the key is not that of the certificate of `CN=Bootwright tests`"];
    project.fail(&["build", "signed-loader"], 1, &said);

    change("stub       = \"systemd-boot/linuxx64.efi.stub\"", "stub       = \"root\"");
    project.fail(&["build", "system"], 1, &["the stub is not a program for firmware", "`systemd-boot-efi`"]);

    change("image = \"large\"", "image = \"large/other\"");
    project.fail(&["build"], 2, &["target `large` leaves no `other`"]);

    change("root-hash  = \"root-verity\"", "root-hash  = \"root\"");
    project.fail(&["build"], 2, &["`root` is not a target of kind `verity`"]);

    change("firmware = \"eltorito\"", "firmware = \"eltorito\"\narch = \"arm64\"");
    project.fail(&["build"], 2, &["there is no BIOS for arm64"]);
}
