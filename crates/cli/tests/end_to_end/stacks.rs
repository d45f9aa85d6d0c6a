//! The systems of real users, built and booted.

use crate::harness::{Project, unique};

#[test]
fn an_arm64_guest_is_built_from_source_and_boots() {
    let project = Project::copy_of("stacks/guest-arm64");
    let ran = project.succeed(&["test"]);
    assert!(ran.stdout.contains("1 passed, 0 failed"), "{}\n{}", ran.stdout, ran.stderr);
    let again = project.succeed(&["test"]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);

    // Lines of the fragment that change nothing of the configuration compile nothing.
    let fragment = project.read("kernel/guest.config");
    for comment in ["one", "two"] {
        project.write("kernel/guest.config", &format!("# {comment} {}\n{fragment}", unique()));
        let ran = project.succeed(&["test"]);
        assert!(ran.stderr.contains("kernel/config") && !ran.stderr.contains("] kernel "), "{}", ran.stderr);
    }
    let explained = project.succeed(&["explain", "kernel/config"]);
    assert!(explained.stdout.contains("in/fragments"), "{}", explained.stdout);

    // What the kernel drops is found before anything is compiled, with the reason.
    let recipe = project.read("bootwright.toml");
    project.write(
        "bootwright.toml",
        &recipe.replace("[target.kernel.require]\n", "[target.kernel.require]\nKVM = \"y\"\n"),
    );
    project.fail(
        &["build", "kernel"],
        1,
        &["KVM=y: depends on VIRTUALIZATION, which is n", "arch/arm64/kvm/Kconfig"],
    );

    // So is an initramfs that has no room where it is to lie.
    project.write("bootwright.toml", &recipe.replace("max = \"64M\"", "max = \"64K\""));
    project.fail(&["test"], 1, &["initrd", "64 KiB"]);
}
