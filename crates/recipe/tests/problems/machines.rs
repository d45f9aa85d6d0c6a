//! Firmware, disks, and tests that go on where others ended.

use super::check;

#[test]
fn disks_and_firmware() {
    check(
        r#"[stack]
name = "demo"

[env.qemu]
distro = "debian:bookworm"

[target.tool]
kind    = "command"
env     = "qemu"
run     = "true"
outputs = ["x"]

[machine.a]
env      = "qemu"
firmware = "bios"
disks    = [{}, { target = "tool", blank = "1G" }, { blank = "100" }, { blank = "1G", access = "read-only" }]

[machine.b]
arch     = "arm64"
env      = "qemu"
firmware = { secure-boot = true, code = "none" }
disks    = [{ blank = "1G", name = "one" }, { blank = "1G", name = "one" }]

[machine.b.regions]
ram = { reserve = "1M" }
"#,
        "",
    );
}

#[test]
fn tests_that_follow_others() {
    check(
        r#"[stack]
name = "demo"

[env.qemu]
distro = "debian:bookworm"

[machine.a]
env   = "qemu"
disks = [{ blank = "1G" }, { blank = "2G", name = "data" }]

[machine.b]
env   = "qemu"
disks = [{ blank = "3G" }]

[machine.c]
env = "qemu"

[test.first]
machine = "a"
after   = "third"

[test.second]
machine = "b"
after   = "first"

[test.third]
machine = "a"
after   = "first"

[test.fourth]
machine = "c"
after   = "first"

[test.fifth]
machine = "a"
after   = "fourht"
"#,
        "",
    );
}
